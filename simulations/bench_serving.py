"""What it gives to read for many sessions at once, and what it costs that a model is over a link.

Three comparisons, each within one run: sessions read together against one by one, in one process; 1 to 64
clients with a session each, over the link, with the server in a process of its own; and a greedy answer by
that server against the same one made here. All decode greedily; ids that should be the same are compared.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from renga.models.batching import BatchedModel
from renga.models.contract import Clearance, Prompt, Session, TopK
from renga.models.local import LocalModel
from renga.models.weights import SharedWeights
from renga.simulations.bench_host import HostProcess

AT_LEAST = 3.0  # times as fast at `OF` sessions as one by one
OF = 16
AT_MOST = 0.10  # that a remote answer may take beyond a local one


@dataclass(frozen=True)
class Served:
    """`sessions` at once, against the same ones after each other. Rates in tokens per second."""

    sessions: int
    alone: float
    batched: float
    first_token: float  # seconds until a session has its first token, median over the batched ones
    fairness: float  # seconds of the slowest batched session over those of the fastest
    differing: int  # sessions whose ids are not the same both ways

    @property
    def ratio(self) -> float:
        return self.batched / self.alone


def measure(
    reference: str,
    *,
    sessions: Sequence[int],
    tokens: int,
    answer: int,
    repeats: int,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """All three, with the model `reference`. `tokens` of each session; `answer` tokens of the answers that
    are compared `repeats` times."""
    tell(f"loading {reference}")
    weights = SharedWeights.load(reference)
    prompts = [Prompt(f"Tell me about the number {n}.", Clearance.PUBLIC) for n in range(max(sessions))]
    ids = [weights.template.prompt_ids(weights.tokenizer, prompt.text) for prompt in prompts]
    together = []
    for count in sorted(sessions):
        if count <= OF:
            tell(f"{count} sessions, one by one and together")
            together.append(serve(weights, ids[:count], tokens))
    with (
        tempfile.TemporaryDirectory(prefix="renga-bench-") as folder,
        HostProcess(Path(folder), reference, max(sessions)) as server,
    ):
        linked = []
        for count in sorted(sessions):
            tell(f"{count} clients over the link")
            linked.append(_many(server, weights, prompts[:count], tokens))
        tell(f"an answer of {answer} tokens here and there, {repeats} times")
        pairs = [_pair(server, weights, prompts[0], answer) for _ in range(repeats + 1)][
            1:
        ]  # the first warms up
    return {
        "benchmark": "serving",
        "model": reference,
        "threads": torch.get_num_threads(),
        "tokens": tokens,
        "together": [{**asdict(found), "ratio": found.ratio} for found in together],
        "linked": linked,
        "answer": {
            "tokens": answer,
            "local_seconds": statistics.median(local for local, _ in pairs),
            "remote_seconds": statistics.median(remote for _, remote in pairs),
            "over": statistics.median(remote / local - 1 for local, remote in pairs),
        },
    }


def targets(result: Mapping[str, Any]) -> list[tuple[str, bool | None, str]]:
    """Each target, whether it is met, and what was measured."""
    at = next((found for found in result["together"] if found["sessions"] == OF), None)
    over = result["answer"]["over"]
    return [
        (
            f"{OF} sessions together are {AT_LEAST:g} times as fast as one by one",
            None if at is None else at["ratio"] >= AT_LEAST,
            "not measured" if at is None else f"{at['ratio']:.2f} times",
        ),
        (
            f"a remote greedy answer costs at most {AT_MOST:.0%} over a local one",
            over <= AT_MOST,
            f"{over:+.1%}",
        ),
    ]


def serve(weights: SharedWeights, prompts: Sequence[Sequence[int]], tokens: int) -> Served:
    """Decode `tokens` ids after each of `prompts`, one session after the other and then all at once."""
    local = LocalModel(weights)
    began = time.perf_counter()
    wanted = [_decoded(local.open_ids(ids), tokens)[0] for ids in prompts]
    alone = time.perf_counter() - began
    model = BatchedModel(weights, sessions=len(prompts))
    results: dict[int, tuple[list[int], list[float]]] = {}

    def one(place: int) -> None:
        session = model.open_ids(prompts[place])
        results[place] = _decoded(session, tokens)
        session.close()

    together = _at_once(one, len(prompts))
    model.close()
    if len(results) < len(prompts):
        raise RuntimeError("a session failed; its thread has said why")
    lasting = [times[-1] for _, times in results.values()]
    total = len(prompts) * tokens
    return Served(
        sessions=len(prompts),
        alone=total / alone,
        batched=total / together,
        first_token=statistics.median(times[0] for _, times in results.values()),
        fairness=max(lasting) / min(lasting),
        differing=sum(results[place][0] != ids for place, ids in enumerate(wanted)),
    )


def _many(
    server: HostProcess, weights: SharedWeights, prompts: Sequence[Prompt], tokens: int
) -> dict[str, Any]:
    """A session of each of so many clients, all at once."""
    results: dict[int, list[float]] = {}

    def one(place: int) -> None:
        model, close = server.model(place, weights.vocabulary)
        session = model.open(prompts[place])
        results[place] = _decoded(session, tokens)[1]
        session.close()
        close()

    seconds = _at_once(one, len(prompts))
    if len(results) < len(prompts):
        raise RuntimeError("a session failed; its thread has said why")
    lasting = [times[-1] for times in results.values()]
    return {
        "clients": len(prompts),
        "rate": len(prompts) * tokens / seconds,
        "first_token": statistics.median(times[0] for times in results.values()),
        "slowest_first_token": max(times[0] for times in results.values()),
        "fairness": max(lasting) / min(lasting),
        "server_bytes": server.usage()["resident"],
    }


def _pair(server: HostProcess, weights: SharedWeights, prompt: Prompt, tokens: int) -> tuple[float, float]:
    """Seconds of one greedy answer made here, and of the same one made there."""
    ids, times = _decoded(LocalModel(weights).open(prompt), tokens)
    model, close = server.model(0, weights.vocabulary)
    session = model.open(prompt)
    theirs, remote = _decoded(session, tokens)
    session.close()
    close()
    if theirs != ids:
        raise RuntimeError("the server's answer is another one")
    return times[-1], remote[-1]


def _at_once(one: Callable[[int], None], count: int) -> float:
    """Seconds that `count` threads take, each with its number."""
    threads = [threading.Thread(target=one, args=(place,)) for place in range(count)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def _decoded(session: Session, tokens: int) -> tuple[list[int], list[float]]:
    """Greedy ids, and the seconds after which each was there."""
    ids: list[int] = []
    times: list[float] = []
    began = time.perf_counter()
    for _ in range(tokens):
        best = session.feed(ids[-1:], TopK(1)).ids
        assert best is not None
        ids.append(int(best[-1, 0]))
        times.append(time.perf_counter() - began)
    return ids, times
