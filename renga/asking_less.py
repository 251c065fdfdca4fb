"""A question that asks for less, without a model where grammar shows it, and whether a rewrite still asks it.

People say who wants to know, and then ask: `Ann Wood, 555-0101, asks how many legs a spider has.`, `Tom
argues about the largest ocean. Which is it?`. What is asked is a clause of its own; small models lose it or
answer it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from renga.asking_alone import REFERS, sentences
from renga.client.sanitisation.entities import Entity

_WH = (
    r"(?:how (?:many|much|long|far|old|often|tall|big|high)|which|what|who|whose|where|when|why|how|whether)"
)
_ASKED_INSIDE = re.compile(
    r"(?:\b(?:knows?|asks?|asked|asking|wonder|wonders|wondering|tell|find out|forgot(?:ten)?|say|is|question"
    rf")\b|:)[^.?!]*?\b(?P<asked>{_WH}\b[^.?!]+)",
    re.I,
)
_IT = re.compile(
    r"(?P<ask>(?:what|which|who|where|when)(?: \w+)? (?:is|are|was|were)) (?:it|that|this|they|s?he)\b[ ?]*$",
    re.I,
)
_THING = re.compile(
    r"\b(?:about|know|of|remember|find|name|forgot|guess|says?|told|for|on) (?P<thing>(?:the|an?) [^.?!,;]+)",
    re.I,
)
_VERB = re.compile(r" (?:is|are|was|were|has|have|had|can|will|that|which|who|by|before)\b.*", re.I)
_SAY_NOTHING = """
    a about am an and are as ask asks at be been being by call called can could dear did do does for
    from had has have he hello help her here hi him his how i if in is it its know let like many may me
    much must my name need needs of on one or our please question say says she should so some tell than
    that the their them then there they this to told us want wants was we were what when where which who
    why will with would you your
"""
_EMPTY = frozenset(_SAY_NOTHING.split())
LEAST = 2  # words that say something: a question with fewer needs what stands before it
ENOUGH = 0.5


def asked_for(text: str, found: Sequence[Entity]) -> str:
    """The question in `text` by itself, with nothing private in it and referring to nothing; "" if grammar
    does not show one."""
    said = [(text[start:end], _inside(found, start, end), start) for start, end in sentences(text)]
    for place, (sentence, private, start) in reversed(list(enumerate(said))):
        if sentence.endswith(("?", "？")) and not private and _stands(sentence):
            return sentence
        for match in _ASKED_INSIDE.finditer(sentence):
            clause = (start + match.start("asked"), start + match.end("asked"))
            if not _inside(found, *clause) and _stands(match["asked"]):
                return _as_question(match["asked"])
        if place and (pointing := _IT.search(sentence)):
            before, _, at = said[place - 1]
            for match in reversed(list(_THING.finditer(before))):
                thing = _VERB.sub("", match["thing"])
                span = (at + match.start("thing"), at + match.start("thing") + len(thing))
                if not _inside(found, *span) and words_of(thing):
                    return _as_question(f"{pointing['ask']} {thing}")
    return ""


def kept(text: str, found: Sequence[Entity], written: str) -> float:
    """The share of what is asked in `text` that `written` says too, in words without private ones."""
    at = asked_from(text, found)
    asked = words_of("".join(_without(text, at, len(text), [e for e in found if e.end > at])))
    return len(asked & words_of(written)) / len(asked) if asked else 1.0


def asked_from(text: str, found: Sequence[Entity]) -> int:
    """Where what is asked begins: with the last sentence, or with the one before it if that refers or says
    too little."""
    places = sentences(text)[-2:]
    if not places:
        return 0
    start, end = places[-1]
    said = "".join(_without(text, start, end, [e for e in found if e.end > start]))
    whole = len(words_of(said)) >= LEAST and not REFERS.search(said)
    return start if whole else places[0][0]


def words_of(text: str) -> set[str]:
    """What is said, by the beginnings of its words: `boils` and `boiling` are one."""
    words = re.findall(r"[^\W_]+", text.lower())
    return {
        word[:5].rstrip("s") for word in words if word not in _EMPTY and (len(word) > 2 or word.isdigit())
    }


def _stands(question: str) -> bool:
    return not REFERS.search(question) and len(words_of(question)) >= LEAST


def _as_question(clause: str) -> str:
    clause = clause.strip(" .,;:")
    return f"{clause[:1].upper()}{clause[1:]}?"


def _inside(found: Sequence[Entity], start: int, end: int) -> bool:
    return any(entity.start < end and entity.end > start for entity in found)


def _without(text: str, start: int, end: int, spans: Sequence[Entity]) -> list[str]:
    rest = []
    for entity in spans:
        rest.append(text[start : max(start, entity.start)])
        start = max(start, entity.end)
    return [*rest, text[start:end]]
