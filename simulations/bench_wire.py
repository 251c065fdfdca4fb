"""`renga bench wire`: how many bytes knowledge and adapters take, and what their coding costs in quality.

Knowledge is compared with FATE-LLM's way (FedMKT, arXiv:2406.02224): Python lists of the 128 best logits and
their indices for every place, pickled. The lists here are ours, of the same shape; they get the same places
as ours, although FedMKT sends those of the prompt as well.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from renga.errors import UsageError
from renga.models.adapter import Adapter, distance
from renga.models.alignment import Targets, align
from renga.models.carried import from_wire, to_wire
from renga.models.distillation import kd_loss
from renga.models.example import Example
from renga.models.knowledge import Rows
from renga.models.local import LocalModel
from renga.models.scoring import bits_per_byte, encode_texts, rows_of
from renga.models.training import Learning, Lesson, learn
from renga.models.weights import SharedWeights
from renga.protocol.adapter_codec import CODINGS, decode_adapter, encode_adapter
from renga.protocol.coding import LOG8_FLOOR
from renga.protocol.knowledge_codec import LOGP_ERROR, decode_rows, encode_rows
from renga.protocol.packing import pack
from renga.simulations.bench_tables import Tell

FATE_K = 128
FATE_TOKENS = 512
FATE_CITED_BYTES = 776 * 1024  # of one text of FATE_TOKENS tokens, as found when the target was set
KNOWLEDGE_AT_LEAST = 20.0
ADAPTER_AT_LEAST = 3.5
BATCH = 4
GRADIENT_PLACES = 256  # places whose whole distributions are held at once
LARGEST_VOCABULARY = 262_144  # Gemma 3's: ids take three bytes


def measure(
    weights: SharedWeights,
    examples: Sequence[Example],
    *,
    top_k: int = 16,
    floor: float = 1e-4,
    rank: int = 8,
    alpha: float = 16.0,
    tokens: int = 6_000,
    seed: int = 0,
    tell: Tell = lambda line: None,
) -> dict[str, Any]:
    """Bytes and quality of what a client with these weights would send about `examples`, all with responses.

    The adapter is one that was trained on the examples for `tokens` tokens: an untrained one is half zeros.
    Raises UsageError when these are not enough for a batch.
    """
    tell(f"training an adapter of rank {rank} on {len(examples)} texts")
    lessons = [Lesson(text) for text in encode_texts(weights, examples)]
    fresh = weights.fresh_adapter(rank, alpha, "all", seed)
    learned = learn(weights, fresh, lessons, Learning(rate=1e-3, tokens=tokens, batch=BATCH, seed=seed))
    if not learned.losses:
        first = sum(sorted(lesson.text.length for lesson in lessons)[-BATCH:])
        raise UsageError(f"{tokens} tokens are not one batch of these texts", hint=f"give at least {first}")
    adapter = learned.adapter
    model = LocalModel(weights, adapter)
    tell("reading the texts")
    ours = rows_of(model, examples, top_k=top_k, floor=floor)
    wide = rows_of(model, examples, top_k=FATE_K, floor=0.0)
    size = weights.vocabulary.size
    tell("coding")
    return {
        "benchmark": "wire",
        "model": weights.reference,
        "vocabulary": size,
        "texts": len(examples),
        "top_k": top_k,
        "knowledge": {
            "real": knowledge_bytes(ours, wide, size),
            "worst": [worst_case(top_k, s, seed) for s in dict.fromkeys((size, LARGEST_VOCABULARY))],
            "cited_bytes_per_row": FATE_CITED_BYTES / FATE_TOKENS,
            "quality": knowledge_quality(ours, wide, size),
            "gradient": gradient_quality(weights, adapter, examples, top_k, floor),
        },
        "adapters": {
            "rank": rank,
            "tokens": learned.tokens,
            "codings": adapter_codings(weights, adapter, examples),
        },
    }


def knowledge_bytes(ours: Sequence[Rows], wide: Sequence[Rows], size: int) -> dict[str, Any]:
    """Bytes per row of both codings. ours: as they are sent; wide: the same places, FATE_K tokens each."""
    rows = sum(len(r.offsets) for r in ours)
    sent = pack(encode_rows(ours, size), {}).nbytes
    same_k = pack(encode_rows(wide, size), {}).nbytes
    theirs = len(pickle.dumps(fate_lists(wide), pickle.HIGHEST_PROTOCOL))
    return {
        "rows": rows,
        "vocabulary": size,
        "listed_per_row": sum(int(r.counts.sum()) for r in ours) / rows,
        "bytes_per_row": {"ours": sent / rows, "ours_at_128": same_k / rows, "fate": theirs / rows},
        "ratio": theirs / sent,
        "ratio_at_same_k": theirs / same_k,
        "ratio_to_cited": FATE_CITED_BYTES / FATE_TOKENS / (sent / rows),
    }


def fate_lists(rows: Sequence[Rows]) -> list[dict[str, Any]]:
    """Per text what FedMKT puts into its messages: for every place a list of logits and one of indices,
    beside the text's ids, its mask and its labels."""
    texts = []
    for r in rows:
        n, k = len(r.counts), int(r.counts[0])
        ids = r.gold.tolist()
        texts.append(
            {
                "input_ids": ids,
                "attention_mask": [1] * n,
                "labels": ids,
                "per_step_logits": r.logp.reshape(n, k).tolist(),
                "per_step_indices": r.ids.reshape(n, k).tolist(),
                "metric_ce": -float(r.gold_logp.mean()),
            }
        )
    return texts


def worst_case(top_k: int, size: int, seed: int) -> dict[str, Any]:
    """Both codings on rows that can't be larger: every row full, no gold token listed, random ids."""
    rng = np.random.default_rng(seed)
    k = min(FATE_K, size // 2)
    return knowledge_bytes(
        [_random_rows(FATE_TOKENS, min(top_k, k), size, rng)], [_random_rows(FATE_TOKENS, k, size, rng)], size
    )


def _random_rows(n: int, k: int, size: int, rng: np.random.Generator) -> Rows:
    # Odd ids are listed, the gold ones are even.
    start = rng.integers(0, size // 2, (n, 1))
    ids = 2 * ((start + np.arange(k) * max(1, size // 2 // k)) % (size // 2)) + 1
    p = -np.sort(-rng.dirichlet(np.full(k + 1, 2.0), n)[:, :k], axis=1)
    return Rows(
        offsets=np.concatenate([[0], np.cumsum(rng.integers(1, 12, n - 1))]).astype(np.int32),
        gold=2 * rng.integers(0, size // 2, n).astype(np.int32),
        gold_logp=np.full(n, -15.0, dtype=np.float32),
        counts=np.full(n, k, dtype=np.int32),
        ids=ids.astype(np.int32).reshape(-1),
        logp=np.log(np.maximum(p, 1e-7)).astype(np.float32).reshape(-1),
    )


def knowledge_quality(ours: Sequence[Rows], wide: Sequence[Rows], size: int) -> dict[str, Any]:
    """What coding in 8 bits changes. KL: of a row before coding to the same row after, over the listed tokens
    and the rest as one, in nats; `bound` is what it can't exceed."""
    decoded = [Rows(*r) for r in decode_rows(encode_rows(ours, size), size)]
    kl = np.concatenate([_kl(a, b) for a, b in zip(ours, decoded, strict=True)])
    errors = [
        np.abs(np.maximum(a.logp, LOG8_FLOOR) - b.logp).max(initial=0)
        for a, b in zip(ours, decoded, strict=True)
    ]
    losses = [
        abs(a.bits_per_byte - b.bits_per_byte)
        for a, b in zip(ours, decoded, strict=True)
        if a.offsets[-1] > 0
    ]
    return {
        "kl_mean": float(kl.mean()),
        "kl_most": float(kl.max()),
        "kl_bound": LOGP_ERROR,
        "logp_error_most": float(max(errors)),
        "bits_per_byte_error_most": max(losses, default=0.0),
        "listed_mass": float(1 - np.concatenate([r.tail() for r in ours]).mean()),
        "listed_mass_at_128": float(1 - np.concatenate([r.tail() for r in wide]).mean()),
    }


def _kl(before: Rows, after: Rows) -> np.ndarray:
    """Per row KL(before || after): [rows]."""
    row = np.repeat(np.arange(len(before.counts)), before.counts)
    p, q = before.logp.astype(np.float64), after.logp.astype(np.float64)
    kl = np.bincount(row, np.exp(p) * (p - q), minlength=len(before.counts))
    rest_p, rest_q = before.tail().astype(np.float64), np.maximum(after.tail(), 1e-12).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = np.where(rest_p > 0, rest_p * np.log(rest_p / rest_q), 0.0)
    return np.asarray(kl + rest)


def gradient_quality(
    weights: SharedWeights, adapter: Adapter, examples: Sequence[Example], top_k: int, floor: float
) -> dict[str, Any]:
    """How near the gradient that a student gets from sent rows is to that of the teacher's whole rows.

    The teacher wears `adapter`, the student is the bare base. Cosine, and size relative to the whole
    gradient's, over the logits of up to GRADIENT_PLACES places; ours as they arrive, and the 128 best brought
    to sum 1, as FedMKT distils.
    """
    chosen: list[Example] = []
    places = 0
    for example, text in zip(examples, encode_texts(weights, examples), strict=True):
        if not chosen or places + len(text.response) <= GRADIENT_PLACES:
            chosen.append(example)
            places += len(text.response)
    texts = encode_texts(weights, chosen)
    sequences = [(*text.prompt, *text.response[:-1]) for text in texts]
    counts = [len(text.response) for text in texts]
    with torch.inference_mode():
        weights.wear(adapter)
        teacher = weights.logits(sequences, counts).float().softmax(-1)
        weights.wear(None)
        student = weights.logits(sequences, counts).float()
    whole = student.softmax(-1) - teacher

    vocabulary = weights.vocabulary
    sent = rows_of(LocalModel(weights, adapter), chosen, top_k=top_k, floor=floor)
    arrived = [Rows(*r) for r in decode_rows(encode_rows(sent, vocabulary.size), vocabulary.size)]
    targets = [
        align(rows, vocabulary, vocabulary, text.response) for rows, text in zip(arrived, texts, strict=True)
    ]
    ours = torch.cat(
        [_gradient(part, target) for part, target in zip(torch.split(student, counts), targets, strict=True)]
    )
    best = teacher.topk(min(FATE_K, teacher.shape[1]), dim=-1)
    dense = torch.zeros_like(teacher).scatter(1, best.indices, best.values / best.values.sum(1, keepdim=True))
    theirs = student.softmax(-1) - dense
    return {"places": places, "ours": _likeness(ours, whole), "fate": _likeness(theirs, whole)}


def _gradient(logits: torch.Tensor, targets: Targets) -> torch.Tensor:
    """Of the loss' sum over the places."""
    leaf = logits.clone().requires_grad_()
    (kd_loss(leaf, targets) * int(targets.mask.sum())).backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    return leaf.grad


def _likeness(one: torch.Tensor, whole: torch.Tensor) -> dict[str, float]:
    cosine = torch.nn.functional.cosine_similarity(one.reshape(1, -1), whole.reshape(1, -1))
    return {"cosine": float(cosine), "size": float(one.norm() / whole.norm())}


def adapter_codings(
    weights: SharedWeights, adapter: Adapter, examples: Sequence[Example]
) -> dict[str, dict[str, float]]:
    """Per coding: bytes, how many times fewer than plain float32, and what is lost: |dW' - dW| / |dW|, and
    the change in bits per byte on the examples."""
    plain = to_wire(adapter)
    raw = 4 * sum(a.size + b.size for a, b in plain.factors.values())
    losses = bits_per_byte(LocalModel(weights, adapter), examples)
    found = {}
    for coding in CODINGS:
        encoded = encode_adapter(
            plain.factors,
            rank=plain.rank,
            alpha=plain.alpha,
            base=plain.base,
            provenance=plain.provenance,
            coding=coding,
        )
        sent = pack(encoded.arrays, encoded.meta).nbytes
        arrived = replace(from_wire(decode_adapter(encoded.arrays, encoded.meta)), base=weights.fingerprint)
        after = bits_per_byte(LocalModel(weights, arrived), examples)
        found[coding] = {
            "bytes": sent,
            "ratio": raw / sent,
            "update_error": distance(arrived, adapter),
            "bits_per_byte_before": float(losses.mean()),
            "bits_per_byte_change": float((after - losses).mean()),
        }
    return found


def targets(result: Mapping[str, Any]) -> list[tuple[str, bool, str]]:
    """Each target, whether it is met, and what was measured."""
    knowledge = result["knowledge"]
    all_rows = [knowledge["real"], *knowledge["worst"]]
    least = min(min(found["ratio"], found["ratio_to_cited"]) for found in all_rows)
    ratio = result["adapters"]["codings"]["blocks8"]["ratio"]
    return [
        (
            f"knowledge in at most 1/{KNOWLEDGE_AT_LEAST:.0f} of FATE-LLM's bytes",
            least >= KNOWLEDGE_AT_LEAST,
            f"1/{least:.1f} in the worst case",
        ),
        (
            f"adapters in at most 1/{ADAPTER_AT_LEAST} of float32's bytes",
            ratio >= ADAPTER_AT_LEAST,
            f"1/{ratio:.2f}",
        ),
    ]
