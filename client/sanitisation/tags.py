"""Typed tags: `<PERSON_1_k7q>` stands for the first person of a conversation, and says no more.

The number is the subject's, the same for a person's name, address and e-mail; a letter tells its forms
apart (`<PERSON_1b_k7q>`: the same person, spelled otherwise). Number and letter identify a tag by
themselves, so that a model may translate the type. The last part is drawn for each conversation: a tag
can't be guessed from outside, two conversations can't be linked by theirs, and text with tags of another
conversation is just text.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import regex

LITERAL = "LITERAL"  # the kind of what only looks like a surrogate in a person's own text
ALPHABET = "bcdfghjkmnpqrtvwxz"  # no vowels: no words by chance
DIGITS = "23456789"
LONGEST = 112  # characters of the strangest spelling of a tag that is still taken for it

# One code point for one, so that places stay: full-width forms, brackets and dashes of other scripts.
_FOLDED: dict[int, int | str] = {
    **{0xFF01 + i: 0x21 + i for i in range(94)},
    0x3000: 0x20,
    0xA0: 0x20,
    **dict.fromkeys(map(ord, "〈《⟨‹﹤«"), "<"),
    **dict.fromkeys(map(ord, "〉》⟩›﹥»"), ">"),
    **dict.fromkeys(map(ord, "‐‑‒–—−―"), "-"),
}

# No line ends: a text that is sanitised by the line is restored as a whole.
_SEPARATOR = r"\\{0,2}[_\- \t]\\{0,2}[_\- \t]?"
_EDGE = r"[ \t*`_]{0,3}"
_NO_WORD = r"[a-z0-9]"


def draw_suffix() -> str:
    """The last part of every tag of a conversation: a letter, a digit, a letter."""
    return secrets.choice(ALPHABET) + secrets.choice(DIGITS) + secrets.choice(ALPHABET)


@dataclass(frozen=True, slots=True)
class Tag:
    """number: of the subject, from 1 on. form: 0 for its first spelling."""

    kind: str
    number: int
    form: int
    suffix: str

    def __str__(self) -> str:
        return f"<{self.kind}_{self.number}{_letters(self.form)}_{self.suffix}>"


def folded(text: str) -> str:
    """The text in which tags are looked for: as long as the original, place for place."""
    return text.translate(_FOLDED)


def tag_pattern(suffix: str, kinds: frozenset[str]) -> str:
    """A pattern for `regex` (ignoring case, over folded text) of all tags of a conversation, however a
    model spells them; groups `number`, `form`, `tail` (an ending that it gave the tag) and `closed` (in
    brackets: it can't grow)."""
    number = r"(?P<number>\d{1,7})(?P<form>[a-z]{0,3})"
    any_kind = r"[^\W\d_](?:[^\W\d_]|[ \-_\\]){0,24}?"
    known = "(?:" + "|".join(sorted(kind.replace("_", _SEPARATOR) for kind in kinds)) + ")"
    core = f"(?:{_SEPARATOR})?{number}{_SEPARATOR}{suffix}"
    inner = f"{_EDGE}{any_kind}{core}(?P<tail>['’]?s)?{_EDGE}"
    # A backslash before the bracket belongs to it only if both have one: a person's own stays.
    brackets = [
        ("<", ">"),
        (r"\\{1,2}<", r"\\{1,2}>"),
        (r"&(?:amp;)?lt;", r"&(?:amp;)?gt;"),
        (r"\\{1,2}u003c", r"\\{1,2}u003e"),
        ("%3c", "%3e"),
    ]
    closed = "|".join(f"{start}{inner}{end}" for start, end in brackets)
    bare = f"(?<!{_NO_WORD}){known}{core}(?P<tail>s)?(?!{_NO_WORD})"
    return f"(?P<closed>{closed})|{bare}"


def read_tag(match: Any) -> tuple[int, int]:
    """Number and form of a match of `tag_pattern`."""
    return int(match["number"]), _form(match["form"].lower())


def compiled(pattern: str) -> Any:
    """A pattern that may also match the beginning of what it looks for (`partial`)."""
    return regex.compile(pattern, regex.IGNORECASE | regex.V0)


def _letters(form: int) -> str:
    """0 is "", 1 "b", …, 25 "z", 26 "ba"."""
    if not form:
        return ""
    letters = ""
    while form:
        form, rest = divmod(form, 26)
        letters = chr(ord("a") + rest) + letters
    return letters


def _form(letters: str) -> int:
    form = 0
    for letter in letters:
        form = 26 * form + ord(letter) - ord("a")
    return form
