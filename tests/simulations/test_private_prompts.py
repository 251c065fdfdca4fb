import pytest

from renga.client.sanitisation.entities import Kind
from renga.simulations.bench_sanitisation import Answer, judged
from renga.simulations.bench_sanitisation_sheets import sanitisation_sheets
from renga.simulations.private_prompts import (
    SIDES,
    Private,
    PrivatePrompt,
    evaluation_set,
    side_of,
    templates,
)


@pytest.mark.parametrize("volume", [1, 2])
def test_same_seed_same_set_and_every_span_names_its_value(volume):
    one, two = (evaluation_set(3, "build", copies=1, volume=volume) for _ in range(2))
    assert one == two
    assert any(p.private for p in one) and any(not p.private for p in one)
    for prompt in one:
        for value in prompt.private:
            assert prompt.text[value.start : value.end].strip()


def test_no_template_is_on_both_sides():
    for name in ("english", "japanese", "others", "clean", "conversations"):
        build, judge = set(templates(name, "build")), set(templates(name, "judge"))
        assert build and judge and not build & judge
        assert all(side_of(t) == "judge" for t in judge)

        for volume in (2, 3):
            parts = [set(templates(name, side, volume)) for side in SIDES[volume]]
            whole = templates(name, None, volume)
            assert all(parts) and sum(map(len, parts)) == len(set().union(*parts)) == len(whole)


@pytest.mark.parametrize("volume", [2, 3])
@pytest.mark.parametrize("side", ["judge", "final"])
def test_every_slot_of_the_later_volumes_can_be_drawn(side, volume):
    assert all(p.text for p in evaluation_set(1, side, copies=1, volume=volume))


def _judged(*spans: tuple[int, int, str]):
    prompt = PrivatePrompt("call 0123456789 ok", (Private(5, 15, Kind.PHONE),), "en", "plain")
    clean = PrivatePrompt("hello", (), "clean", "plain")
    return judged([prompt, clean], [Answer(list(spans), 0.1, 0.1), Answer([], 0.1, 0.1)])


def test_a_tenth_may_stay_visible_and_no_more():
    assert _judged((5, 14, "PHONE"))["leak"][0] == 0
    assert _judged((5, 13, "PHONE"))["leak"][0] == 1


def test_a_value_under_another_kind_is_hidden_but_not_typed():
    result = _judged((5, 15, "BANK_ACCOUNT"))
    assert result["kinds"]["PHONE"] == {"values": 1, "recall": 1.0, "typed": 0.0}
    assert result["clean_changed"] == 0 and result["precision"] == 1.0


def test_over_redaction_counts_what_nobody_asked_to_hide():
    assert _judged((0, 15, "PHONE"))["over_redaction"] == 4 / 11


def test_the_sheets_say_what_was_missed():
    system = {**_judged((5, 13, "PHONE")), "mebibytes": 1.0}
    system["kinds"]["SECRET"] = {"values": 1, "recall": 1.0, "typed": 1.0}
    sheets = sanitisation_sheets(
        {"prompts": 2, "seed": 1, "volume": 1, "side": "judge", "systems": {"renga": system}, "length": []}
    )
    assert any(row[1] == "missed" for row in sheets[0].rows)
