"""What happened in a run, in plain sentences computed from its numbers.

They say so when the federation did not help. Differences below `SAME` of the value are called no difference:
one run has one seed, and smaller ones are as likely chance.
"""

from __future__ import annotations

from collections.abc import Sequence

from renga.simulations.metrics import HOST, Client, Measure, Metrics, Part, mapping, number
from renga.simulations.units import bits, listing, percent, size

SAME = 0.01

MEASURES = (
    "Bits per byte: what a model needs to write down one byte of held-out text; lower is better. "
    "Accuracy: the share of held-out questions it answers rightly."
)


def what_was_done(metrics: Metrics) -> str:
    """Who took part, for how long, and what was exchanged."""
    planned, done = number(metrics.run.get("rounds")), len(metrics.rounds)
    clients = _several(len(metrics.clients), "client")
    rounds = _several(done, "round")
    if planned is not None and done < planned and not metrics.end:
        rounds = f"{done} of {planned:.0f} rounds (the run stopped there)"
    if not done:
        return f"{clients} and one host were to learn together, but no round has been finished yet."
    host = str(mapping(metrics.run.get("host")).get("model") or "host")
    exchanged = size(metrics.traffic(HOST, "up") + metrics.traffic(HOST, "down"))
    return (
        f"{clients} and one {host} host learned together for {rounds}. Private texts stayed with their "
        f"client: what travelled, {exchanged} in all, was adapters and what models know about public texts."
    )


def clients_verdict(metrics: Metrics) -> str:
    """Whether the federation helped the clients, on text of their own and of the others' domains."""
    if not metrics.clients:
        return "No client has been scored yet."
    others = _compare(metrics, metrics.clients, "others")
    own = _compare(metrics, metrics.clients, "own")
    if own is None and others is None:
        return "The clients have not been scored after the federation yet."
    sentences = []
    if others:
        sentences.append(f"On the other clients' domains, the clients {others}.")
    if own:
        sentences.append(
            f"On their own domain they {own}" if others else f"On their own domain, the clients {own}"
        )
        sentences[-1] += _worse_than_alone(metrics) + "."
    return " ".join(sentences)


def host_verdict(metrics: Metrics) -> str:
    """How far the host came, between public texts alone and all text in one place if these were measured."""
    before, after = metrics.measure(HOST, "before", "all"), metrics.measure(HOST, "federated", "all")
    if before.bits_per_byte is None or after.bits_per_byte is None:
        return "The host has not been scored after the federation yet."
    change = _change(before.bits_per_byte, after.bits_per_byte)
    moved = "did not change" if change == "the same" else f"ended {change}"
    text = f"The host, which saw no private text, {moved}: {_from_to(before, after)}"
    public, central = (metrics.measure(HOST, s, "all").bits_per_byte for s in ("public", "centralised"))
    if public is None:
        return text + "."
    text += f"; public texts alone bring it to {bits(public)}"
    if central is None:
        return text + "."
    text += f", all text in one place to {bits(central)}"
    closed = (public - after.bits_per_byte) / (public - central) if public - central > SAME * public else None
    if closed is None:
        return text + "."
    share = "all" if closed > 1 else percent(closed) if closed > 0 else "none"
    return f"{text}: the federation closed {share} of that distance."


def summary(metrics: Metrics) -> list[str]:
    """Three sentences or so: what was done, what the clients gained, what the host gained."""
    return [what_was_done(metrics), clients_verdict(metrics), host_verdict(metrics)]


def _compare(metrics: Metrics, clients: Sequence[Client], part: Part) -> str | None:
    """ "ended 13% better than alone (1.95 → 1.70 bits per byte)", over the clients that have both numbers."""
    for stage, words in (("alone", "than when each learns alone"), ("before", "than before")):
        pairs = [
            (metrics.measure(c.name, stage, part), metrics.measure(c.name, "federated", part))
            for c in clients
        ]
        pairs = [(a, b) for a, b in pairs if a.bits_per_byte is not None and b.bits_per_byte is not None]
        if not pairs:
            continue
        first, last = _average([a for a, _ in pairs]), _average([b for _, b in pairs])
        change = _change(first.bits_per_byte or 0.0, last.bits_per_byte or 0.0)
        words = words.replace("than", "as", 1) if change == "the same" else words
        return f"ended {change} {words} ({_from_to(first, last)})"
    return None


def _worse_than_alone(metrics: Metrics) -> str:
    """Names the clients that paid for the federation on their own domain."""
    worse = []
    for client in metrics.clients:
        a, b = (metrics.measure(client.name, s, "own").bits_per_byte for s in ("alone", "federated"))
        if a is not None and b is not None and b > a * (1 + SAME):
            worse.append(f"{client.name} ({bits(a)} → {bits(b)})")
    if not worse:
        return ""
    shown = worse if len(worse) <= 4 else [*worse[:3], f"{len(worse) - 3} others"]
    return f"; worse than alone: {listing(shown)}"


def _change(before: float, after: float) -> str:
    change = (after - before) / before if before else 0.0
    if abs(change) < SAME:
        return "the same"
    return f"{percent(abs(change))} {'better' if change < 0 else 'worse'}"


def _from_to(before: Measure, after: Measure) -> str:
    text = f"{bits(before.bits_per_byte)} → {bits(after.bits_per_byte)} bits per byte"
    if before.accuracy is not None and after.accuracy is not None:
        text += f", {percent(before.accuracy)} → {percent(after.accuracy)} accuracy"
    return text


def _average(measures: Sequence[Measure]) -> Measure:
    def mean(values: list[float | None]) -> float | None:
        known = [v for v in values if v is not None]
        return sum(known) / len(known) if known else None

    return Measure(mean([m.bits_per_byte for m in measures]), mean([m.accuracy for m in measures]))


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
