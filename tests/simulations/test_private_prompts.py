import re
from urllib.parse import unquote

import pytest
from stdnum import bitcoin, iban, luhn
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.in_ import aadhaar
from stdnum.it import codicefiscale
from stdnum.jp import in_ as my_number

from renga.client.sanitisation.entities import Kind
from renga.simulations.bench_sanitisation import Answer, judged
from renga.simulations.bench_sanitisation_sheets import sanitisation_sheets
from renga.simulations.private_prompts import (
    LANGUAGES,
    SIDES,
    Private,
    PrivatePrompt,
    evaluation_set,
    side_of,
    templates,
)
from renga.simulations.private_values_fourth import FourthValues


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

        for volume in (2, 3, 4, 5, 6):
            parts = [set(templates(name, side, volume)) for side in SIDES[volume]]
            whole = templates(name, None, volume)
            assert all(parts) and sum(map(len, parts)) == len(set().union(*parts)) == len(whole)


@pytest.mark.parametrize("volume", [2, 3, 4, 5, 6])
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


CHECKS = {
    "credit_card": luhn,
    "iban": iban,
    "de_iban": iban,
    "fr_iban": iban,
    "es_iban": iban,
    "my_number": my_number,
    "steuer_id": idnr,
    "nir": nir,
    "aadhaar": aadhaar,
    "nhs": nhs,
    "dni": dni,
    "nie": nie,
    "codice_fiscale": codicefiscale,
    "btc4": bitcoin,
}


@pytest.fixture(scope="module")
def values():
    return FourthValues(11)


@pytest.fixture(scope="module")
def fourth():
    """Both sides, every template once."""
    return [p for side in SIDES[4] for p in evaluation_set(7, side, copies=1, volume=4)]


@pytest.mark.parametrize("slot", sorted(CHECKS))
def test_every_number_with_a_checksum_in_the_fourth_volume_has_a_right_one(slot, values):
    for _ in range(20):
        number = values.draw(slot).text
        assert CHECKS[slot].is_valid(re.sub(r"[ -]", "", number)), number


def test_the_fourth_volume_says_of_each_span_what_its_template_put_there(fourth):
    for prompt in fourth:
        ends = [0, *(v.end for v in prompt.private)]
        for value, before in zip(prompt.private, ends):
            shown = prompt.text[value.start : value.end]
            assert before <= value.start and shown == shown.strip() and shown
            if value.kind is Kind.PERSON:
                assert not re.search(r"\d|さん|様|先生|Dr|[\"「」]", unquote(shown))
        assert not re.search(r"\{[a-z]+[0-9]?(#\d)?(\.[a-z]+)?\}", prompt.text)
    assert {p.group for p in fourth} == set(LANGUAGES.values())


def test_the_fourth_volume_is_as_large_as_a_judge_would_want(fourth):
    """Three drawings of each make 350 private prompts; half of the clean ones are a side of their own."""
    assert 3 * sum(bool(p.private) for p in fourth) >= 350
    assert sum(v.kind is Kind.SECRET for p in fourth for v in p.private) >= 60
    assert all(len(set(templates("clean", side, 4))) >= 60 for side in SIDES[4])
    assert {v.kind for p in fourth for v in p.private} >= set(Kind) - {Kind.ORG, Kind.LOCATION}


def test_clean_prompts_of_the_fourth_volume_hold_no_drawn_value(fourth):
    drawn = {p.text[v.start : v.end] for p in fourth for v in p.private if v.end - v.start > 3}
    for prompt in fourth:
        if prompt.group == "clean":
            assert not prompt.private
            assert not [v for v in drawn if re.search(rf"(?<!\w){re.escape(v)}(?!\w)", prompt.text)]
