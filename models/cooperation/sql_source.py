"""A database as a source: a query is written by grammar, run read-only, and mended once if it fails."""

from __future__ import annotations

from collections.abc import Sequence

from renga.errors import RengaError
from renga.models.contract import Clearance, LanguageModel
from renga.models.cooperation.database import Database, QueryFailed, Result, Value
from renga.models.cooperation.passages import Citation
from renga.models.cooperation.sources import Finding
from renga.models.cooperation.sql import written

MOST_TRIES = 2  # the query, and one repair


class SqlSource:
    """A database, as a source. model None: queries by schema linking alone."""

    def __init__(
        self,
        database: Database,
        model: LanguageModel | None,
        *,
        clearance: Clearance = Clearance.RAW,
        width: int = 3,
    ) -> None:
        self.database, self.model, self.clearance, self.width = database, model, clearance, width
        self.name = database.name

    def query(self, question: str) -> tuple[str, Result]:
        """The query that answers, and what it gave. One that fails or gives nothing is tried again once, with
        the engine's word for it; the last word is the second's. Raises QueryFailed when both fail."""
        failed: list[tuple[str, str]] = []
        empty: tuple[str, Result] | None = None
        schema = self.database.schema()
        if not schema.tables:
            raise RengaError(f"{self.name}: no tables in it that can be asked")
        for _ in range(MOST_TRIES):
            queries = written(self.model, schema, question, width=self.width, failed=failed)
            if not queries:
                break
            sql = queries[0][0].sql
            try:
                result = self.database.run(sql)
            except QueryFailed as error:
                failed.append((sql, error.message[:200]))
                continue
            if any(cell is not None for row in result.rows for cell in row):
                return sql, result
            empty = empty or (sql, result)
            failed.append((sql, "no rows"))
        if empty:
            return empty
        raise QueryFailed(f"{self.name}: no query worked ({failed[-1][1]})" if failed else "nothing to ask")

    def find(self, question: str, k: int) -> Sequence[Finding]:
        sql, result = self.query(question)
        rows = result.rows[:k]
        if not rows:
            return []
        more = " and more rows" if result.more or len(result.rows) > k else ""
        heads = [name.rsplit(".", 1)[-1].strip('"') for name in result.columns]
        said = "; ".join(
            ", ".join(f"{h}: {_said(c)}" for h, c in zip(heads, row, strict=True)) for row in rows
        )
        return [Finding(f"{said}{more}.", Citation(self.name, detail=sql))]


def _said(cell: Value) -> str:
    if cell is None:
        return "nothing"
    return f"{cell:g}" if isinstance(cell, float) else " ".join(str(cell).split())
