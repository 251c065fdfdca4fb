"""Whatever a query or a database does: nothing is changed, nothing is read elsewhere, and it ends in time."""

import sqlite3
import time

import duckdb
import pytest

from renga.errors import RengaError, UsageError
from renga.models.cooperation.database import (
    DuckDatabase,
    Limits,
    QueryFailed,
    SqliteDatabase,
    literal,
    open_database,
    quoted,
)

SCHEMA = [
    "CREATE TABLE city (id INTEGER PRIMARY KEY, name TEXT, population INTEGER)",
    "CREATE TABLE ferry "
    "(id INTEGER PRIMARY KEY, name TEXT, city_id INTEGER REFERENCES city (id), built REAL)",
    "INSERT INTO city VALUES (1, 'Brandsund', 900), (2, 'Lund', 4100), (3, 'O''Hara', NULL)",
    "INSERT INTO ferry VALUES (1, 'Swan', 1, 1961.0), (2, 'Heron', 2, 1990.5)",
]
LIMITS = Limits(seconds=0.3, rows=10, characters=20)


@pytest.fixture(params=["sqlite", "duckdb"])
def database(request, tmp_path):
    path = tmp_path / f"a.{request.param}"
    module = sqlite3 if request.param == "sqlite" else duckdb
    db = module.connect(str(path))
    for statement in SCHEMA:
        db.execute(statement)
    if request.param == "sqlite":
        db.commit()
    db.close()
    found = (SqliteDatabase if request.param == "sqlite" else DuckDatabase)(path, LIMITS)
    yield found
    found.close()


def test_the_schema_with_keys_and_values(database):
    schema = database.schema()
    assert [t.name for t in schema.tables] == ["city", "ferry"]
    assert [(c.name, c.numeric) for c in schema.table("city").columns] == [
        ("id", True), ("name", False), ("population", True),
    ]  # fmt: skip
    assert schema.table("city").columns[1].values == ("Brandsund", "Lund", "O'Hara")
    assert [(k.table, k.column, k.other, k.target) for k in schema.keys] == [
        ("ferry", "city_id", "city", "id")
    ]


def test_a_select_is_answered(database):
    found = database.run("SELECT name, population FROM city ORDER BY id")
    assert found.columns == ("name", "population")
    assert found.rows == (("Brandsund", 900), ("Lund", 4100), ("O'Hara", None)) and not found.more


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE city",
        "DELETE FROM city",
        "INSERT INTO city VALUES (9, 'x', 1)",
        "UPDATE city SET name = 'x'",
        "CREATE TABLE x (y INTEGER)",
        "CREATE TEMP TABLE x (y INTEGER)",
        "SELECT 1; DROP TABLE city",
        "SELECT * FROM city; SELECT 2",
        "ATTACH 'other.db' AS other",
        "PRAGMA writable_schema = 1",
        "PRAGMA query_only = OFF",
        "SET memory_limit = '10GB'",
        "SET enable_external_access = true",
        "COPY city TO 'stolen.csv'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT load_extension('x')",
        "INSTALL httpfs",
        "VACUUM INTO 'copy.db'",
        "WITH x AS (SELECT 1) DELETE FROM city",
        "EXPLAIN ANALYZE DELETE FROM city",
        "SELECT nonsense FROM city",
        "",
        "\0",
    ],
)
def test_nothing_else_is(database, sql, tmp_path):
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(QueryFailed) as caught:
        database.run(sql)
    assert "\n" not in caught.value.message
    assert len(database.run("SELECT * FROM city").rows) == 3
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.endswith(".wal")) == before


@pytest.mark.parametrize(
    "sql",
    [
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) "
        "SELECT count(*) FROM n a, n b, n c, n d",
    ],
)
def test_an_endless_query_ends(database, sql):
    start = time.monotonic()
    with pytest.raises(QueryFailed, match=r"more than 0\.3 s|emory"):
        database.run(sql)
    assert time.monotonic() - start < 4
    assert database.run("SELECT 1").rows == ((1,),)


def test_a_huge_result_is_cut(database):
    numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
    found = database.run(f"{numbers} SELECT i FROM n")
    assert len(found.rows) == LIMITS.rows and found.more
    found = database.run("SELECT 'abcdefghij' || 'abcdefghij' || 'abcdefghij'")
    assert found.rows == (("abcdefghijabcdefghij…",),) and found.more


def test_a_huge_value_is_not_made(tmp_path):
    sqlite3.connect(tmp_path / "e.db").executescript("CREATE TABLE t (x)")
    with pytest.raises(QueryFailed, match="too big"):
        SqliteDatabase(tmp_path / "e.db", LIMITS).run("SELECT length(randomblob(900000000))")


def test_a_locked_database_says_so(tmp_path):
    db = sqlite3.connect(tmp_path / "l.db", isolation_level=None)
    db.execute("CREATE TABLE t (x)")
    database = SqliteDatabase(tmp_path / "l.db", LIMITS)
    db.execute("BEGIN EXCLUSIVE")
    with pytest.raises(QueryFailed, match="locked"):
        database.run("SELECT * FROM t")
    db.execute("ROLLBACK")
    assert database.run("SELECT * FROM t").rows == ()


def test_hostile_names_and_values_stay_what_they_are(tmp_path):
    evil = 'x"; DROP TABLE city; --'
    value = "'); DELETE FROM city; --"
    db = sqlite3.connect(tmp_path / "h.db")
    db.execute(f'CREATE TABLE {quoted(evil)} (name TEXT, "select" TEXT, "a\nb" TEXT)')
    db.execute(f"INSERT INTO {quoted(evil)} VALUES (?, 'b', 'c')", (value,))
    db.execute("CREATE VIEW endless AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
               "SELECT 'v' || max(i) AS name FROM n")  # fmt: skip
    db.commit()
    database = SqliteDatabase(tmp_path / "h.db", LIMITS)
    schema = database.schema()
    table = schema.table(evil)
    assert [c.name for c in table.columns] == ["name", "select"]  # one with a line's end is not spoken of
    assert quoted("select") == '"select"'
    found = database.run(f"SELECT {quoted('select')} FROM {quoted(evil)} WHERE name = {literal(value)}")
    assert found.rows == (("b",),)


def test_files_that_are_no_databases(tmp_path):
    (tmp_path / "a.db").write_bytes(b"nothing of the kind, at length")
    (tmp_path / "b.db").write_bytes(b"SQLite format 3\0" + b"\x7f" * 2000)
    (tmp_path / "c.db").write_bytes(b"\0" * 8 + b"DUCK" + b"\x7f" * 5000)
    with pytest.raises(UsageError, match="neither"):
        open_database(tmp_path / "a.db")
    for name in "bc":
        with pytest.raises(RengaError) as caught:
            open_database(tmp_path / f"{name}.db").schema()
        assert "\n" not in caught.value.message
    with pytest.raises(UsageError, match="no such file"):
        open_database(tmp_path / "missing.db")
