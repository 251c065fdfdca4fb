"""Finds a conversation's surrogates in text, whole ones and what may become one.

Tags are one pattern, however many there are. Realistic surrogates are a trie, so that a thousand of them
cost little more than one, and of two that begin alike the longer is found.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from renga.client.sanitisation.conversation import Conversation, Pair
from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.tags import LITERAL, LONGEST, compiled, folded, read_tag, tag_pattern

KINDS = frozenset(Kind) | {LITERAL}

_WORD = r"[\p{Latin}\p{N}]"
_FREE = "(?P<free>)"  # a match that ends here is what it is, whatever follows
_SPELLED = re.compile(r"[\s\\\-]")


class Matcher:
    """Of one conversation; what is added to it later is found too."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._tags = tag_pattern(conversation.suffix, KINDS)
        self._read = -1
        self._names: dict[str, tuple[Pair, str]] = {}
        self.longest = LONGEST
        self._pattern: Any = None
        self._refresh()

    def search(self, shadow: str, at: int) -> Any:
        """The first surrogate in folded text, from `at` on; None if there is none."""
        self._refresh()
        return self._pattern.search(shadow, at)

    def may_be_in(self, shadow: str) -> bool:
        """False if a look at a whole text says that there is nothing to search."""
        self._refresh()
        return bool(self._names) or self._conversation.suffix in shadow.lower()

    def hold(self, shadow: str, at: int) -> int:
        """From where on the text may still become a surrogate, or another one than it is now."""
        self._refresh()
        size = len(shadow)
        start = max(at, size - self.longest)
        found = self._pattern.search(shadow, start, partial=True)
        if found is None or found.partial:
            return size if found is None else int(found.start())
        for place in range(start, size):
            begun = self._pattern.fullmatch(shadow, place, partial=True)
            if begun is not None and (begun.partial or not _decided(begun)):
                return place
        return size

    def pair(self, match: Any) -> Pair | None:
        """What a match stands for; None for a tag that was never issued."""
        if match["number"] is not None:
            return self._conversation.tagged(*read_tag(match))
        return self._names[_key(_without_tail(match))][0]

    def meaning(self, pair: Pair, match: Any) -> str:
        """The text to put in its place, with the ending and the capitals that a model gave it."""
        tail = match["tail"] or ""
        if match["number"] is not None:
            return pair.original + tail
        said = _without_tail(match)
        original = self._names[_key(said)][1]
        shouted = len(said) > 1 and said.isupper() and not pair.surrogate.isupper()
        return (original.upper() if shouted else original) + tail

    def _refresh(self) -> None:
        pairs = self._conversation.pairs
        if self._read == len(pairs):
            return
        self._read = len(pairs)
        self._names = {}
        for pair in pairs:
            for surrogate, original in spoken(pair):
                self._names.setdefault(_key(surrogate), (pair, original))
        names = [surrogate for pair in pairs for surrogate, _ in spoken(pair)]
        self.longest = max([LONGEST, *(2 * len(name) + 4 for name in names)])
        self._pattern = compiled("|".join([self._tags, *([_trie(names)] if names else [])]))


def spoken(pair: Pair) -> list[tuple[str, str]]:
    """The texts by which a realistic surrogate may be called, and what each stands for: a person's given and
    family name mean the other's, where both have as many; models drop the mark inside an e-mail's name, and
    brackets and country code of a number."""
    if pair.tag:
        return []
    called = [(pair.surrogate, pair.original)]
    given, meant = pair.surrogate.split(), pair.original.split()
    if pair.kind == Kind.PERSON and len(given) == len(meant) > 1:
        called += list(zip(given, meant, strict=True))
    if pair.kind == Kind.EMAIL and (short := re.sub(r"[._\-](?=.*@)", "", pair.surrogate)) != pair.surrogate:
        called.append((short, pair.original))
    if pair.kind == Kind.PHONE:
        called += [(form, pair.original) for form in _dialled(pair.surrogate) if form != pair.surrogate]
    return called


def _dialled(number: str) -> set[str]:
    """A number without brackets, with blanks for dots, and without its country's code."""
    plain = " ".join(re.sub(r"[()./]", " ", folded(number)).split())
    home = re.sub(r"^\+\d{1,2}[ \-]", "", plain)
    return {form for form in (plain, home) if sum(c.isdigit() for c in form) >= 9}


def key(surrogate: str) -> str:
    """What two spellings of a realistic surrogate have in common."""
    return _key(folded(surrogate))


def _key(shadow: str) -> str:
    return _SPELLED.sub("", shadow).lower()


def _decided(match: Any) -> bool:
    """Whether what comes next can't make a match another."""
    return match["closed"] is not None or match.groupdict().get("free") is not None


def _without_tail(match: Any) -> str:
    said = str(match[0])
    return said[: -len(match["tail"])] if match["tail"] else said


def _trie(names: Iterable[str]) -> str:
    root: dict[str, Any] = {}
    for name in names:
        node = root
        shadow = folded(name)
        for atom in _atoms(shadow):
            node = node.setdefault(atom, {})
        node[""] = rf"(?P<tail>s)?(?!{_WORD})" if _in_word(shadow[-1]) else _FREE
    return "|".join(
        (f"(?<!{_WORD})" if _in_word(re.sub(r"\\", "", atom)[:1]) else "") + atom + _alternatives(node)
        for atom, node in root.items()
    )


def _alternatives(node: dict[str, Any]) -> str:
    longer = [atom + _alternatives(below) for atom, below in node.items() if atom]
    # A name that begins a longer one is not decided where it ends.
    ends = [node[""].replace(_FREE, "") if longer else node[""]] if "" in node else []
    choices = longer + ends
    return choices[0] if len(choices) == 1 else f"(?:{'|'.join(choices)})"


def _atoms(shadow: str) -> list[str]:
    """A pattern per character, as far as respelling goes: blanks, hyphens, escapes; blanks between kanji."""
    atoms: list[str] = []
    for place, character in enumerate(shadow):
        if character.isspace():
            wide = place and not _in_word(shadow[place - 1]) and shadow[place - 1].isalpha()
            atoms.append(r"[ \t]{0,2}" if wide else r"[ \t\-]{1,2}")
        elif character == "-":
            atoms.append(r"\\?[ \t\-]")
        elif character.isalnum():
            between = place and not _in_word(character) and shadow[place - 1].isalpha()
            atoms.append((r"[ \t]?" if between else "") + re.escape(character.lower()))
        else:
            atoms.append(r"\\?" + re.escape(character))
    return atoms


def _in_word(character: str) -> bool:
    return character.isdigit() or "LATIN" in unicodedata.name(character, "")
