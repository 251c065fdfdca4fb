"""A name for a name: of the same language, script, gender and shape, and the same for all forms of one
person."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from random import Random

from renga.client.sanitisation.conversation import Pair
from renga.client.sanitisation.lexicon import first_names
from renga.client.sanitisation.realistic import language
from renga.client.sanitisation.stand_ins import (
    ENDINGS_JA,
    FAMILY,
    FAMILY_JA,
    FEMALE,
    GIVEN,
    GIVEN_JA,
    MALE,
    TITLES,
)

_KANJI, _HIRAGANA, _KATAKANA = (
    re.compile(r"[\u3400-\u9fff々]"),
    re.compile(r"[\u3041-\u309f]"),
    re.compile(r"[\u30a1-\u30ff]"),
)
_INITIAL = re.compile(r"[^\W\d_]\.?")


def person(own: str, text: str, relatives: Sequence[Pair], dice: Random) -> str | None:
    """relatives: what stands already for other forms of the same person. None where no such name is at
    hand."""
    if (said := _as_before(own, relatives)) is not None:
        return said
    script = _script(own)
    parts = own.split()
    if "\n" in own:
        return None
    if script == "latin":
        if len(parts) > 3 or not all(re.fullmatch(r"[^\W\d_][^\d_]*", part) for part in parts):
            return None
        return _latin(own, parts, text, dice)
    if script == "other" or len(parts) > 2:
        return None
    column = {"kanji": 0, "hiragana": 1, "katakana": 1}[script]
    family, given = _japanese(own, relatives, dice)
    said = family[column]
    if len(parts) == 2:
        said = f"{family[column]}{own[len(parts[0]) : len(own) - len(parts[1])]}{given[column]}"
    elif len(own) > 2 if script == "kanji" else len(own) > 4:
        said = family[column] + given[column]
    return _katakana(said) if script == "katakana" else said


def gender(own: str, text: str) -> str:
    """f or m, by a title before the name, by who bears it (US census, Japanese names), the lists of stand-ins,
    or how it ends; "" if nothing tells."""
    before = text[: max(0, text.find(own))].rstrip(" .").rsplit(maxsplit=1)[-1:] or [""]
    for which, titles in TITLES.items():
        if before[0].lower() in titles:
            return which
    words = [word.strip(".,").lower() for word in own.split()]
    borne = _bearers()
    if _KANJI.search(own) or _HIRAGANA.search(own):
        last = own.split()[-1]  # the longest ending that somebody is called
        for start in range(1 if last == own else 0, len(last)):
            if known := borne.get(last[start:]):
                return known
        return next((which for which, ends in ENDINGS_JA.items() if own[-1] in ends), "")
    for word in words:
        if known := borne.get(word):
            return known
    if words[0].endswith(("a", "ette", "elle", "ine")):
        return FEMALE
    return MALE if words[0].endswith(("o", "us", "ert", "old")) else ""


@lru_cache(maxsize=1)
def _bearers() -> dict[str, str]:
    """Given names, lower case, that nearly all of their bearers share a gender by."""
    women, men = first_names()
    borne = {}
    for name in women.keys() | men.keys():
        share = women.get(name, 0.0) / (women.get(name, 0.0) + men.get(name, 0.0))
        if not 0.2 < share < 0.8:
            borne[name] = FEMALE if share > 0.5 else MALE
    for names in GIVEN.values():
        for which, given in names.items():
            borne |= {name.lower(): which for name in given if name.lower() not in borne}
    return borne


def _as_before(own: str, relatives: Sequence[Pair]) -> str | None:
    """A part, an initial or another case of a name that has its stand-in already."""
    for pair in relatives:
        if (half := _half(own, pair)) is not None:
            return half
        meant, stands = pair.original.split(), pair.surrogate.split()
        if len(meant) != len(stands) or len(meant) < 2:
            continue
        known = {a.casefold(): b for a, b in zip(meant, stands, strict=True)}
        said = []
        for word in own.split():
            bare = word.strip(".,")
            if bare.casefold() in known:
                said.append(word.replace(bare, _cased(bare, known[bare.casefold()])))
            elif _INITIAL.fullmatch(word) and (
                full := next((b for a, b in known.items() if a[0] == word[0].casefold()), None)
            ):
                said.append(full[0] + word[1:])
            else:
                break
        if said and len(said) == len(own.split()):
            return " ".join(said)
    return None


def _half(own: str, pair: Pair) -> str | None:
    """The family or given name of a Japanese name that is written in one."""
    family = next((row[0] for row in FAMILY_JA if pair.surrogate.startswith(row[0])), "")
    if not family or own == pair.original or not _KANJI.search(own):
        return None
    if pair.original.startswith(own):
        return family
    return pair.surrogate[len(family) :].strip() if pair.original.endswith(own) else None


def _latin(own: str, parts: list[str], text: str, dice: Random) -> str:
    japanese = language(text) == "ja"
    spoken = "ja" if japanese else language(text)
    which = gender(own, text) or dice.choice((FEMALE, MALE))
    if japanese:
        given, family = dice.choice(GIVEN_JA[which])[2], dice.choice(FAMILY_JA)[2]
    else:
        given, family = dice.choice(GIVEN[spoken][which]), dice.choice(FAMILY[spoken])
    names = (
        [given, family]
        if len(parts) < 3
        else [given, dice.choice(FAMILY[spoken if not japanese else "en"]), family]
    )
    if len(parts) == 1:
        names = [given]
    if parts[0].endswith(","):
        names = [f"{family},", *names[:-1]]
    shaped = []
    for old, new in zip(parts, names, strict=True):
        shaped.append(new[0] + old[1:] if _INITIAL.fullmatch(old) else _cased(old, new))
    return " ".join(shaped)


def _japanese(
    own: str, relatives: Sequence[Pair], dice: Random
) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    """Family and given name, in three spellings: those that stand for another form of the same person, if
    any."""
    which = gender(own, "") or dice.choice((FEMALE, MALE))
    family, given = dice.choice(FAMILY_JA), dice.choice(GIVEN_JA[which])
    for pair in relatives:
        stands = unicodedata.normalize("NFKC", _hiragana(pair.surrogate))
        family = next((row for row in FAMILY_JA if any(form in stands for form in row)), family)
        rows = [*GIVEN_JA[FEMALE], *GIVEN_JA[MALE]]
        given = next((row for row in rows if any(form in stands for form in row)), given)
    return family, given


def _script(own: str) -> str:
    if _KANJI.search(own):
        return "kanji"
    if _HIRAGANA.search(own):
        return "hiragana"
    if _KATAKANA.search(own):
        return "katakana"
    letters = [c for c in own if c.isalpha()]
    return "latin" if letters and all("LATIN" in unicodedata.name(c, "") for c in letters) else "other"


def _cased(like: str, name: str) -> str:
    if len(like) > 1 and like.isupper():
        return name.upper()
    return name.lower() if like.islower() else name


def _katakana(text: str) -> str:
    return "".join(chr(ord(c) + 0x60) if "ぁ" <= c <= "ゖ" else c for c in text)


def _hiragana(text: str) -> str:
    return "".join(chr(ord(c) - 0x60) if "ァ" <= c <= "ヶ" else c for c in text)
