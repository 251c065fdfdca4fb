"""`renga bench private-answers`: what does hiding cost the answer?

The same questions answered by the host as they are, sanitised and restored (by tags, and by realistic
surrogates), with what is private struck out, and by the edge model alone. Half of them ask for something
private that stands in the question, half for something that does not depend on it. An answer is right when it
holds what was asked for.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from renga.client.sanitisation.conversation import Conversation
from renga.client.sanitisation.detection import detectors
from renga.client.sanitisation.rules import Rules, Style
from renga.client.sanitisation.sanitiser import Sanitiser
from renga.simulations.bench_tables import Sheet
from renga.simulations.private_values import Values

Ask = Callable[[str], str]
STRUCK = "[removed]"

_ABOUT = (
    ("My name is {person} and my phone number is {phone}. What is my name?", "person"),
    ("My e-mail address is {email}. What is my e-mail address?", "email"),
    ("{person} can be reached at {phone}. What is the phone number of {person}?", "phone"),
    ("Write one sentence that asks {person} to write to {email}.", "email"),
    ("Complete the form.\nName: {person}\nPhone: {phone}\nWhat stands under Name?", "person"),
)
_ASIDE = (
    ("I am {person}. What is the capital of France?", "Paris"),
    ("{person} ({email}) asks which day comes after Monday. Which one?", "Tuesday"),
    ("My phone number is {phone}. How many legs does a spider have?", "eight|8"),
    ("Hello, this is {person}. What is two plus three?", "five|5"),
    ("{person} wants to know the opposite of hot. What is it?", "cold"),
)


@dataclass(frozen=True)
class Task:
    """A question, what a right answer holds (any of them), and whether that is private."""

    question: str
    right: tuple[str, ...]
    private: bool


def tasks(seed: int, copies: int) -> list[Task]:
    """Each question so many times, with other values."""
    values, found = Values(seed), []
    for _ in range(copies):
        for private, templates in ((True, _ABOUT), (False, _ASIDE)):
            for template, right in templates:
                drawn = {slot: values.draw(slot).text for slot in ("person", "phone", "email")}
                wanted = (drawn[right],) if private else tuple(right.split("|"))
                found.append(Task(template.format(**drawn), wanted, private))
    return found


def measure(
    host: Ask, edge: Ask, asked: Sequence[Task], seed: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    """How often each way answers right; the two models are asked with text."""
    layers = detectors()

    def restored(style: Style) -> Ask:
        def ask(question: str) -> str:
            sanitiser = Sanitiser(layers, Rules(style=style), Conversation())
            clean = sanitiser.sanitise(question).text
            return "".join(sanitiser.restore([host(clean)]))

        return ask

    def struck(question: str) -> str:
        sanitiser, text = Sanitiser(layers, Rules(), Conversation()), question
        for entity in reversed(sanitiser.find(question)):
            text = text[: entity.start] + STRUCK + text[entity.end :]
        return host(text)

    ways: dict[str, Ask] = {
        "plain": host,
        "tags, restored": restored(Style.TAG),
        "realistic, restored": restored(Style.REALISTIC),
        "struck out": struck,
        "edge alone": edge,
    }
    result: dict[str, Any] = {"seed": seed, "tasks": len(asked), "ways": {}}
    for name, ask in ways.items():
        tell(f"{name}: {len(asked)} questions")
        right = [any(w.casefold() in ask(t.question).casefold() for w in t.right) for t in asked]
        result["ways"][name] = {
            "all": _share(right),
            "private": _share([r for r, t in zip(right, asked, strict=True) if t.private]),
            "other": _share([r for r, t in zip(right, asked, strict=True) if not t.private]),
        }
    return result


def _share(right: Sequence[bool]) -> tuple[float, float, float]:
    """With its 95 % percentile interval over 400 resamplings."""
    dice = random.Random(0)
    drawn = sorted(sum(dice.choices(right, k=len(right))) / len(right) for _ in range(400))
    return sum(right) / len(right), drawn[9], drawn[390]


def private_answers_sheets(result: dict[str, Any]) -> list[Sheet]:
    """One row per way."""
    parts = ("all", "private", "other")
    rows = tuple(
        (name, *("{:.2f} [{:.2f}, {:.2f}]".format(*way[part]) for part in parts))
        for name, way in result["ways"].items()
    )
    note = f"{result['tasks']} questions, seed {result['seed']}; in brackets 95 % of 400 resamplings."
    heads = ("answered", "right", "what was asked for is private", "it is not")
    return [Sheet("Answers", heads, rows, note=note)]
