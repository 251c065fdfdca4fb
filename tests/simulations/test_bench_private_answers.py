"""What hiding costs the answer: every way is asked the same, compared in pairs, and told why it loses."""

import json

import pytest

from renga.errors import UsageError
from renga.simulations import bench_private_answers as bench
from renga.simulations.private_tasks import BUILD, JUDGE, KINDS, Task, holds, tasks


def parrot(seen: list[str]) -> bench.AskMany:
    def ask(prompts):
        assert all(prompt.before == bench.BEFORE for prompt in prompts)
        seen.extend(prompt.text for prompt in prompts)
        return [f"You said: {prompt.text.replace('Question', '')}\nQuestion: what?" for prompt in prompts]

    return ask


def test_each_way_is_asked_and_what_is_restored_is_right_again(tmp_path) -> None:
    asked = tasks(3, 1, "build")[::2]
    seen: list[str] = []
    told: list[str] = []
    keep = tmp_path / "answers.json"
    result = bench.measure(parrot(seen), lambda p: ["no idea"] * len(p), asked, 3, told.append, keep)
    ways = result["ways"]
    for way in ("plain", "tags, restored", "realistic, restored"):
        assert ways[way]["right"]["asked"] >= 0.9, way
    assert ways["edge alone"]["right"]["all"] == 0 == ways["struck out"]["right"]["asked"]
    assert any(bench.STRUCK in question for question in seen)
    low, high = ways["struck out"]["less plain"][1:]
    assert low < ways["struck out"]["less plain"][0] < high < 0
    assert sum(ways["struck out"]["lost"].values()) >= 0.9 * ways["plain"]["right"]["all"] * len(asked)
    answers, losses = bench.private_answers_sheets(result)
    assert len(answers.rows) == 7 and len(losses.rows) == 6

    def never(prompts):
        raise AssertionError(prompts)

    again = bench.measure(never, never, asked, 3, told.append, keep)
    assert json.dumps(again) == json.dumps(result) and told[-1].endswith("kept from before")


def test_volumes_share_no_question_and_the_same_seed_draws_the_same() -> None:
    assert tasks(1, 2, "judge") == tasks(1, 2, "judge") != tasks(2, 2, "judge")
    for kind in KINDS:
        assert not {q for q, _ in BUILD[kind]} & {q for q, _ in JUDGE[kind]}
    with pytest.raises(UsageError, match="no volume"):
        tasks(1, 1, "nowhere")


def test_what_was_asked_for_stands_there_by_itself() -> None:
    assert holds("It has 8 legs.", "8") and not holds("in 1984", "8") and holds("首都は東京です", "東京")
    aside = Task("aside", 0, "", ("8",), ("555 8 12",))
    assert not aside.is_right("My number is 555 8 12.") and aside.is_right("555 8 12: 8")


@pytest.mark.parametrize(
    ("said", "back", "reason"),
    [
        ("I don't know.", "I don't know.", "not repeated"),
        ("Dear Haret Penrse", "Dear Haret Penrse", "misspelt"),
        ("HARRIET penrose!", "nobody", "repeated and not restored"),
        ("Dear Harriet,", "Dear Jane,", "in part"),
        ("It was Ann Wood.", "It was Ann Wood.", "another value"),
    ],
)
def test_losses_are_told_apart(said: str, back: str, reason: str) -> None:
    task = Task("asked", 0, "", ("Jane Doe",), ("Jane Doe", "Ann Wood"))
    answer = bench.Answered("", said, back, (("Harriet Penrose", "Jane Doe"), ("Harriet", "Jane")))
    assert bench.why(task, answer) == reason
    assert bench.why(task, bench.Answered("", said, back)) == "another answer"


def test_an_answer_ends_where_the_model_goes_on_to_ask() -> None:
    assert bench.heard("Answer:\n\nParis.\nQuestion: What is\nAnswer:\nRome") == "Paris."
