"""A second made-up schema for `renga bench cooperation`: books and their authors, the same for the same seed.

It was written before any query to it was tried: it says what rules made with the first in sight are worth.
"""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

from renga.simulations.cooperation_world import renamed

_FIRST = "Ines Tomas Clara Hugo Livia Bruno Selma Oskar Petra Anton Nadia Emil Greta Marek Lucia Viktor"
_LAST = "Novak Costa Keller Moreau Lindgren Rossi Horvat Petrov Silva Bauer Dubois Kovacs"
_OF = "Rivers Lanterns Winter Glass Ashes Harbours Orchards Silence Stones Letters Mirrors Storms"
_WHAT = "Book House Year Garden Map Song Empire Language"
_GENRES = ("thriller", "romance", "biography", "fantasy", "satire", "memoir")
_COUNTRIES = ("Portugal", "Norway", "Austria", "Croatia", "Belgium", "Hungary")

# Names that no question uses.
OTHER_NAMES = {
    "author": "person", "country": "origin", "born": "birth", "book": "item", "title": "heading",
    "genre": "class", "published": "release", "pages": "length", "author_id": "person_id",
}  # fmt: skip

_SCHEMA = (
    "CREATE TABLE author (id INTEGER PRIMARY KEY, name TEXT, country TEXT, born INTEGER);"
    "CREATE TABLE book (id INTEGER PRIMARY KEY, title TEXT, genre TEXT, published INTEGER, pages INTEGER, "
    "author_id INTEGER REFERENCES author (id));"
)


def library(path: Path, seed: int, *, other_names: bool = False, books: int = 40) -> Path:
    """The library of a seed, in SQLite."""
    names = OTHER_NAMES if other_names else {}
    authors, written = _made(seed, books)
    db = sqlite3.connect(path)
    db.executescript(renamed(_SCHEMA, names))
    db.executemany(f"INSERT INTO {renamed('author', names)} VALUES (?, ?, ?, ?)", authors)
    db.executemany(f"INSERT INTO {renamed('book', names)} VALUES (?, ?, ?, ?, ?, ?)", written)
    db.commit()
    db.close()
    return path


def library_asked(seed: int, limit: int, books: int = 40) -> list[tuple[str, str]]:
    """Questions to it, with the query that is right: (question, SQL)."""
    rng = random.Random(f"renga library questions {seed}")
    authors, written = _made(seed, books)
    names = {id: name for id, name, *_ in authors}
    join = "FROM book JOIN author ON book.author_id = author.id"
    made: list[tuple[str, str]] = []
    for _, title, genre, _, _, by in written:
        author, year = names[by], rng.randrange(1930, 2010)
        pairs = {
            f"How many pages does {title} have?": f"SELECT pages FROM book WHERE title = '{title}'",
            f"When was {title} published?": f"SELECT published FROM book WHERE title = '{title}'",
            f"Who wrote {title}?": f"SELECT author.name {join} WHERE title = '{title}'",
            f"What is the genre of {title}?": f"SELECT genre FROM book WHERE title = '{title}'",
            f"How many books of the genre {genre} are there?": (
                f"SELECT count(*) FROM book WHERE genre = '{genre}'"
            ),
            f"What is the average number of pages of a {genre}?": (
                f"SELECT avg(pages) FROM book WHERE genre = '{genre}'"
            ),
            f"How many books were published after {year}?": (
                f"SELECT count(*) FROM book WHERE published > {year}"
            ),
            "Which book has the most pages?": "SELECT title FROM book ORDER BY pages DESC LIMIT 1",
            "Which author was born earliest?": "SELECT name FROM author ORDER BY born ASC LIMIT 1",
            f"Which country does {author} come from?": f"SELECT country FROM author WHERE name = '{author}'",
            f"When was {author} born?": f"SELECT born FROM author WHERE name = '{author}'",
            f"How many books by {author} are there?": (
                f"SELECT count(*) {join} WHERE author.name = '{author}'"
            ),
            f"How many pages do the books of {author} have altogether?": (
                f"SELECT sum(pages) {join} WHERE author.name = '{author}'"
            ),
        }
        made += rng.sample(list(pairs.items()), 2)
    rng.shuffle(made)
    return made[:limit]


def _made(
    seed: int, books: int
) -> tuple[list[tuple[int, str, str, int]], list[tuple[int, str, str, int, int, int]]]:
    """Authors and books, as rows."""
    rng = random.Random(f"renga library {seed}")
    people = rng.sample([f"{a} {b}" for a in _FIRST.split() for b in _LAST.split()], max(4, books // 3))
    authors = [
        (i, name, rng.choice(_COUNTRIES), rng.randrange(1890, 1985)) for i, name in enumerate(people, 1)
    ]
    titles = rng.sample([f"The {a} of {b}" for a in _WHAT.split() for b in _OF.split()], books)
    written = [
        (
            i,
            title,
            rng.choice(_GENRES),
            rng.randrange(1920, 2020),
            rng.randrange(90, 720),
            rng.choice(authors)[0],
        )
        for i, title in enumerate(titles, 1)
    ]
    return authors, written
