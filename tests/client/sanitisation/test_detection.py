"""Prompts written by hand, as people write them: what is private stands in ⟦KIND:…⟧, the rest must stay."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.client.sanitisation import lexicon
from renga.client.sanitisation.detection import detectors
from renga.client.sanitisation.entities import Deadline, DetectionFailed, Entity, Kind, Known, find
from renga.client.sanitisation.presidio import Presidio

HERE = Path(__file__).with_name("prompts")
MARK = re.compile(r"⟦([A-Z_]+):(.*?)⟧", re.S)
ALL = detectors()
FORMATS = detectors(names=False)


def read(name: str) -> list[str]:
    return [part.strip("\n") for part in (HERE / name).read_text(encoding="utf-8").split("\n===\n")]


def unmarked(marked: str) -> tuple[str, list[tuple[int, int, str]]]:
    text, spans, done = "", [], 0
    for match in MARK.finditer(marked):
        text += marked[done : match.start()]
        spans.append((len(text), len(text) + len(match[2]), match[1]))
        text += match[2]
        done = match.end()
    return text + marked[done:], spans


def spans(entities: list[Entity]) -> list[tuple[int, int, str]]:
    return [(e.start, e.end, str(e.kind)) for e in entities]


@pytest.mark.parametrize("marked", read("private.txt"))
def test_what_is_private_is_found_and_nothing_else(marked):
    text, expected = unmarked(marked)
    assert spans(find(text, (), ALL)) == expected


@pytest.mark.parametrize("text", read("nothing.txt"))
def test_a_prompt_with_nothing_private_stays_whole(text):
    assert spans(find(text, (), ALL)) == []


ANY = st.text(alphabet=st.characters(exclude_categories=()), max_size=80)
PIECES = st.lists(
    st.sampled_from(
        [
            *("My name is ", "Ada Lovelace", "山田太郎", "様", "090-1234-5678", "a.b@gmail.com"),
            *("password: ", "hunter2!", "\ud800", "\u200b", "%40", "\\u7530", "東京都渋谷区神南1-2-3"),
            *("4539 4487 0134 3918", " ", "、", "ﾔﾏﾀﾞ", "12 High Street, London NW1 6XE", "eyJhbGciOiJI"),
            *("://", "@", "-", "1", "〇", "\n", "-----BEGIN PRIVATE KEY-----", "&#x3042;"),
        ]
    ),
    max_size=12,
).map("".join)


@settings(deadline=None, max_examples=60)
@given(ANY | PIECES)
def test_any_text_gives_spans_in_order_inside_of_it_and_without_overlaps(text):
    at = 0
    for entity in find(text, (), ALL):
        assert at <= entity.start < entity.end <= len(text)
        assert entity.subject and entity.value
        at = entity.end


UNITS = [
    *("a", "1", "1-", "a.", "a@", "password ", "東京都", "一"),
    *("eyJ", "Abc ", "12 Foo ", "市1-", "rue de ", "名前：", "%41"),
    *("name,name\n", "pin is 1234 ", "Bob: i\n", "key ab12cd34ef56gh78 ", "login bob "),
]


@pytest.mark.parametrize("unit", UNITS)
def test_no_text_takes_more_than_linear_time(unit):
    """CPU seconds: four times the text may take ten times as long; a quadratic one takes sixteen times. A
    busy machine stretches one measurement, not three."""

    def seconds(size: int) -> float:
        text = (unit * size)[:size]
        began = time.process_time()
        find(text, (), ALL, Deadline.after(60))
        return time.process_time() - began

    for _ in range(3):
        small, large = seconds(3_000), seconds(12_000)
        if large < 10 * max(small, 0.03):
            return
    pytest.fail(f"{large:.2f} s for four times what takes {small:.2f} s")


def test_a_deadline_that_passes_stops_the_prompt():
    with pytest.raises(DetectionFailed):
        find("Call Ada Lovelace at 415-555-0133. " * 2000, (), ALL, Deadline.after(0.0))


def test_names_without_their_lists_stop_the_prompt(monkeypatch):
    def missing(package):
        raise ModuleNotFoundError(package)

    for cached in (lexicon.latin, lexicon.japanese, lexicon.words, lexicon._lists):
        cached.cache_clear()
    monkeypatch.setattr(lexicon, "files", missing)
    with pytest.raises(DetectionFailed) as caught:
        find("My name is Ada Lovelace", (), ALL)
    assert "renga[sanitise]" in caught.value.hint
    for cached in (lexicon.latin, lexicon.japanese, lexicon.words, lexicon._lists):
        cached.cache_clear()


def found(text: str, known: tuple[Known, ...] = ()) -> dict[str, str | None]:
    return {text[e.start : e.end]: e.subject for e in find(text, known, ALL)}


def remembered(text: str) -> tuple[Known, ...]:
    values: dict[tuple[Kind, str], list[str]] = {}
    for e in find(text, (), ALL):
        values.setdefault((e.kind, e.subject or ""), []).append(e.value)
    return tuple(Known(kind, tuple(v), subject) for (kind, subject), v in values.items())


def test_a_person_is_one_subject_under_all_their_names():
    text = "Write to Miriam Castellanos <miriam.castellanos@web.de>. Miriam is kind; M. Castellanos is late."
    subjects = found(text)
    assert set(subjects) == {"Miriam Castellanos", "miriam.castellanos@web.de", "Miriam", "M. Castellanos"}
    assert len(set(subjects.values())) == 1


def test_kanji_kana_and_romaji_are_one_person_in_later_turns():
    known = remembered("担当は佐々木美咲です。")
    subject = known[0].subject
    for later in (
        "佐々木さんに送って",
        "ささきみさき",
        "ササキ ミサキ",
        "Please cc Misaki Sasaki",
        "sasaki misaki",
    ):
        assert subject in found(later, known).values(), later


def test_two_persons_of_one_surname_stay_two_and_what_could_be_either_is_hidden_as_neither():
    subjects = found("Noah Castellanos met Miriam Castellanos. Castellanos paid.")
    assert len({subjects["Noah Castellanos"], subjects["Miriam Castellanos"], subjects["Castellanos"]}) == 3


def test_a_secret_is_known_again_without_its_label():
    known = remembered("my db password is Blue-Kettle-77x, why does it time out?")
    assert "Blue-Kettle-77x" in found("I typed Blue-Kettle-77x again", known)


def test_what_presidio_recognises_is_plugged_in():
    class One:
        entity_type, start, end, score = "US_PASSPORT", 3, 11, 0.9

    class Analyzer:
        def analyze(self, text, language):
            return [One()]

    (entity,) = find("id ZX-99-11 there", (), [Presidio(Analyzer())])
    assert (entity.kind, entity.start, entity.end) == (Kind.PASSPORT, 3, 11)


def test_formats_alone_need_no_names():
    assert spans(find("My name is Ada Lovelace, card 4539448701343918", (), FORMATS)) == [
        (30, 46, "CREDIT_CARD")
    ]
