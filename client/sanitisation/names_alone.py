"""One part of a name by itself: a given name or a surname, with what announces it."""

from __future__ import annotations

import re

from renga.client.sanitisation import name_cues as cues
from renga.client.sanitisation.lexicon import listed, public_figures
from renga.client.sanitisation.names_heard import Said
from renga.client.sanitisation.names_inside import FIRMS, FOREIGN, NAMES_FIRST, NEVER, PLACES, SELDOM, Part
from renga.client.sanitisation.names_placed import SPOKEN_TO, VERBS_TOO, acts, handed

_SAINT = re.compile(r"(?<![A-Za-z])(?:st\.?|saint|san|santa)[ ]$", re.I)
_ASSISTANTS = listed("assistants")
"""Who is hailed, and is no person."""
_TOOLS = listed("names of programs")
"""Names that in lower case are programs rather."""
_NO_NAME_ENDINGS = ("ing", "tion", "ness", "ware", "js", "sql", "ism", "ist", "'s", "lol", "haha", "ish")


def alone(part: Part, text: str, start: int, end: int, said: Said, closed: bool) -> float:
    """One part by itself, with what announces it."""
    capital = part.text[0].isupper()
    before = text[max(0, start - 40) : start]
    if part.text.isupper() and len(part.text) > 1 and not (said.label or said.titled or before.isupper()):
        return 0.0
    if capital and not said.strong and cues.PLACE_BEFORE.search(before):
        return 0.0
    if capital and part.given and not said.strong and _beside_place(text, start, end):
        return 0.0
    if part.given and said.greeting and cues.AGAIN.match(text, end):
        return 0.6
    famous = part.low in public_figures()[1] or part.low in PLACES or part.low in FIRMS
    if said.casual and not capital and part.given and part.word and part.low not in SELDOM:
        kin = _OF_ONES_KIN.match(text, end) is not None
        if (kin or _SAID.match(text, end)) and not _DETERMINED.search(before):
            return 0.6
    acting = acts(text, end)
    if said.firm or (acting and (capital or said.loose)) or (said.handing and handed(text, end)):
        if (placed := _placed(part, text, start, end, said, closed, famous)) is not None:
            return placed
    score = 0.0
    if capital and part.given:
        score = 0.05 if famous else 0.3 if part.word else 0.5
        if part.word and said.loose and not famous and _inside_sentence(part, text, start, end):
            score += 0.2
    elif capital and part.rank is not None and not part.word:
        score = (0.25 if part.rank < 3000 else 0.1) - (0.25 if famous else 0.0)
    elif capital:
        score = (0.0 if said.titled or not part.word else -0.2) - (0.25 if famous else 0.0)
    else:
        score = (
            0.15
            if part.given and not part.word
            else 0.05
            if part.rank is not None and not part.word
            else -0.1
        )
        score -= (0.3 if part.word or part.low in FOREIGN else 0.0) + (0.3 if len(part.low) < 3 else 0.0)
    if (outright := _in_company(part, before, text, end, said, closed, famous)) is not None:
        return outright
    if said.titled and (capital or not part.word):
        score += 0.6
    elif part.word and not said.strong and capital and _NAME_GOES_ON.match(text, end):
        score = 0.0
    elif said.label:
        field = cues.NAME_FIELD.search(before) is not None
        score += (
            0.65 if field else 0.5 if (capital or part.given) and not (part.word and not part.given) else 0.2
        )
    elif said.strong:
        score += 0.5 if (capital and not part.word) or part.given else 0.2 if not part.word else 0.0
        unknown = not (capital or part.word or part.given or part.low in FOREIGN) and len(part.low) > 3
        if unknown and cues.PERSON_VERB.match(text, end):
            score += 0.45  # `my gf steph wants …`
    elif said.greeting and (capital or closed) and part.given:
        score += 0.45
    elif (
        said.greeting
        and (closed or cues.HERE.match(text, end))
        and not part.word
        and (not famous or (part.given and cues.HERE.match(text, end) is not None))
        and part.low not in FOREIGN
        and len(part.low) > 3
    ):
        score += 0.5 if capital else 0.45
    elif said.weak and capital and (part.given or part.rank is not None):
        score += 0.15 if part.given else 0.05
    elif part.given and not famous and len(part.low) > 2 and cues.TO_SOMEBODY.search(before):
        score += (
            0.4
            if not part.word and len(part.low) > 3
            else 1.0
            if part.low in NAMES_FIRST and cues.TELL.search(before)
            else 0.0
        )
    return score


_NAME_GOES_ON = re.compile(r"(?:'s|’s)?[ ][A-ZÀ-Þ][a-zà-ɏ]")
_SENTENCE = re.compile(
    r"[ ]?(?:[,.!?;:)\n]|$)|[ ](?:that|to|about|if|whether|i|im|i'm|we|for|on|and|at|the|not|he|she|his|her|happy|back|when|what|where|why|how|my|our|pls|please|tmrw|tomorrow|today|tonight|again|asap|yesterday|outside|before|after|last|next|because|bc|from|in|or|so|u|you|wanna|gonna|are|is|will|went|want|wants|said|have|were|got|has|had|by|never|until|y|que|a|para|et|pour|und|dass|ob|wegen|um|am|qué|si|al|en|au|à|avant|ce|demain|mañana|morgen|heute|hoy)(?![a-z])",
    re.I,
)
"""What goes on behind an object that is a person."""


_OF_ONES_KIN = re.compile(
    r"(?:'s|’s)[ ](?:husband|wife|mom|mum|dad|mother|father|sister|brother|son|daughter|boyfriend|girlfriend|bf|gf|ex|boss|roommate|birthday|bday|phone|number|kids?|parents|wedding|funeral|therapist|landlord)(?![a-z])"
)
_SAID = re.compile(
    r"[ ](?:just[ ]|never[ ]|always[ ])?(?:said|says|told|asked|texted|thinks|lied|owes|promised|hates|called[ ](?:me|us|him|her))(?![a-z])"
)
_DETERMINED = re.compile(
    r"(?<![a-z])(?:the|an?|my|our|your|his|her|their|its|this|that|some|any|no|i|we|you|they|to|of)[ ]$", re.I
)
_PLAIN_BEFORE = re.compile(r"(?:^|[.!?:,\n][ ]?|[\"“])[A-Z][a-z]+[ ]$|(?<![A-Za-z'])[a-z]+[ ]$")


def _inside_sentence(part: Part, text: str, start: int, end: int) -> bool:
    """Does a capital stand alone among words without (`When Bill visits`), so that it means a name?"""
    if (
        part.low in SELDOM
        or part.low in NEVER
        or part.low in _TOOLS
        or part.low in VERBS_TOO - {"bill", "rob"}
    ):
        return False
    return (
        not _NAME_GOES_ON.match(text, end)
        and _PLAIN_BEFORE.search(text, max(0, start - 20), start) is not None
    )


def _placed(
    part: Part, text: str, start: int, end: int, said: Said, closed: bool, famous: bool
) -> float | None:
    """One part where only a person stands: a given name though it is a word, or no word at all."""
    if part.low in SELDOM or part.low in _ASSISTANTS or len(part.low) < 2:
        return None
    if part.low in FOREIGN and not (part.given and part.text[0].isupper()):
        return None
    if _NAME_GOES_ON.match(text, end) or (famous and not part.given):
        return None
    if part.low in PLACES and not (part.given and cues.TELL.search(text, max(0, start - 40), start)):
        return None
    if part.text[0].isupper():
        if not part.text.istitle() and not part.text[1:].isalpha():
            return None
        if part.given or (part.low in VERBS_TOO and said.firm):
            return 0.6
        opens = start == 0 or text[:start].rstrip(' *>\t"')[-1:] in ("", ".", "!", "?", "\n", ":")
        known = part.rank is not None and part.rank < 30000
        if part.word and said.firm and part.rank is not None and part.rank < 2000 and part.low not in NEVER:
            return 0.55 if _SENTENCE.match(text, end) else None
        unknown = not part.word and len(part.low) > 2 and not part.low.endswith(_NO_NAME_ENDINGS)
        return (
            0.55
            if unknown
            and not famous
            and not (said.unsure and not said.firm)
            and (known or said.firm or not opens or said.personal or SPOKEN_TO.match(text, end) is not None)
            else None
        )
    if not said.casual or (famous and not (part.given and said.personal)) or part.low in _TOOLS:
        return None
    if not (closed or _SENTENCE.match(text, end) or handed(text, end) or acts(text, end)):
        return None
    if part.given and part.low not in NEVER:
        return 0.6
    unknown = not part.word and len(part.low) > 3 and not part.low.endswith(_NO_NAME_ENDINGS)
    return 0.55 if unknown and not said.unsure else None


def _in_company(
    part: Part, before: str, text: str, end: int, said: Said, closed: bool, famous: bool
) -> float | None:
    """One part that is no word, and of which something is said that is said of persons only; None where nothing
    is."""
    capital = part.text[0].isupper()
    if part.low in _ASSISTANTS and cues.HAILED.search(before):
        return 0.0
    if famous and capital and part.given and not part.word and said.personal and part.low not in PLACES:
        return 0.55 if cues.NAMED_AFTER.search(before) else None
    if (
        part.word
        or famous
        or _SAINT.search(before)
        or len(part.low) < 3
        or part.low in FOREIGN
        or part.low.endswith(_NO_NAME_ENDINGS)
    ):
        return None
    if not part.text.islower() and not part.text.istitle():
        return None
    if cues.SIGNED.search(before) and (capital or part.given) and not text[end : end + 40].strip():
        return 0.7
    if cues.HAILED.search(before) and len(part.low) > 3 and (closed or cues.GOES_ON.match(text, end)):
        return 0.65
    acts = cues.BETWEEN_PEOPLE.match(text, end) is not None
    if capital:
        return 0.55 if acts and said.personal and len(part.low) > 3 else None
    if not said.casual:
        return None
    if part.given:
        if part.low in _TOOLS:
            return None
        owns = cues.POSSESSION.match(text, end) is not None or cues.ABROAD.match(text, end) is not None
        acts = (
            acts or cues.PERSON_VERB.match(text, end) is not None or cues.ASKED_OF.search(before) is not None
        )
        if acts or owns or (said.personal and (len(part.low) > 3 or cues.TELL.search(before))):
            return 0.6
        return 0.55 if len(part.low) > 3 and cues.TO_SOMEBODY.search(before) else None
    if acts and len(part.low) > 3 and (said.personal or part.rank is not None):
        return 0.55
    told = len(part.low) > 3 and (
        (said.personal and cues.TELL.search(before) is not None) or cues.GIFT.match(text, end) is not None
    )
    return (
        0.5
        if told or (cues.HERE.match(text, end) and cues.SAYS_WHO.search(before) and len(part.low) > 3)
        else None
    )


_BEFORE_ONE = re.compile(r"([A-Z][a-z]+)(?:,| and| or| und| y| et|, and|, or)[ ]$")
_AFTER_ONE = re.compile(r"(?:,| and| or| und| y| et|, and|, or)[ ]([A-Z][a-z]+)")


def _beside_place(text: str, start: int, end: int) -> bool:
    """Does a list of places go on here (`Victoria, Sydney and Adelaide`)?"""
    for match in (_BEFORE_ONE.search(text, max(0, start - 30), start), _AFTER_ONE.match(text, end)):
        if match is not None and match[1].lower() in PLACES:
            return True
    return False
