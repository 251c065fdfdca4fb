"""Queries by grammar always parse, name what the question names, and are mended once."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.models.cooperation.database import Column, Limits, QueryFailed, Result, SqliteDatabase
from renga.models.cooperation.sql import Query, linked, written
from renga.models.cooperation.sql_kinds import kind_of, kinds_asked
from renga.models.cooperation.sql_source import SqlSource
from renga.models.local import LocalModel
from tests.models.cooperation.test_database import SCHEMA
from tests.models.tiny_weights import tiny


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("sql") / "towns.db"
    db = sqlite3.connect(path)
    db.executescript(";".join(SCHEMA))
    db.close()
    return SqliteDatabase(path, Limits())


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("How many cities are there?", ((3,),)),
        ("What is the population of Lund?", ((4100,),)),
        ("What is the average population of the cities?", ((2500.0,),)),
        ("How many ferries were built after 1970?", ((1,),)),
        ("Which city has the highest population?", (("Lund",),)),
        ("When was the ferry Swan built?", ((1961.0,),)),
        ("What is the population of O'Hara?", ((None,),)),
    ],
)
def test_by_linking_alone(database, question, rows):
    sql, found = SqlSource(database, None).query(question)
    assert found.rows == rows, sql


@settings(max_examples=25, deadline=None)
@given(question=st.text(max_size=60), seed=st.integers(0, 1000))
def test_whatever_is_chosen_is_a_query_that_runs(database, question, seed):
    schema = database.schema()
    link = linked(schema, question + " Lund 900")
    query, steps = Query(), 0
    while choices := query.choices(schema, link):
        query = choices[(seed * 7919 + steps * 104729) % len(choices)]
        steps += 1
        assert steps < 20
    assert isinstance(database.run(query.sql), Result)


def test_values_in_the_question_are_quoted_not_run(database):
    link = linked(database.schema(), "What is the population of Lund; DROP TABLE city?")
    assert [(str(field), value) for field, value in link.values] == [("city.name", "Lund")]
    for query, _ in written(None, database.schema(), "cities '; DROP TABLE city; --"):
        assert "DROP" not in query.sql


def test_a_model_picks_among_the_grammar(database):
    model = LocalModel(tiny("llama"))
    ranked = written(model, database.schema(), "What is the population of Lund?")
    assert ranked and ranked == sorted(ranked, key=lambda found: -found[1])
    for query, _ in ranked:
        database.run(query.sql)
    assert written(model, database.schema(), "What is the population of Lund?") == ranked


class Refusing:
    """A database that refuses the first query."""

    name = "refusing"

    def __init__(self, database, result):
        self._database, self._result, self.seen = database, result, []

    def schema(self):
        return self._database.schema()

    def run(self, sql):
        self.seen.append(sql)
        if len(self.seen) == 1 and self._result is None:
            raise QueryFailed("no such column: x")
        return self._result if len(self.seen) == 1 else self._database.run(sql)


@pytest.mark.parametrize("first", [None, Result(("a",), ())])
def test_one_repair_round(database, first):
    refusing = Refusing(database, first)
    sql, found = SqlSource(refusing, None).query("What is the population of Lund?")
    assert len(refusing.seen) == 2 and refusing.seen[0] != refusing.seen[1] == sql
    assert found.rows


def test_not_two(database):
    class Always(Refusing):
        def run(self, sql):
            self.seen.append(sql)
            raise QueryFailed("no")

    refusing = Always(database, None)
    with pytest.raises(QueryFailed, match="no query worked"):
        SqlSource(refusing, None).query("How many cities?")
    assert len(refusing.seen) == 2


def test_a_finding_cites_its_query(database):
    (finding,) = SqlSource(database, None).find("What is the population of Lund?", 4)
    assert finding.text == "population: 4100."
    assert str(finding.citation).startswith(
        "towns.db, SELECT city.population FROM city WHERE city.name = 'Lund'"
    )


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("Who is in charge of Lund?", (("Ada Berg",),)),
        ("When was Lund settled?", ((1320,),)),
        ("How many were settled after 1500?", ((1,),)),
        ("Which is the oldest?", (("Lund",),)),
        ("What is the average size of a harbour?", ((500.0,),)),
    ],
)
def test_in_other_words_by_what_columns_hold(tmp_path, question, rows):
    db = sqlite3.connect(tmp_path / "other.db")
    db.executescript(
        "CREATE TABLE t (t_id INTEGER, label TEXT, sort TEXT, p TEXT, q INTEGER, r INTEGER);"
        "INSERT INTO t VALUES (1, 'Lund', 'market', 'Ada Berg', 1320, 9000);"
        "INSERT INTO t VALUES (2, 'Vik', 'harbour', 'Per Holm', 1480, 400);"
        "INSERT INTO t VALUES (3, 'Foss', 'harbour', 'Eva Dahl', 1890, 600);"
    )
    db.close()
    sql, found = SqlSource(SqliteDatabase(tmp_path / "other.db"), None).query(question)
    assert found.rows == rows, sql


def test_a_country_is_not_counted(database):
    assert "COUNT" not in linked(database.schema(), "Which country is Lund in?").cues
    assert "COUNT" in linked(database.schema(), "Count the cities").cues


def test_kinds_are_told_by_what_is_asked_and_held():
    assert kinds_asked("Who wrote it?") == {"person"}
    assert kinds_asked("When was the largest built?") == {"year"}
    assert "amount" in kinds_asked("What is the highest peak?")
    assert "amount" not in kinds_asked("Is it a meaningful sumo match?")
    assert kind_of(Column("x", True, span=(1500.0, 1990.0))) == "year"
    assert kind_of(Column("x", True, span=(3.0, 1990.0))) == "amount"
    assert kind_of(Column("town_id", True, span=(1.0, 9.0))) == ""
    assert kind_of(Column("x", False, ("Ada Berg", "Per O. Holm"))) == "person"
    assert kind_of(Column("x", False, ("ada berg", "Holm", "Per Holm"))) == ""
    assert kind_of(Column("x", False)) == kind_of(Column("x", True)).replace("amount", "") == ""
