"""`renga bench private-answers`: what does hiding cost the answer?

The same questions answered by the host as they are, sanitised and restored (by tags and by realistic
surrogates), with what is private struck out, and by the edge model alone. Every way sees the same three
public exchanges first: a base model that is asked out of the blue answers with questions. What a model
goes on to ask itself is cut off. Each way is compared with the plain one question by question, and what it
loses is told apart by why.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from renga.asking_alone import standing_alone
from renga.client.sanitisation.conversation import Conversation
from renga.client.sanitisation.detection import detectors
from renga.client.sanitisation.matching import spoken
from renga.client.sanitisation.rules import Rules, Style
from renga.client.sanitisation.sanitiser import Sanitiser
from renga.models.contract import Prompt, Said
from renga.simulations.bench_tables import Sheet
from renga.simulations.private_tasks import KINDS, Task, holds
from renga.simulations.runs import write_whole

AskMany = Callable[[Sequence[Prompt]], list[str]]
STRUCK = "[removed]"
BEFORE = tuple(
    Said(role, text)
    for exchange in (
        ("What is the capital of Japan?", "The capital of Japan is Tokyo."),
        ("Anna has a dog and Ben has a cat. Who has a dog?", "Anna has a dog."),
        ("Write one sentence that thanks a friend.", "Thank you for being such a good friend."),
    )
    for role, text in zip(("user", "assistant"), exchange, strict=True)
)
RESAMPLINGS = 2000
_NEAR = 0.7  # how alike two words are of which one is taken for the other misspelt


@dataclass(frozen=True)
class Answered:
    """asked: what the model saw. said: its answer, cut. back: that, restored. pairs: what stood for what."""

    asked: str
    said: str
    back: str
    pairs: tuple[tuple[str, str], ...] = ()


def heard(answer: str) -> str:
    """An answer up to where a base model goes on with a question of its own, without empty ones."""
    lines = answer.partition("Question:")[0].splitlines()
    return "\n".join(line for line in lines if line.strip() not in ("", "Answer:"))


def ask_all(ask: AskMany, questions: Sequence[str]) -> list[str]:
    """Each behind the same public exchanges."""
    return [heard(answer) for answer in ask([Prompt(question, before=BEFORE) for question in questions])]


def plainly(ask: AskMany, asked: Sequence[Task]) -> list[Answered]:
    questions = [task.question for task in asked]
    said = ask_all(ask, questions)
    return [Answered(*row) for row in zip(questions, said, said, strict=True)]


def sanitised(ask: AskMany, asked: Sequence[Task], style: Style) -> list[Answered]:
    """Each question in a conversation of its own."""
    layers = detectors()
    talks = [Sanitiser(layers, Rules(style=style), Conversation()) for _ in asked]
    questions = [talk.sanitise(task.question).text for talk, task in zip(talks, asked, strict=True)]
    return [
        Answered(question, said, "".join(talk.restore([said])), _pairs(talk.conversation))
        for talk, question, said in zip(talks, questions, ask_all(ask, questions), strict=True)
    ]


def struck(ask: AskMany, asked: Sequence[Task]) -> list[Answered]:
    """With what is private gone for good."""
    layers, questions = detectors(), []
    for task in asked:
        text = task.question
        for entity in reversed(Sanitiser(layers, Rules(), Conversation()).find(text)):
            text = text[: entity.start] + STRUCK + text[entity.end :]
        questions.append(text)
    said = ask_all(ask, questions)
    return [Answered(*row) for row in zip(questions, said, said, strict=True)]


def by_themselves(ask: AskMany, asked: Sequence[Task], whole: Sequence[Answered]) -> list[Answered]:
    """As `renga ask` does: a question that needs no introduction leaves without it, any other as `whole`."""
    layers = detectors()
    alone = [standing_alone(task.question, Sanitiser(layers, Rules(), Conversation())) for task in asked]
    said = iter(ask_all(ask, [question for question in alone if question]))
    return [
        Answered(question, one := next(said), one) if question else answer
        for question, answer in zip(alone, whole, strict=True)
    ]


Ways = dict[str, list[Answered]]
BY_DEFAULT = {Style.TAG: "tags, restored", Style.NAMES: "names, restored"}[Rules().style]
WAYS: dict[str, Callable[[AskMany, AskMany, Sequence[Task], Ways], list[Answered]]] = {
    "plain": lambda host, edge, asked, done: plainly(host, asked),
    "tags, restored": lambda host, edge, asked, done: sanitised(host, asked, Style.TAG),
    "realistic, restored": lambda host, edge, asked, done: sanitised(host, asked, Style.REALISTIC),
    "names, restored": lambda host, edge, asked, done: sanitised(host, asked, Style.NAMES),
    "as `renga ask`": lambda host, edge, asked, done: by_themselves(host, asked, done[BY_DEFAULT]),
    "struck out": lambda host, edge, asked, done: struck(host, asked),
    "edge alone": lambda host, edge, asked, done: plainly(edge, asked),
}


def measure(
    host: AskMany,
    edge: AskMany,
    asked: Sequence[Task],
    seed: int,
    tell: Callable[[str], None],
    keep: Path | None = None,
) -> dict[str, Any]:
    """How often each way answers right. keep: a file that holds the answers of every way that is through,
    so that a run that was stopped goes on; it must be of the same questions."""
    kept: dict[str, list[dict[str, Any]]] = {}
    if keep is not None and keep.exists():
        kept = json.loads(keep.read_text(encoding="utf-8"))
    ways: Ways = {}
    for name, answers in WAYS.items():
        if name in kept:
            tell(f"{name}: kept from before")
            ways[name] = [_answered(row) for row in kept[name]]
            continue
        tell(f"{name}: {len(asked)} questions")
        ways[name] = answers(host, edge, asked, ways)
        kept[name] = [asdict(answer) for answer in ways[name]]
        if keep is not None:
            write_whole(keep, json.dumps(kept, ensure_ascii=False, indent=1))
    return {"seed": seed, "tasks": len(asked), "ways": summary(asked, ways)}


def summary(asked: Sequence[Task], ways: Ways) -> dict[str, Any]:
    """Per way: the share that is right, whole and per kind; what that is less than plain, with the interval;
    and why what plain has right is not."""
    plain = [task.is_right(answer.back) for task, answer in zip(asked, ways["plain"], strict=True)]
    result: dict[str, Any] = {}
    for name, answers in ways.items():
        right = [task.is_right(answer.back) for task, answer in zip(asked, answers, strict=True)]
        rows = list(zip(asked, answers, plain, right, strict=True))
        result[name] = {
            "right": {"all": _mean(right)}
            | {
                kind: _mean([r for t, r in zip(asked, right, strict=True) if t.kind == kind])
                for kind in KINDS
            },
            "less plain": paired(asked, plain, right),
            "won": sum(r and not p for p, r in zip(plain, right, strict=True)),
            "lost": Counter(why(task, answer) for task, answer, p, r in rows if p and not r),
        }
    return result


def paired(asked: Sequence[Task], plain: Sequence[bool], right: Sequence[bool]) -> tuple[float, float, float]:
    """The mean difference, and its 95 % percentile interval; templates are drawn anew, with their copies."""
    groups: dict[tuple[str, int], list[int]] = {}
    for task, p, r in zip(asked, plain, right, strict=True):
        groups.setdefault((task.kind, task.template), []).append(r - p)
    dice, each = random.Random(0), [(sum(group), len(group)) for group in groups.values()]
    drawn = sorted(_ratio(dice.choices(each, k=len(each))) for _ in range(RESAMPLINGS))
    return _ratio(each), drawn[int(0.025 * RESAMPLINGS)], drawn[int(0.975 * RESAMPLINGS)]


def why(task: Task, answer: Answered) -> str:
    """Why an answer is wrong that the plain way has right: a word from `REASONS`."""
    stood = [pair for pair in answer.pairs if any(w in pair[1] or pair[1] in w for w in task.right)]
    wanted = [surrogate for surrogate, _ in stood]
    if task.kind == "aside" or not wanted:
        return "another answer"
    said = [original for surrogate, original in stood if surrogate.casefold() in answer.said.casefold()]
    if said:
        return "in part" if any(holds(answer.back, one) for one in said) else "repeated and not restored"
    if _resembles(wanted, answer.said):
        return "misspelt"
    if any(value in answer.back for value in task.private):
        return "another value"
    return "not repeated"


REASONS = (
    "not repeated",
    "misspelt",
    "repeated and not restored",
    "in part",
    "another value",
    "another answer",
)


def _resembles(surrogates: Sequence[str], said: str) -> bool:
    words = [word.casefold() for word in re.findall(r"[^\s,.;:!?]+", said)]
    parts = [part.casefold() for surrogate in surrogates for part in surrogate.split()]
    return any(get_close_matches(part, words, 1, _NEAR) for part in parts if len(part) > 3)


def _pairs(conversation: Conversation) -> tuple[tuple[str, str], ...]:
    return tuple(
        pair for item in conversation.pairs for pair in [(item.surrogate, item.original), *spoken(item)[1:]]
    )


def _answered(row: dict[str, Any]) -> Answered:
    return Answered(row["asked"], row["said"], row["back"], tuple((a, b) for a, b in row["pairs"]))


def _mean(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else 0.0


def _ratio(each: Sequence[tuple[int, int]]) -> float:
    return sum(total for total, _ in each) / sum(count for _, count in each)


def private_answers_sheets(result: dict[str, Any]) -> list[Sheet]:
    """What is right, and what is lost and why; a row per way."""
    right = tuple(
        (
            name,
            f"{way['right']['all']:.2f}",
            "" if name == "plain" else "{:+.2f} [{:+.2f}, {:+.2f}]".format(*way["less plain"]),
            *(f"{way['right'][kind]:.2f}" for kind in KINDS),
        )
        for name, way in result["ways"].items()
    )
    lost = tuple(
        (
            name,
            str(sum(way["lost"].values())),
            *(str(way["lost"].get(reason, 0)) for reason in REASONS),
            str(way["won"]),
        )
        for name, way in result["ways"].items()
        if name != "plain"
    )
    note = (
        f"{result['tasks']} questions, seed {result['seed']}; in brackets 95 % of {RESAMPLINGS} resamplings"
        " of the templates, each question compared with itself asked plain."
    )
    return [
        Sheet("Answers", ("answered", "right", "less plain", *KINDS), right, note=note),
        Sheet("Lost against plain", ("answered", "lost", *REASONS, "won"), lost),
    ]
