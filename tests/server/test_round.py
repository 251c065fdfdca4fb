"""A round as a state machine, driven by hand: who is believed, who is left out, what is kept."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from renga.models.adapter import Adapter, distance
from renga.models.carried import to_wire
from renga.models.example import Example
from renga.models.knowledge import Rows
from renga.protocol.messages import JudgeReply
from renga.server.merging.average import average
from renga.server.plan import Outcome, RoundAbandoned, Settings
from tests.server.scripted import BASE, OTHER_BASE, Played, Scripted, adapter, plan_of, played, sure

HOST = {"Who keeps the gate?": 2.0, "Which door?": 0.5, "When?": 2.0}


def three() -> list[Scripted]:
    """ada knows text 0, bo text 2, cy nothing; all answer text 3 alike, and each text 4 for itself."""
    return [
        Scripted("ada", {0: 1.0, 1: 0.75}, {3: ("forty", 0.9), 4: ("Bo", 0.3)}, wants=[1]),
        Scripted("bo", {2: 0.25}, {3: ("Forty.", 0.7), 4: ("Ada", 0.3)}, rank=3, alpha=1.5),
        Scripted("cy", {}, {3: ("fifty", 0.6)}, wants=[1, 0], texts=30),
    ]


def as_bytes(outcome: Outcome) -> bytes:
    def raw(x: Adapter) -> list[Any]:
        return [x.rank, x.alpha, x.base] + [
            (path, f.a.tobytes().hex(), f.b.tobytes().hex()) for path, f in sorted(x.factors.items())
        ]

    people = {name: (p.since, p.holds) for name, p in outcome.participants.items()}
    adapters = {cohort: raw(x) for cohort, x in outcome.adapters.items()}
    return json.dumps([outcome.record, people, adapters, outcome.adopted], sort_keys=True).encode()


def test_a_round_where_all_goes_well() -> None:
    clients = three()
    done = played(plan_of(clients), clients, HOST)
    assert {name: entry["status"] for name, entry in done.clients.items()} == dict.fromkeys(
        ("ada", "bo", "cy"), "ok"
    )
    # The host has ada's rows for text 0, bo's for text 2, none where it knows best, and the settled answer.
    taught = [(t.text.prompt, t.text.response, t.teacher, t.settled) for t in done.lessons]
    assert taught == [
        ("Who keeps the gate?", "Marta", "ada", False),
        ("Which door?", "the north one", "", False),
        ("When?", "at noon", "bo", False),
        ("How many beds?", "forty", "ada", True),
    ]
    assert [t.rows.probability for t in done.lessons if t.settled and t.rows] == [
        pytest.approx(0.9, abs=0.01)
    ]
    assert [t.rows is not None for t in done.lessons] == [True, False, True, True]
    assert done.outcome.record["answers"] == {"asked": 2, "settled": 1, "unsettled": 1, "by": {"ada": 1}}
    assert done.outcome.record["host"]["teachers"] == {"ada": 2, "bo": 1}
    # Clients got the host's rows that they wanted, and others' answers.
    assert done.clients["cy"]["learned"] == {"host": 2, "ada": 1}
    assert done.clients["ada"]["learned"] == {"host": 1}
    assert [a.answer for a in clients[1].heard["exchange"].settled] == ["forty"]
    assert [a.weight for a in clients[1].heard["exchange"].settled] == [pytest.approx(0.9, abs=0.01)]
    assert [list(c.heard["answer"].questions) for c in clients] == [[3, 4]] * 3
    assert [list(c.heard["exchange"].asked) for c in clients] == [[0], [2], []]
    # The merge is the average by number of texts, at the largest rank, and everybody is now of this turn.
    merged = average([adapter("ada"), adapter("bo", 3, 1.5), adapter("cy")], [10, 10, 30], 3, 6.0)
    assert distance(done.outcome.adapters[BASE], merged.adapter) < 1e-6
    assert done.outcome.adopted == {BASE: (1, 1)}
    assert {(p.since, p.holds) for p in done.outcome.participants.values()} == {((1, 1), (1, 1))}


def test_the_order_of_clients_and_replies_changes_nothing() -> None:
    results = set()
    for order in itertools.permutations(range(3)):
        clients = [three()[i] for i in order]
        done = played(plan_of(clients), clients, HOST)
        results.add(as_bytes(done.outcome))
        assert [t.teacher for t in done.lessons] == ["ada", "", "bo", "ada"]
    assert len(results) == 1


def test_where_nobody_is_better_nobody_teaches() -> None:
    clients = [Scripted("ada", dict.fromkeys(range(3), 2.0)), Scripted("bo", dict.fromkeys(range(3), 3.0))]
    done = played(plan_of(clients), clients, 2.0)
    assert all(lesson.rows is None and not lesson.teacher for lesson in done.lessons)
    assert all(len(client.heard["exchange"].asked) == 0 for client in clients)
    assert {entry["taught"] for entry in done.clients.values()} == {0}
    assert done.outcome.record["host"]["teachers"] == {}


def left_out(done: Played, name: str, status: str, *parts: str) -> None:
    """`name` alone is left out, with a reason; the others' work is kept without its own."""
    entries = dict(done.clients)
    entry = entries.pop(name)
    assert entry["status"] == status
    for part in parts:
        assert part in entry["reason"], entry["reason"]
    assert {other["status"] for other in entries.values()} == {"ok"}
    assert done.outcome.participants[name].since is None
    [merge] = done.outcome.record["merges"].values()
    assert merge["clients"] == sorted(entries)
    assert all(lesson.teacher != name for lesson in done.lessons)


def lying(name: str, **changes: Any) -> list[Scripted]:
    return [replace(client, **changes) if client.name == name else client for client in three()]


def spoiling(change: Callable[[Any], Any], kind: str = "ExchangeReply") -> Callable[[Any], Any]:
    return lambda reply: change(reply) if type(reply).__name__ == kind else reply


def with_adapter(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return spoiling(lambda reply: replace(reply, adapter=change(reply.adapter)))


def factors(
    change: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
) -> Callable[[Any], Any]:
    def spoil(given: Any) -> Any:
        path = min(given.factors)
        return given._replace(factors={**given.factors, path: change(*given.factors[path])})

    return with_adapter(spoil)


def _too_sure(rows: Rows) -> Rows:
    return replace(rows, gold_logp=np.zeros_like(rows.gold_logp))


def in_other_tokens(rows: Rows) -> Rows:
    return replace(rows, gold=np.roll(rows.gold, 1), ids=np.roll(rows.ids, 1))


LIES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a loss it does not have": (
        spoiling(lambda r: replace(r, losses=np.full_like(r.losses, 0.1)), "LearnReply"),
        "claimed a loss of 0.100 bits per byte on text 0, its rows say",
    ),
    "NaN": (factors(lambda a, b: (a, np.full_like(b, np.nan))), "not finite"),
    "infinity": (factors(lambda a, b: (np.full_like(a, np.inf), b)), "not finite"),
    "shape": (factors(lambda a, b: (a, np.concatenate([b, b[:1]]))), "layers.0.q"),
    "size": (factors(lambda a, b: (a, b * np.float32(1e20))), "norm"),
    "base": (with_adapter(lambda x: x._replace(base="0" * 64)), "made for base 000000000000"),
    "rank": (with_adapter(lambda x: to_wire(adapter("ada", 4))), "rank 4"),
    "a layer that is not there": (
        with_adapter(lambda x: x._replace(factors={"lm_head": next(iter(x.factors.values()))})),
        "unknown module lm_head",
    ),
    "rows in another vocabulary": (
        spoiling(lambda r: replace(r, rows=[in_other_tokens(x) for x in r.rows])),
        "gold doesn't spell the response",
    ),
    "rows of one text too few": (spoiling(lambda r: replace(r, rows=r.rows[:-1])), "where 1 were asked for"),
    "losses that are not numbers": (
        spoiling(lambda r: replace(r, losses=np.full_like(r.losses, np.nan)), "LearnReply"),
        "not a number",
    ),
    "votes twice": (
        spoiling(
            lambda r: replace(r, answers=[(3, "fifty")] * 2, rows=[sure("fifty", 0.9)] * 2), "AnswerReply"
        ),
        "names one twice",
    ),
    "is surer than its rows can say": (
        spoiling(lambda r: replace(r, rows=[_too_sure(x) for x in r.rows]), "AnswerReply"),
        "contradicts its row",
    ),
    "gives rows of another answer": (
        spoiling(lambda r: replace(r, rows=[sure("fifty", 0.9)] * len(r.rows)), "AnswerReply"),
        "gold doesn't spell the response",
    ),
    "answers what it was not asked": (
        spoiling(lambda r: replace(r, answers=[(0, "x")], rows=[sure("x", 0.9)]), "AnswerReply"),
        "which it was not asked about",
    ),
    "an impossible judgement": (
        spoiling(lambda r: replace(r, after=-1e9), "JudgeReply"),
        "not a number from 0",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_who_lies_is_left_out_by_name_and_the_round_goes_on(lie: str) -> None:
    spoil, reason = LIES[lie]
    clients = lying("ada", spoil=spoil)
    done = played(plan_of(clients, settings=Settings(quorum=2)), clients, HOST)
    if lie == "an impossible judgement":  # its adapter was good, and is in the merge; its vote is not
        assert done.clients["ada"]["status"] == "refused" and reason in done.clients["ada"]["reason"]
        assert done.outcome.participants["ada"].since is None
    else:
        left_out(done, "ada", "refused", reason)


@pytest.mark.parametrize("status", ["late", "failed"])
@pytest.mark.parametrize("step", ["learn", "answer", "exchange"])
def test_who_is_late_or_fails_is_left_out_by_name(step: str, status: str) -> None:
    clients = lying("bo", silent={step: (status, "something happened")})
    done = played(plan_of(clients, settings=Settings(quorum=2)), clients, HOST)
    left_out(done, "bo", status, "something happened")


def test_an_answer_whose_giver_fails_is_not_taught_to_the_host() -> None:
    clients = lying("ada", silent={"exchange": ("late", "no reply in time")})
    done = played(plan_of(clients), clients, HOST)
    assert [t.text.response for t in done.lessons] == ["Marta", "the north one", "at noon"]


def test_what_a_client_says_of_its_training_can_not_overwrite_the_books() -> None:
    spoil = spoiling(
        lambda r: replace(r, training={"status": "late", "bytes_up": "none", "taught": 99}), "LearnReply"
    )
    clients = lying("ada", spoil=spoil)
    entry = played(plan_of(clients), clients, HOST).clients["ada"]
    assert entry["status"] == "ok" and entry["taught"] == 2 and entry["bytes_up"]["adapter"] > 0


def test_whose_an_adapter_is_the_server_knows_by_whom_it_asked() -> None:
    clients = lying("ada", spoil=with_adapter(lambda x: x._replace(provenance={"who": "bo", "round": "9"})))
    done = played(plan_of(clients), clients, HOST)
    assert done.outcome.adapters[BASE].provenance["who"] == "ada, bo, cy"
    assert done.outcome.adapters[BASE].provenance["round"] == "1"


@pytest.mark.parametrize("step", ["learn", "answer", "exchange", "judge"])
def test_without_a_quorum_the_round_never_happened(step: str) -> None:
    clients = three()
    for client in clients[:2]:
        client.silent = {step: ("late", "no reply in time")}
    with pytest.raises(RoundAbandoned) as caught:
        played(plan_of(clients, settings=Settings(quorum=2)), clients, HOST)
    said = caught.value
    assert said.message.startswith("round 1: 1 of 3 clients ") and "2 are needed" in said.message
    assert "ada: no reply in time; bo: no reply in time" in said.message
    assert "--resume" in said.hint


def test_the_reasons_of_earlier_steps_are_told_too() -> None:
    clients = three()
    clients[0].silent = {"learn": ("failed", "its disk is full")}
    clients[1].silent = {"judge": ("late", "no reply in time")}
    with pytest.raises(RoundAbandoned, match="ada: its disk is full; bo: no reply in time"):
        played(plan_of(clients, settings=Settings(quorum=2)), clients, HOST)


def test_the_gate_shuts_on_a_worse_merge_and_says_why() -> None:
    clients = [replace(client, before=2.0, after=2.5) for client in three()]
    before = adapter("earlier")
    plan = plan_of(clients, round=4, adapters={BASE: before}, adopted={BASE: (2, 1)})
    done = played(plan, clients, HOST)
    [merge] = done.outcome.record["merges"].values()
    assert merge["adopted"] is False and (merge["before"], merge["after"]) == (2.0, 2.5)
    assert "2.000 -> 2.500" in merge["reason"] and "not adopted" in merge["reason"]
    assert done.outcome.adapters == {BASE: before}
    assert done.outcome.adopted == {BASE: (2, 1)}
    assert {p.since for p in done.outcome.participants.values()} == {(4, 1)}


def test_the_gate_weighs_clients_by_their_held_out_text_and_bears_a_tolerance() -> None:
    clients = [Scripted("ada", after=2.1), Scripted("bo", after=1.95)]
    for tolerance, adopted in ((0.0, False), (0.05, True)):
        plan = plan_of(clients, settings=Settings(quorum=1, tolerance=tolerance))
        [merge] = played(plan, clients).outcome.record["merges"].values()
        assert merge["adopted"] is adopted


def test_nobody_outweighs_its_cohort_by_saying_so() -> None:
    def boasts(reply: Any) -> Any:
        return replace(reply, texts=10**9) if isinstance(reply, JudgeReply) else reply

    clients = [
        Scripted("ada", before=2.0, after=2.1),
        Scripted("bo", before=2.0, after=2.1),
        Scripted("boaster", texts=10**9, before=2.0, after=1.9, spoil=boasts),
    ]
    merge = played(plan_of(clients), clients, HOST).outcome.record["merges"][BASE]
    assert merge["weights"] == pytest.approx([1 / 12, 1 / 12, 10 / 12])
    assert merge["after"] == pytest.approx((2.1 + 2.1 + 10 * 1.9) / 12)


def test_cohorts_merge_apart_and_each_has_a_gate() -> None:
    clients = [
        Scripted("ada"),
        Scripted("bo", after=9.0, base=OTHER_BASE),
        Scripted("cy"),
        Scripted("di", after=9.0, base=OTHER_BASE),
    ]
    done = played(plan_of(clients), clients)
    merges = done.outcome.record["merges"]
    assert {cohort: m["clients"] for cohort, m in merges.items()} == {
        BASE: ["ada", "cy"],
        OTHER_BASE: ["bo", "di"],
    }
    assert {cohort: m["adopted"] for cohort, m in merges.items()} == {BASE: True, OTHER_BASE: False}
    assert set(done.outcome.adapters) == {BASE}
    assert clients[1].heard["judge"].adapter.base == OTHER_BASE


def test_every_client_judges_at_its_own_rank_and_alpha() -> None:
    clients = three()
    played(plan_of(clients), clients, HOST)
    judged = {client.name: client.heard["judge"].adapter for client in clients}
    assert {name: (x.rank, x.alpha) for name, x in judged.items()} == {
        "ada": (2, 4.0),
        "bo": (3, 1.5),
        "cy": (2, 4.0),
    }


def next_plan(done: Played, clients: list[Scripted], round: int, attempt: int = 1) -> Any:
    """The plan after `done`; new clients join."""
    plan = plan_of(clients, round=round, attempt=attempt)
    people = {**plan.participants, **done.outcome.participants}
    return replace(plan, participants=people, adapters=done.outcome.adapters, adopted=done.outcome.adopted)


def test_a_late_joiner_gets_the_cohorts_adapter_once_and_the_others_do_not() -> None:
    clients = [Scripted("ada", rank=4), Scripted("bo")]
    first = played(plan_of(clients), clients)
    clients = [*clients, Scripted("cy", rank=3, alpha=2.0)]
    second = played(next_plan(first, clients, 2), [replace(c, after=9.0) for c in clients])  # nothing adopted
    requests = {name: c.heard["learn"] for name, c in zip("abc", clients, strict=True)}
    assert requests["a"].adapter is None and requests["b"].adapter is None
    assert requests["c"].since is None and requests["c"].adopted == (1, 1)
    assert (requests["c"].adapter.rank, requests["c"].adapter.alpha) == (3, 2.0)
    assert requests["a"].since == (1, 1)
    # Nothing was adopted in round 2, so in round 3 everybody still holds what is the cohort's.
    played(next_plan(second, clients, 3), clients)
    assert all(c.heard["learn"].adapter is None for c in clients)
    assert {c.heard["learn"].since for c in clients} == {(2, 1)}


def test_who_misses_an_adoption_gets_it_when_next_asked() -> None:
    clients = [Scripted("ada"), Scripted("bo")]
    first = played(plan_of(clients), clients)
    absent = [clients[0], replace(clients[1], silent={"learn": ("late", "no reply in time")})]
    second = played(next_plan(first, clients, 2, attempt=3), absent)
    assert second.outcome.adopted == {BASE: (2, 3)}
    played(next_plan(second, clients, 3), clients)
    ada, bo = (client.heard["learn"] for client in clients)
    assert (ada.since, ada.adopted, ada.adapter) == ((2, 3), (2, 3), None)
    assert (bo.since, bo.adopted) == ((1, 1), (2, 3)) and bo.adapter is not None


def test_who_is_left_out_at_judging_keeps_its_older_turn() -> None:
    clients = [Scripted("ada"), Scripted("bo")]
    first = played(plan_of(clients), clients)
    absent = [clients[0], replace(clients[1], silent={"judge": ("failed", "out of memory")})]
    second = played(next_plan(first, clients, 2), absent)
    assert second.outcome.participants["ada"].since == (2, 1)
    assert second.outcome.participants["bo"].since == (1, 1)
    assert second.outcome.participants["bo"].holds == (1, 1)
    assert second.clients["bo"]["status"] == "failed" and "kept" not in second.clients["bo"]
    [merge] = second.outcome.record["merges"].values()
    assert merge["clients"] == ["ada", "bo"] and "of 1 client:" in merge["reason"]


def test_wants_of_texts_that_are_not_of_this_round_are_not_answered() -> None:
    clients = [Scripted("ada", wants=[2, 0, 4, 77]), Scripted("bo")]
    played(plan_of(clients, slice=[0, 1, 3]), clients)
    assert list(clients[0].heard["exchange"].given) == [0]
    assert list(clients[0].heard["learn"].texts) == [0, 1]
    assert list(clients[0].heard["answer"].questions) == [3]


DOMAINS = [
    Example("Which bell?", "the old one", domain="bells"),
    Example("Which star?", "Vega", domain="stars"),
    Example("How many bells?", None, domain="bells"),
    Example("How many stars?", None, domain="stars"),
    Example("How many?", None),
]


def test_only_who_knows_a_domain_best_is_asked_about_it() -> None:
    """Many who know nothing of it would outvote the one who does, and each would read every question."""
    clients = [
        Scripted("ada", {0: 0.5, 1: 3.0}, dict.fromkeys((2, 3, 4), ("nine", 0.9))),
        Scripted("bo", {0: 2.0, 1: 0.5}, dict.fromkeys((2, 3, 4), ("two", 0.6))),
        Scripted("cy", {0: 2.0, 1: 3.0}, dict.fromkeys((2, 3, 4), ("two", 0.6))),
    ]
    done = played(plan_of(clients, transfer=DOMAINS, slice=range(5)), clients, 1.0)
    assert [list(c.heard["answer"].questions) for c in clients] == [[2, 4], [3, 4], [4]]
    settled = [(t.text.prompt, t.text.response, t.teacher) for t in done.lessons if t.settled]
    assert settled == [
        ("How many bells?", "nine", "ada"),
        ("How many stars?", "two", "bo"),
        ("How many?", "two", "bo"),
    ]


def test_where_the_host_knows_a_domain_best_nobody_is_asked() -> None:
    clients = [Scripted("ada", {0: 0.5, 1: 3.0}), Scripted("bo", {0: 2.0, 1: 2.0})]
    played(plan_of(clients, transfer=DOMAINS[:4], slice=range(4)), clients, 1.0)
    assert list(clients[0].heard["answer"].questions) == [2] and "answer" not in clients[1].heard


def test_a_round_without_public_texts_still_merges() -> None:
    clients = three()
    done = played(
        plan_of(clients, slice=[], transfer=[]), [replace(c, answers={}, wants=[]) for c in clients]
    )
    assert done.lessons == []
    assert done.outcome.adopted == {BASE: (1, 1)}


def test_bytes_are_counted_on_both_ways() -> None:
    clients = three()
    done = played(plan_of(clients), clients, HOST)
    cy, ada = done.clients["cy"], done.clients["ada"]
    assert set(ada["bytes_up"]) == {"adapter", "rows", "losses", "answers", "other"}
    assert cy["bytes_up"]["losses"] == 12 and cy["bytes_down"]["losses"] == 12
    assert cy["bytes_down"]["rows"] > ada["bytes_down"]["rows"] > 0
    late = lying("bo", silent={"learn": ("late", "no reply in time")})
    entry = played(plan_of(late), late, HOST).clients["bo"]
    assert entry["bytes_up"] == {} and set(entry["bytes_down"]) == {"losses", "other"}
