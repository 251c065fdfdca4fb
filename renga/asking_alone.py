"""A question that stands by itself beside an introduction: `I am Jane Roe. What is the capital of France?`

It needs no rewriting, which small models do badly, and its answer no merging: what introduces somebody stays
here, the question leaves as it was written. An introduction says who asks and nothing else:
`I am Jane Roe and allergic to nuts` is none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from renga.client.sanitisation.entities import Entity
from renga.client.sanitisation.sanitiser import Sanitiser

_SENTENCE = re.compile(r"[^.!?。！？\n]*(?:[.](?![ \n]|$)[^.!?。！？\n]*)*[.!?。！？\n]*")
_INTRODUCTIONS = (
    r"i(?:'|’)?m|i am|my name is|this is|(?:call|reach|write to|contact) me|you can reach me",
    r"my (?:\w+ ){0,2}(?:phone|e-?mail|number|address|account|card|birthday)\b",
    r"ich bin|ich hei(?:ß|ss)e|je suis|je m'appelle|soy|me llamo",
    r".*(?:です|と申します|といいます)[。！]?\s*$",
)
_INTRODUCES = re.compile(
    r"\s*(?:(?:hi|hello|hey|dear \w+|good (?:morning|evening|afternoon))\b[ ,!.]*)?"
    rf"(?:{'|'.join(_INTRODUCTIONS)})",
    re.I,
)
_REFERRING = (
    "i|me|my|mine|we|us|our|ours|he|him|his|she|hers?|they|them|theirs?|it|its|this|that|these|those|here|there"
    "|same|such|above|below"
)
REFERS = re.compile(
    rf"(?<![a-z])(?:{_REFERRING})(?![a-z])|私|僕|俺|彼|これ|それ|あれ|この|その|あの|ここ|そこ", re.I
)
_SHORTEST = 12
_NO_MORE = re.compile(
    r"(?:hi|hello|hey|dear|good|morning|evening|afternoon|i|i['’]?m|am|my|name|this|is|it|call|reach|write|contact|me"
    r"|you|can|to|at|on|by|via|or|and|phone|mobile|cell|home|work|e-?mail|mail|number|address|account|card|birthday"
    r"|ich|bin|hei(?:ß|ss)e|und|je|suis|m['’]appelle|et|soy|me|llamo|y)(?!\w)",
    re.I,
)
_NO_MORE_JA = re.compile(r"私|僕|俺|名前|の|は|です|と申します|といいます|こんにちは|はじめまして")


def sentences(text: str) -> list[tuple[int, int]]:
    """Where its sentences stand, without the blanks around them."""
    found = []
    for match in _SENTENCE.finditer(text):
        if said := match[0].strip():
            start = match.start() + match[0].index(said[0])
            found.append((start, start + len(said)))
    return found


def standing_alone(text: str, sanitiser: Sanitiser) -> str | None:
    """The question of `text` if all else only says who asks, and it refers to nothing and nothing in it is
    private; None where it needs the rest."""
    found = sanitiser.find(text)
    others, asked = list[str](), list[str]()
    for start, end in sentences(text):
        sentence = text[start:end]
        inside = [e for e in found if e.start < end and e.end > start]
        if sentence.endswith(("?", "？")):
            asked.append(sentence)
            if inside or REFERS.search(sentence):
                return None
        else:
            others.append(sentence)
            if not (inside and _INTRODUCES.match(sentence) and _says_who(text, (start, end), inside)):
                return None
    if len(asked) != 1 or not others or len(asked[0]) < (_SHORTEST if asked[0].isascii() else 6):
        return None
    return asked[0]


def _says_who(text: str, span: tuple[int, int], inside: Sequence[Entity]) -> bool:
    """Whether a sentence holds nothing beside what is private in it and words of introduction."""
    at, rest = span[0], list[str]()
    for entity in inside:
        rest.append(text[at : entity.start])
        at = max(at, entity.end)
    rest.append(text[at : span[1]])
    words = re.findall(r"[^\W\d_](?:[\w'’\-]*\w)?|\d+", _NO_MORE_JA.sub(" ", " ".join(rest)))
    return all(_NO_MORE.fullmatch(word) for word in words)
