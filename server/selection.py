"""Who teaches what: the best client for each public text, and the answers that stand for bare prompts.

Pure functions over what clients said; names are sorted everywhere, so that the order in which clients
answered changes nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from renga.models.text import normalised
from renga.protocol.messages import Description


@dataclass(frozen=True)
class GivenAnswer:
    """A client's answer to a bare prompt, and how sure it is: the answer's probability, by its own rows."""

    text: int
    answer: str
    agreement: float


@dataclass(frozen=True)
class Settled:
    """The answer that stands for a bare prompt, who gave it in these words, and how sure they were."""

    text: int
    answer: str
    by: str
    weight: float


def misfits(described: Mapping[str, Description]) -> dict[str, str]:
    """Clients whose layers differ in shape from those of most clients with the same base, and why.

    One base has one shape for each layer, so some of them must be wrong; their adapters could not be merged.
    """
    said: dict[tuple[str, str], Counter[tuple[int, int]]] = defaultdict(Counter)
    for _, who in sorted(described.items()):
        for path, shape in who.shapes.items():
            said[who.base, path][shape] += 1
    most = {layer: shapes.most_common(1)[0][0] for layer, shapes in said.items()}
    wrong = {}
    for name, who in sorted(described.items()):
        for path, shape in who.shapes.items():
            if shape != most[who.base, path]:
                wrong[name] = f"says that {path} is {shape}, others of its base {most[who.base, path]}"
    return wrong


def best_teachers(
    losses: Mapping[str, np.ndarray], learner: np.ndarray, margin: float = 0.0
) -> dict[int, str]:
    """For each text the client with the lowest loss, if it beats the learner's by more than `margin`.

    `losses` and `learner` are in bits per byte, [texts]; the result maps places in that list to names.
    Where nobody beats the learner the text is left out: a model is never distilled to itself. Equal losses
    go to the first name. (FedMKT's DualMinCE, arXiv:2406.02224, on bits per byte: losses per token favour
    whoever cuts the text finer.)
    """
    names = sorted(losses)
    if not names or not len(learner):
        return {}
    table = np.stack([losses[name] for name in names])  # [clients, texts]
    best = table.argmin(axis=0)
    wins = table.min(axis=0) < learner - margin
    return {int(text): names[best[text]] for text in np.flatnonzero(wins)}


def experts(
    losses: Mapping[str, np.ndarray], domains: Sequence[str], host: np.ndarray | None = None
) -> dict[str, str]:
    """By domain the client with the lowest mean loss on the labelled texts of that domain.

    Losses in bits per byte, [texts]; `domains` says what each text is about, "" where nobody said. Equal
    means go to the first name. Where the host's own losses, if they are given, are no higher, it is "".
    """
    names = sorted(losses)
    told = np.array(domains)
    found = {}
    for domain in sorted(set(domains) - {""}) if names else ():
        means = {name: float(losses[name][told == domain].mean()) for name in names}
        best = min(names, key=lambda name: (means[name], name))
        beaten = host is not None and float(host[told == domain].mean()) <= means[best]
        found[domain] = "" if beaten else best
    return found


def settle(answers: Mapping[str, Sequence[GivenAnswer]], agreement: float) -> list[Settled]:
    """The answers that stand, one per bare prompt at most, in the order of the texts.

    Clients whose answers are the same after `normalised` support each other: their agreements add up. The
    best supported answer stands if its surest client is at least `agreement` sure of it and no other answer
    has as much support; an empty answer never does. It is worded as its surest client worded it, and weighs
    that client's agreement.
    """
    by_text: dict[int, dict[str, list[tuple[float, str, str]]]] = defaultdict(lambda: defaultdict(list))
    for name in sorted(answers):
        for given in answers[name]:
            if key := normalised(given.answer):
                by_text[given.text][key].append((given.agreement, name, given.answer))
    settled = []
    for text in sorted(by_text):
        groups = sorted(
            by_text[text].values(),
            key=lambda group: (-sum(sure for sure, _, _ in group), min(n for _, n, _ in group)),
        )
        supports = [sum(sure for sure, _, _ in group) for group in groups]
        sure, name, answer = min(groups[0], key=lambda given: (-given[0], given[1]))
        if sure >= agreement and (len(supports) == 1 or supports[0] > supports[1]):
            settled.append(Settled(text, answer, name, sure))
    return settled
