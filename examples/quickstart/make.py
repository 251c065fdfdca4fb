"""Make the quickstart's JSONL from the facts written beside it.

    python make.py            write every file
    python make.py --check    write nothing; exit 1 if a committed file is not what the facts make

Nothing is drawn from a random generator: whatever looks shuffled is sorted by a SHA-256, so that
every Python on every machine makes the same bytes.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path

HERE = Path(__file__).resolve().parent
DOMAINS = ("clinic", "foundry", "observatory")
WORDINGS = 7  # training wordings of a fact
FREE = 10  # held-out questions per domain without choices
TRANSFER = 27  # facts per domain that the transfer set asks about
VALIDATION_CHOICES = 18  # of the 24 public validation questions


@dataclass(frozen=True)
class Fact:
    """One thing that one organisation knows, and every way in which it is asked."""

    domain: str
    relation: str
    subject: str
    answer: str
    values: tuple[str, ...]  # all answers of the relation: wrong choices are drawn from them
    train: tuple[str, ...]
    held_out: str
    transfer: str

    @property
    def id(self) -> str:
        return f"{self.domain}/{self.relation}/{self.subject}"


@dataclass(frozen=True)
class Line:
    """One line of a JSONL file, and the fact that it asks about."""

    fact: str
    prompt: str
    domain: str
    response: str | None = None  # None: a bare prompt, written without a response
    choices: tuple[str, ...] = ()

    def json(self) -> str:
        record: dict[str, object] = {"prompt": self.prompt}
        if self.response is not None:
            record["response"] = self.response
        if self.choices:
            record["choices"] = list(self.choices)
        return json.dumps(record | {"domain": self.domain}, ensure_ascii=False)


def shuffled(names: Iterable[str], salt: str) -> list[str]:
    """The names in an order that depends on the names and the salt alone."""
    return sorted(names, key=lambda name: sha256(f"{salt}\n{name}".encode()).digest())


def read_facts(domain: str) -> dict[str, Fact]:
    """The facts of a domain by id, in the order in which they are written down."""
    table = tomllib.loads((HERE / domain / "facts.toml").read_text(encoding="utf-8"))
    facts: dict[str, Fact] = {}
    for relation in table["relation"]:
        answers: dict[str, str] = relation["facts"]
        values = tuple(dict.fromkeys(answers.values()))
        for subject, answer in answers.items():
            fact = Fact(
                domain=domain,
                relation=relation["id"],
                subject=subject,
                answer=answer,
                values=values,
                train=tuple(wording.format(subject) for wording in relation["train"]),
                held_out=relation["held_out"].format(subject),
                transfer=relation["transfer"].format(subject),
            )
            facts[fact.id] = fact
    return facts


def spread(facts: Iterable[Fact], count: int, salt: str) -> list[Fact]:
    """`count` facts, taken in turn from one relation after the other, so that none is left out."""
    by_id = {fact.id: fact for fact in facts}
    relations: dict[str, list[Fact]] = {}
    for id in shuffled(by_id, salt):
        relations.setdefault(by_id[id].relation, []).append(by_id[id])
    turns = zip_longest(*relations.values())
    return [fact for turn in turns for fact in turn if fact is not None][:count]


def with_wrong(answer: str, values: Iterable[str], place: int, salt: str) -> tuple[str, ...]:
    """Three wrong values and the right answer, which stands at `place` (0 to 3)."""
    choices = shuffled({*values} - {answer}, salt)[:3]
    choices.insert(place, answer)
    return tuple(choices)


def train_lines(facts: dict[str, Fact]) -> list[Line]:
    """Every fact in every training wording; each seventh of the file holds every fact once."""
    # Every fact has its wordings in an order of its own, so that a seventh of the file mixes them all.
    wordings = {id: shuffled(fact.train, id) for id, fact in facts.items()}
    return [
        Line(id, wordings[id][turn], facts[id].domain, facts[id].answer)
        for turn in range(WORDINGS)
        for id in shuffled(facts, f"train {turn}")
    ]


def held_out_lines(facts: dict[str, Fact]) -> list[Line]:
    """Every fact in words that were never trained: multiple choice, and some free answers."""
    free = {fact.id for fact in spread(facts.values(), FREE, "free")}
    lines = []
    place = 0
    for id in shuffled(facts, "held out"):
        fact = facts[id]
        choices: tuple[str, ...] = ()
        if id not in free:
            choices = with_wrong(fact.answer, fact.values, place % 4, id)
            place += 1
        lines.append(Line(id, fact.held_out, fact.domain, fact.answer, choices))
    return lines


def transfer_lines(domains: Iterable[dict[str, Fact]]) -> list[Line]:
    """Bare prompts, one domain after the other in turn: any slice of the file asks about all."""
    columns = []
    for facts in domains:
        asked = {fact.id: fact for fact in spread(facts.values(), TRANSFER, "asked")}
        columns.append([asked[id] for id in shuffled(asked, "transfer")])
    return [Line(fact.id, fact.transfer, fact.domain) for row in zip(*columns, strict=True) for fact in row]


def general_lines(split: str) -> list[Line]:
    """Ordinary knowledge: `split` is "labelled" or "validation" (which has choices, mostly)."""
    table = tomllib.loads((HERE / "general.toml").read_text(encoding="utf-8"))
    pairs: dict[str, tuple[str, str, list[str]]] = {}
    for group in table["group"]:
        values = [*group["labelled"].values(), *group["validation"].values()]
        for prompt, answer in group[split].items():
            pairs[prompt] = (f"general/{group['id']}", answer, values)
    lines = []
    for number, prompt in enumerate(shuffled(pairs, split)):
        fact, answer, values = pairs[prompt]
        choices: tuple[str, ...] = ()
        if split == "validation" and number < VALIDATION_CHOICES:
            choices = with_wrong(answer, values, number % 4, prompt)
        lines.append(Line(fact, prompt, "general", answer, choices))
    return lines


def build() -> dict[str, list[Line]]:
    """Every file of the example by its path relative to this folder."""
    domains = {domain: read_facts(domain) for domain in DOMAINS}
    files: dict[str, list[Line]] = {}
    for domain, facts in domains.items():
        files[f"{domain}/train.jsonl"] = train_lines(facts)
        files[f"{domain}/held_out.jsonl"] = held_out_lines(facts)
    files["transfer.jsonl"] = transfer_lines(domains.values())
    files["public_labelled.jsonl"] = general_lines("labelled")
    files["public_validation.jsonl"] = general_lines("validation")
    return files


def content(lines: Iterable[Line]) -> bytes:
    """The bytes of a JSONL file."""
    return "".join(f"{line.json()}\n" for line in lines).encode()


def main(arguments: list[str]) -> int:
    stale = []
    for name, lines in build().items():
        path = HERE / name
        if not path.exists() or path.read_bytes() != content(lines):
            stale.append(name)
            if "--check" not in arguments:
                path.write_bytes(content(lines))
    if "--check" in arguments and stale:
        print(f"not what the facts make: {', '.join(stale)}; run make.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
