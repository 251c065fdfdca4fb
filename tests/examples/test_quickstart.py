"""The quickstart's text: made from its facts, honest between its splits, and short."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "quickstart"
DOMAINS = ("clinic", "foundry", "observatory")


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("quickstart_make", FOLDER / "make.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


make = load_generator()
FILES: dict[str, list[Any]] = make.build()
FACTS: dict[str, dict[str, Any]] = {domain: make.read_facts(domain) for domain in DOMAINS}


def plain(text: str) -> str:
    return " ".join(text.casefold().split())


def test_committed_files_are_what_the_facts_make() -> None:
    committed = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.jsonl")}
    assert committed == set(FILES)
    for name, lines in FILES.items():
        assert (FOLDER / name).read_bytes() == make.content(lines), name
    assert make.main(["--check"]) == 0


def test_lines_have_the_documented_keys() -> None:
    for name in FILES:
        for text in (FOLDER / name).read_text(encoding="utf-8").splitlines():
            keys = set(json.loads(text))
            wanted = {"prompt", "domain"} if name == "transfer.jsonl" else {"prompt", "domain", "response"}
            assert keys - {"choices"} == wanted
            assert "choices" not in keys or name.endswith(("held_out.jsonl", "validation.jsonl"))


@pytest.mark.parametrize("domain", DOMAINS)
def test_sizes_of_a_domain(domain: str) -> None:
    facts, train = FACTS[domain], FILES[f"{domain}/train.jsonl"]
    held_out = FILES[f"{domain}/held_out.jsonl"]
    assert len(facts) == 40
    assert set(Counter(fact.relation for fact in facts.values()).values()) == {5}
    assert all(5 <= len(fact.values) <= 8 for fact in facts.values())
    assert all(len({*fact.train, fact.held_out, fact.transfer}) == 9 for fact in facts.values())
    assert len(train) == 280
    assert len(held_out) == 40
    assert sum(bool(line.choices) for line in held_out) == 30
    # Each seventh of the training file asks about every fact once, and mixes all wordings of a relation.
    for start in range(0, 280, 40):
        seventh = train[start : start + 40]
        assert {line.fact for line in seventh} == set(facts)
        orders = [facts[line.fact].train.index(line.prompt) for line in seventh]
        assert set(orders) == set(range(7))


def test_sizes_of_the_public_part() -> None:
    transfer = FILES["transfer.jsonl"]
    assert Counter(line.domain for line in transfer) == dict.fromkeys(DOMAINS, 27)
    assert len(FILES["public_labelled.jsonl"]) == 30
    assert len(FILES["public_validation.jsonl"]) == 24


def test_texts_are_short_and_clean() -> None:
    for lines in FILES.values():
        for line in lines:
            assert 0 < len(line.prompt.encode()) <= 60, line.prompt
            for answer in (*line.choices, line.response or "-"):
                assert 0 < len(answer.encode()) <= 14 and len(answer.split()) <= 3, answer
            for text in (line.prompt, line.response or ""):
                assert text == text.strip() and "  " not in text and "{" not in text
                assert text.isprintable()


def test_no_prompt_occurs_twice_anywhere() -> None:
    prompts = Counter(plain(line.prompt) for lines in FILES.values() for line in lines)
    assert [prompt for prompt, count in prompts.items() if count > 1] == []


@pytest.mark.parametrize("domain", DOMAINS)
def test_what_is_asked_was_trained(domain: str) -> None:
    trained = {line.fact: line.response for line in FILES[f"{domain}/train.jsonl"]}
    held_out = {line.fact: line.response for line in FILES[f"{domain}/held_out.jsonl"]}
    transfer = {line.fact for line in FILES["transfer.jsonl"] if line.domain == domain}
    assert len(held_out) == 40 and held_out == trained
    assert len(transfer) == 27 and transfer <= set(held_out)  # what the federation can hope to pass on


def test_right_answer_is_among_four_different_choices_at_any_place() -> None:
    for name, lines in FILES.items():
        places: Counter[int] = Counter()
        for line in lines:
            if line.choices:
                assert len(set(map(plain, line.choices))) == 4
                places[line.choices.index(line.response)] += 1
                if line.fact in FACTS.get(line.domain, {}):
                    assert set(line.choices) <= set(FACTS[line.domain][line.fact].values)
        if places:
            assert set(places) == {0, 1, 2, 3}, name
            assert max(places.values()) - min(places.values()) <= 1, name


def test_questions_do_not_tell() -> None:
    for lines in FILES.values():
        for line in lines:
            if line.domain in FACTS:
                fact = FACTS[line.domain][line.fact]
                for value in fact.values:  # neither the answer, nor a hint by naming a wrong one
                    assert plain(value) not in plain(line.prompt), line.prompt
            else:
                assert plain(line.response) not in plain(line.prompt), line.prompt


def test_no_prompt_tells_the_answer_of_another_fact() -> None:
    """A prompt that names a subject never names what any relation says about that subject."""
    for domain, facts in FACTS.items():
        for line in (line for lines in FILES.values() for line in lines if line.domain == domain):
            prompt = plain(line.prompt)
            for fact in facts.values():
                if plain(fact.subject) in prompt:
                    assert plain(fact.answer) not in prompt, (line.prompt, fact.id)


def test_a_subject_occurs_in_one_fact_only() -> None:
    """Not even inside another subject, so that a prompt names one fact by its subject alone."""
    subjects = [plain(fact.subject) for facts in FACTS.values() for fact in facts.values()]
    for line in (line for lines in FILES.values() for line in lines if line.domain in FACTS):
        named = [subject for subject in subjects if subject in plain(line.prompt)]
        assert len(named) == 1, line.prompt


def test_values_of_a_relation_differ_from_their_first_letters_on() -> None:
    for facts in FACTS.values():
        for fact in facts.values():
            assert len({plain(value)[:2] for value in fact.values}) == len(fact.values), fact.values


def test_a_few_names_are_not_ascii() -> None:
    for domain in DOMAINS:
        lines = [line for lines in FILES.values() for line in lines if line.domain == domain]
        foreign = [line for line in lines if not (line.prompt + (line.response or "")).isascii()]
        assert len(foreign) <= 0.05 * len(lines)
        assert bool(foreign) == (domain == "observatory")


def test_names_that_are_not_ascii_are_examined_and_passed_on() -> None:
    """Both as something asked about and as an answer, so that every tokenizer meets them."""
    for name in ("observatory/held_out.jsonl", "transfer.jsonl"):
        facts = [FACTS["observatory"][line.fact] for line in FILES[name] if line.domain == "observatory"]
        assert any(not fact.subject.isascii() for fact in facts), name
        assert any(not fact.answer.isascii() for fact in facts), name
