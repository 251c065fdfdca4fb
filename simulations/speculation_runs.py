"""Answers of a model in another process, said plainly and with drafts, over round trips that are emulated.

Every answer is held to what the target says alone, in this process: byte for byte, but for places where its
best two tokens are as good as equal, which are counted.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from renga.models.contract import LanguageModel, Prompt, Sampling
from renga.models.cooperation.drafters import Drafter
from renga.models.cooperation.speculate import Speculated, speculate
from renga.models.generate import generate
from renga.models.local import LocalModel
from renga.models.noise import Place, noise_at
from renga.models.remote import RemoteModel, SessionChannel
from renga.models.sampling import restricted
from renga.protocol import link_pb2 as wire
from renga.simulations.bench_host import Carrying
from renga.simulations.bench_tables import Sheet, Tell, texts

ROUND_TRIPS = (0.0, 0.02, 0.1)  # seconds
TEMPERATURES = (0.0, 0.8)
TOKENS = 24
NEAR = 1e-3  # below this margin kernels of other shapes may choose otherwise
PLAIN = "token by token"

Dialled = Callable[[Carrying], tuple[RemoteModel, Callable[[], None]]]


class Far:
    """A channel as far away as `seconds` there and back; counts journeys that feed."""

    def __init__(self, inner: SessionChannel, seconds: float, tally: Journeys) -> None:
        self._inner, self._seconds, self._tally = inner, seconds, tally

    def ask(self, request: wire.SessionRequest) -> wire.SessionReply:
        time.sleep(self._seconds)
        self._tally.feeds += request.WhichOneof("move") == "feed"
        self._tally.ids += len(request.feed.ids)
        return self._inner.ask(request)

    def close(self) -> None:
        self._inner.close()


@dataclass
class Journeys:
    """Feeds, and the bytes of the ids in them."""

    feeds: int = 0
    ids: int = 0


@dataclass(frozen=True)
class Case:
    """A target, here and there, and who drafts for it. groups: of what kind each prompt is."""

    alone: LocalModel
    dial: Dialled
    drafters: Mapping[str, LanguageModel | Drafter]
    prompts: Sequence[Prompt]
    groups: Sequence[str]
    cpu: Callable[[], float]  # seconds that the server's process has used


def run(case: Case, seed: int, tell: Tell, tokens: int = TOKENS) -> list[dict[str, Any]]:
    """A row for each temperature and way."""
    rows = []
    for temperature in TEMPERATURES:
        how = [Sampling(temperature, max_tokens=tokens, seed=seed + i) for i in range(len(case.prompts))]
        wanted = [list(generate(case.alone, p, s)) for p, s in zip(case.prompts, how, strict=True)]
        reading = _reading(case)
        for name in (PLAIN, *case.drafters):
            tell(f"  {name}, temperature {temperature:g}")
            runs = [_run(case, name, how, wanted, trip, reading) for trip in ROUND_TRIPS]
            rows.append({"way": name, "temperature": temperature, "runs": runs})
    return rows


def _reading(case: Case) -> float:
    """Seconds of the server's that the prompts take, with one token each."""
    model, close = case.dial(lambda channel: channel)
    before = case.cpu()
    for prompt in case.prompts:
        list(generate(model, prompt, Sampling(max_tokens=1)))
    close()
    return case.cpu() - before


def _run(
    case: Case,
    name: str,
    how: Sequence[Sampling],
    wanted: Sequence[Sequence[int]],
    trip: float,
    reading: float,
) -> dict[str, Any]:
    journeys = Journeys()
    remote, close = case.dial(lambda channel: Far(channel, trip, journeys))
    model: LanguageModel = remote
    if name != PLAIN:
        model = speculate(case.drafters[name], remote)
    answers: list[dict[str, Any]] = []
    cpu, start = case.cpu(), time.perf_counter()
    for prompt, sampling, ids, group in zip(case.prompts, how, wanted, case.groups, strict=True):
        before = journeys.feeds
        said = list(generate(model, prompt, sampling))
        ended = len(said) < sampling.max_tokens
        answers.append(
            {
                "group": group,
                "tokens": len(said) + ended,
                "passes": journeys.feeds - before,
                "same": said == list(ids),
                "flip": said != list(ids) and flips(case.alone, prompt, sampling, ids, said),
            }
        )
    seconds, used = time.perf_counter() - start, case.cpu() - cpu
    close()
    total = sum(a["tokens"] for a in answers)
    tally = model.tally if isinstance(model, Speculated) else None
    return {
        "round_trip": trip,
        "answers": answers,
        "tokens": total,
        "passes": journeys.feeds / total,
        "drafted": tally.drafted if tally else 0,
        "agreed": tally.acceptance if tally else None,
        "id_bytes": journeys.ids,
        "bytes_up": remote.meter.bytes_up,
        "bytes_down": remote.meter.bytes_down / total,
        "cpu": max(0.0, used - reading) / max(1, total - len(answers)),
        "seconds": seconds / total,
    }


def flips(
    model: LocalModel, prompt: Prompt, sampling: Sampling, one: Sequence[int], other: Sequence[int]
) -> bool:
    """Whether two answers part where the best two tokens, with their noise, are as good as equal."""
    common = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), -1)
    common = min(len(one), len(other)) if common < 0 else common
    row = model.open(prompt).feed(list(one[:common])).logp
    assert row is not None
    law = row[-1].double()
    if sampling.temperature > 0:
        place = Place()
        for id in one[:common]:
            place = place.after(model.vocabulary, id)
        law = restricted(row[-1], sampling).double()
        law = law + torch.from_numpy(noise_at(model.vocabulary, sampling.seed, place).copy())
    best = law.topk(2).values
    return float(best[0] - best[1]) < NEAR


def assisted(
    case: Case, assistant: LocalModel | None, temperature: float, tokens: int = TOKENS
) -> dict[str, Any]:
    """The same answers by `transformers`' assisted generation in this process, or by its prompt lookup;
    `failed` says why there are none."""
    weights = case.alone.weights
    passes = 0

    def count(*_: object) -> None:
        nonlocal passes
        passes += 1

    told: dict[str, Any] = {"max_new_tokens": tokens, "do_sample": temperature > 0}
    if temperature > 0:
        told |= {"temperature": temperature, "top_k": 0, "top_p": 1.0}
    if assistant is None:
        told["prompt_lookup_num_tokens"] = 8
    else:
        told["assistant_model"] = assistant.weights.model
        if assistant.vocabulary.fingerprint != case.alone.vocabulary.fingerprint:
            told |= {"tokenizer": weights.tokenizer, "assistant_tokenizer": assistant.weights.tokenizer}
    torch.manual_seed(0)
    weights.wear(case.alone.adapter)
    hook = weights.model.register_forward_pre_hook(count)
    said, start = 0, time.perf_counter()
    try:
        for prompt in case.prompts:
            ids = torch.tensor([weights.template.prompt_ids(weights.tokenizer, prompt.text)])
            said += weights.model.generate(ids, **told).shape[1] - ids.shape[1]
    except Exception as error:  # noqa: BLE001 a peer that fails is a result
        return {"temperature": temperature, "failed": f"{type(error).__name__}: {str(error)[:120]}"}
    finally:
        hook.remove()
    seconds = time.perf_counter() - start
    return {
        "temperature": temperature,
        "passes": passes / said,
        "tokens": said,
        "seconds": seconds / said,
    }


def targets(rows: Sequence[Mapping[str, Any]], *ways: str) -> Sheet:
    """What is wanted of drafts by each of `ways`, and what came of it."""
    met = []
    for row in (row for way in ways for row in rows if row["way"] == way):
        way, runs = row["way"], row["runs"]
        passes = statistics.mean(r["passes"] for r in runs)
        payload = sum(r["id_bytes"] for r in runs) / max(1, sum(r["drafted"] for r in runs))
        answers = [a for r in runs for a in r["answers"]]
        other = sum(not a["same"] and not a["flip"] for a in answers)
        kind = f"temperature {row['temperature']:g}"
        met += [
            (f"{way}, {kind}: at most 0.5 passes of the target per token", passes <= 0.5, f"{passes:.2f}"),
            (f"{way}, {kind}: at most 5 bytes of payload per drafted token", payload <= 5, f"{payload:.1f}"),
            (
                f"{way}, {kind}: the target's own answers",
                not other,
                f"{len(answers) - other} of {len(answers)}",
            ),
        ]
    cells = [(what, "met" if good else "missed", found) for what, good, found in met]
    return Sheet("Targets", ("target", "", "measured"), texts(cells), words=frozenset({"", "measured"}))


def sheet(
    title: str,
    rows: Sequence[Mapping[str, Any]],
    peers: Mapping[str, Sequence[Mapping[str, Any]]],
    note: str,
) -> Sheet:
    """The runs of a case, and what peers make of it."""
    cells = []
    for row in rows:
        runs = row["runs"]
        drafted = max(1, sum(r["drafted"] for r in runs))
        sent = [sum(r[kind] for r in runs) / drafted for kind in ("id_bytes", "bytes_up")]
        answers = [a for r in runs for a in r["answers"]]
        same, flip = sum(a["same"] for a in answers), sum(a["flip"] for a in answers)
        cells.append(
            (
                row["way"],
                f"{row['temperature']:g}",
                " / ".join(f"{r['passes']:.2f}" for r in runs),
                "" if runs[0]["agreed"] is None else f"{statistics.mean(r['agreed'] for r in runs):.0%}",
                "" if runs[0]["agreed"] is None else " / ".join(f"{n:.1f}" for n in sent),
                f"{statistics.mean(r['bytes_down'] for r in runs):.0f}",
                f"{statistics.mean(r['cpu'] for r in runs):.3f}",
                " / ".join(f"{r['seconds']:.2f}" for r in runs),
                f"{same} of {len(answers)}" + (f", {flip} near ties" if flip else ""),
            )
        )
    for name, found in peers.items():
        for r in found:
            failed = r.get("failed")
            cells.append(
                (
                    name,
                    f"{r['temperature']:g}",
                    f"failed ({failed})" if failed else f"{r['passes']:.2f}",
                    f"{r['agreed']:.0%}" if "agreed" in r else "",
                    f"{r['bytes_per_draft']:.0f}" if "bytes_per_draft" in r else "",
                    "",
                    "",
                    "" if failed else f"{r['seconds']:.2f} / – / –",
                    "",
                )
            )
    trips = " / ".join(f"{1000 * trip:g}" for trip in ROUND_TRIPS)
    heads = (
        "drafts by", "temperature", f"passes of the target per token, at {trips} ms", "agreed",
        "bytes per drafted token: ids / whole messages", "bytes down per token", "server's CPU s per token",
        f"seconds per token, at {trips} ms", "the target's own answer",
    )  # fmt: skip
    return Sheet(title, heads, texts(cells), note, words=frozenset({"the target's own answer"}))
