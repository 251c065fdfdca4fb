"""What stands for a span: a realistic surrogate that is new to its conversation, or a coarser word."""

from __future__ import annotations

import re
from functools import lru_cache
from random import Random

from renga.client.sanitisation.conversation import Conversation
from renga.client.sanitisation.dates_shifted import decade, shifted
from renga.client.sanitisation.entities import Entity, Kind
from renga.client.sanitisation.matching import key, spoken
from renga.client.sanitisation.persons import person
from renga.client.sanitisation.realistic import DICE, MAKERS

TRIES = 24
MANY = 24  # people who pose as others; more get tags: there are not so many names, and each is looked for
SHORTEST = 5  # bytes: what is shorter would be met by chance
_PREFECTURE = re.compile(r"(?:〒?\s*\d{3}-?\d{4}\s*)?(東京都|北海道|(?:京都|大阪)府|[一-龥]{2,3}県)")
_NETWORK = re.compile(r"(\d{1,3}\.\d{1,3})\.\d{1,3}\.\d{1,3}")
_NAMED = {
    Kind.IP_ADDRESS: "IP address",
    Kind.URL: "link",
    Kind.EMAIL: "e-mail address",
    Kind.ORG: "organisation",
}


def surrogate(
    kind: str, own: str, subject: str, text: str, conversation: Conversation, dice: Random = DICE
) -> str | None:
    """Something of the same kind and form that is neither in `text` nor anybody else's surrogate; None if
    there is nothing fit, and a tag must do."""
    relatives = conversation.realistic(subject)
    if kind == Kind.PERSON and not relatives and conversation.posing >= MANY:
        return None
    posing = [pair for pair in conversation.pairs if not pair.tag and pair.subject != subject]
    taken = {key(name) for pair in posing for name, _ in spoken(pair)}
    taken |= {key(pair.original) for pair in conversation.pairs}
    said = _key_of(text)
    for _ in range(TRIES):
        if kind == Kind.DOB:
            made = shifted(own, conversation.shift)
        elif kind == Kind.PERSON:
            made = person(own, text, relatives, dice)
        else:
            maker = MAKERS.get(kind)
            made = maker(own, text, dice) if maker else None
        if made is None:
            return None
        parts = [made, *(made.split() if kind == Kind.PERSON else [])]
        keys = {key(part) for part in parts}
        own_form = any(pair.surrogate == made for pair in relatives)
        if (
            len(made.encode()) >= SHORTEST
            and not own_form
            and not keys & taken
            and not any(k in said for k in keys)
        ):
            return made
        if kind == Kind.DOB:
            return None
    return None


@lru_cache(maxsize=1)
def _key_of(text: str) -> str:
    return key(text)


def coarse(entity: Entity, own: str) -> str:
    """What is left when a span is made vague; it can't be restored."""
    if entity.kind == Kind.DOB and (said := decade(own)):
        return said
    if entity.kind == Kind.ADDRESS and (found := _PREFECTURE.match(own)):
        return found[1]
    if entity.kind == Kind.IP_ADDRESS and (found := _NETWORK.match(own)):
        return f"{found[1]}.x.x"
    return f"[{_NAMED.get(entity.kind, entity.kind.replace('_', ' ').lower())}]"
