"""Names and words, from packages that carry them: who may be meant, before anybody looks at the sentence.

English given names and surnames are the US census's (`names`), Japanese ones `japanese-personal-name-dataset`'s,
with readings; given names of other languages, and public figures, are lists of our own in text files.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from renga.client.sanitisation.entities import DetectionFailed

_HERE = "renga.client.sanitisation"


def _lines(package: str, *parts: str) -> list[str]:
    try:
        root = files(package)
    except ModuleNotFoundError:
        raise DetectionFailed(
            f"names can't be looked for: the package {package!r} is missing; nothing was sent",
            hint="pip install 'renga[sanitise]'",
        ) from None
    return root.joinpath(*parts).read_text(encoding="utf-8").splitlines()


def _own(name: str) -> list[str]:
    return [line for line in _lines(_HERE, name) if line and not line.startswith("#")]


@lru_cache(maxsize=1)
def _lists() -> dict[str, frozenset[str]]:
    sections: dict[str, set[str]] = {}
    for line in _own("lists.txt"):
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), set())
        else:
            current.update(line.split())
    return {name: frozenset(members) for name, members in sections.items()}


def listed(name: str) -> frozenset[str]:
    """One section of `lists.txt`."""
    return _lists()[name]


@lru_cache(maxsize=1)
def words() -> frozenset[str]:
    """Common lower-case English words, many of which are also names."""
    return frozenset(" ".join(_own("words.txt")).split())


@dataclass(frozen=True, slots=True)
class Latin:
    """Names in Latin script, lower case. `rank` orders surnames, the most frequent 0."""

    given: frozenset[str]
    rank: dict[str, int]


@lru_cache(maxsize=1)
def latin() -> Latin:
    """Given names and surnames of many countries."""
    given = {
        line.split()[0].lower()
        for name in ("dist.male.first", "dist.female.first")
        for line in _lines("names", name)
        if line.strip()
    }
    rank = {
        line.split()[0].lower(): at
        for at, line in enumerate(_lines("names", "dist.all.last"))
        if line.strip()
    }
    section = given
    for line in _own("names.txt"):
        if line.startswith("["):
            section = given if line == "[given]" else set(rank)
            surnames = line == "[surnames]"
            continue
        for word in line.split():
            if surnames:
                rank.setdefault(word, 5000)
            else:
                section.add(word)
    japanese_names = japanese()
    given |= {
        form for reading in japanese_names.given_romaji for form in romaji_forms(reading) if len(form) > 2
    }
    for reading in japanese_names.surname_romaji:
        for form in romaji_forms(reading):
            if len(form) > 2:
                rank.setdefault(form, 3000)
    return Latin(frozenset(given), rank)


@dataclass(frozen=True, slots=True)
class Japanese:
    """Japanese names: as written, with their readings in hiragana."""

    surnames: dict[str, tuple[str, ...]]
    given: dict[str, tuple[str, ...]]
    surname_kana: frozenset[str]
    given_kana: frozenset[str]
    surname_romaji: frozenset[str]
    given_romaji: frozenset[str]


@lru_cache(maxsize=1)
def japanese() -> Japanese:
    """The 2,000 most frequent surnames and some 70,000 written given names."""
    surnames: dict[str, tuple[str, ...]] = {}
    given: dict[str, tuple[str, ...]] = {}
    surname_romaji, given_romaji, given_kana, surname_kana = set(), set(), set(), set()
    package = "japanese_personal_name_dataset"
    for row in csv.reader(_lines(package, "dataset", "last_name_org.csv")):
        if len(row) >= 4:
            surnames[row[0]] = (*surnames.get(row[0], ()), row[2])
            surname_kana.add(row[2])
            surname_romaji.add(row[3].lower())
    for written in listed("rare surnames"):
        surnames.setdefault(written, ())
    for name in ("first_name_man_org.csv", "first_name_woman_org.csv"):
        for row in csv.reader(_lines(package, "dataset", name)):
            if len(row) >= 2:
                given_kana.add(row[0])
                given_romaji.add(row[1].lower())
                for written in row[2:]:
                    given[written] = (*given.get(written, ()), row[0])
    return Japanese(
        surnames,
        given,
        frozenset(surname_kana),
        frozenset(given_kana),
        frozenset(surname_romaji),
        frozenset(given_romaji),
    )


def romaji_forms(reading: str) -> set[str]:
    """The ways people write one romanised reading: satou, sato, satoh; yuuki, yuki."""
    short = reading.replace("ou", "o").replace("oo", "o").replace("uu", "u")
    forms = {reading, short}
    if reading.endswith(("ou", "oo")):
        forms |= {reading[:-1], reading[:-2] + "oh", short + "h"}
    return forms


@lru_cache(maxsize=1)
def public_figures() -> tuple[frozenset[str], frozenset[str]]:
    """Full names, and single names that mean one public person: lower case, as written in `public.txt`."""
    full: set[str] = set()
    single: set[str] = set()
    for line in _own("public.txt"):
        for name in line.split(","):
            plain = name.strip().casefold()
            if plain:
                (full if " " in plain or not plain.isascii() else single).add(plain)
    full |= {name.replace(".", "") for name in full}
    return frozenset(full), frozenset(single)


def first_names() -> tuple[dict[str, float], dict[str, float]]:
    """Given names of women and of men, lower case, kanji and kana as written, with how frequent each is: in per
    cent of the US census's, 1 for a Japanese one. Empty without the packages."""
    found: list[dict[str, float]] = []
    for census, japan in (
        ("dist.female.first", "first_name_woman_org.csv"),
        ("dist.male.first", "first_name_man_org.csv"),
    ):
        names: dict[str, float] = {}
        try:
            for row in csv.reader(_lines("japanese_personal_name_dataset", "dataset", japan)):
                names |= dict.fromkeys((*row[:1], *row[1:2], *row[2:]), 1.0)
            names |= {
                parts[0].lower(): float(parts[1])
                for parts in (line.split() for line in _lines("names", census))
                if len(parts) > 1
            }
        except DetectionFailed:
            names = {}
        found.append(names)
    return found[0], found[1]
