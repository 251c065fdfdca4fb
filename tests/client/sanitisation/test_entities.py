import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renga.client.sanitisation.entities import (
    Deadline,
    DetectionFailed,
    Entity,
    Kind,
    Known,
    find,
    settled,
)


class Fixed:
    name = "fixed"

    def __init__(self, *entities: Entity) -> None:
        self.entities = list(entities)

    def detect(self, text, known, deadline):
        return self.entities


class Broken:
    name = "broken"

    def detect(self, text, known, deadline):
        raise ValueError(f"can't read {text}")


class Slow:
    name = "slow"

    def detect(self, text, known, deadline):
        while True:
            deadline.check()


@st.composite
def proposals(draw):
    text = draw(st.text(alphabet="ab 田.,", min_size=1, max_size=40))
    spans = draw(
        st.lists(
            st.tuples(
                st.integers(0, len(text) - 1),
                st.integers(1, 12),
                st.sampled_from(list(Kind)),
                st.sampled_from([0.3, 0.6, 1.0]),
            ),
            max_size=12,
        )
    )
    return text, [
        Entity(start, min(start + size, len(text)), kind, "v", certainty=certainty)
        for start, size, kind, certainty in spans
    ]


@given(proposals())
def test_settled_spans_are_in_order_do_not_overlap_and_cover_every_letter_that_was_proposed(case):
    text, entities = case
    final = settled(entities, text)
    for one, next_ in itertools.pairwise(final):
        assert one.end <= next_.start
    proposed = {i for e in entities for i in range(e.start, e.end) if text[i].isalnum()}
    covered = {i for e in final for i in range(e.start, e.end)}
    assert proposed <= covered


def test_the_more_certain_span_wins_and_the_other_keeps_what_is_left():
    text = "Ada Lovelace 12 High Street"
    person = Entity(0, 15, Kind.PERSON, "Ada Lovelace 12", certainty=0.5)
    address = Entity(13, 27, Kind.ADDRESS, "12 High Street")
    assert [(e.start, e.end, e.kind) for e in settled([person, address], text)] == [
        (0, 12, Kind.PERSON),
        (13, 27, Kind.ADDRESS),
    ]


def test_a_known_value_keeps_its_subject_and_an_unknown_one_gets_its_own():
    entity = Entity(0, 3, Kind.PERSON, "Ada")
    (met,) = find("Ada", [Known(Kind.PERSON, ("Ada Lovelace", "Ada"), "p1")], [Fixed(entity)])
    (new,) = find("Ada", [], [Fixed(entity)])
    assert met.subject == "p1"
    assert new.subject and new.subject != "p1"


def test_a_detector_that_fails_stops_the_prompt_and_its_error_does_not_quote_it():
    with pytest.raises(DetectionFailed) as caught:
        find("secret text", detectors=[Broken()])
    assert "broken" in caught.value.message
    assert "secret text" not in caught.value.message
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_a_detector_that_runs_out_of_time_stops_the_prompt():
    with pytest.raises(DetectionFailed):
        find("x", detectors=[Slow()], deadline=Deadline.after(0.05))


def test_time_that_others_take_does_not_count_but_waiting_for_ever_does():
    limit = Deadline.after(0.02)
    time.sleep(0.05)
    limit.check()
    time.sleep(0.4)
    with pytest.raises(DetectionFailed):
        limit.check()


def test_a_span_outside_of_the_text_stops_the_prompt():
    with pytest.raises(DetectionFailed):
        find("abc", detectors=[Fixed(Entity(1, 9, Kind.PERSON, "bc"))])
