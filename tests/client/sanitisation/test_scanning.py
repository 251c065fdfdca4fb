import importlib
import pkgutil
import re
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.client import sanitisation
from renga.client.sanitisation.beginnings import beginnings, folded
from renga.client.sanitisation.needs import BEYOND_ASCII, Needs, needs
from renga.client.sanitisation.patterns import Pattern
from renga.client.sanitisation.scanning import Scanned, matches
from renga.simulations.private_prompts import evaluation_set

MODULES = sorted(module.name for module in pkgutil.iter_modules(sanitisation.__path__))


def _patterns(value):
    if isinstance(value, Pattern):
        yield value
    elif isinstance(value, (tuple, list)):
        yield from chain.from_iterable(map(_patterns, value))


@pytest.fixture(scope="module")
def text():
    return "\n".join(p.text for p in evaluation_set(5, None, copies=1, volume=2))[:8_000]


@pytest.mark.parametrize("name", [name for name in MODULES if name not in ("presidio", "scanning")])
def test_a_scan_finds_what_finditer_finds(name, text):
    module = importlib.import_module(f"renga.client.sanitisation.{name}")
    for pattern in chain.from_iterable(map(_patterns, vars(module).values())):
        compiled = re.compile(pattern.source, pattern.flags)  # all of them can be
        if isinstance(pattern, Scanned):
            for piece in (text, *text.split("\n\n")):
                found = [m.span() for m in compiled.finditer(piece)]
                assert [m.span() for m in matches(pattern, piece)] == found, pattern


PATTERNS = [
    Scanned(source, flags)
    for source in (
        r"(?<![a-z])(?:ab?c|b)(?!d)|@",
        r"(?<![A-Za-z0-9])(?:ab?c|b)",
        r"(?<![0-9])(?:[1-3]|x1)",
        r"(?:a|bc){1,3}x?",
        r"(?:in(?:put)?|i'?m|ςs)\b",
        r"(?i:Ab)c|[ab]{2}",
        r"(?<!a)b(?:c|)d?",
        r"(?<![A-Za-z])a|b",
        r"^[ab]|^x",
        r"\w+@",
        r"\w(?:ab|c)+[12]",
        r"\w(?:[か-こ]|x)",
        r"\win ?put",
    )
    for flags in (0, re.I, re.M)
]


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=60, deadline=None)
@given(text=st.text("abcdxinput'm@AB 123\n\ud800\U0010ffffİıſςΣKか", max_size=30))
def test_places_are_never_too_few(pattern, text):
    found = [m.span() for m in re.compile(pattern.source, pattern.flags).finditer(text)]
    assert [m.span() for m in matches(pattern, text)] == found


@given(st.text())
def test_folding_keeps_places(text):
    assert len(folded(text)) == len(text)


def test_needs_are_the_rarest_characters_and_the_longest_string():
    assert needs(r"\w+://[a-z]{2}(?:[0-9]|x)@?") == Needs("://", frozenset(":"), False)
    assert needs(r"\w?(?:[一-龥]|[ぁ-ん]+)[A-Z]", re.I) == Needs("", frozenset(BEYOND_ASCII), True)
    assert needs(r"[^a]+b?") == Needs("", frozenset(), False)


def test_a_pattern_made_after_a_text_was_read_is_found_in_it():
    text = "Ada and Bob"
    assert [m[0] for m in matches(Scanned("Ada"), text)] == ["Ada"]
    assert [m[0] for m in matches(Scanned("bob", re.I), text)] == ["Bob"]


def test_beginnings_are_told_where_they_are_few():
    assert beginnings(r"\w+@") is None
    told = beginnings(r"(?<![a-z])(?:Password|pin)\s", re.I)
    assert told is not None
    assert told.heads == {"pas", "pin"}
    assert told.bars("xy")
    assert not told.bars("x1")


@pytest.mark.parametrize(("source", "only"), [(r"^pin", True), (r"^a|b", False), (r"^a|^b", True)])
def test_only_lines_begin_with_what_begins_a_line(source, only):
    told = beginnings(source, re.M)
    assert told is not None
    assert told.bars("x") is only
    plain = beginnings(source)
    assert plain is not None
    assert not plain.bars("x")
