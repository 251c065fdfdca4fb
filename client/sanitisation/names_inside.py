"""A name in Latin script from inside: given names and surnames that people have, against words of the language."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple
from unicodedata import combining, normalize

from renga.client.sanitisation.lexicon import Latin, listed, words
from renga.client.sanitisation.scanning import Scanned

TOKEN = Scanned(
    r"[A-Za-zÀ-ɏəḀ-ỿ](?:[A-Za-zÀ-ɏəḀ-ỿ]|['’\-](?=[A-Za-zÀ-ɏəḀ-ỿ])(?!(?:s|san|sama|kun|chan|sensei)(?![A-Za-z])))*"
)


PARTICLES = listed("particles")
SUFFIXES = listed("suffixes")
NEVER = listed("never a name")
PLACES = listed("places")


NAMES_FIRST = listed("names that are words")
FOREIGN = listed("words of other languages") | listed("words typed short")
SELDOM = listed("given names seldom meant")
"""Words that somebody is called, and that mean nobody even where a person stands."""


FIRMS = listed("firms")
"""Who owes, writes and keeps one waiting, and is no person; some of them persons are called, too."""


class Part(NamedTuple):
    text: str
    low: str
    given: bool
    rank: int | None
    word: bool


def capitals(parts: Sequence[Part], opens: bool, unplaced: bool) -> float:
    """Several capitalised parts, from inside. `opens`: they open a sentence or a line, where any word is a
    capital. `unplaced`: no article or preposition of place stands before them."""
    first, last = parts[0], parts[-1]
    score = 0.0
    if first.given and last.rank is not None:
        both = first.word and last.word
        score = (
            0.8
            if not (first.word or last.word)
            else 0.7
            if not both
            else 0.5
            if last.rank < 4000 and not opens
            else 0.3
        )
    elif last.given and first.rank is not None and len(parts) == 2:
        score = 0.6 if not (first.word or last.word) else 0.25
    elif first.given and not last.word:
        score = 0.35 if first.word else 0.65
    elif last.rank is not None and not first.word:
        score = 0.3 if last.word else 0.55 if last.rank < 20000 else 0.45
    elif not first.word and not last.word:
        plain = all(len(p.low) > 2 and p.text[1:].islower() for p in parts)
        score = 0.5 if unplaced and plain and not opens and len(parts) == 2 else 0.4
    elif all(p.word for p in parts):
        score = -0.4 if any(p.rank is None or p.rank > 5000 for p in parts) else 0.15
    elif not last.word:
        score = 0.15 if last.rank is not None else 0.1
    if len(parts) > 2 and any(p.word and not p.given and p.rank is None for p in parts):
        score -= 0.5
    return score


def lower_case(parts: Sequence[Part], introduced: bool, casual: bool, placed: bool, unknown: bool) -> float:
    """Several parts not all capitalised, from inside; only an introduction makes names of unknown ones, or a
    given name before them in a text without capitals, or a place where only persons stand. unknown: in this text
    two words of no list are rather a name than anything else."""
    first, last = parts[0], parts[-1]
    if casual and len(parts) < 4 and not any(p.low in FOREIGN or len(p.low) < 2 for p in parts):
        if (
            placed
            and first.given
            and first.low not in SELDOM
            and (not last.word or (last.rank is not None and last.rank < 10000))
        ):
            return 0.5 if first.word or last.word else 0.65
        strange = not any(p.word or p.low in PLACES | FIRMS for p in parts) and all(map(_is_shaped, parts))
        if unknown and strange and (placed or any(p.given or p.rank is not None for p in parts)):
            return 0.5
    if any(len(p.low) < 3 or (p.word and not p.given and p.rank is None) or p.low in FOREIGN for p in parts):
        return -0.6
    known = first.given and last.rank is not None and last.rank < 30000
    if known:
        if not first.word and last.word:
            return 0.5 if last.rank is not None and last.rank < 5000 else 0.3
        return 0.65 if not last.word else 0.4 if not (first.word and last.word) else -0.1
    if last.given and first.rank is not None and len(parts) == 2:
        return 0.45 if not (first.word or last.word) else 0.0
    if casual and first.given and not any(p.word for p in parts) and min(len(p.low) for p in parts) > 3:
        return 0.5
    if not introduced or any(p.word for p in parts) or not (unknown or first.given or len(parts) < 3):
        return -0.3
    return 0.35 if first.given else 0.1


_NO_SHAPE = re.compile(
    r".*(?:ing|tions?|ness|ments?|[ai]bles?|ware|less|ful|is[hmt]s?|ies|ed|ly|'s)$|[^aeiouyà-ɏ]*$"
)


def _is_shaped(part: Part) -> bool:
    """Could it be a part of a name, rather than an inflected word or an abbreviation?"""
    return len(part.low) > 2 and _NO_SHAPE.match(part.low) is None


def full_name(parts: Sequence[str]) -> bool:
    """Are these a given name that is a verb and a surname that is no word (`Will Okafor`)?"""
    return (
        len(parts) == 2
        and parts[0].lower() in ("will", "may", "can", "art", "sue", "pat")
        and all(part[0].isupper() for part in parts)
        and not is_word(parts[1].lower())
        and parts[1].lower() not in NEVER
    )


def is_capital(part: str) -> bool:
    """Does it begin with a capital, a particle with a hyphen aside (`al-Rashid`, `d'Orsay`)?"""
    if part[:2].lower() in ("d'", "d’", "l'", "l’", "o'", "o’") and part[2:3].isupper():
        return True
    particle, hyphen, rest = part.partition("-")
    return part[0].isupper() or (bool(hyphen and rest) and particle in PARTICLES and rest[0].isupper())


@lru_cache(maxsize=65536)
def is_word(low: str) -> bool:
    """Is this a word of a language rather than only a name, inflected or not?"""
    common = words()
    if low in common or low in FOREIGN or ("our" in low and low.replace("our", "or") in common):
        return True
    if "-" in low.strip("-"):  # old-fashioned
        return all(len(part) > 1 and is_word(part) for part in low.split("-"))
    low = low.replace("our", "or") if low.endswith(("ours", "oured", "ouring")) else low
    low = (
        re.sub(r"([a-z]{3})(?:is|ys)(e|ed|es|ing|er|ation)$", r"\1iz\2", low) if low[-6:].count("s") else low
    )
    for ending in ("s", "es", "d", "ed", "ing", "ly", "er", "ers", "ies", "ied"):
        stem = low.removesuffix(ending)
        if (
            stem != low
            and len(stem) > 2
            and not (stem[-1] == "e" and ending in ("es", "ed", "er", "ers"))
            and (
                stem in common
                or (
                    ending in ("ed", "ing", "er", "ers")
                    and (stem + "e" in common or (stem[:-1] in common and stem[-1] == stem[-2]))
                )
                or (stem + "y" in common and ending.startswith("ie"))
            )
        ):
            return True
    return False


@lru_cache(maxsize=65536)
def _unaccented(low: str) -> str:
    return low if low.isascii() else "".join(c for c in normalize("NFD", low) if not combining(c))


def is_name(low: str, names: frozenset[str]) -> bool:
    return (
        low in names
        or _unaccented(low) in names
        or ("-" in low and all(p in names for p in low.split("-")))
        or (low.endswith(("'s", "’s")) and low[:-2] in names)
    )


def rank_of(low: str, lexicon: Latin) -> int | None:
    plain = _unaccented(low.replace("'", "").replace("’", ""))
    if plain in lexicon.rank:
        return lexicon.rank[plain]
    if "-" in plain:
        ranks = [lexicon.rank.get(p) for p in plain.split("-")]
        return max(r for r in ranks if r is not None) if any(r is not None for r in ranks) else None
    return None
