"""An index of passages in one SQLite file: words (BM25) and vectors, fused by score or by rank.

The file holds the passages and their vectors; what BM25 counts is made from it when it is opened, in
milliseconds per thousand passages. An update reads and embeds what has changed and nothing else, in one
transaction: killed at any instant, the index is the old one or the new one. It is the client's own, and is
written for its owner alone.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from renga.errors import RengaError, UsageError
from renga.models.cooperation.dense import Embedder, Shared, Vectors
from renga.models.cooperation.documents import Document
from renga.models.cooperation.passages import Citation, Passage, passages_of
from renga.models.cooperation.spans import Span, tokens

if TYPE_CHECKING:
    from bm25s import BM25

How = Literal["words", "vectors", "both", "ranks"]
Scores = NDArray[np.float64]  # of every passage

FORMAT = 0x52454E01  # SQLite's application_id of our files
CONSTANT = 60  # of reciprocal-rank fusion (Cormack et al., SIGIR 2009)
VECTORS = 0.5  # what vectors count beside words, both in standard deviations

_TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE documents (source TEXT PRIMARY KEY, digest TEXT NOT NULL);
CREATE TABLE passages (
  id INTEGER PRIMARY KEY, source TEXT NOT NULL REFERENCES documents ON DELETE CASCADE,
  start INTEGER NOT NULL, stop INTEGER NOT NULL, page INTEGER NOT NULL, text TEXT NOT NULL, vector BLOB);
CREATE INDEX by_source ON passages (source);
"""


@dataclass(frozen=True)
class Changes:
    """What an update did, in documents."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    kept: int = 0


@dataclass(frozen=True)
class Hit:
    """A passage that was found. score: BM25, a cosine, standard deviations or reciprocal ranks summed, by how
    it was sought."""

    passage: Passage
    score: float


class PassageIndex:
    """Passages that can be searched. path None: in memory. embedder None: words only.

    size, overlap: of passages made from now on (see `passages_of`). Not to be used from several threads.
    """

    def __init__(
        self, path: Path | None = None, embedder: Embedder | None = None, *, size: int = 600, overlap: int = 1
    ) -> None:
        """Opens the index at `path`, or makes an empty one. Raises RengaError when what stands there is
        broken or in use, UsageError when its vectors are of another model."""
        self._where = str(path) if path else "memory"
        self._embedder = embedder
        self._size, self._overlap = size, overlap
        self._passages: list[Passage] = []
        self._words: BM25 | None = None
        self._vectors = self._apart = np.zeros((0, 0), np.float32)  # as stored, and without what they share
        self._shared: Shared | None = None
        with self._told():
            self._db = _opened(path)
            if path:
                os.chmod(path, 0o600)
            self._check_vectors()
            self._load()

    def __len__(self) -> int:
        return len(self._passages)

    def update(self, documents: Sequence[Document], *, complete: bool = False) -> Changes:
        """Take in `documents`; one whose source is known replaces it, if it has changed. complete: sources
        that are not among them are removed."""
        twice = {d.source for d in documents}
        if len(twice) < len(documents):
            raise UsageError("two documents have the same source", hint="name them apart")
        with self._told():
            known = dict(self._db.execute("SELECT source, digest FROM documents"))
            fresh = [d for d in documents if known.get(d.source) != d.digest]
            gone = sorted(known.keys() - twice) if complete else []
            parts = [(d, passages_of(d, size=self._size, overlap=self._overlap)) for d in fresh]
            texts = [passage.text for _, passages in parts for passage in passages]
            vectors = self._embedder.embed(texts) if self._embedder and texts else None
            with self._db:
                for source in [d.source for d in fresh if d.source in known] + gone:
                    self._db.execute("DELETE FROM documents WHERE source = ?", (source,))
                at = 0
                for document, passages in parts:
                    self._db.execute(
                        "INSERT INTO documents VALUES (?, ?)", (document.source, document.digest)
                    )
                    for passage in passages:
                        self._insert(passage, None if vectors is None else vectors[at])
                        at += 1
            if fresh or gone:
                self._load()
        changed = sum(d.source in known for d in fresh)
        return Changes(len(fresh) - changed, changed, len(gone), len(documents) - len(fresh))

    def search(self, question: str, k: int = 4, how: How = "both") -> list[Hit]:
        """The `k` passages that fit best, best first; by words alone those that share one with the question.

        "both" adds up the scores, each in standard deviations over all passages, so that words which are
        rare are heard above vectors that hardly differ; "ranks" fuses by sum 1 / (60 + rank). Without an
        embedder either is "words".
        """
        if not self._passages or k < 1:
            return []
        if how == "vectors" and self._embedder is None:
            raise UsageError("this index has no vectors", hint="open it with a model")
        if how == "words" or self._embedder is None:
            found = _ranked(self._by_words(question), least=0.0)
        elif how == "vectors":
            found = _ranked(self._by_vectors(question))
        elif how == "both":
            words, vectors = self._by_words(question), self._by_vectors(question)
            found = _ranked(_standard(words) + VECTORS * _standard(vectors))
        else:
            # As far down as a page or two: whoever comes last in a ranking of all is no find.
            lists = _ranked(self._by_words(question), least=0.0), _ranked(self._by_vectors(question))[:100]
            found = fused([[place for place, _ in each] for each in lists])
        return [Hit(self._passages[place], score) for place, score in found[:k]]

    def close(self) -> None:
        self._db.close()

    def _by_words(self, question: str) -> Scores:
        asked = tokens(question)
        if self._words is None or not asked:
            return np.zeros(len(self._passages))
        scores: Scores = np.asarray(self._words.get_scores(asked), np.float64)
        return scores

    def _by_vectors(self, question: str) -> Scores:
        assert self._embedder is not None
        if self._shared is None:
            self._shared = Shared(self._vectors)
            self._apart = self._shared.without(self._vectors)
        scores: Scores = self._apart @ self._shared.without(self._embedder.embed([question]))[0]
        return scores.astype(np.float64)

    def _insert(self, passage: Passage, vector: Vectors | None) -> None:
        citation = passage.citation
        assert citation.span is not None
        blob = None if vector is None else vector.astype("<f4").tobytes()
        row = (citation.source, citation.span.start, citation.span.end, citation.page, passage.text, blob)
        self._db.execute(
            "INSERT INTO passages (source, start, stop, page, text, vector) VALUES (?, ?, ?, ?, ?, ?)", row
        )

    def _check_vectors(self) -> None:
        found = self._db.execute("SELECT value FROM facts WHERE name = 'vectors'").fetchone()
        if self._embedder is None:
            return
        if found is None:
            filled = self._db.execute("SELECT count(*) FROM passages").fetchone()[0]
            if filled:
                raise UsageError(
                    f"{self._where}: made without vectors", hint="build it again, with the model"
                )
            with self._db:
                self._db.execute("INSERT INTO facts VALUES ('vectors', ?)", (self._embedder.fingerprint,))
        elif found[0] != self._embedder.fingerprint:
            raise UsageError(
                f"{self._where}: its vectors are another model's",
                hint="open it with that model, or build it again",
            )

    def _load(self) -> None:
        query = "SELECT source, start, stop, page, text, vector FROM passages ORDER BY source, start, id"
        rows = self._db.execute(query).fetchall()
        self._passages = [
            Passage(text, Citation(source, Span(a, b), page)) for source, a, b, page, text, _ in rows
        ]
        self._words = _counted([passage.text for passage in self._passages])
        self._shared = None
        if self._embedder is not None and rows:
            try:
                self._vectors = np.stack([np.frombuffer(row[5], "<f4") for row in rows])
            except (TypeError, ValueError):
                raise sqlite3.DatabaseError("vectors are missing or of unequal size") from None
            if not np.isfinite(self._vectors).all():
                raise sqlite3.DatabaseError("a vector is none")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or "busy" in str(error):
                raise RengaError(f"{self._where}: in use by another process", hint="try again") from error
            raise RengaError(f"{self._where}: can't be opened or written ({error})") from error
        except sqlite3.DatabaseError as error:
            raise RengaError(
                f"{self._where}: a broken index ({error})", hint="delete it and build it again"
            ) from error


def _ranked(scores: Scores, least: float = -np.inf) -> list[tuple[int, float]]:
    """Places by their scores, the best first; those of more than `least`."""
    return [(int(i), float(scores[i])) for i in np.argsort(-scores, kind="stable") if scores[i] > least]


def _standard(scores: Scores) -> Scores:
    """Scores in standard deviations from their mean; 0 where all are the same."""
    spread = float(scores.std())
    return (scores - scores.mean()) / spread if spread > 1e-9 else np.zeros(len(scores))


def fused(rankings: Sequence[Sequence[int]], constant: int = CONSTANT) -> list[tuple[int, float]]:
    """Places by the sum of 1 / (constant + rank) over the rankings, ranks from 1."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, place in enumerate(ranking, start=1):
            scores[place] = scores.get(place, 0.0) + 1 / (constant + rank)
    return sorted(scores.items(), key=lambda found: (-found[1], found[0]))


def _opened(path: Path | None) -> sqlite3.Connection:
    db = sqlite3.connect(path or ":memory:", timeout=5.0)
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA trusted_schema = OFF")
    (format,) = db.execute("PRAGMA application_id").fetchone()
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not tables and not format:
        db.executescript(f"BEGIN; {_TABLES} PRAGMA application_id = {FORMAT}; COMMIT;")
    elif format != FORMAT:
        raise sqlite3.DatabaseError("a database, but not one of ours")
    else:
        (whole,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if whole != "ok":
            raise sqlite3.DatabaseError(whole)
    return db


def _counted(texts: Sequence[str]) -> BM25 | None:
    """BM25 (k1 = 1.5, b = 0.75, Lucene's form) over `texts`; None where they hold no words."""
    try:
        import bm25s
    except ImportError:
        raise RengaError("searching needs bm25s", hint="pip install 'renga[retrieval]'") from None
    cut = [tokens(text) for text in texts]
    if not any(cut):
        return None
    found: Any = bm25s.BM25(k1=1.5, b=0.75, method="lucene")
    found.index(cut, show_progress=False)
    return found
