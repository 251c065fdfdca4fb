"""Persons where a form of writing says so: an initial and a surname on a line of their own, a surname before a
given name and a date of birth, times of day with who comes then, a name that is spelled, who is present or absent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found
from renga.client.sanitisation.lexicon import japanese, latin, public_figures
from renga.client.sanitisation.names_inside import FOREIGN, NEVER, PLACES, is_name, is_word, rank_of
from renga.client.sanitisation.scanning import Scanned, matches

_ONE = r"[A-ZÀ-Þ][a-zß-ɏ'’\-]{1,20}"
_INITIAL = Scanned(
    rf"(?:^[ \t]{{0,4}}[-*•][ ]|(?<=[:.][ ])|(?<=best, )|(?<=regards, ))([A-Z]\.[ ]{_ONE})(?=[ ](?:asked|said|to|will|has|is|was|reported)(?![a-z])|[ ]?[\"”]|[ ]?$)",
    re.M,
)
_SORTED = Scanned(
    r"(?<![A-Za-zÀ-ɏ0-9'’\-,.@/_])((?:d['’])?[A-Za-zÀ-ɏ][a-zß-ɏ'’\-]{1,20},[ ][A-Za-zÀ-ɏ][a-zß-ɏ'’\-]{1,20})(?=[ ]?[,/|;(][ ]?(?:(?i:dob|d\.o\.b|born|née?|geb|n°)|[0-9]{1,4}[./\-][0-9]{1,2}[./\-][0-9]{1,4}))"
)
_SLOT = Scanned(rf"(?<![0-9.:])[0-9]{{1,2}}[.:][0-9]{{2}}[ ]({_ONE})(?=[,;.\n]|$)")
_SPELLED = Scanned(r"(?<![A-Za-z\-])[A-Z](?:-[A-Z]){3,20}(?![A-Za-z\-])")
_SPELLS = re.compile(
    r"(?<![a-z])(?:surname|last name|first name|name(?:'s| is)?|spell(?:ed|t|s)?)(?![a-z])", re.I
)
_WITH_SPELLING = re.compile(r"(?<![A-Za-z])([A-Za-z]{3,20}),?[ ](?:that's|that is|spelled|spelt)[ ]$", re.I)
_TOLD = Scanned(
    r"(?<![A-Za-zÀ-ɏ'’\-])(?i:la doctora|el doctor|le client|la cliente|hausarzt|hausärztin|zahnarzt|anwesend (?:waren|sind)|vertretung macht|vertretung übernimmt|(?:fahrzeug)?halter ist(?: aber)?|une? certaine?|a certain|from me,|laptop of|mi cuñad[oa]|need an excuse for)[ ]"
    r"([A-Za-zÀ-ɏ][A-Za-zÀ-ɏ'’\-]{2,20}(?:[ ](?!und |and )[A-Za-zÀ-ɏ][A-Za-zÀ-ɏ'’\-]{2,20})?)(?:[ ](?:und|et|y|and)[ ]([A-Za-zÀ-ɏ][a-zß-ɏ'’\-]{2,20}))?"
)
_ABSENT = Scanned(rf"(?:(?<=: )|(?<=, ))({_ONE})[ ](?:fehlt|übernimmt|entschuldigt|ist krank)(?![a-zß-ü])")
_JA_BESIDE = Scanned(
    r"(?<![一-龥々])(?:弊社|家族の|私|いとこの|子どもは|明日|昨日|総務課の)([一-龥々]{1,3}|[ぁ-ん]{2,5})"
)
_JA_ACTS = re.compile(
    r"(?:が|は)(?:本日|体調|不在|出張|ご対応|対応|担当)|も(?:運転|一緒|行)|氏と|（[0-9]{4}年|と(?:映画|ご飯|飲み|旅行)"
)
"""What is said of a person whose surname or given name stands between that and the one he belongs to."""


def _could_be(name: str) -> bool:
    """Could this part be a person's, where a form of writing says that one stands there?"""
    low = name.lower()
    if low in NEVER or low in PLACES or low in public_figures()[1]:
        return False
    known = is_name(low, latin().given)
    rank = rank_of(low, latin())
    if is_word(low) or low in FOREIGN:
        return name[0].isupper() and (known or (rank is not None and rank < 5000))
    return name[0].isupper() or known


def written(text: str) -> Iterator[Found]:
    """Persons of whom the form of writing tells, in Latin and in Japanese script."""
    for match in matches(_INITIAL, text):
        surname = match[1][3:].lower()
        if rank_of(surname, latin()) is not None and surname not in NEVER | PLACES:
            yield Found(*match.span(1), Kind.PERSON, 0.6)
    for match in matches(_SORTED, text):
        family, given = match[1].lower().split(", ")
        if is_name(given, latin().given) or (family.startswith(("d'", "d’")) and not is_word(given)):
            if given not in NEVER | PLACES and family not in PLACES:
                yield Found(*match.span(1), Kind.PERSON, 0.7)
    slots = list(matches(_SLOT, text))
    sure = [m for m in slots if _could_be(m[1])]
    if len(sure) > 1 and any(not is_word(m[1].lower()) for m in sure):
        for match in sure:
            yield Found(*match.span(1), Kind.PERSON, 0.6)
    for match in matches(_SPELLED, text):
        if _SPELLS.search(text, max(0, match.start() - 60), match.start()):
            yield Found(*match.span(), Kind.PERSON, 0.6)
            said = _WITH_SPELLING.search(text, max(0, match.start() - 40), match.start())
            if said is not None and said[1].lower() == match[0].replace("-", "").lower():
                yield Found(*said.span(1), Kind.PERSON, 0.6)
    for match in matches(_TOLD, text):
        first, _, second = match[1].partition(" ")
        if _could_be(first):
            both = second and _could_be(second)
            yield Found(match.start(1), match.start(1) + len(match[1] if both else first), Kind.PERSON, 0.6)
            if match[2] and _could_be(match[2]):
                yield Found(*match.span(2), Kind.PERSON, 0.6)
    for match in matches(_ABSENT, text):
        if not is_word(match[1].lower()) and _could_be(match[1]):
            if rank_of(match[1].lower(), latin()) is not None or is_name(match[1].lower(), latin().given):
                yield Found(*match.span(1), Kind.PERSON, 0.6)
    lists = japanese()
    for match in matches(_JA_BESIDE, text):
        for size in range(len(match[1]), 0, -1):
            name = match[1][:size]
            known = name in lists.surnames or name in lists.given or name in lists.given_kana
            if known and _JA_ACTS.match(text, match.start(1) + size):
                yield Found(match.start(1), match.start(1) + size, Kind.PERSON, 0.62)
                break
