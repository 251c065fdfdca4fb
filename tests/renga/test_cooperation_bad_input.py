"""Broken indexes, hostile databases, endless passages, detectors that fail: what the command line says."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from renga.boundary import enter
from renga.cli import run
from renga.models.cooperation.database import Limits, open_database
from tests.models.tiny_models import chat_tokenizer, llama, save_folder

Ask = Callable[..., tuple[int, str, str]]

NUMBERS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
ENDLESS = NUMBERS.format(10**15) + " SELECT 'v' || max(i) AS name FROM n"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    save_folder(folder / "model", llama(max_position_embeddings=512), chat_tokenizer())
    (folder / "broken.db").write_bytes(b"nonsense" * 100)
    databases = {
        "stock.db": "CREATE TABLE ferry (name TEXT, speed INTEGER); INSERT INTO ferry VALUES ('Runa', 9)",
        "hostile.db": "CREATE TABLE ferry (name TEXT, speed INTEGER);"
        "INSERT INTO ferry VALUES ('x''; DROP TABLE ferry; --', 9)",
        "endless.db": f"CREATE VIEW ferry AS {ENDLESS}",
        "huge.db": "CREATE TABLE ferry (name TEXT); INSERT INTO ferry "
        f"{NUMBERS.format(3000)} SELECT 'ferry ' || i FROM n;"
        "CREATE TABLE note (body TEXT); INSERT INTO note VALUES (hex(zeroblob(2000000)))",
    }
    for name, script in databases.items():
        db = sqlite3.connect(folder / name)
        db.executescript(script)
        db.close()
    (folder / "trunc.db").write_bytes((folder / "stock.db").read_bytes()[:600])
    (folder / "long.md").write_text(" ".join(f"Ferry {i} leaves at {i % 24}." for i in range(300)))
    (folder / "facts.tsv").write_text("ferry\tleaves_at\tnine\n")
    return folder


@pytest.fixture
def ask(world: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ask:
    monkeypatch.chdir(world)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # a located model sets it
    impatient = partial(open_database, limits=Limits(seconds=0.3))
    monkeypatch.setattr("renga.models.cooperation.plan_words.open_database", impatient)

    def ask(plan: str, question: str = "What is the name of every ferry?") -> tuple[int, str, str]:
        capsys.readouterr()
        status = enter(["ask", "--model", "model", "--max-tokens", "2", "--plan", plan, question], run)
        return (status, *capsys.readouterr())

    return ask


@pytest.mark.parametrize(
    ("plan", "status", "said"),
    [
        ("retrieve(edge, passages('broken.db'))", 1, "a broken index"),
        ("retrieve(edge, passages('trunc.db'))", 1, "a broken index"),
        ("retrieve(edge, passages('stock.db'))", 1, "not one of ours"),
        ("retrieve(edge, database('broken.db'))", 2, "neither a SQLite nor a DuckDB"),
        ("retrieve(edge, database('trunc.db'))", 1, "malformed"),
        ("retrieve(edge, database('none.db'))", 2, "none.db"),
        ("retrieve(edge, graph('broken.db'))", 2, "broken.db"),
    ],
)
def test_files_that_are_not_what_they_should_be(ask: Ask, plan: str, status: int, said: str) -> None:
    found, out, err = ask(plan)
    assert (found, out) == (status, "") and said in err and err.startswith("renga: ") and err.count("\n") <= 2


@pytest.mark.parametrize(
    ("plan", "question", "said"),
    [
        # what a query may not do, it doesn't; what a source can't say is said behind the answer
        (
            "retrieve(edge, database('hostile.db'))",
            "How fast is ferry x'; DROP TABLE ferry; --?",
            "'x''; DROP TABLE",
        ),
        (
            "retrieve(edge, database('endless.db'))",
            "What is the name of every ferry?",
            "not asked: endless.db",
        ),
        (
            "retrieve(edge, database('huge.db'), k=50)",
            "What is the name of every ferry?",
            "cut to 256 tokens",
        ),
        ("retrieve(edge, database('huge.db'))", "What is the body of every note?", "huge.db"),
        # a detector that fails: said by default, or what the policy wants
        ("guard(edge, exact(database('endless.db')))", "What is the name of every ferry?", "could not tell"),
        (
            "guard(edge, exact(database('endless.db')), failing='abstain')",
            "What is the name of every ferry?",
            "can't answer",
        ),
    ],
)
def test_sources_that_are_hostile(ask: Ask, world: Path, plan: str, question: str, said: str) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in world.iterdir()}
    status, out, err = ask(plan, question)
    assert status == 0 and said in out, (out, err)
    assert len(out) < 4000 and {path.name: path.stat().st_mtime_ns for path in world.iterdir()} == before


def test_a_database_that_somebody_locks(ask: Ask, world: Path) -> None:
    db = sqlite3.connect(world / "stock.db", isolation_level=None)
    db.execute("BEGIN EXCLUSIVE")
    status, out, err = ask("retrieve(edge, database('stock.db'))")
    db.execute("ROLLBACK")
    assert (status, out) == (1, "") and "locked" in err and "ask again" in err
    assert ask("retrieve(edge, database('stock.db'))")[0] == 0


@pytest.mark.parametrize("plan", ["edge", "speculate(edge, edge)", "fuse(edge, edge)", "cascade(edge, edge)"])
def test_a_prompt_longer_than_the_context(ask: Ask, plan: str) -> None:
    status, out, err = ask(plan, "How many ferries run? " * 60)
    assert (status, out) == (1, "") and "tokens long; model reads at most 512" in err
    assert "retrieve" in err and "compress" in err and len(err.splitlines()) <= 3


def test_passages_longer_than_the_context(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    assert enter(["index", "long.md", "--out", "long.db"], run) == 0
    status, out, _ = ask(
        "retrieve(edge, passages('long.db'), k=50, room=100000)", "When does ferry 17 leave?"
    )
    assert status == 0 and "cut to 256 tokens, half of the model's context" in out
