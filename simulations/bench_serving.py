"""What it gives to read for many sessions at once: batched against one by one, in one run.

Every session decodes greedily; the ids that both ways give are compared, and where they differ it is said.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from renga.models.batching import BatchedModel
from renga.models.contract import Session, TopK
from renga.models.local import LocalModel
from renga.models.weights import SharedWeights


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

    threads = [threading.Thread(target=one, args=(place,)) for place in range(len(prompts))]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = time.perf_counter() - began
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
