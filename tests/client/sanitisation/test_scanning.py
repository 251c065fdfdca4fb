import importlib
import re
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.client.sanitisation import scanning
from renga.client.sanitisation.scanning import Scan
from renga.client.sanitisation.scanning_long import Sorted
from renga.simulations.private_prompts import evaluation_set

MODULES = (
    "addresses", "addresses_ja", "checked_numbers", "contacts", "dates", "labelled", "phones",
    "secret_values", "names_inside", "names_heard", "names_alone", "names_latin", "names_of_nobody",
    "names_of_nobody_ja", "name_cues", "names_beside", "names_ja", "told_secrets", "tables",
)  # fmt: skip


def _patterns(value):
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, (tuple, list)):
        yield from chain.from_iterable(map(_patterns, value))


@pytest.fixture(scope="module")
def text():
    return "\n".join(p.text for p in evaluation_set(5, None, copies=1, volume=2))[:20_000]


@pytest.mark.parametrize("name", MODULES)
def test_a_scan_finds_what_finditer_finds(name, text, monkeypatch):
    module = importlib.import_module(f"renga.client.sanitisation.{name}")
    for pattern in chain.from_iterable(map(_patterns, vars(module).values())):
        if pattern.match("") is None:
            found = [m.span() for m in pattern.finditer(text)]
            for long in (len(text), len(text) + 1):
                monkeypatch.setattr(scanning, "LONG", long)
                assert [m.span() for m in Scan(pattern).finditer(text)] == found, pattern.pattern


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?<![a-z])(?:ab?c|b)(?!d)|@",
        r"(?:a|bc){1,3}x?",
        r"(?:in(?:put)?|i'?m)\b",
        r"(?i:Ab)c|[ab]{2}",
        r"(?<!a)b(?:c|)d?",
    ],
)
@settings(max_examples=60, deadline=None)
@given(text=st.text("abcdxinput'm@AB \n\ud800\U0010ffff", max_size=30))
def test_places_are_never_too_few(pattern, text):
    for flags in (0, re.I):
        compiled = re.compile(pattern, flags)
        found = [m.span() for m in compiled.finditer(text)]
        assert [m.span() for m in Scan(compiled).finditer(text)] == found
        scan = Scan(compiled)
        if scan._begins is not None and scan._places is not None and text:
            folded = text.lower() if flags else text
            at = set(Sorted(folded).places(*scan._begins))
            assert {start for start, _ in found} <= at
            assert at == {place.start() for place in scan._places.finditer(folded)}


def test_where_the_text_has_another_length_in_lower_case_nothing_is_lost():
    assert [m.span() for m in Scan(re.compile("name: x", re.I)).finditer("İİ Name: X")] == [(3, 10)]


def test_what_begins_with_anything_is_left_to_finditer():
    assert Scan(re.compile(r"\w+@"))._places is None
    assert Scan(re.compile(r"(?<![a-z])(?:password|pin)\s", re.I))._places is not None
