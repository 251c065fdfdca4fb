"""A made-up world for `renga bench cooperation`: people, works and towns, the same for the same seed.

No model can have read of it, so that what is answered right was read in a passage, a graph or a database.
"""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from renga.models.cooperation.graph import Graph, Triple

_FIRST = "Ada Per Eva Nils Runa Olaf Mira Tove Jon Liv Arne Sif Kari Leif Dag Unn Bo Vera Ivar Gerd"
_LAST = "Holm Dahl Berg Strand Lund Vik Moen Haug Sand Eide Foss Lien Ness Tveit Rud Aas Bakke Skog"
_HEAD = "Brand Nor Vel Kors Fagr Skal Hol Tor Mur Grim Alv Sten Varn Ulv Fjell Rav"
_TAIL = "sund vik dal heim stad berg nes mark holt fors"
_KINDS = ("mill", "mine", "foundry", "shipyard", "brewery", "quarry", "tannery", "glassworks")
_GOODS = ("copper", "paper", "rope", "salt", "glass", "leather", "beer", "bells", "nails", "slate")


@dataclass(frozen=True)
class Work:
    """A place where people work."""

    name: str
    kind: str
    town: str
    founder: str
    founded: int
    workers: int
    goods: str


@dataclass(frozen=True)
class Asked:
    """A question, its answer, and the passage that holds it."""

    question: str
    answer: str
    passage: str
    source: str


@dataclass(frozen=True)
class World:
    """Works in towns, with founders; mayors of towns; birthplaces of founders."""

    works: tuple[Work, ...]
    mayors: dict[str, str]
    born: dict[str, str]

    def graph(self) -> Graph:
        """All of it as triples."""
        triples = []
        for work in self.works:
            triples += [
                Triple(work.name, "located_in", work.town),
                Triple(work.name, "founded_by", work.founder),
                Triple(work.name, "makes", work.goods),
                Triple(work.name, "founded_in", str(work.founded)),
            ]
        triples += [Triple(town, "mayor", mayor) for town, mayor in self.mayors.items()]
        triples += [Triple(person, "born_in", town) for person, town in self.born.items()]
        return Graph(triples)

    def database(self, path: Path, names: Mapping[str, str] = {}) -> Path:
        """All of it in SQLite. names: what tables and columns are called instead."""
        db = sqlite3.connect(path)
        script = (
            "CREATE TABLE town (id INTEGER PRIMARY KEY, name TEXT, mayor TEXT);"
            "CREATE TABLE work (id INTEGER PRIMARY KEY, name TEXT, kind TEXT, founder TEXT, founded INTEGER, "
            "workers INTEGER, goods TEXT, town_id INTEGER REFERENCES town (id));"
        )
        db.executescript(renamed(script, names))
        ids = {town: i for i, town in enumerate(self.mayors, 1)}
        db.executemany(
            f"INSERT INTO {renamed('town', names)} VALUES (?, ?, ?)",
            [(i, t, self.mayors[t]) for t, i in ids.items()],
        )
        db.executemany(
            f"INSERT INTO {renamed('work', names)} VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (i, w.name, w.kind, w.founder, w.founded, w.workers, w.goods, ids[w.town])
                for i, w in enumerate(self.works, 1)
            ],
        )
        db.commit()
        db.close()
        return path


# Names that no question uses.
OTHER_NAMES = {
    "town": "place", "mayor": "head", "work": "site", "kind": "category", "founder": "started_by",
    "founded": "since", "workers": "staff", "goods": "product", "town_id": "place_id",
}  # fmt: skip


def renamed(sql: str, names: Mapping[str, str]) -> str:
    """A query with other names for its tables and columns; what stands in quotes stays."""
    parts = sql.split("'")
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"\b\w+\b", lambda found: names.get(found[0], found[0]), parts[i])
    return "'".join(parts)


def world(seed: int, works: int = 24) -> World:
    """The world of a seed."""
    rng = random.Random(f"renga world {seed}")
    towns = _some(rng, [a + b for a in _HEAD.split() for b in _TAIL.split()], max(6, works // 2))
    people = _some(rng, [f"{a} {b}" for a in _FIRST.split() for b in _LAST.split()], works + len(towns))
    names = _some(
        rng, [a + b for a in _HEAD.split() for b in ("by", "mo", "rud", "set", "vang", "tun", "lid")], works
    )
    founders, mayors = people[:works], people[works:]
    made = []
    for name, founder in zip(names, founders, strict=True):
        kind = rng.choice(_KINDS)
        made.append(
            Work(
                name=f"{name} {kind.capitalize()}",
                kind=kind,
                town=rng.choice(towns),
                founder=founder,
                founded=rng.randrange(1700, 1950),
                workers=rng.randrange(12, 980),
                goods=rng.choice(_GOODS),
            )
        )
    born = {founder: rng.choice(towns) for founder in founders}
    return World(tuple(made), dict(zip(towns, mayors, strict=True)), born)


def passage_of(work: Work, rng: random.Random) -> str:
    """Some hundred words on one work, its facts among things of no note."""
    facts = [
        f"{work.name} stands in {work.town}.",
        f"It was founded in {work.founded} by {work.founder}.",
        f"Today {work.workers} people work at {work.name}.",
        f"What it makes is {work.goods}.",
    ]
    rng.shuffle(facts[1:])
    filler = rng.sample(_FILLER, 8)
    parts = [facts[0]]
    for fact in facts[1:]:
        parts += [filler.pop(), filler.pop(), fact]
    return " ".join([*parts, *filler])


_FILLER = [
    "The road there is steep and in winter often closed by snow.",
    "Visitors are asked to keep to the marked path beside the water.",
    "An old song tells of the bell that rang by itself on a summer night.",
    "The roof was mended more than once after heavy storms from the west.",
    "Children of the neighbourhood used to fish from the wall behind it.",
    "In the yard stands a lime tree that nobody remembers being planted.",
    "Its walls are of grey stone, with a row of small windows to the north.",
    "Letters from that time speak of long days and of bread that was dear.",
    "On market days the carts waited in a line as far as the bridge.",
    "A painter who spent a summer there left several views of the valley.",
    "The stream that drove the wheel has since been led underground.",
    "Much of what was written about it was lost when the archive burned.",
    "There is a small museum with tools, drawings and a model under glass.",
    "The wind carries the smoke over the fields towards the sea.",
]


def questions(found: World, seed: int, limit: int) -> list[Asked]:
    """Questions that one passage answers."""
    rng = random.Random(f"renga questions {seed}")
    asked = []
    for work in found.works:
        passage = passage_of(work, random.Random(f"{seed} {work.name}"))
        kinds = [
            (f"Who founded {work.name}?", work.founder),
            (f"In which town does {work.name} stand?", work.town),
            (f"In which year was {work.name} founded?", str(work.founded)),
            (f"How many people work at {work.name}?", str(work.workers)),
            (f"What does {work.name} make?", work.goods),
        ]
        unnamed = _unnamed(found, work)
        chosen = [rng.choice(kinds), rng.choice(unnamed or kinds)]
        asked += [Asked(q, a, passage, f"{work.name}.md") for q, a in chosen]
    rng.shuffle(asked)
    return asked[:limit]


def quoted_sentence(asked: Asked) -> str:
    """The sentence of the passage that holds the answer."""
    parts = re.split(r"(?<=\.) ", asked.passage)
    return next((part for part in parts if re.search(rf"\b{re.escape(asked.answer)}\b", part)), parts[0])


def _unnamed(found: World, work: Work) -> list[tuple[str, str]]:
    """Questions that know a work by what it is and not by its name, in other words than the passage's; those
    that fit one work alone."""
    like = [w for w in found.works if w != work]
    asked = []
    if not any((w.town, w.goods) == (work.town, work.goods) for w in like):
        asked.append((f"Which firm in {work.town} produces {work.goods}?", work.name.split()[0]))
    if not any((w.kind, w.town) == (work.kind, work.town) for w in like):
        asked.append((f"Who started the {work.kind} of {work.town}?", work.founder))
        asked.append((f"How large is the staff of the {work.town} {work.kind}?", str(work.workers)))
    return asked


def edited(found: World, seed: int, limit: int) -> list[tuple[str, str, bool, str]]:
    """Answers that hold and answers that were edited, as many of each: (question, answer, holds, passage)."""
    rng = random.Random(f"renga edits {seed}")
    made: list[tuple[str, str, bool, str]] = []
    for work in found.works:
        other = rng.choice([w for w in found.works if w != work])
        passage = passage_of(work, random.Random(f"{seed} {work.name}"))
        pairs = [
            (
                f"Who founded {work.name}?",
                f"{work.name} was founded by {work.founder}.",
                work.founder,
                other.founder,
            ),
            (f"Where is {work.name}?", f"{work.name} stands in {work.town}.", work.town, other.town),
            (
                f"When was {work.name} founded?",
                f"{work.name} was founded in {work.founded}.",
                str(work.founded),
                str(work.founded + rng.choice([-10, -3, 1, 7, 20])),
            ),
            (f"What does {work.name} make?", f"{work.name} makes {work.goods}.", work.goods, other.goods),
        ]
        for question, answer, right, wrong in rng.sample(pairs, 2):
            if right != wrong:
                holds = len(made) % 2 == 0
                made.append((question, answer if holds else answer.replace(right, wrong), holds, passage))
    return made[:limit]


def walks_asked(
    found: World, seed: int, each: int, *, other_words: bool = False
) -> list[tuple[int, str, str]]:
    """Questions over paths of one to three edges: (edges, question, answer). other_words: those of the
    graph are not used."""
    rng = random.Random(f"renga walks {seed}")
    made: list[tuple[int, str, str]] = []
    for work in rng.sample(list(found.works), min(each, len(found.works))):
        mayor, birth = found.mayors[work.town], found.born[work.founder]
        if other_words:
            made += [
                rng.choice(
                    [
                        (1, f"Who set up {work.name}?", work.founder),
                        (1, f"Which place is home to {work.name}?", work.town),
                        (1, f"What comes out of {work.name}?", work.goods),
                    ]
                ),
                (2, f"Who heads the municipality around {work.name}?", mayor),
                (3, f"Who heads the home municipality of whoever set up {work.name}?", found.mayors[birth]),
            ]
            continue
        made += [
            rng.choice(
                [
                    (1, f"Who was {work.name} founded by?", work.founder),
                    (1, f"Where is {work.name} located?", work.town),
                    (1, f"What does {work.name} make?", work.goods),
                ]
            ),
            rng.choice(
                [
                    (2, f"Who is the mayor of the town where {work.name} is located?", mayor),
                    (2, f"Where was the person who founded {work.name} born?", birth),
                ]
            ),
            (
                3,
                f"Who is the mayor of the town where the person who founded {work.name} was born?",
                found.mayors[birth],
            ),
        ]
    return made


def queries_asked(found: World, seed: int, limit: int) -> list[tuple[str, str]]:
    """Questions to the database, with the query that is right: (question, SQL)."""
    rng = random.Random(f"renga queries {seed}")
    made: list[tuple[str, str]] = []
    join = "FROM work JOIN town ON work.town_id = town.id"
    for work in found.works:
        kind, town, goods, name = work.kind, work.town, work.goods, work.name
        plural = kind if kind.endswith("s") else f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
        year = rng.randrange(1720, 1940)
        pairs = {
            f"Who is the founder of {name}?": f"SELECT founder FROM work WHERE name = '{name}'",
            f"When was {name} founded?": f"SELECT founded FROM work WHERE name = '{name}'",
            f"How many works make {goods}?": f"SELECT count(*) FROM work WHERE goods = '{goods}'",
            f"What is the average number of workers of a {kind}?": (
                f"SELECT avg(workers) FROM work WHERE kind = '{kind}'"
            ),
            f"How many works were founded after {year}?": f"SELECT count(*) FROM work WHERE founded > {year}",
            "Which work has the most workers?": "SELECT name FROM work ORDER BY workers DESC LIMIT 1",
            f"How many {plural} are in {town}?": (
                f"SELECT count(*) {join} WHERE kind = '{kind}' AND town.name = '{town}'"
            ),
            f"Who is the mayor of {town}?": f"SELECT mayor FROM town WHERE name = '{town}'",
            f"In which town is {name}?": f"SELECT town.name {join} WHERE work.name = '{name}'",
            f"Who is the mayor of the town of {name}?": f"SELECT mayor {join} WHERE work.name = '{name}'",
            f"What is the total number of workers of all works that make {goods}?": (
                f"SELECT sum(workers) FROM work WHERE goods = '{goods}'"
            ),
        }
        made += rng.sample(list(pairs.items()), 2)
    rng.shuffle(made)
    return made[:limit]


def _some(rng: random.Random, names: list[str], count: int) -> list[str]:
    return rng.sample(names, count)
