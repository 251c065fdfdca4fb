"""The matches of a pattern, sooner: only places where it can begin are tried.

`re` tries a pattern that begins with a look-behind, or ignores case, at every character of a text. From the
parsed pattern one can tell with which few characters a match must begin; a plain, case-sensitive search for
those (which `re` does fast) leaves a hundredth of the places. The matches are `finditer`'s, exactly; where the
beginning can't be told, `finditer` is what runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from itertools import product
from typing import Any

from renga.client.sanitisation.scanning_long import LONG, WIDTH, sorted_places

_DEPTH = WIDTH
_MOST = 3000
"""More beginnings than these say too little."""
_SHORT = 30
"""More beginnings of one character than these are met everywhere."""
_WIDEST = 80
"""A class of more characters than these is not spelled out."""


def matches(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """`pattern.finditer(text)`."""
    return _scan(pattern).finditer(text)


_GUARD = re.compile(r"\(\?<!(\[[^\]\[]*\])\)")


class Scan:
    """One pattern. `finditer` is like the pattern's own; positions are those of the text."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.pattern = pattern
        begins = _beginnings(pattern)
        self._folds = bool(pattern.flags & re.IGNORECASE)
        self._begins = begins and (_shortest(begins[0]), begins[1])
        self._places = None if begins is None else re.compile(_places(*begins))

    def finditer(self, text: str) -> Iterator[re.Match[str]]:
        """Every match, from left to right, without overlaps."""
        folded = _lowered(text) if self._folds else text
        if self._places is None or folded is None:
            yield from self.pattern.finditer(text)
            return
        done, match = 0, self.pattern.match
        for at in self._starts(folded):
            if at >= done and (found := match(text, at)) is not None:
                yield found
                done = found.end()

    def _starts(self, folded: str) -> Iterable[int]:
        assert self._places is not None
        assert self._begins is not None
        if len(folded) >= LONG:
            return sorted_places(folded).places(*self._begins)
        return (place.start() for place in self._places.finditer(folded))


@cache
def _scan(pattern: re.Pattern[str]) -> Scan:
    return Scan(pattern)


@lru_cache(maxsize=4)
def _lowered(text: str) -> str | None:
    """The text in lower case, place by place; None if that changes its length."""
    lower = text.lower()
    return lower if len(lower) == len(text) else None


def _shortest(heads: frozenset[str]) -> tuple[str, ...]:
    """Those that go on from no other."""
    return tuple(
        head for head in sorted(heads) if not any(head[:size] in heads for size in range(1, len(head)))
    )


def _beginnings(pattern: re.Pattern[str]) -> tuple[frozenset[str], str] | None:
    """With which strings (in lower case if case is ignored) every match begins, and the class that may not
    stand before any ("" for none); None if the strings can't be told."""
    try:
        from re import _parser  # type: ignore[attr-defined]
    except ImportError:  # another Python's `re`: nothing is lost but speed
        return None
    parsed = list(_parser.parse(pattern.pattern, pattern.flags))
    heads = _heads(parsed, _DEPTH)
    if heads is None or not all(heads) or sum(len(head) == 1 for head in heads) > _SHORT:
        return None
    if pattern.flags & re.IGNORECASE:
        heads = {head.lower() for head in heads}
    written = _GUARD.match(pattern.pattern) if str(parsed[0][0]) == "ASSERT_NOT" else None
    return frozenset(heads), written[1] if written else ""


def _heads(items: list[Any], depth: int) -> set[str] | None:
    """Beginnings, up to `depth` characters, of what a sequence of parsed items matches. A beginning shorter
    than `depth` may go on with anything. None: not to be told."""
    done: set[str] = set()
    open_ = {""}
    for operation, argument in items:
        room = depth - min(map(len, open_))
        one = _heads_of_item(str(operation), argument, room)
        if one is None:
            return done | open_ if all(open_) else None
        if one == {""}:
            continue
        ended, heads = {h for h in one if h.endswith("\0")}, {h for h in one if not h.endswith("\0")}
        grown = {(a + b)[:depth] for a, b in product(open_, heads)}
        done |= {a + b[:-1] for a, b in product(open_, ended)}  # may go on with what was not spelled out
        done |= {head for head in grown if len(head) == depth}
        open_ = {head for head in grown if len(head) < depth}
        if len(done) + len(open_) > _MOST:
            return None
        if not open_:
            return done
    return done | open_


def _heads_of_item(operation: str, argument: Any, depth: int) -> set[str] | None:
    """The same of one item. What ends with NUL is cut off: nothing is known of how it goes on."""
    match operation:
        case "ASSERT" | "ASSERT_NOT" | "AT":
            return {""}
        case "LITERAL":
            return {chr(argument)}
        case "IN":
            return _members(argument)
        case "SUBPATTERN" if not argument[1]:
            return _marked(_heads(list(argument[3]), depth), list(argument[3]), depth)
        case "BRANCH":
            together: set[str] = set()
            for branch in argument[1]:
                heads = _marked(_heads(list(branch), depth), list(branch), depth)
                if heads is None:
                    return None
                together |= heads
            return together
        case "MAX_REPEAT" | "MIN_REPEAT":
            least, most, inner = argument
            heads = _marked(_heads(list(inner), depth), list(inner), depth)
            if heads is None:
                return None
            if (least, most) == (0, 1):
                return heads | {""}
            # After one turn comes another or what follows: neither is spelled out.
            return {h if h.endswith("\0") else h + "\0" for h in heads} | (set() if least else {""})
    return None


def _marked(heads: set[str] | None, items: list[Any], depth: int) -> set[str] | None:
    """Heads of a group, with those marked that something unknown follows inside of it."""
    if heads is None:
        return None
    return heads if _spelled(items) else {h if len(h) >= depth else h + "\0" for h in heads}


def _spelled(items: list[Any]) -> bool:
    """Is the sequence nothing but characters, so that its heads are all of it if they are short?"""
    for operation, argument in items:
        name = str(operation)
        if name == "SUBPATTERN":
            if not _spelled(list(argument[3])):
                return False
        elif name == "BRANCH":
            if not all(_spelled(list(branch)) for branch in argument[1]):
                return False
        elif name in ("MAX_REPEAT", "MIN_REPEAT"):
            if argument[:2] != (0, 1) or not _spelled(list(argument[2])):
                return False
        elif name == "IN":
            if _members(argument) is None:
                return False
        elif name not in ("LITERAL", "ASSERT", "ASSERT_NOT", "AT"):
            return False
    return True


def _members(items: list[Any]) -> set[str] | None:
    """The characters of a class, if they are few."""
    found: set[str] = set()
    for operation, argument in items:
        if str(operation) == "LITERAL":
            found.add(chr(argument))
        elif str(operation) == "RANGE" and argument[1] - argument[0] < _WIDEST:
            found |= set(map(chr, range(argument[0], argument[1] + 1)))
        else:
            return None
        if len(found) > _WIDEST:
            return None
    return found


def _places(heads: Iterable[str], before: str) -> str:
    """A pattern that reads one character wherever a head stands, and nothing of `before` (a class) before it.
    It begins with a class, which `re` searches for fast."""
    root: dict[str, Any] = {}
    for head in sorted(heads):  # a head before those that go on from it
        node = root
        for char in head:
            if "" in node:
                break
            node = node.setdefault(char, {})
        else:
            node[""] = {}
    rests: dict[str, list[str]] = {}
    for char, below in root.items():
        rests.setdefault("" if "" in below else _below(below), []).append(char)
    guard = rf"(?<!{before}[\s\S])" if before else ""
    choices = [
        f"(?<={_class(chars)})(?={rest})" if rest else f"(?<={_class(chars)})"
        for rest, chars in rests.items()
    ]
    return f"{_class(root)}{guard}(?:{'|'.join(choices)})"


def _below(node: dict[str, Any]) -> str:
    ends = [char for char, below in node.items() if "" in below]
    branches = [_class(ends)] if ends else []
    branches += [_class(char) + _below(below) for char, below in node.items() if "" not in below]
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"


def _class(chars: Iterable[str]) -> str:
    return f"[{re.escape(''.join(chars))}]"
