"""What a text must hold for a pattern to match anywhere in it, told from the parsed pattern."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from renga.client.sanitisation.beginnings import folded, members

BEYOND_ASCII = "\x80"
"""Stands for any character beyond ASCII."""
_UNCASED = 0x2E80
"""From here on there are scripts without capitals: nothing in ASCII is the same but for case."""


@dataclass(frozen=True)
class Needs:
    """literal: a string that is in every match, "" for none; chars: one of these is, none if empty. Both are
    folded if `folds`."""

    literal: str
    chars: frozenset[str]
    folds: bool


def needs(source: str, flags: int = 0) -> Needs:
    """What is in every match, as far as that can be told."""
    try:
        from re import _parser  # type: ignore[attr-defined]
    except ImportError:
        return Needs("", frozenset(), False)
    parsed, folds = list(_parser.parse(source, flags)), bool(flags & re.IGNORECASE)
    chars = min(_one_of(parsed), key=_commonness, default=frozenset[str]())
    literal = _literal(parsed)
    return Needs(
        folded(literal) if folds else literal,
        frozenset(map(folded, chars) if folds else chars),
        folds,
    )


def _literal(items: list[Any]) -> str:
    """The longest run of single characters, none of them optional."""
    longest, run = "", ""
    for operation, argument in items:
        if str(operation) == "LITERAL":
            run += chr(argument)
            longest = max(longest, run, key=len)
        elif str(operation) not in ("ASSERT", "ASSERT_NOT", "AT"):
            run = ""
    return longest


def _one_of(items: list[Any]) -> list[frozenset[str]]:
    """Sets of characters, of each of which one must be in what a sequence of parsed items matches."""
    found: list[frozenset[str]] = []
    for operation, argument in items:
        match str(operation):
            case "LITERAL":
                found.append(frozenset({chr(argument)}))
            case "IN":
                if beyond := _beyond_ascii(argument):
                    found.append(beyond)
                elif chars := members(argument):
                    found.append(frozenset(chars))
            case "SUBPATTERN":
                found += _one_of(list(argument[3]))
            case "MAX_REPEAT" | "MIN_REPEAT" if argument[0] > 0:
                found += _one_of(list(argument[2]))
            case "BRANCH":
                best = [min(_one_of(list(b)), key=_commonness, default=None) for b in argument[1]]
                if all(best):
                    found.append(frozenset[str]().union(*(chars for chars in best if chars)))
    return found


def _beyond_ascii(items: list[Any]) -> frozenset[str]:
    """What stands for them if a class holds only characters of such scripts."""
    low = [argument[0] if str(op) == "RANGE" else argument for op, argument in items if str(op) != "NEGATE"]
    told = all(str(op) in ("RANGE", "LITERAL") for op, _ in items)
    return frozenset({BEYOND_ASCII}) if told and min(low) >= _UNCASED else frozenset()


def _commonness(chars: frozenset[str]) -> int:
    """Roughly in how many texts one of them is."""
    return sum(
        100 if char in " \n" else 10 if char.isalpha() else 3 if char.isdigit() else 2 for char in chars
    )
