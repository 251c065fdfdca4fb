"""A question that stands by itself beside an introduction: `I am Jane Roe. What is the capital of France?`

It needs no rewriting, which small models do badly, and its answer no merging: what introduces somebody stays
here, the question leaves as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable

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
_REFERS = re.compile(
    rf"(?<![a-z])(?:{_REFERRING})(?![a-z])|私|僕|俺|彼|これ|それ|あれ|この|その|あの|ここ|そこ", re.I
)
_SHORTEST = 12


def standing_alone(text: str, private: Callable[[str], bool]) -> str | None:
    """The question of `text` if all else only says who asks, and it refers to nothing and nothing in it is
    `private`; None where a model has to rewrite."""
    sentences = [match[0].strip() for match in _SENTENCE.finditer(text) if match[0].strip()]
    asked = [s for s in sentences if s.endswith(("?", "？"))]
    others = [s for s in sentences if s not in asked]
    if len(asked) != 1 or not others or len(asked[0]) < (_SHORTEST if asked[0].isascii() else 6):
        return None
    if not all(_INTRODUCES.match(s) and private(s) for s in others):
        return None
    return None if _REFERS.search(asked[0]) or private(asked[0]) else asked[0]
