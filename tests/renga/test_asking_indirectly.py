"""Questions that stay here: what leaves instead, and that the edge model answers."""

import math
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest

from renga.asking import ask_privately
from renga.asking_alone import standing_alone
from renga.asking_indirectly import ask_indirectly, drawn_words, rewritten, vector_of, word_vectors
from renga.asking_less import asked_for
from renga.boundary import enter
from renga.cli import run
from renga.client.sanitisation.desk import Desk
from renga.client.sanitisation.detection import detectors
from renga.client.sanitisation.sanitiser import Sanitiser
from renga.errors import RengaError
from renga.models.contract import Piece, Sampling
from renga.models.local import LocalModel
from tests.models.tiny_weights import tiny

TEXT = "I am Jane Quillfeather of Duluth, jane.quill@nordvik-labs.io. What ails me?"
SHORT = Sampling(max_tokens=8)


@pytest.fixture(scope="module")
def edge() -> LocalModel:
    return LocalModel(tiny("llama"))


def asked(
    edge: LocalModel, leaving, tmp_path: Path, text: str = TEXT, drawn: bool = False
) -> tuple[list[str], str]:
    left: list[str] = []
    said: list[str] = []

    def answered(clean: str, write) -> None:
        left.append(clean)
        write(f"About {clean}")

    ask_indirectly(
        edge, leaving, answered, text, SHORT, Desk(tmp_path / "vault.db"), said.append, by_chance=drawn
    )
    return left, "".join(said)


def test_words_drawn_drawn_words_leave_and_the_edge_answers(edge: LocalModel, tmp_path: Path) -> None:
    told: list[str] = []
    (left,), said = asked(edge, drawn_words(edge, 0.5, told.append, Random(1)), tmp_path, drawn=True)
    outcomes = set(word_vectors(edge)[0])
    assert all(word.strip(".,?@") in outcomes for word in left.replace(",", " ").replace(".", " ").split())
    assert "Jane" not in left and "nordvik" not in left and said.endswith("\n")
    assert "14 words" in told[0] and f"epsilon = {14 * 2 * 0.5:g}" in told[0] and "not hidden" in told[0]


def test_outcomes_depend_on_the_vocabulary_alone_and_have_length_one(edge: LocalModel) -> None:
    words, vectors = word_vectors(edge)
    assert len(words) == len(set(words)) == len(vectors) > 1
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0)
    assert math.isclose(float(np.linalg.norm(vector_of(edge, "Quillfeather"))), 1.0)


def test_a_rewrite_that_tells_what_is_private_is_sanitised_all_the_same(
    edge: LocalModel, tmp_path: Path
) -> None:
    (left,), _ = asked(edge, lambda text: f"What ails a person, say Quillfeather ({text[-40:]})?", tmp_path)
    assert "Quillfeather" not in left and "nordvik" not in left and "What ails a person" in left


def test_a_question_beside_an_introduction_leaves_alone_and_is_answered_as_it_is(
    edge: LocalModel, tmp_path: Path
) -> None:
    def never(text: str) -> str:
        raise AssertionError(text)

    question = "How many legs does a spider have?"
    (left,), said = asked(edge, never, tmp_path, f"My phone number is 212 555 0198. {question}")
    assert left == question and said == f"About {question}\n"


@pytest.mark.parametrize(
    "text",
    [
        "I am Jane Quillfeather. Is it legal?",
        "Jane Quillfeather raised the rent by a third. Is an increase of a third legal?",
        "I am Jane Quillfeather. Who is Jane Quillfeather's doctor?",
        "What is the capital of France?",
        "I am Jane Quillfeather. What is a lease? What does mine say?",
        "I am Jane Quillfeather and allergic to penicillin. Which antibiotic is safe?",
        "I am Jane Quillfeather, 83. How much water should one drink?",
    ],
)
def test_a_question_that_needs_the_rest_is_rewritten(text: str) -> None:
    assert standing_alone(text, Sanitiser(detectors())) is None


def test_a_plain_question_leaves_without_its_introduction_but_in_a_conversation(tmp_path: Path) -> None:
    question, left = "How many legs does a spider have?", list[str]()
    desk, said = Desk(tmp_path / "vault.db"), list[str]()

    def answered(clean: str, write: Callable[[str], None]) -> None:
        left.append(clean)
        write("Eight.")

    for conversation, whole in ((None, False), ("talk", True)):
        told = ask_privately(answered, f"I am Jane Quillfeather. {question}", desk, conversation, said.append)
        assert told.hidden == {"PERSON": 1} and told.alone != whole
        assert left[-1].endswith(question) and (left[-1] != question) == whole
        assert ("without its introduction" in told.line) != whole and "Quill" not in left[-1]
    assert "".join(said) == "Eight.Eight."


def test_what_says_who_asks_and_no_more_is_an_introduction() -> None:
    for said in (
        "Hello, this is Jane Quillfeather.",
        "My name is Jane Quillfeather, my number is 212 555 0198.",
        "Ich bin Jane Quillfeather.",
    ):
        asked = "How many legs does a spider have?"
        assert standing_alone(f"{said} {asked}", Sanitiser(detectors())) == asked


def test_the_edge_is_asked_to_rewrite(edge: LocalModel) -> None:
    assert isinstance(rewritten(edge, SHORT)(TEXT), str)


def test_what_was_drawn_is_not_touched_by_what_the_text_was(edge: LocalModel, tmp_path: Path) -> None:
    (left,), _ = asked(edge, lambda text: "so quillfeather it was", tmp_path, drawn=True)
    assert left == "so quillfeather it was"


def test_nothing_to_ask_is_told_and_nothing_leaves(edge: LocalModel, tmp_path: Path) -> None:
    with pytest.raises(RengaError, match="nothing was sent"):
        asked(edge, lambda text: " ", tmp_path)


@pytest.mark.parametrize(
    "options", [["--rewrite", "--words-epsilon", "3"], ["--rewrite", "--review"], ["--rewrite"]]
)
def test_what_goes_together_with_no_indirect_question_is_told(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert enter(["ask", "x", *options], run) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("text", "less"),
    [
        ("Jane Quillfeather, 212 555 0198, asks how many legs a spider has.", "How many legs a spider has?"),
        ("Jane Quillfeather quarrels about the deepest lake. Which is it?", "Which is the deepest lake?"),
        ("My aunt Jane Quillfeather left me. How many days are in a week?", "How many days are in a week?"),
        ("I want to know what Jane Quillfeather earns.", ""),
        ("Jane Quillfeather boils an egg. How long does it take?", ""),
        ("Write a letter to Jane Quillfeather.", ""),
    ],
)
def test_grammar_shows_what_is_asked(text: str, less: str) -> None:
    assert asked_for(text, Sanitiser(detectors()).find(text)) == less


def test_a_rewrite_that_loses_the_question_or_tells_is_tried_again(edge: LocalModel, tmp_path: Path) -> None:
    text = "Jane Quillfeather boils an egg in water. How long does it take to boil?"
    written = iter(
        [
            "How are you?",
            "How long does Quillfeather boil an egg?",
            "How long does an egg boil?",
        ]
    )
    (left,), _ = asked(edge, lambda text: next(written), tmp_path, text)
    assert left == "How long does an egg boil?"
    (left,), _ = asked(edge, lambda text: "How are you?", tmp_path, text)
    assert "Quillfeather" not in left and "boils an egg in water. How long" in left


def test_what_the_edge_repeats_of_how_it_was_asked_is_cut_off(
    edge: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = [Piece("Eight.\n\nUse what"), Piece(" is right in it, and answer."), Piece(" Twelve.")]
    monkeypatch.setattr("renga.asking_indirectly.respond", lambda *how: iter(pieces))
    _, said = asked(edge, lambda text: "What ails a person?", tmp_path)
    assert said.strip() == "Eight."
