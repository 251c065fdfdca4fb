"""What the transfer step costs: sparse targets and loss against the dense [batch, length, vocabulary] way.

The dense way here is kinder than what it stands for (FedMKT fills its target in Python loops): it gets the
same alignment for free, fills one array by index, and takes torch's own loss.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from renga.models.alignment import Crosswalk, Targets, align_many, joined
from renga.models.distillation import kd_loss
from renga.models.example import Example
from renga.models.knowledge import Rows
from renga.models.references import load_tokenizer
from renga.models.template import Template
from renga.models.vocabulary import Vocabulary
from renga.simulations.bench_tables import Tell

T = TypeVar("T")


def bench(
    teacher: str,
    student: str,
    examples: Sequence[Example],
    *,
    top_k: int = 16,
    repeats: int = 3,
    tell: Tell = lambda line: None,
) -> dict[str, Any]:
    """`measure` for two model references, of which the tokenizers alone are loaded."""
    read = {}
    for reference in dict.fromkeys((teacher, student)):
        tell(f"reading the vocabulary of {reference}")
        tokenizer = load_tokenizer(reference)
        read[reference] = Vocabulary(tokenizer, Template.of_tokenizer(tokenizer).end)
    responses = [example.response for example in examples if example.response is not None]
    tell(f"one distillation step on {len(responses)} texts, {repeats} times either way")
    found = measure(read[teacher], read[student], responses, top_k=top_k, repeats=repeats)
    return {"benchmark": "transfer", "teacher": teacher, "student": student, "repeats": repeats, **found}


def measure(
    teacher: Vocabulary,
    student: Vocabulary,
    responses: Sequence[str],
    *,
    top_k: int = 16,
    repeats: int = 3,
    seed: int = 0,
) -> dict[str, Any]:
    """Time and peak memory of one distillation step on a batch of responses, both ways, in turn.

    The teacher's rows and the student's logits are random: what is timed doesn't depend on their values.
    Seconds are medians of `repeats`, per 1,000 places of the student, for one batch in torch's present
    number of threads. A peak is the growth of resident memory over what the process held before (the logits
    among that), in bytes, the most of the `repeats`; null where the system doesn't tell.
    """
    rng = np.random.default_rng(seed)
    ids = [[*encoded, student.end] for encoded in student.encode_many(responses)]
    rows = [_random_rows(teacher, encoded, top_k, rng) for encoded in teacher.encode_many(responses)]
    places, longest = sum(map(len, ids)), max(map(len, ids))
    per_thousand = 1000 / places

    walk, cold = _timed(lambda: Crosswalk(teacher, student))
    targets, first = _timed(lambda: align_many(rows, walk, ids))
    times: dict[str, list[float]] = {
        name: [] for name in ("align", "sparse_loss", "dense_fill", "dense_loss")
    }
    peaks: dict[str, list[int | None]] = {name: [] for name in ("align", "sparse", "dense")}
    batch = joined(targets)
    # The dense way is padded, as its target is; the sparse way takes the places as they are.
    outputs = torch.randn(len(ids) * longest, student.size, generator=torch.Generator().manual_seed(seed))
    padded = outputs.view(len(ids), longest, student.size).requires_grad_()
    flat = outputs[:places].requires_grad_()

    def sparse() -> None:
        _, seconds = _timed(lambda: _sparse_step(flat, batch))
        times["sparse_loss"].append(seconds)

    def dense() -> None:
        target, seconds = _timed(lambda: _dense_target(targets, longest, student.size))
        times["dense_fill"].append(seconds)
        _, seconds = _timed(lambda: _dense_step(padded, target))
        times["dense_loss"].append(seconds)

    def again() -> None:
        _, seconds = _timed(lambda: align_many(rows, walk, ids))
        times["align"].append(seconds)

    for _ in range(repeats):
        peaks["align"].append(_peak(again))
        for name, step in (("sparse", sparse), ("dense", dense)):
            peaks[name].append(_peak(step))
            padded.grad = flat.grad = None

    seconds = {name: float(np.median(values)) * per_thousand for name, values in times.items()}
    return {
        "texts": len(ids),
        "places": places,
        "longest": longest,
        "vocabulary": student.size,
        "teacher_vocabulary": teacher.size,
        "top_k": top_k,
        "threads": torch.get_num_threads(),
        "masked_share": float(np.mean([t.masked_share for t in targets])),
        "crosswalk_seconds_once": cold,
        "first_align_seconds_per_1000": first * per_thousand,
        "seconds_per_1000": seconds,
        "speedup": (seconds["dense_fill"] + seconds["dense_loss"])
        / (seconds["align"] + seconds["sparse_loss"]),
        "bytes": {
            "logits": outputs.numel() * outputs.element_size(),
            "sparse_targets": sum(_bytes(t) for t in targets),
            "dense_target": len(ids) * longest * student.size * 4,
        },
        "peak_bytes": {name: None if None in found else max(found) for name, found in peaks.items()},  # type: ignore[type-var]
    }


def _random_rows(teacher: Vocabulary, encoded: Sequence[int], top_k: int, rng: np.random.Generator) -> Rows:
    gold = np.array([*encoded, teacher.end], dtype=np.int32)
    n, k = len(gold), min(top_k, teacher.size // 2)
    # Distinct ids: one step of a stride through the vocabulary each, from a random start.
    start = rng.integers(0, teacher.size, (n, 1))
    ids = (start + np.arange(k) * (teacher.size // (k + 1))) % teacher.size
    listed_gold = rng.random(n) < 0.7
    there = (ids == gold[:, None]).any(1)
    ids[listed_gold & ~there, 0] = gold[listed_gold & ~there]
    p = np.sort(rng.dirichlet(np.full(k + 1, 0.3), n)[:, :k], axis=1)[:, ::-1]
    logp = np.log(np.maximum(p, 1e-6))
    is_gold = ids == gold[:, None]
    gold_logp = np.where(is_gold.any(1), (logp * is_gold).sum(1), -14.0)
    offsets = np.concatenate([[0], np.cumsum(teacher.lengths()[gold[:-1]])])
    return Rows(
        offsets=offsets.astype(np.int32),
        gold=gold,
        gold_logp=gold_logp.astype(np.float32),
        counts=np.full(n, k, dtype=np.int32),
        ids=ids.astype(np.int32).reshape(-1),
        logp=logp.astype(np.float32).reshape(-1),
    )


def _sparse_step(logits: torch.Tensor, targets: Targets) -> None:
    kd_loss(logits, targets).backward()  # type: ignore[no-untyped-call]


def _dense_target(targets: Sequence[Targets], longest: int, size: int) -> torch.Tensor:
    """[batch, length, vocabulary], the listed probabilities brought to sum 1, 0 where masked."""
    dense = torch.zeros(len(targets), longest, size)
    for row, t in zip(dense, targets, strict=True):
        listed = np.bincount(t.position, t.probability, minlength=len(t.mask)).astype(np.float32)
        share = torch.from_numpy(t.probability / listed[t.position])
        row[torch.from_numpy(t.position).long(), torch.from_numpy(t.token).long()] = share
    return dense


def _dense_step(logits: torch.Tensor, target: torch.Tensor) -> None:
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten(0, 1))
    loss.backward()  # type: ignore[no-untyped-call]


def _bytes(t: Targets) -> int:
    return sum(array.nbytes for array in (t.position, t.token, t.probability, t.tail, t.mask))


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def _peak(work: Callable[[], None]) -> int | None:
    """Growth of resident memory while `work` runs, in bytes; None where the mark can't be set back (it can
    under Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        work()
        return None
    work()
    status = Path("/proc/self/status").read_text()
    high = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return max(0, high * 1024 - before)
