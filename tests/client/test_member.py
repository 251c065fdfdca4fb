"""A client's steps by themselves: what it answers, and how much it lets others change it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from renga.client.member import Member, MemberSettings, _halfway, state_of
from renga.errors import RengaError
from renga.models.adapter import Adapter
from renga.models.alignment import Crosswalk
from renga.models.example import Example
from renga.models.knowledge import Rows
from renga.models.local import LocalModel
from renga.models.scoring import encode_texts, log_likelihoods
from renga.models.training import Learning, Lesson, learn
from renga.models.weights import SharedWeights
from renga.protocol.messages import AnswerRequest, ExchangeRequest, LearnRequest, SettledAnswer
from tests.models.tiny_weights import tiny

OWN = [Example(f"Where is ada {n}?", "no") for n in range(6)]
PUBLIC = [Example("Where is ada 8?", None), Example("Who was the king of the hills?", None)]
TURN = (1, 1)
SETTINGS = MemberSettings(
    name="ada",
    rank=2,
    alpha=4.0,
    modules="all",
    rate=3e-2,
    tokens=900,
    transfer_tokens=300,
    transfer_rate=0.3,
    batch=4,
    replay=0.0,
    transfer_tolerance=0.02,
    coding="blocks8",
)


@pytest.fixture(scope="module")
def learned() -> tuple[SharedWeights, Adapter]:
    """A model, and what it is after learning OWN."""
    weights = tiny("llama")
    lessons = [Lesson(text) for text in encode_texts(weights, OWN)]
    how = Learning(rate=3e-2, tokens=2500, batch=4, seed=1)
    return weights, learn(weights, weights.fresh_adapter(2, 4.0, "all", 0), lessons, how).adapter


@pytest.fixture
def member(tmp_path: Path, learned: tuple[SharedWeights, Adapter]) -> Member:
    """One that has learned its own text, and frozen that."""
    weights, snapshot = learned
    found = Member(
        settings=SETTINGS,
        private=OWN,
        validation=[Example("Where is ada 9?", "no")],
        transfer=PUBLIC,
        transfer_fingerprint="",
        weights=weights,
        state=state_of(tmp_path, "ada"),
        crosswalk_of=lambda _: Crosswalk(weights.vocabulary, weights.vocabulary),
    )
    found.state.save(TURN, "snapshot", snapshot)
    return found


def asking(agreement: float) -> AnswerRequest:
    return AnswerRequest(*TURN, np.arange(2, dtype=np.int32), answer_tokens=8, agreement=agreement, floor=0.0)


def test_an_answer_comes_with_rows_that_say_how_probable_it_is(member: Member) -> None:
    reply = member.answer(asking(0.0))
    said = dict(zip((text for text, _ in reply.answers), map(Rows.of, reply.rows), strict=True))
    assert (0, "no") in reply.answers
    model = LocalModel(member.weights, member.state.load(TURN, "snapshot"))
    for text, answer in reply.answers:
        [logp] = log_likelihoods(
            model, encode_texts(member.weights, [replace(PUBLIC[text], response=answer)])
        )
        assert said[text].probability == pytest.approx(math.exp(logp.sum()), rel=1e-4)


def test_what_it_is_not_sure_of_it_does_not_say(member: Member) -> None:
    every = [Rows.of(rows).probability for rows in member.answer(asking(0.0)).rows]
    for bound in (0.5, 1.0):
        given = [Rows.of(rows).probability for rows in member.answer(asking(bound)).rows]
        assert given == [p for p in every if p >= bound]


def taught(member: Member, answer: str, rate: float) -> tuple[Member, Adapter, float]:
    """The client after an exchange in which others told it `answer`: it, its adapter, how much it took."""
    member = replace(member, settings=replace(SETTINGS, transfer_rate=rate))
    none = np.zeros(0, np.int32)
    request = ExchangeRequest(
        *TURN,
        seed=3,
        vocabulary_size=member.weights.vocabulary.size,
        host="tiny",
        given=none,
        rows=[],
        asked=none,
        settled=[SettledAnswer(i, answer, 1.0) for i in range(2)],
    )
    reply = member.exchange(request)
    return member, member.state.load(TURN, "own"), reply.training["transfer_kept"]


@pytest.mark.parametrize("rate", [1e-3, 0.1, 0.3, 1.0, 3.0])
def test_what_others_teach_never_costs_a_client_much_of_its_own(member: Member, rate: float) -> None:
    member, own, kept = taught(member, "the king is in the green hills", rate)
    snapshot = member.state.load(TURN, "snapshot")
    assert kept in (0.0, 0.5, 1.0)
    assert member._loss(own) <= member._loss(snapshot) * 1.02
    assert (own.digest == snapshot.digest) == (kept == 0.0)


def test_a_step_that_washes_out_what_it_knew_is_undone_and_a_mild_one_is_not(member: Member) -> None:
    assert taught(member, "the king is in the green hills", 3.0)[2] == 0.0
    assert taught(member, "no", 0.01)[2] == 1.0


def test_half_way_is_between(member: Member) -> None:
    snapshot = member.state.load(TURN, "snapshot")
    fresh = member.weights.fresh_adapter(2, 4.0, "all", 5)
    half = _halfway(fresh, snapshot)
    for path, f in half.factors.items():
        assert np.allclose(f.b, snapshot.factors[path].b / 2) and f.b.dtype == np.float32
    assert _halfway(snapshot, snapshot).digest == snapshot.digest != half.digest


def test_a_loss_is_measured_once_an_adapter(member: Member) -> None:
    snapshot = member.state.load(TURN, "snapshot")
    first = member._loss(snapshot)
    passes = member.weights.meter.passes
    assert member._loss(member.state.load(TURN, "snapshot")) == first
    assert member.weights.meter.passes == passes
    assert member._loss(None) != first


def test_a_budget_that_pays_for_no_text_is_told(member: Member) -> None:
    poor = replace(member, settings=replace(SETTINGS, tokens=3))
    none = np.zeros(0, np.int32)
    request = LearnRequest(*TURN, 3, None, None, "tiny", none, none.astype(np.float32))
    with pytest.raises(RengaError, match="3 training tokens pay for no text: the shortest has"):
        poor.learn(request)
