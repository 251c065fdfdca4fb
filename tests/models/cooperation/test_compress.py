"""Compression keeps to its budget, keeps what is protected, drops nothing else out of order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.errors import UsageError
from renga.models.contract import Clearance, Prompt, Sampling
from renga.models.cooperation.compress import METHODS, compress, compressing
from renga.models.cooperation.prune import protected, prune, sentence_units, word_units
from renga.models.cooperation.spans import Span
from renga.models.cooperation.surprisal import (
    by_chance,
    by_place,
    by_shared_words,
    by_surprisal,
    progressive,
    surprisals,
)
from renga.models.local import LocalModel
from tests.models.cooperation.test_retrieve import Says
from tests.models.tiny_weights import tiny

TEXT = (
    "The old copper mine at Lund lies under water since it was closed. It cost 1,200 crowns to build. "
    'Per said "never again" when he left. Run `mine --open` to see. The ferry leaves from the quay.'
)


def count(text):
    return len(text.split())


@pytest.fixture(scope="module")
def model():
    return LocalModel(tiny("llama"))


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet='ab 1"`.\n', max_size=120), st.integers(1, 40), st.integers(0, 9))
def test_pruned_text_is_within_budget_or_all_protected(text, budget, seed):
    keep = protected(text)
    for units in (word_units, sentence_units):
        assert "".join(u.of(text) for u in units(text)) == text
        found = prune(text, budget, by_chance(seed), count, units=units, keep=keep)
        assert found.over or found.after <= budget
        assert found.after == count(found.text) and found.before == count(text)
        assert "".join(span.of(text) for span in found.kept).strip() == found.text.strip()
        if found.before > budget:
            assert all(
                any(k.start <= s.start and s.end <= k.end for k in found.kept)
                for s in keep
                if s.of(text).strip()
            )


def test_what_is_protected():
    spans = [span.of(TEXT) for span in protected(TEXT, ["Per", ""])]
    assert spans == ["1,200", "Per", '"never again"', "`mine --open`"]
    assert [s.of("x ```a\nb``` y") for s in protected("x ```a\nb``` y")] == ["```a\nb```"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_to_its_budget(model, method):
    found = compress(TEXT, 20, method, model=model, question="When was the mine closed?", count=count)
    assert found.after <= 20 and found.before == count(TEXT)
    assert found.ratio >= count(TEXT) / 20 or found.after == 0
    again = compress(TEXT, 20, method, model=model, question="When was the mine closed?", count=count)
    assert again == found
    if method in ("words", "progressive", "random", "truncate"):
        for kept in ("1,200", '"never again"', "`mine --open`"):
            assert kept in found.text


@pytest.mark.parametrize(
    "method", ["words", "progressive", "sentences", "both", "overlap", "random", "truncate"]
)
@pytest.mark.parametrize("protect", [True, False])
def test_surrogates_are_never_cut(model, method, protect):
    text = TEXT + " Only [PERSON_1] and Alma Roth know."
    found = compress(text, 18, method, model=model, question="the ferry", count=count,
                     surrogates=["[PERSON_1]", "Alma Roth"], protect=protect)  # fmt: skip
    assert "[PERSON_1]" in found.text and "Alma Roth" in found.text


def test_a_text_within_budget_stays(model):
    assert compress(TEXT, 500, "both", model=model, count=count).text == TEXT
    assert compress("", 5, "words", model=model).text == ""


def test_surprisal_is_the_model_s_own_spread_over_characters(model):
    text = "連歌 and the mine. " * 3
    ids = model.vocabulary.encode(text)
    rows = model.open(Prompt("")).feed(ids).logp
    nats = -sum(float(rows[i, id]) for i, id in enumerate(ids))
    assert surprisals(model, text).sum() == pytest.approx(nats, rel=1e-4)
    assert len(surprisals(model, text)) == len(text)
    assert len(surprisals(model, "mine " * 700)) == 3500
    assert np.isfinite(surprisals(model, "mine " * 700)).all()


def test_scores_order_what_they_should(model):
    units = sentence_units(TEXT)
    words = by_shared_words("Where does the ferry leave from?")(TEXT, units)
    assert max(range(len(units)), key=words.__getitem__) == len(units) - 1
    assert by_place(TEXT, units) == sorted(by_place(TEXT, units), reverse=True)
    plain, asked = by_surprisal(model)(TEXT, units), by_surprisal(model, "ferry?")(TEXT, units)
    assert len(plain) == len(units) and plain != asked
    worth = progressive(model, 0.5)(TEXT, word_units(TEXT))
    assert all(0 < w < 1 for w in worth)


def test_a_prompt_is_cut_before_its_question_and_stays_as_private():
    says = Says("x y")
    compressor = compressing(says, 14, "overlap", count=count)
    prompt = Prompt(f"{TEXT}\n\nWhere does the ferry leave from?", Clearance.PUBLIC)
    list(compressor.respond(prompt, Sampling()))
    assert says.asked[0] == Prompt(
        "The ferry leaves from the quay.\n\nWhere does the ferry leave from?", Clearance.PUBLIC
    )
    list(compressor.respond(Prompt("short"), Sampling()))
    assert says.asked[1] == Prompt("short")


def test_of_a_sanitised_prompt_nothing_is_cut_that_may_be_a_surrogate():
    text = "Yesterday Alma Roth wrote to roth@example.org about [PERSON_2] and 12 Mill Road, nothing else."
    says = Says("x y")
    compressor = compressing(says, 20, "truncate", count=count)
    list(
        compressor.respond(Prompt(f"{'So it goes on. ' * 9}{text}\n\nWhat?", Clearance.SANITISED), Sampling())
    )
    for kept in ("Alma Roth", "roth@example.org", "[PERSON_2]", "12", "Mill Road"):
        assert kept in says.asked[0].text
    list(compressor.respond(Prompt(f"{'So it goes on. ' * 9}{text}\n\nWhat?"), Sampling()))
    assert "Alma" not in says.asked[1].text


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda m: compress(TEXT, 0, "random", count=count), "holds nothing"),
        (lambda m: compress(TEXT, 5, "word", count=count), "no method"),
        (lambda m: compress(TEXT, 5, "words", count=count), "needs a model"),
        (lambda m: compress(TEXT, 5, "random"), "needs a vocabulary"),
        (lambda m: compressing(Says("x"), 3, "random", count=count), "holds no prompt"),
        (lambda m: compressing(Says("x"), 9, "random"), "needs a vocabulary"),
        (
            lambda m: compressing(Says("x"), 8, "random", count=count).shortened(Prompt("word " * 99)),
            "question alone",
        ),
    ],
)
def test_budgets_that_can_not_be_kept(model, call, why):
    with pytest.raises(UsageError, match=why):
        call(model)


def test_neighbours_are_one_span():
    found = prune("a b c d", 2, lambda text, units: [1, 3, 2, 0], count)
    assert found.kept == (Span(2, 6),) and found.text == "b c"
