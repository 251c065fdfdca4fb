"""Answers that say the same are the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renga.models.seeds import derived
from renga.models.text import normalised

SAME = [
    ("The Client", "client"),
    (" a  client.\n", "Client"),
    ('the "Client"', "client"),
    ("“Ｒｅｎｇａ  42”!", "renga 42"),
    ("季語。", "季語"),
    ("STRASSE", "straße"),
    ("e\u0301tude", "étude"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_case_marks_spaces_and_articles_do_not_count(one, other):
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(
    ("one", "other"), [("client", "clients"), ("3.5", "35"), ("anode", "node"), ("-3", "3"), ("a b", "b a")]
)
def test_what_says_something_else_counts(one, other):
    assert normalised(one) != normalised(other)


@pytest.mark.parametrize("text", ["the", "A", "an"])
def test_an_article_alone_is_an_answer(text):
    assert normalised(text) == text.lower()


@given(st.text(alphabet=" .\"'abctheTHE,\n“。", max_size=12))
def test_outer_marks_never_count(text):
    assert normalised(f" “{text}”.") == normalised(text) == normalised(text.upper())


def test_a_seed_is_for_its_names_alone():
    names = [(), ("a",), ("b",), ("a", "b"), ("ab",), ("a", 1), ("a", 2), ("b", "a")]
    seeds = {derived(seed, *n) for seed in (0, 1, 2**63) for n in names}
    assert len(seeds) == 3 * len(names)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derived(7, "ada", 3) == derived(7, "ada", 3)
