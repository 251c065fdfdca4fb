import pytest

from renga.client.sanitisation.desk import Desk
from renga.client.sanitisation.detection import detectors
from renga.client.sanitisation.entities import Kind, find

BOTH = detectors(names=False, also=(Kind.ORG, Kind.LOCATION))


def _found(text):
    return {(str(e.kind), text[e.start : e.end]) for e in find(text, detectors=BOTH)}


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("I work at Nordwind and hate it.", "ORG", "Nordwind"),
        ("The contract with Brightwater Logistics was signed.", "ORG", "Brightwater Logistics"),
        ("Ich arbeite bei Müller & Söhne GmbH.", "ORG", "Müller & Söhne GmbH"),
        ("She studies at the University of Leeds.", "ORG", "University of Leeds"),
        ("株式会社青葉に勤めています。", "ORG", "株式会社青葉"),
        ("We moved from Duluth to Freiburg last year.", "LOCATION", "Duluth"),
        ("We moved from Duluth to Freiburg last year.", "LOCATION", "Freiburg"),
        ("i live in eugene with two cats", "LOCATION", "eugene"),
        ("Nous habitons à Toulouse depuis 2019.", "LOCATION", "Toulouse"),
        ("松本市に住んでいます。", "LOCATION", "松本市"),
        ("I was born in Portugal.", "LOCATION", "Portugal"),
    ],
)
def test_organisations_and_places_are_found_where_they_are_asked_for(text, kind, value):
    assert (kind, value) in _found(text)


@pytest.mark.parametrize(
    "text",
    ["Write a sorting function.", "Reading is fun, and so is a nice walk.", "今日は天気がいいですね。"],
)
def test_what_is_neither_is_left(text):
    assert _found(text) == set()


def test_they_are_left_alone_unless_a_rule_says_otherwise(tmp_path):
    text = "I work at Nordwind in Duluth."
    desk = Desk(tmp_path / "vault.db", names=False)
    assert desk.sanitiser(None).sanitise(text).text == text
    (tmp_path / "sanitisation.toml").write_text(
        'style = "tag"\n[kinds]\nORG = "replace"\nLOCATION = "replace"\n'
    )
    clean = desk.sanitiser(None).sanitise(text).text
    assert "Nordwind" not in clean and "Duluth" not in clean and "<ORG_1" in clean and "<LOCATION_2" in clean
