"""What a plan will do, said before it does it: types, where each part runs, what crosses the network and what
that costs, and whether what it says is what one model alone would say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from renga.errors import UsageError
from renga.models.plans.build import Leaf, Names, bound, checked, leaf
from renga.models.plans.language import Call, Name, Node, written
from renga.models.plans.strategies import PLACEABLE, Kind, gives, strategy

ROWS = 64  # top-k that `fuse` asks of a model elsewhere unless told otherwise


@dataclass(frozen=True)
class Edge:
    """A part of a plan that answers over the network. up, down: bytes per place or draft, 0 where text
    goes."""

    name: str
    where: str
    travels: str
    up: int
    down: int
    journeys: str


@dataclass(frozen=True)
class Report:
    """See the module. placed: on which side the plan is run; at the server, text alone travels."""

    plan: str
    gives: Kind
    lines: list[str]
    edges: list[Edge]
    lossless: str  # "" if it is not
    placed: Literal["here", "server"] = "here"
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {
            "plan": self.plan,
            "gives": self.gives,
            "placed": self.placed,
            "parts": self.lines,
            "edges": [vars(edge) for edge in self.edges],
            "lossless": bool(self.lossless),
            "same_as": self.lossless,
            "notes": self.notes,
        }


def report(node: Node, names: Names) -> Report:
    """Check a plan whole, and say what it comes to. Raises UsageError as `checked` does; opens nothing."""
    kind = checked(node, names)
    _same_tokens(node, names)
    placed = placement(node, names)
    lines = list(_lines(node, names, 0, at="here" if placed == "here" else "at the server"))
    edges = list(_edges(node, names, None, drafted=False))
    same = _same_as(node)
    notes = []
    if placed == "server":
        edges = [Edge("the plan", "server", "the prompt, and the text of the answer", 0, 0, "one per answer")]
    if any(edge.journeys == "one per token" for edge in edges):
        notes.append("a journey per token: under speculate(…) several tokens share one")
    fused = any(isinstance(n, Call) and n.strategy == "fuse" for n in _walk(node))
    if fused and any("best" in edge.travels for edge in edges):
        notes.append(
            "of a model elsewhere only its best tokens are known: that is what is fused, by definition"
        )
    if placed == "server":
        notes.append("all of its models are elsewhere: the server runs it, and text alone travels")
    if any(isinstance(n, Call) and n.options.get("rule") == "trust" for n in _walk(node)):
        notes.append(
            "rule='trust' keeps the first model's token where it is sure enough: not the last one's law"
        )
    if edges:
        once = "" if placed == "server" else ", once for each model elsewhere"
        notes.append(f"what leaves: the prompt{once}, if it is public or sanitised")
    return Report(written(node), kind, lines, edges, same, placed, notes)


def placement(node: Node, names: Names) -> Literal["here", "server"]:
    """Where an answer by the plan is made: at the server if no model of it is here and it runs such plans."""
    parts = list(_walk(node))
    elsewhere = all(leaf(part, names).where != "here" for part in parts if isinstance(part, Name))
    named = any(isinstance(part, Name) for part in parts)
    runs = all(placeable(part) for part in parts if isinstance(part, Call))
    return "server" if elsewhere and named and runs else "here"


def placeable(part: Call) -> bool:
    """Whether a server runs such a strategy for others: it needs no file, and no weights in its hands."""
    return part.strategy in PLACEABLE and part.options.get("align") not in ("relative", "bytes")


def _same_tokens(node: Any, names: Names) -> None:
    """Raises UsageError where models of different vocabularies are fused without saying how to align them."""
    for part in _walk(node):
        if (
            not isinstance(part, Call)
            or part.strategy != "fuse"
            or part.options.get("align", "none") != "none"
        ):
            continue
        leaves = [leaf(operand, names) for operand in part.operands if isinstance(operand, Name)]
        known = [(found.name, found.tokens()) for found in leaves]
        strange = [name for name, tokens in known[1:] if tokens and known[0][1] and tokens != known[0][1]]
        if strange:
            raise UsageError(
                f"{strange[0]} has another vocabulary than {known[0][0]}",
                hint='say how to align them: align="union", "string", "relative" or "bytes"',
            )


def _same_as(node: Node) -> str:
    """What a plan says the very words of: itself without what only makes it faster; "" if nothing is left
    out."""
    if isinstance(node, Call):
        found = strategy(node.strategy)
        if found.lossless and node.options.get("accept", "shared") == "shared":
            values = {parameter.name: value for parameter, value in bound(found, node)}
            target = values[found.lossless]
            return _same_as(target) or written(target)
    return ""


def _lines(node: Any, names: Names, depth: int, role: str = "", at: str = "here") -> Iterator[str]:
    before = "  " * depth + (f"{role}: " if role else "")
    if isinstance(node, Name):
        found = leaf(node, names)
        place = {"here": "here", "server": "at the server", "client": f"lent by {found.name}"}[found.where]
        yield f"{before}{node.name}  {found.gives}, {place}" + (f" ({found.what})" if found.what else "")
        return
    if not isinstance(node, Call):
        return
    made = strategy(node.strategy)
    plain = {k: v for k, v in node.options.items() if not isinstance(v, Name | Call)}
    shown = ", ".join(f"{key}={written(value)}" for key, value in plain.items())
    yield f"{before}{node.strategy}({shown})  {gives(made)}, {at}"
    for parameter, value in bound(made, node):
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, Name | Call):
                yield from _lines(each, names, depth + 1, "" if parameter.many else parameter.name, at)


def _edges(node: Any, names: Names, above: Call | None, *, drafted: bool) -> Iterator[Edge]:
    """drafted: whether several places are asked about at once."""
    if isinstance(node, Name):
        found = leaf(node, names)
        if found.where != "here":
            yield _edge(found, above, drafted)
        return
    if not isinstance(node, Call):
        return
    strategy_ = strategy(node.strategy)
    for parameter, value in bound(strategy_, node):
        for each in value if isinstance(value, list) else [value]:
            speculated = node.strategy == "speculate" and parameter.name == "target"
            yield from _edges(
                each, names, node, drafted=speculated or (drafted and node.strategy != "speculate")
            )


def _edge(found: Leaf, above: Call | None, drafted: bool) -> Edge:
    journeys = "one per draft" if drafted else "one per token"
    if found.gives == "responder":
        return Edge(found.name, found.where, "the prompt, and the text of the answer", 0, 0, "one per answer")
    if above is None or above.strategy == "speculate":
        return Edge(found.name, found.where, "token ids", 4, 4, journeys)
    if gives(strategy(above.strategy)) == "responder":
        return Edge(found.name, found.where, "token ids", 4, 4, "one per token")
    if gives(strategy(above.strategy)) == "judge":
        return Edge(found.name, found.where, "the answer, and a score for each token", 4, 4, "one per answer")
    if above.strategy == "soft":
        return Edge(found.name, found.where, "slots, once, then token ids", 4, 4, journeys)
    rows = above.options.get("rows", ROWS)
    if rows and above.strategy == "fuse":
        return Edge(
            found.name, found.where, f"the best {rows} tokens of each place", 4, 8 * rows + 4, journeys
        )
    return Edge(found.name, found.where, "whole rows", 4, 4 * found.size, journeys)


def _walk(node: Any) -> Iterator[Any]:
    yield node
    if isinstance(node, Call):
        for value in node.values():
            for each in value if isinstance(value, list) else [value]:
                yield from _walk(each)
