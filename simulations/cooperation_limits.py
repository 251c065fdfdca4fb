"""How far drafts can get when a tuned model is sampled: how much its law differs from a drafter's, how often
shared noise makes both say the same, and what chains and trees of drafts would make of that.

What the target says does not depend on who drafts. So it is said once, and read once by every drafter: where
one, given the same noise and the target's own words so far, would say another token, its draft ends.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from renga.models.contract import Prompt, Sampling
from renga.models.cooperation.drafters import lookup
from renga.models.generate import generate
from renga.models.local import LocalModel
from renga.models.noise import Place, noise_at
from renga.models.sampling import restricted
from renga.simulations.bench_cooperation import Setting
from renga.simulations.bench_tables import Sheet, texts
from renga.simulations.cooperation_speculate import examples_of
from renga.simulations.cooperation_steer import tuned
from renga.simulations.speculation_runs import TEMPERATURES, TOKENS

CHAINS = (1, 2, 4, 8)
TREES = {"2 wide, 3 deep (14 drafts)": (2, 3), "4 wide, 2 deep (20 drafts)": (4, 2)}
COMB = (4, 4)  # a chain of so many, and of each of its tokens so many alternatives


def measure(setting: Setting) -> dict[str, Any]:
    """The target and a drafter that "others' texts" taught are tuned on halves of the same domains."""
    known, asked, groups = examples_of(setting)
    edge = setting.load(setting.edge)
    target = tuned(edge, known[::2], setting)
    drafters = {"the untuned edge": edge, "the edge, tuned by others": tuned(edge, known[1::2], setting)}
    ranks: dict[str, list[list[int]]] = {name: [] for name in (*drafters, "prompt lookup")}
    laws: dict[str, list[tuple[float, float]]] = {name: [] for name in drafters}
    for i, example in enumerate(asked):
        setting.tell(f"  text {i + 1} of {len(asked)}")
        how = Sampling(max(TEMPERATURES), max_tokens=TOKENS, seed=setting.seed + i)
        prompt = Prompt(example.prompt)
        said = list(generate(target, prompt, how))
        said += [target.vocabulary.end] * (len(said) < how.max_tokens)
        own = _laws(target, prompt, said, how)
        for name, drafter in drafters.items():
            theirs = _laws(drafter, prompt, said, how)
            ranks[name].append(ranked(theirs, said, target, how))
            laws[name] += [(distance(p, q), agreement(p, q)) for p, q in zip(own, theirs, strict=True)]
        ranks["prompt lookup"].append(_looked_up(target, prompt, said, how))
    return {
        "tokens": sum(map(len, ranks["prompt lookup"])),
        "texts": len(asked),
        "groups": sorted(set(groups)),
        "drafters": {name: _found(ranks[name], laws.get(name, [])) for name in ranks},
    }


def _laws(model: LocalModel, prompt: Prompt, said: Sequence[int], how: Sampling) -> torch.Tensor:
    """Log-probabilities at the temperature, before each token of an answer: float64 [tokens, vocabulary]."""
    rows = model.open(prompt).feed(list(said[:-1])).logp
    assert rows is not None
    return restricted(rows, how).double()


def distance(p: torch.Tensor, q: torch.Tensor) -> float:
    """Total variation of two laws, given as logarithms."""
    return float((p.exp() - q.exp()).abs().sum() / 2)


def agreement(p: torch.Tensor, q: torch.Tensor) -> float:
    """How likely two models of laws p and q (logarithms, [vocabulary]) say the same by shared Gumbel noise.

    Both say x if its exponential clock, run at rate p_x and at rate q_x, comes before all others: with
    probability 1 / Σ_y max(p_y / p_x, q_y / q_x). Sorted by p / q, the sums are prefixes and suffixes.
    """
    order = (p - q).argsort(descending=True)
    one, other = p[order].exp(), q[order].exp()
    before = one.cumsum(0) - one  # p of those that p likes more than x
    behind = other.flip(0).cumsum(0).flip(0)  # q of x and those that q likes more
    both = (one > 0) & (other > 0)
    shares = before[both] / one[both] + behind[both] / other[both]
    return float((1 / shares).sum())


def ranked(law: torch.Tensor, said: Sequence[int], model: LocalModel, how: Sampling) -> list[int]:
    """At which place of a drafter's order, under the shared noise, each token of the answer stands; 0: it is
    the one that it would draft."""
    place, found = Place(), []
    for row, id in zip(law, said, strict=True):
        order = row + torch.from_numpy(noise_at(model.vocabulary, how.seed, place).copy())
        found.append(int((order > order[id]).sum()))
        place = place.after(model.vocabulary, id)
    return found


def _looked_up(model: LocalModel, prompt: Prompt, said: Sequence[int], how: Sampling) -> list[int]:
    drafting = lookup().start(prompt, model.vocabulary)
    guesses = [drafting.draft(list(said[:at]), 1, how, Place()) for at in range(len(said))]
    return [0 if guess == [id] else math.inf for guess, id in zip(guesses, said, strict=True)]  # type: ignore[misc]


def passes(ranks: Sequence[Sequence[float]], deep: int, wide: int = 1, teeth: int = 1) -> float:
    """Passes of the target per token with drafts `deep` tokens long, of which each has `wide` alternatives
    that are drafted on from, and `teeth` that end there."""
    count = 0
    for row in ranks:
        at = 0
        while at < len(row):
            count += 1
            last = min(at + deep, len(row) - 1)
            while at < last and row[at] < wide:
                at += 1
            at += 1 + (at < last and row[at] < teeth)  # a tooth that is right is followed by one token more
    return count / sum(map(len, ranks))


def _found(ranks: list[list[int]], laws: list[tuple[float, float]]) -> dict[str, Any]:
    flat = [rank for row in ranks for rank in row]
    found: dict[str, Any] = {
        "agreed": sum(rank == 0 for rank in flat) / len(flat),
        "chains": {str(n): passes(ranks, n) for n in CHAINS},
        "trees": {name: passes(ranks, deep, wide) for name, (wide, deep) in TREES.items()},
        "comb": passes(ranks, COMB[0], 1, COMB[1]),
        "endless": passes(ranks, TOKENS),
    }
    if laws:
        found["distance"] = sum(d for d, _ in laws) / len(laws)
        found["bound"] = sum((1 - d) / (1 + d) for d, _ in laws) / len(laws)
        found["shared"] = sum(a for _, a in laws) / len(laws)
    return found


def sheets(result: Mapping[str, Any]) -> list[Sheet]:
    rows, shapes = [], []
    for name, r in result["drafters"].items():
        known = "distance" in r
        laws = [f"{r[key]:.2f}" for key in ("distance", "bound", "shared")] if known else [""] * 3
        rows.append((name, *laws, f"{1 - r['distance']:.2f}" if known else "", f"{r['agreed']:.0%}"))
        chains = [f"{r['chains'][str(n)]:.2f}" for n in CHAINS]
        trees = [f"{found:.2f}" if known else "" for found in (r["comb"], *r["trees"].values())]
        shapes.append((name, *chains, f"{r['endless']:.2f}", *trees))
    temperature = max(TEMPERATURES)
    comb = f"{COMB[0]} in a row, {COMB[1]} alternatives each"
    return [
        Sheet(
            f"How often a drafter can say what a tuned model says, temperature {temperature:g}",
            (
                "drafts by",
                "total variation",
                "at least agreed",
                "agreed by shared noise, expected",
                "by the best coupling there is",
                "agreed, counted",
            ),
            texts(rows),
            f"{result['texts']} held-out texts, {result['tokens']} tokens. Means over the places of the "
            "target's own answers. At least: (1 − TV) / (1 + TV), place by place; expected: exactly, from "
            "both laws. The best coupling, 1 − TV, needs the drafter's rows to travel.",
        ),
        Sheet(
            "Passes of the target per token, by the shape of the drafts",
            ("drafts by", *(f"{n} in a row" for n in CHAINS), "endless", comb, *TREES),
            texts(shapes),
            f"The same answers; at best {result['texts'] / result['tokens']:.2f}, an answer a pass. Lengths "
            "are fixed: nothing is left undrafted because it would not pay in seconds.",
        ),
    ]
