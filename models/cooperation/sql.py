"""Queries by grammar: a model picks among the ways a query can go on, so that what it writes always parses.

The grammar holds one SELECT with an aggregate or a column, at most one join along a foreign key, at most two
conditions and an order: what small models can be trusted with. Schema linking says which tables, columns and
values the question names; it bounds the choices, and tips them together with the model's likelihood.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from renga.models.composed import close_session
from renga.models.contract import LanguageModel, Prompt, Scores, Session
from renga.models.cooperation.database import Column, Schema, Value, literal, quoted
from renga.models.cooperation.spans import tokens
from renga.models.cooperation.sql_kinds import could_be, is_id, kind_of, kinds_asked

MOST_CONDITIONS = 2
LINK = 8.0  # nats that naming a thing in the question is worth
KIND = 0.3  # of that, for a column of the kind that the question asks for
BESIDE = 0.05  # and for one of a row that the question names
AMONG = 8  # ways to go on, the best by linking, that a model is asked about

_CUES: dict[str, str] = {
    "COUNT": r"how many|number of|count\b",
    "AVG": r"average|mean\b",
    "SUM": r"total|sum of|altogether|combined",
    "MAX": r"maximum|highest value|largest value",
    "MIN": r"minimum|lowest value|smallest value",
    "DESC": r"most|highest|largest|biggest|longest|oldest|latest|heaviest|tallest|greatest",
    "ASC": r"least|lowest|smallest|shortest|youngest|earliest|lightest|fewest",
    ">": r"more than|over|above|greater|larger|after|exceed|at least",
    "<": r"less than|under|below|fewer|smaller|before|at most",
    "AGE": r"oldest|youngest",  # no word of SQL: of years it is the other way round
}


_WAYS = (("DESC", "DESC"), ("ASC", "ASC"))  # of ordering, and what asks for them


@dataclass(frozen=True)
class Field:
    """A column of a table."""

    table: str
    column: Column

    def __str__(self) -> str:
        return f"{quoted(self.table)}.{quoted(self.column.name)}"


@dataclass(frozen=True)
class Linked:
    """What a question names. fields: by how much, 0 to 1. values: those of columns that stand in it. numbers:
    those in it that are no such value. cues: keywords of SQL that its words ask for."""

    fields: dict[Field, float]
    values: tuple[tuple[Field, str], ...]
    numbers: tuple[Value, ...]
    cues: frozenset[str]


def linked(schema: Schema, question: str, most: int = 24) -> Linked:
    """Link a question to a schema: by the words of names, by values that it quotes, and, where the schema has
    other words than the question, by the kind of thing that it asks for. The `most` best columns of those
    that it names stay; of all, where it names none."""
    asked = [_singular(word) for word in tokens(question)]
    said = " ".join(asked)
    weights: dict[Field, float] = {}
    values: list[tuple[Field, str]] = []
    for table in schema.tables:
        own = _share(table.name, asked)
        shown = next((column for column in table.columns if not column.numeric), None)
        for column in table.columns:
            field = Field(table.name, column)
            weights[field] = (2 * _share(column.name, asked) + own) / 3
            if column == shown:
                weights[field] += 0.2 * own  # a row is asked for by what it is called
            elif is_id(column):
                weights[field] *= 0.5
            for value in column.values:
                words = " ".join(_singular(word) for word in tokens(value))
                if words and f" {words} " in f" {said} ":
                    values.append((field, value))
    longest = [
        (field, value)
        for field, value in values
        if not any(value.casefold() in other.casefold() and len(other) > len(value) for _, other in values)
    ]
    for field, _ in longest:
        weights[field] = max(weights[field], 0.5)
    taken = " ".join(value for _, value in longest)
    numbers = tuple(
        number for text in re.findall(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?", question)
        if text not in taken
        for number in [_number(text)]
    )  # fmt: skip
    cues = frozenset(word for word, cue in _CUES.items() if re.search(rf"\b(?:{cue})", question.casefold()))
    for field, more in _by_kind(schema, question, longest, numbers).items():
        weights[field] += more
    best = sorted(weights.items(), key=lambda found: -found[1])[:most]
    kept = [found for found in best if found[1] > 0] or best
    # A named table without named columns is there to be counted, or joined.
    return Linked(dict(kept), tuple(longest[:6]), numbers[:4], cues)


def _by_kind(
    schema: Schema, question: str, values: Sequence[tuple[Field, str]], numbers: Sequence[Value]
) -> dict[Field, float]:
    """What columns gain by what they hold: the kind that is asked for, a number that is named, or a row."""
    asked = kinds_asked(question)
    named = {field.table for field, _ in values}
    held = {key.other for key in schema.keys if key.table in named} - named
    gains: dict[Field, float] = {}
    for table in schema.tables:
        shown = next((column for column in table.columns if not column.numeric), None)
        for column in table.columns:
            kind = "holder" if table.name in held and column == shown else kind_of(column)
            near = 1.0 if table.name in named or not named else 0.5 if table.name in held else 0.0
            if kind == "person" and column == shown:
                near /= 2  # what a row is called often looks like one
            gain = near * KIND * ((kind in asked) + any(could_be(n, column) for n in numbers))
            gain += BESIDE * (table.name in named or (column == shown and not named))
            gains[Field(table.name, column)] = 0.0 if is_id(column) else gain
    return gains


@dataclass(frozen=True)
class Query:
    """A query as far as it goes. `sql` is what is written; the rest says what may follow."""

    sql: str = "SELECT"
    stage: str = "projection"
    tables: tuple[str, ...] = ()
    wanted: Field | None = None
    used: tuple[tuple[str, str], ...] = ()  # conditions, as (field, value)
    prior: float = 0.0  # nats of linking, so far

    def choices(self, schema: Schema, link: Linked) -> list[Query]:
        """All ways to go on; none when it is done."""
        stages = {
            "projection": self._projections,
            "from": self._tables,
            "where": self._conditions,
            "order": self._orders,
        }
        return list(stages[self.stage](schema, link)) if self.stage in stages else []

    def _with(self, more: str, prior: float, **changes: object) -> Query:
        return replace(self, sql=self.sql + more, prior=self.prior + LINK * prior, **changes)  # type: ignore[arg-type]

    def _projections(self, schema: Schema, link: Linked) -> Iterator[Query]:
        asks = link.cues & {"COUNT", "AVG", "SUM", "MAX", "MIN"}
        for table in schema.tables:
            weights = [w for field, w in link.fields.items() if field.table == table.name]
            if weights:
                prior = (
                    max(weights) / 2
                    + ("COUNT" in link.cues)
                    - bool(asks - {"COUNT"}) / 2
                    - ("COUNT" not in link.cues)
                )
                yield self._with(" COUNT(*)", prior, stage="from", tables=(table.name,))
        for field, weight in link.fields.items():
            tables = (field.table,)
            # What a condition fixes is seldom what is asked for.
            fixed = any(known == field for known, _ in link.values) / 2
            yield self._with(
                f" {field}", weight - bool(asks) - fixed, stage="from", tables=tables, wanted=field
            )
            if field.column.numeric and not is_id(field.column):
                for name in ("AVG", "SUM", "MAX", "MIN"):
                    prior = weight + (name in link.cues) - (name not in link.cues)
                    yield self._with(f" {name}({field})", prior, stage="from", tables=tables, wanted=field)

    def _tables(self, schema: Schema, link: Linked) -> Iterator[Query]:
        (table,) = self.tables
        here = [value for field, value in link.values if field.table == table]
        elsewhere = {field.table for field, _ in link.values if field.table != table}
        yield self._with(f" FROM {quoted(table)}", -0.5 * bool(elsewhere and not here), stage="where")
        for key in schema.keys:
            if table in (key.table, key.other) and key.table != key.other:
                other = key.other if key.table == table else key.table
                on = f"{quoted(key.table)}.{quoted(key.column)} = {quoted(key.other)}.{quoted(key.target)}"
                needed = other in elsewhere
                named = max((w for f, w in link.fields.items() if f.table == other), default=0.0)
                more = f" FROM {quoted(table)} JOIN {quoted(other)} ON {on}"
                prior = 0.5 * named + needed - 0.7
                yield self._with(more, prior, stage="where", tables=(table, other))

    def _conditions(self, schema: Schema, link: Linked) -> Iterator[Query]:
        fields = {str(field): field for field, _ in link.values}
        left = [
            (str(field), literal(value), "=", 1.0)
            for field, value in link.values
            if field.table in self.tables
        ]
        for number in link.numbers:
            for field, weight in link.fields.items():
                if field.table in self.tables and field.column.numeric:
                    for sign in ("=", ">", "<"):
                        asked = (sign in link.cues) if sign != "=" else not link.cues & {">", "<"}
                        left.append((str(field), literal(number), sign, weight + asked - 0.5))
        said = {value for _, value in self.used}
        open_ = [choice for choice in left if choice[1] not in said]
        missed = len({value for _, value, _, _ in open_}) + sum(
            field.table not in self.tables and literal(value) not in said for field, value in link.values
        )
        yield self._with("", -0.8 * missed, stage="order")
        if len(self.used) < MOST_CONDITIONS:
            for name, value, sign, weight in open_:
                del_ = fields.get(name)
                fixed = self.wanted is not None and del_ == self.wanted
                more = f" {'AND' if self.used else 'WHERE'} {name} {sign} {value}"
                yield self._with(more, weight - fixed, used=(*self.used, (name, value)))

    def _orders(self, schema: Schema, link: Linked) -> Iterator[Query]:
        cues = link.cues & {"DESC", "ASC"}
        plain = self.wanted is not None and "(" not in self.sql.split(" FROM ")[0]
        yield self._with("", -1.0 * bool(cues and plain), stage="done")
        if not plain:
            return
        for table in schema.tables:
            if table.name in self.tables:
                for column in table.columns:
                    field = Field(table.name, column)
                    if column.numeric and field != self.wanted and not is_id(column):
                        turned = "AGE" in link.cues and kind_of(column) == "year"
                        for way, cue in (("DESC", "ASC"), ("ASC", "DESC")) if turned else _WAYS:
                            prior = link.fields.get(field, 0.0) + (cue in cues) - (cue not in cues) - 0.3
                            yield self._with(f" ORDER BY {field} {way} LIMIT 1", prior, stage="done")


def written(
    model: LanguageModel | None,
    schema: Schema,
    question: str,
    *,
    width: int = 3,
    failed: Sequence[tuple[str, str]] = (),
) -> list[tuple[Query, float]]:
    """The likeliest whole queries for a question, with their scores in nats, the best first.

    model None: by linking alone. failed: queries that were tried, and what the engine said; none of them
    comes back, and the model reads of them.
    """
    link = linked(schema, question)
    asked = [_prompt(schema, link, what, failed) for what in (f" that answers: {question}", ".")]
    scorer = _Scorer(model, *asked) if model is not None else None
    beam, done = [(Query(), 0.0)], []
    while beam:
        grown = []
        for query, likelihood in beam:
            choices = sorted(query.choices(schema, link), key=lambda choice: -choice.prior)[
                : max(AMONG, width)
            ]
            parts = [choice.sql[len(query.sql) :] for choice in choices]
            scores = scorer(query.sql, parts) if scorer else [0.0] * len(parts)
            grown += [(c, likelihood + s) for c, s in zip(choices, scores, strict=True)]
        grown.sort(key=lambda found: -(found[1] + found[0].prior))
        kept = grown[:width]
        done += [found for found in kept if found[0].stage == "done"]
        beam = [found for found in kept if found[0].stage != "done"]
    if scorer:
        scorer.close()
    tried = {sql for sql, _ in failed}
    ranked = sorted(done, key=lambda found: -(found[1] + found[0].prior))
    return [(query, score + query.prior) for query, score in ranked if query.sql not in tried]


class _Scorer:
    """By how much a question makes each way to go on likelier than it is without one, in nats: what is long,
    or hardly ever written, is unlikely in itself, and that says nothing. What was read stays read."""

    def __init__(self, model: LanguageModel, asked: str, unasked: str) -> None:
        self._vocabulary = model.vocabulary
        self._sessions = [model.open(Prompt(prompt)) for prompt in (asked, unasked)]

    def close(self) -> None:
        for session in self._sessions:
            close_session(session)

    def __call__(self, before: str, parts: Sequence[str]) -> list[float]:
        if len(parts) < 2:
            return [0.0] * len(parts)  # no choice
        asked, unasked = (self._likelihoods(session, before, parts) for session in self._sessions)
        return [one - other for one, other in zip(asked, unasked, strict=True)]

    def _likelihoods(self, session: Session, before: str, parts: Sequence[str]) -> list[float]:
        session.rewind(0)
        read = self._vocabulary.encode(before)
        session.feed(read, Scores())
        found = []
        for part in parts:
            # What comes after a query that ends is a line's end.
            scores = session.feed(self._vocabulary.encode(part or ";"), Scores()).scores
            assert scores is not None
            found.append(float(scores.sum()))
            session.rewind(len(read))
        return found


def _prompt(schema: Schema, link: Linked, what: str, failed: Sequence[tuple[str, str]]) -> str:
    names = {field.table for field in link.fields}
    lines = [
        f"{quoted(table.name)}({', '.join(quoted(column.name) for column in table.columns)})"
        for table in schema.tables
        if table.name in names
    ]
    tried = "".join(f"This query failed: {sql}\nError: {why}\n" for sql, why in failed)
    return f"Tables:\n{chr(10).join(lines)}\n{tried}Write one SQL query{what}"


def _share(name: str, asked: Sequence[str]) -> float:
    words = [_singular(w) for w in tokens(re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", name))]
    return sum(word in asked for word in words) / max(1, len(words))


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def _number(text: str) -> Value:
    bare = text.replace(",", "")
    return float(bare) if "." in bare else int(bare)
