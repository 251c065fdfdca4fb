"""What fusing costs: two members side by side against the slower alone; the union's own work; and a fused
decode under speculation, with the share of drafts agreed with under both rules."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import torch

from renga.models.composed import Places, close_session, same_vocabulary
from renga.models.contract import LanguageModel, Prompt, Sampling
from renga.models.cooperation.rejection import kept_share
from renga.models.cooperation.speculate import speculate
from renga.models.ensemble.following import Following
from renga.models.ensemble.fuse import fuse
from renga.models.ensemble.translate import translate
from renga.models.ensemble.union import Union
from renga.models.example import Example
from renga.models.generate import generate
from renga.models.noise import Place, chosen
from renga.simulations.bench_tables import Tell

Ways = Mapping[str, tuple[LanguageModel, LanguageModel]]


def decoded(model: LanguageModel, text: Example, tokens: int) -> list[float]:
    """Seconds of each token along the response of `text`, from the second on: for a row, and its best id.
    Told what to say, all models say the same and none ends early."""
    session = model.open(Prompt(text.prompt))
    times = []
    for id in model.vocabulary.encode(text.response or "")[:tokens]:
        rows = session.feed([id]).logp
        assert rows is not None
        rows[-1].argmax().item()
        times.append(time.perf_counter())
    close_session(session)
    return [after - before for before, after in pairwise(times)]


def speed(
    alone: tuple[LanguageModel, LanguageModel],
    ways: Ways,
    examples: Sequence[Example],
    tokens: int,
    tell: Tell,
) -> dict[str, Any]:
    """Median seconds per token, in turn on the same texts: each of two alone, then the same two fused in
    several `ways` (in threads, in processes); of a way that is "processes" also both beside each other,
    nothing fused: what the machine permits. The two need not share tokens."""
    align = "none" if same_vocabulary(alone[0].vocabulary, alone[1].vocabulary) else "union"
    fused = {name: fuse(*two, align=align) for name, two in ways.items()}  # type: ignore[arg-type]
    models = {"first": alone[0], "second": alone[1], **fused}
    found: dict[str, list[float]] = {}
    for text in examples:
        for name, model in models.items():
            tell(f"{name}: {tokens} tokens")
            found.setdefault(name, []).extend(decoded(model, text, tokens))
        if "processes" in ways:
            tell(f"beside each other: {tokens} tokens")
            with ThreadPoolExecutor(2) as pool:
                both = [pool.submit(decoded, model, text, tokens) for model in ways["processes"]]
            for name, one in zip(("beside first", "beside second"), both, strict=True):
                found.setdefault(name, []).extend(one.result())
    seconds = {name: statistics.median(times) for name, times in found.items()}
    slower = max(seconds["first"], seconds["second"])
    return {
        "seconds_per_token": seconds,
        "ratios": {name: seconds[name] / slower for name in ways},
        "beside": max(beside) / slower
        if (beside := [seconds[n] for n in seconds if "beside" in n])
        else None,
        "align": align,
    }


def union_milliseconds(
    first: LanguageModel, second: LanguageModel, text: Example, tokens: int, *, k: int = 10
) -> dict[str, float]:
    """Of the union alone, for one place, medians: along the response of `text`, of whose tokens the union
    had met none; over the same places again; and over random rows, where all tokens are new at
    every place."""
    asked = Prompt(text.prompt)
    ids = first.vocabulary.encode(text.response or "")[:tokens]
    said = [m.open(asked).feed(ids).logp for m in (first, Following(second, first.vocabulary))]
    generator = torch.Generator().manual_seed(0)
    places: list[list[torch.Tensor]] = [
        [rows[i : i + 1] for rows in said if rows is not None] for i in range(len(ids) + 1)
    ]
    strange = [
        [
            (4 * torch.randn((1, m.vocabulary.size), generator=generator)).log_softmax(-1)
            for m in (first, second)
        ]
        for _ in places
    ]

    def median(rows: list[list[torch.Tensor]], union: Union) -> float:
        times = []
        for pair in rows:
            start = time.perf_counter()
            union(pair, Places(asked, (), (), (0, 1)))
            times.append(1000 * (time.perf_counter() - start))
        return statistics.median(times)

    def fresh() -> Union:
        return Union([first.vocabulary, second.vocabulary], [0.5, 0.5], k)

    union = fresh()
    return {
        "answer": median(places, union),
        "again": median(places, union),
        "random": median(strange, fresh()),
    }


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
