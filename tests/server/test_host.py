"""The host's gate: which lessons it learns, and which settled answers it keeps to judge by."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from renga.models.example import Example
from renga.server.host import APART, _set_apart
from renga.server.round import Teaching


def lesson(place: int, settled: bool) -> Teaching:
    return Teaching(Example(f"q{place}", f"a{place}"), "ann" if settled else "", settled=settled)


@given(st.lists(st.booleans(), max_size=40))
def test_every_sixth_settled_answer_is_judged_by_and_all_else_is_learned(kinds: list[bool]) -> None:
    lessons = [lesson(place, settled) for place, settled in enumerate(kinds)]
    kept, apart = _set_apart(lessons)
    settled = [one.text for one in lessons if one.settled]
    assert apart == settled[APART - 1 :: APART]
    assert len(apart) == sum(kinds) // APART
    assert [one.text for one in kept] == [one.text for one in lessons if one.text not in apart]


def test_labelled_text_is_never_set_apart_here() -> None:
    lessons = [lesson(place, settled=False) for place in range(3 * APART)]
    assert _set_apart(lessons) == (lessons, [])


def test_lessons_that_say_the_same_are_told_apart() -> None:
    """By identity: comparing rows of arrays has no answer, and equal texts are still two lessons."""
    lessons = [lesson(0, settled=True) for _ in range(2 * APART)]
    kept, apart = _set_apart(lessons)
    assert (len(kept), len(apart)) == (2 * APART - 2, 2)
