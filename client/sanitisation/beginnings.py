"""With which few characters a match of a pattern must begin, told from the parsed pattern."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

WIDTH = 3
"""So many characters of a beginning are told apart."""
_MOST = 3000
"""More beginnings than these say too little."""
_SHORT = 30
"""More beginnings of one character than these are met everywhere."""
_WIDEST = 80
"""A class of more characters than these is not spelled out."""

_FOLDED = str.maketrans("İıſς", "iisσ")


def folded(text: str) -> str:
    """The text in small letters, place by place: what `re` takes for the same but for case is the same."""
    return (text if text.isascii() else text.translate(_FOLDED)).lower()


@dataclass(frozen=True)
class Beginnings:
    """heads: with one of these every match begins; folded if case is ignored. guard: none begins where this
    class would match the character before; "" for anywhere. line: only where a line begins."""

    heads: frozenset[str]
    folds: bool
    guard: str
    line: bool

    def bars(self, chars: str) -> bool:
        """Does no match begin behind any of `chars`?"""
        return self.line or _bars(self.guard, self.folds, chars)


def beginnings(source: str, flags: int = 0) -> Beginnings | None:
    """None if they can't be told, or are too many to be told apart."""
    try:
        from re import _parser  # type: ignore[attr-defined]
    except ImportError:  # another Python's `re`: nothing is lost but speed
        return None
    parsed = list(_parser.parse(source, flags))
    heads = _heads(parsed, WIDTH)
    if heads is None or not all(heads) or sum(len(head) == 1 for head in heads) > _SHORT:
        return None
    first, folds = str(parsed[0][0]), bool(flags & re.IGNORECASE)
    guard = _GUARD.match(source) if first == "ASSERT_NOT" else None
    return Beginnings(
        heads=frozenset(map(folded, heads) if folds else heads),
        folds=folds,
        guard=guard[1] if guard else "",
        line=first == "AT" and source[0] == "^" and bool(flags & re.MULTILINE),
    )


_GUARD = re.compile(r"\(\?<!(\[[^\]\[]*\])\)")


@lru_cache
def _bars(guard: str, folds: bool, chars: str) -> bool:
    return bool(guard) and all(re.match(guard, char, re.I if folds else 0) for char in chars)


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
            return members(argument)
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
            if members(argument) is None:
                return False
        elif name not in ("LITERAL", "ASSERT", "ASSERT_NOT", "AT"):
            return False
    return True


def members(items: list[Any]) -> set[str] | None:
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
