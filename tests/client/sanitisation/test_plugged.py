"""Detectors of the owner's own: found by the rules, asked beside ours, and never waited for in vain."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from renga.client.sanitisation.desk import Desk
from renga.client.sanitisation.entities import Deadline, DetectionFailed, find
from renga.client.sanitisation.plugged import Plugged
from renga.errors import UsageError

STAFF = """
class Result:
    entity_type, score = "EMPLOYEE", 0.9
    def __init__(self, start, end): self.start, self.end = start, end

class Recogniser:  # as presidio_analyzer.PatternRecognizer
    name, supported_entities = "employees", ["EMPLOYEE"]
    def analyze(self, text, entities, nlp_artifacts):
        assert entities == ["EMPLOYEE"] and nlp_artifacts is None
        at = text.find("E-")
        return [Result(at, at + 6)] if at >= 0 else None

staff, nothing, three = Recogniser(), object(), 3
"""


def test_a_recogniser_beside_the_rules_is_asked(tmp_path: Path) -> None:
    (tmp_path / "staff.py").write_text(STAFF)
    (tmp_path / "sanitisation.toml").write_text('plug_in = ["staff.py:staff"]\n')
    desk = Desk(tmp_path / "vault.db")
    clean = desk.sanitiser(None).sanitise("ask E-4711 about it")
    assert clean.counts == {"ACCOUNT_ID": 1} and "4711" not in clean.text
    assert desk.sanitiser(None).sanitise("nobody").text == "nobody"


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("staff.py:nobody", "AttributeError"), ("none.py:staff", "FileNotFoundError"),
        ("no.such.module:x", "ModuleNotFoundError"), ("staff", "can't be loaded"),
        ("staff.py:three", "no detector"), ("staff.py:nothing", "no detector"),
    ],
)  # fmt: skip
def test_what_is_none_is_told_and_nothing_is_sanitised_without_it(
    tmp_path: Path, named: str, said: str
) -> None:
    (tmp_path / "staff.py").write_text(STAFF)
    (tmp_path / "sanitisation.toml").write_text(f'plug_in = ["{named}"]\n')
    with pytest.raises(UsageError, match=said):
        Desk(tmp_path / "vault.db").sanitiser(None)


class Odd:
    name = "odd"

    def __init__(self, gives: Any) -> None:
        self.gives = gives

    def detect(self, text: str, known: Any, deadline: Deadline) -> Any:
        if isinstance(self.gives, BaseException):
            raise self.gives
        if isinstance(self.gives, threading.Event):
            self.gives.wait()
        return self.gives


@pytest.mark.parametrize("gives", [ValueError("Jane Doe"), SystemExit("Jane Doe"), None, ["Jane Doe"], 3])
def test_one_that_fails_or_talks_nonsense_stops_the_prompt(gives: Any) -> None:
    with pytest.raises(DetectionFailed, match="'odd'") as told:
        find("Jane Doe", (), [Plugged(Odd(gives), "odd")])
    assert "Jane" not in told.value.line and "plug_in" in told.value.hint


def test_one_that_hangs_is_left_behind_and_stops_the_next_prompt_at_once() -> None:
    release = threading.Event()
    odd = Plugged(Odd(release), "odd", patience=0.1)
    with pytest.raises(DetectionFailed, match="said nothing"):
        find("Jane Doe", (), [odd])
    with pytest.raises(DetectionFailed, match="still hangs"):
        find("Jane Doe", (), [odd])
    release.set()
