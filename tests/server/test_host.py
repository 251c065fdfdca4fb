"""The host's gate: which lessons it learns, and which settled answers it keeps to judge by."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from renga.models.example import Example
from renga.server.host import APART, _set_apart
from renga.server.plan import Teaching


def lesson(place: int, settled: bool) -> Teaching:
    return Teaching(Example(f"q{place}", f"a{place}"), "ann" if settled else "", settled=settled)


@given(st.lists(st.booleans(), max_size=40))
def test_some_settled_answers_are_judged_by_and_all_else_is_learned(kinds: list[bool]) -> None:
    lessons = [lesson(place, settled) for place, settled in enumerate(kinds)]
    kept, apart = _set_apart(lessons)
    assert [one for one in lessons if one in kept] == kept
    assert [one.text for one in lessons if one not in kept] == apart
    assert all(one.settled for one in lessons if one not in kept)


def test_about_one_in_so_many_is_set_apart() -> None:
    lessons = [lesson(place, settled=True) for place in range(100 * APART)]
    assert 50 < len(_set_apart(lessons)[1]) < 150


@given(st.lists(st.booleans(), min_size=40, max_size=40))
def test_what_was_learned_once_never_judges(answered: list[bool]) -> None:
    """A question is set apart in every round or in none, whichever others were answered."""
    always = {one.text.prompt for one in _set_apart([lesson(place, True) for place in range(40)])[0]}
    kept, _ = _set_apart([lesson(place, True) for place in range(40) if answered[place]])
    assert {one.text.prompt for one in kept} <= always


def test_labelled_text_is_never_set_apart_here() -> None:
    lessons = [lesson(place, settled=False) for place in range(3 * APART)]
    assert _set_apart(lessons) == (lessons, [])
