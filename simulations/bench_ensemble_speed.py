"""What fusing costs: two members side by side against the slower alone; the union's own work; and a fused
decode
under speculation, with the share of drafts agreed with under both rules."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch

from renga.models.composed import Places
from renga.models.contract import LanguageModel, Prompt, Sampling
from renga.models.cooperation.rejection import kept_share
from renga.models.cooperation.speculate import speculate
from renga.models.ensemble.fuse import fuse
from renga.models.ensemble.translate import translate
from renga.models.ensemble.union import Union
from renga.models.generate import generate
from renga.models.noise import Place, chosen
from renga.simulations.bench_tables import Tell

Decoded = tuple[list[int], float]


def decoded(model: LanguageModel, prompt: str, tokens: int, *, seed: int = 0, hot: float = 0.0) -> Decoded:
    """Ids, and seconds per token after the first."""
    times: list[float] = []
    ids: list[int] = []
    for id in generate(model, Prompt(prompt), Sampling(temperature=hot, max_tokens=tokens, seed=seed)):
        ids.append(id)
        times.append(time.perf_counter())
    spent = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else float("nan")
    return ids, spent


def speed(
    first: LanguageModel, second: LanguageModel, prompts: Sequence[str], tokens: int, tell: Tell
) -> dict[str, Any]:
    """Seconds per token, in turn on the same prompts: each alone, then fused. The two need not share
    tokens."""
    align = "none" if first.vocabulary.fingerprint == second.vocabulary.fingerprint else "union"
    both = fuse(first, second, align=align)  # type: ignore[arg-type]
    found: dict[str, list[float]] = {"first": [], "second": [], "fused": []}
    for prompt in prompts:
        for name, model in (("first", first), ("second", second), ("fused", both)):
            tell(f"{name}: {tokens} tokens")
            found[name].append(decoded(model, prompt, tokens)[1])
    medians = {name: statistics.median(v for v in values if v == v) for name, values in found.items()}
    slower = max(medians["first"], medians["second"])
    return {"seconds_per_token": medians, "ratio": medians["fused"] / slower, "align": align}


def union_milliseconds(first: LanguageModel, second: LanguageModel, *, k: int = 10, steps: int = 50) -> float:
    """Of the union alone, for one place: random rows of both vocabularies, median."""
    union = Union([first.vocabulary, second.vocabulary], [0.5, 0.5], k)
    generator = torch.Generator().manual_seed(0)
    times = []
    for _ in range(steps):
        rows = [
            (4 * torch.randn((1, m.vocabulary.size), generator=generator)).log_softmax(-1)
            for m in (first, second)
        ]
        start = time.perf_counter()
        union(rows, Places(Prompt(""), (), (), (0, 1)))
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def acceptance(
    draft: LanguageModel, other: LanguageModel, prompts: Sequence[str], tokens: int, shares: Sequence[float]
) -> list[dict[str, float]]:
    """Of drafts by one member for the fusion with the other, the other's weight being each of `shares`.

    By rejection the expected share at every place of an answer, and 1 - λ(1 - α) from the same rows; by
    shared noise whether both would say the same. Then what a real decode came to: passes of the target per
    token, and whether its text was the target's alone.
    """
    second = translate(other, draft)
    results = []
    for share in shares:
        target = fuse(draft, second, weights=[1 - share, share])
        rejected, alphas, same = [], [], []
        passes = said = equal = 0
        for number, prompt in enumerate(prompts):
            how = Sampling(temperature=1.0, max_tokens=tokens, seed=number)
            alone = list(generate(target, Prompt(prompt), how))
            model = speculate(draft, target, length=4)
            equal += list(generate(model, Prompt(prompt), how)) == alone
            passes += model.tally.passes
            said += model.tally.said
            session, place = draft.open(Prompt(prompt)), Place()
            q = session.feed(alone).logp
            p = second.open(Prompt(prompt)).feed(alone).logp
            assert q is not None and p is not None
            for at, id in enumerate(alone):
                mixed = (1 - share) * q[at].exp() + share * p[at].exp()
                rejected.append(float((q[at].exp() * kept_share(mixed, q[at].exp())).sum()))
                alphas.append(float(torch.minimum(p[at].exp(), q[at].exp()).sum()))
                same.append(
                    chosen(mixed.log(), draft.vocabulary, how, place)
                    == chosen(q[at], draft.vocabulary, how, place)
                )
                place = place.after(draft.vocabulary, id)
        alpha = statistics.fmean(alphas)
        results.append(
            {
                "share": share,
                "alpha": alpha,
                "formula": 1 - share * (1 - alpha),
                "rejection": statistics.fmean(rejected),
                "shared": statistics.fmean(map(float, same)),
                "passes_per_token": passes / max(1, said),
                "equal_texts": equal / len(prompts),
            }
        )
    return results
