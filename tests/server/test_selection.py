"""Who teaches whom: properties of pure functions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.models.text import normalised
from renga.server.selection import GivenAnswer, best_teachers, experts, misfits, settle
from tests.server.scripted import OTHER_BASE, Scripted

NAMES = ("ada", "bo", "cy", "di")
losses = st.floats(0, 10, width=32)


@st.composite
def tables(draw):
    texts = draw(st.integers(0, 5))
    row = st.lists(losses, min_size=texts, max_size=texts).map(lambda x: np.array(x, np.float32))
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    return {name: draw(row) for name in names}, draw(row)


@given(tables(), st.floats(0, 1))
@settings(max_examples=80, deadline=None)
def test_the_teacher_is_best_and_beats_the_learner(table, margin) -> None:
    said, learner = table
    found = best_teachers(said, learner, margin)
    for text in range(len(learner)):
        lowest = min((said[name][text] for name in said), default=np.inf)
        if lowest < learner[text] - margin:
            assert found[text] == min(name for name in said if said[name][text] == lowest)
        else:
            assert text not in found
    assert best_teachers(dict(reversed(list(said.items()))), learner, margin) == found


def test_nobody_teaches_what_the_learner_knows_as_well() -> None:
    same = np.array([1.0, 2.0], np.float32)
    assert best_teachers({"ada": same, "bo": same + 1}, same) == {}
    assert best_teachers({}, same) == {}


answers = st.lists(
    st.builds(
        GivenAnswer,
        st.integers(0, 2),
        st.sampled_from(["north", "North.", "the north", "south", "", " ", "…"]),
        st.floats(0, 1, width=32),
    ),
    max_size=3,
    unique_by=lambda a: a.text,
)


@given(st.dictionaries(st.sampled_from(NAMES), answers), st.floats(0, 1))
@settings(max_examples=120, deadline=None)
def test_what_settles_is_somebodys_sure_answer_with_the_most_support(said, agreement) -> None:
    found = settle(said, agreement)
    assert settle(dict(reversed(list(said.items()))), agreement) == found
    assert [s.text for s in found] == sorted({s.text for s in found})
    for settled in found:
        assert normalised(settled.answer)
        given_so = [(n, a) for n, many in said.items() for a in many if a.text == settled.text]
        assert (settled.by, GivenAnswer(settled.text, settled.answer, settled.weight)) in given_so
        assert settled.weight >= agreement
        support: dict[str, float] = {}
        for _, a in given_so:
            if normalised(a.answer):
                support[normalised(a.answer)] = support.get(normalised(a.answer), 0.0) + a.agreement
        mine = support.pop(normalised(settled.answer))
        assert all(mine > other - 1e-9 for other in support.values())


def test_equal_support_settles_nothing_and_company_decides() -> None:
    north, south = [GivenAnswer(0, "north", 0.8)], [GivenAnswer(0, "south", 0.8)]
    assert settle({"ada": north, "bo": south}, 0.5) == []
    [settled] = settle({"ada": north, "bo": south, "cy": [GivenAnswer(0, "The North!", 0.9)]}, 0.5)
    assert (settled.answer, settled.by, settled.weight) == ("The North!", "cy", 0.9)


def test_company_without_confidence_settles_nothing() -> None:
    assert settle({name: [GivenAnswer(0, "north", 0.4)] for name in NAMES}, 0.5) == []


def test_the_one_whose_layers_differ_from_those_of_its_cohort_is_named() -> None:
    described = {name: Scripted(name).description() for name in NAMES}
    assert misfits(described) == {}
    odd = {**described["ada"].shapes, "layers.0.q": (8, 7)}
    described["ada"] = replace(described["ada"], shapes=odd)
    assert list(misfits(described)) == ["ada"]
    assert "(8, 7)" in misfits(described)["ada"]
    described["ada"] = replace(described["ada"], base=OTHER_BASE)  # another base has other layers
    assert misfits(described) == {}
    fewer = replace(described["bo"], shapes={"layers.0.q": (8, 6)})  # a client may adapt fewer layers
    assert misfits({**described, "bo": fewer}) == {}


def test_the_expert_of_a_domain_has_the_lowest_mean_loss_there() -> None:
    said = {"ada": np.array([1.0, 9.0, 2.0], np.float32), "bo": np.array([2.0, 1.0, 2.0], np.float32)}
    assert experts(said, ["bells", "stars", ""]) == {"bells": "ada", "stars": "bo"}
    assert experts(said, ["bells", "bells", "bells"]) == {"bells": "bo"}
    assert experts({}, ["bells"]) == {}


def test_where_the_host_is_as_good_no_client_is_the_expert() -> None:
    said = {"ada": np.array([1.0, 2.0], np.float32), "bo": np.array([2.0, 2.5], np.float32)}
    host = np.array([1.5, 2.0], np.float32)
    assert experts(said, ["bells", "stars"], host) == {"bells": "ada", "stars": ""}
