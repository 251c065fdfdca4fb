"""Databases that are asked and never changed: SQLite and DuckDB, read-only, with limits on time and size.

What a query may do is decided by the engine, not by looking at its text: SQLite asks an authoriser about
every step, DuckDB may touch no file and takes one SELECT. Names and values in a database are other people's
text: they are quoted where they go into a query, cut where they go into a prompt, and never run.
"""

from __future__ import annotations

import itertools
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote as url_quoted

from renga.errors import RengaError, UsageError

Value = str | int | float | None

MOST_TABLES = 64
MOST_COLUMNS = 64
MOST_VALUES = 400  # of one column that are looked at to find those the question names


@dataclass(frozen=True)
class Limits:
    """Of one query."""

    seconds: float = 2.0
    rows: int = 100
    characters: int = 500  # of one cell; the rest is cut
    bytes: int = 1_000_000  # of a value inside the engine
    memory: int = 256_000_000  # of the engine, where it has such a limit


@dataclass(frozen=True)
class Column:
    """A column. values: some of its texts, to find those a question names; span: its least and greatest
    number, None where it holds none."""

    name: str
    numeric: bool
    values: tuple[str, ...] = ()
    span: tuple[float, float] | None = None


@dataclass(frozen=True)
class Key:
    """`table`.`column` refers to `other`.`target`."""

    table: str
    column: str
    other: str
    target: str


@dataclass(frozen=True)
class Table:
    name: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Schema:
    tables: tuple[Table, ...]
    keys: tuple[Key, ...] = ()

    def table(self, name: str) -> Table:
        return next(table for table in self.tables if table.name == name)


@dataclass(frozen=True)
class Result:
    """What a query gave. more: there were further rows, or cells that were cut."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    more: bool = False


class QueryFailed(RengaError):
    """A query that the engine refused, or that met a limit. The database is as it was."""


class Database(Protocol):
    """Something that answers SELECTs."""

    name: str

    def schema(self) -> Schema: ...

    def run(self, sql: str) -> Result:
        """Raises QueryFailed, with the engine's word for it."""
        ...


class SqliteDatabase:
    """A SQLite file."""

    def __init__(self, path: Path, limits: Limits = Limits(), *, name: str = "") -> None:
        """Raises UsageError if there is no such file, RengaError if it is none of SQLite's."""
        self.name = name or path.name
        self._limits = limits
        if not path.is_file():
            raise UsageError(f"{path}: no such file")
        uri = f"file:{url_quoted(str(path.absolute()))}?mode=ro"
        try:
            self._db = sqlite3.connect(uri, uri=True, timeout=1.0, check_same_thread=False)
            self._db.execute("PRAGMA query_only = ON")
            self._db.execute("PRAGMA trusted_schema = OFF")
            self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            hint = "another program writes to it: ask again" if "locked" in str(error) else ""
            raise RengaError(f"{path}: can't be read as a SQLite database ({error})", hint=hint) from None
        self._db.text_factory = lambda raw: raw.decode("utf-8", "replace")
        self._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limits.bytes)
        self._db.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        self._db.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, 10_000)
        self._schema: Schema | None = None

    def schema(self) -> Schema:
        if self._schema is None:
            self._schema = self._read_schema()
        return self._schema

    def run(self, sql: str) -> Result:
        self._db.set_authorizer(_reading)
        try:
            with self._bounded():
                cursor = self._db.execute(sql)
                if cursor.description is None:
                    raise QueryFailed("only SELECT is run")
                names = tuple(column[0] for column in cursor.description)
                return _cut(names, cursor.fetchmany(self._limits.rows + 1), self._limits)
        finally:
            self._db.set_authorizer(None)

    def close(self) -> None:
        self._db.close()

    def _read_schema(self) -> Schema:
        tables, keys = [], []
        names = self._all(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
            f"AND substr(name, 1, 7) <> 'sqlite_' ORDER BY name LIMIT {MOST_TABLES}"
        )
        for (name,) in names:
            if not _sayable(name):
                continue
            try:
                rows = self._all("SELECT name, type FROM pragma_table_info(?)", name)
                found = self._all('SELECT "from", "table", "to" FROM pragma_foreign_key_list(?)', name)
            except QueryFailed:
                continue  # a view over what no longer exists, or one that never ends
            tables.append(Table(name, tuple(_columns(self._all, name, rows))))
            keys += [Key(name, a, other, b) for a, other, b in found if b]
        return _schema(tables, keys)

    def _all(self, sql: str, *values: Value) -> list[Any]:
        with self._bounded():
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        end = time.monotonic() + self._limits.seconds
        self._db.set_progress_handler(lambda: time.monotonic() > end, 2000)
        try:
            yield
        except (sqlite3.Error, sqlite3.Warning) as error:
            said = str(error)
            if "interrupted" in said:
                said = f"it took more than {self._limits.seconds:g} s"
            raise QueryFailed(f"{self.name}: {said}") from None
        finally:
            self._db.set_progress_handler(None, 0)


def _reading(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    """SQLite's question whether a step is allowed: reading and computing are."""
    if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE):
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if second in ("load_extension", "fts3_tokenizer") else sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


class DuckDatabase:
    """A DuckDB file. Needs the extra `retrieval`."""

    def __init__(self, path: Path, limits: Limits = Limits(), *, name: str = "") -> None:
        """Raises as `SqliteDatabase` does."""
        try:
            import duckdb
        except ImportError:
            raise RengaError("DuckDB files need duckdb", hint="pip install 'renga[retrieval]'") from None
        self.name = name or path.name
        self._limits = limits
        self._error: type[Exception] = duckdb.Error
        if not path.is_file():
            raise UsageError(f"{path}: no such file")
        config: dict[str, Any] = {
            "enable_external_access": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "memory_limit": f"{limits.memory}B",
            "temp_directory": "",  # what does not fit in memory fails, and fills no disk
            "threads": "1",
            "lock_configuration": "true",
        }
        try:
            self._db: Any = duckdb.connect(str(path), read_only=True, config=config)
            self._select: Any = duckdb.StatementType.SELECT
        except duckdb.Error as error:
            first = str(error).splitlines()[0]
            raise RengaError(f"{path}: can't be opened as a DuckDB database ({first})") from None
        self._schema: Schema | None = None

    def schema(self) -> Schema:
        if self._schema is None:
            self._schema = self._read_schema()
        return self._schema

    def run(self, sql: str) -> Result:
        with self._bounded():
            statements = self._db.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != self._select:
                raise QueryFailed(f"{self.name}: only one SELECT is run")
            cursor = self._db.execute(statements[0])
            names = tuple(column[0] for column in cursor.description)
            return _cut(names, cursor.fetchmany(self._limits.rows + 1), self._limits)

    def close(self) -> None:
        self._db.close()

    def _read_schema(self) -> Schema:
        rows = self._all(
            "SELECT table_name, column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = 'main' ORDER BY table_name, ordinal_position LIMIT 2000"
        )
        keyed = self._all(
            "SELECT table_name, constraint_column_names, referenced_table, referenced_column_names "
            "FROM duckdb_constraints() WHERE constraint_type = 'FOREIGN KEY'"
        )
        by_table = itertools.groupby(rows, key=lambda row: row[0])
        tables = [
            Table(name, tuple(_columns(self._all, name, [row[1:] for row in found])))
            for name, found in by_table
            if _sayable(name)
        ]
        return _schema(tables, [Key(t, a[0], o, b[0]) for t, a, o, b in keyed if len(a) == 1 and len(b) == 1])

    def _all(self, sql: str) -> list[Any]:
        with self._bounded():
            found: list[Any] = self._db.execute(sql).fetchall()
            return found

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._db.interrupt()

        timer = threading.Timer(self._limits.seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            yield
        except self._error as error:
            said = str(error).splitlines()[0]
            if late.is_set():
                said = f"it took more than {self._limits.seconds:g} s"
            raise QueryFailed(f"{self.name}: {said}") from None
        finally:
            timer.cancel()


def open_database(path: Path, limits: Limits = Limits()) -> SqliteDatabase | DuckDatabase:
    """The database in a file, by what stands at its beginning."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise UsageError(f"{path}: {(error.strerror or 'unreadable').lower()}") from None
    if head.startswith(b"SQLite format 3"):
        return SqliteDatabase(path, limits)
    if head[8:12] == b"DUCK":
        return DuckDatabase(path, limits)
    raise UsageError(f"{path}: neither a SQLite nor a DuckDB database")


def _columns(
    select: Callable[[str], list[Any]], table: str, described: Sequence[tuple[str, str | None]]
) -> Iterator[Column]:
    """The columns of a table that can be spoken of, as (name, type) are `described`, with some of their
    texts."""
    for name, kind in described[:MOST_COLUMNS]:
        if not _sayable(name):
            continue
        numeric = _numeric(kind or "")
        try:
            query = f"SELECT DISTINCT {quoted(name)} FROM {quoted(table)} LIMIT {MOST_VALUES}"
            values = [value for (value,) in select(query)]
        except QueryFailed:
            values = []
        if numeric:
            numbers = [float(v) for v in values if isinstance(v, int | float | Decimal)]
            yield Column(name, True, span=(min(numbers), max(numbers)) if numbers else None)
            continue
        short = sorted(value for value in values if isinstance(value, str) and 0 < len(value) <= 60)
        yield Column(name, False, tuple(short))


def _schema(tables: Sequence[Table], keys: Sequence[Key]) -> Schema:
    """Of the tables that have columns, and the keys between columns that are known."""
    told = [table for table in tables if table.columns][:MOST_TABLES]
    known = {(table.name, column.name) for table in told for column in table.columns}
    kept = [k for k in keys if (k.table, k.column) in known and (k.other, k.target) in known]
    return Schema(tuple(told), tuple(kept))


def quoted(name: str) -> str:
    """A name as SQL takes it: bare where that is safe, in double quotes elsewhere."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and not _RESERVED.fullmatch(name.lower()):
        return name
    return '"' + name.replace('"', '""') + '"'


def literal(value: Value) -> str:
    """A value as SQL takes it."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


# Words that mean something in both dialects; a name that is one of them is quoted.
_RESERVED = re.compile(
    "all|and|any|as|asc|between|by|case|cast|check|collate|column|create|cross|default|delete|desc|distinct|"
    "drop|else|end|except|exists|false|for|foreign|from|full|group|having|in|index|inner|insert|intersect|into|"
    "is|join|key|left|like|limit|natural|not|null|offset|on|or|order|outer|pivot|primary|qualify|references|"
    "right|select|set|show|some|table|then|to|true|union|unique|update|using|values|view|when|where|window|with"
)


def _sayable(name: object) -> bool:
    """Whether a name of a table or column can stand in a prompt: short, printable, one line."""
    return isinstance(name, str) and 0 < len(name) <= 64 and name.isprintable()


def _numeric(kind: str) -> bool:
    return bool(re.match(r"(?i)\s*(U?(TINY|SMALL|BIG|HUGE)?INT|INTEGER|REAL|FLOA|DOUB|NUM|DEC)", kind))


def _cut(columns: tuple[str, ...], rows: list[Any], limits: Limits) -> Result:
    more = len(rows) > limits.rows
    kept = []
    for row in rows[: limits.rows]:
        cells: list[Value] = []
        for cell in row:
            value = cell if cell is None or isinstance(cell, int | float) else _text(cell)
            if isinstance(value, str) and len(value) > limits.characters:
                value, more = value[: limits.characters] + "…", True
            cells.append(value)
        kept.append(tuple(cells))
    return Result(columns, tuple(kept), more)


def _text(cell: object) -> str:
    return f"{len(cell)} bytes" if isinstance(cell, bytes | bytearray | memoryview) else str(cell)
