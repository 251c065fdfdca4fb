"""Persons who stand beside others: in lists, as speakers of a chat, surname first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from renga.client.sanitisation import name_cues as cues
from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found
from renga.client.sanitisation.lexicon import latin, listed, public_figures
from renga.client.sanitisation.names_inside import NEVER, PLACES, TOKEN, full_name, is_name, is_word, rank_of
from renga.client.sanitisation.names_placed import VERBS_TOO
from renga.client.sanitisation.scanning import Scanned, matches

_CAPITALS = r"([A-ZÀ-Þ][a-zß-ɏ'’\-]+(?:[ ](?:(?:van|von|de|del|der|da|di|la|el|al|bin)[ ]){0,2}[A-ZÀ-Þ][A-Za-zÀ-ɏ'’\-]+){1,2})"


_NEXT = re.compile(rf"[ ]?(?:[,;&/+]|[ ](?:and|und|et|y|e)[ ])[ ]{{0,2}}(?:and[ ])?{_CAPITALS}(?![A-Za-z])")


_PREVIOUS = re.compile(
    rf"(?<![A-Za-z.\-]){_CAPITALS}[ ]?(?:[,;&/+]|[ ](?:and|und|et|y|e))[ ]{{1,2}}(?:and[ ])?$"
)


_GIVEN_AFTER = re.compile(r",[ ]([A-ZÀ-Þ][a-zß-ɏ'’\-]{1,20}(?:[ ][A-Z]\.?(?![a-z]))?)(?=[\"'(<;:\n]|$)")
"""`Byron, Ada`, as indexes and letters write it."""


_AND = re.compile(r"[\"']?[ ]?(?:,|&|and|und|et|y|/|\+)[ ]{0,2}(?:and )?[\"']?$|,[ ]$")


_SPEAKER = re.compile(
    r"^[ \t>]{0,4}(?:\[?(?:[0-9]{1,4}[/.\-][0-9]{1,2}[/.\-][0-9]{1,4},?[ ])?[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?(?:[ ]?[AaPp][Mm])?\]?)[ \-–]{1,3}"
    r"([A-ZÀ-Þ][A-Za-zÀ-ɏ'’\-]{1,20}(?:[ ][A-ZÀ-Þ][A-Za-zÀ-ɏ'’\-]{1,20}){0,2})(?=:[ ])",
    re.M,
)


def speakers(text: str) -> Iterator[Found]:
    """Who speaks in the log of a chat: `[09:13] Hamza: …`."""
    turns = list(_SPEAKER.finditer(text))
    first = [m[1].partition(" ")[0].lower() for m in turns]
    chat = any(is_name(low, latin().given) and low not in _NOBODY for low in first)
    for match in turns:
        parts = [p.lower() for p in TOKEN.findall(match[1])]
        named = len(parts) > 1 or not is_word(parts[0]) or is_name(parts[0], latin().given)
        named = named or (chat and parts[0] not in _NOBODY)
        if named and not match[1].isupper() and not any(p in NEVER for p in parts):
            yield Found(*match.span(1), Kind.PERSON, 0.7)


_NOBODY = listed("users of no one") | {
    "me",
    "bot",
    "assistant",
    "support",
    "error",
    "warning",
    "info",
    "mom",
    "dad",
}
_LINE = re.compile(
    r"^[ \t>*•\-]{0,4}([A-Za-zÀ-ɏ][A-Za-zÀ-ɏ'’\-]{1,20}(?:[ ][A-ZÀ-Þ][A-Za-zÀ-ɏ'’.\-]{0,20})?)[ ]?:[ ]", re.M
)


_FIRST_PERSON = re.compile(
    r"[^\n]{0,60}?(?<![A-Za-z])(?:i|i'll|i'm|ill|im|we|we'll|my|me|us|you|ok|yes|no|lol|thanks|sorry|sure)(?![A-Za-z])",
    re.I,
)


def voices(text: str) -> Iterator[Found]:
    """Who speaks in lines (`Takoda: we ship`): all of them, where one is surely a person's name."""
    lines = [m for m in _LINE.finditer(text) if not is_word(m[1].partition(" ")[0].lower())]
    if len({m[1] for m in lines}) < 2:
        return
    given = [m for m in lines if is_name(m[1].partition(" ")[0].lower(), latin().given)]
    lower = sum(m[1][0].islower() for m in lines)
    chat = sum(_FIRST_PERSON.match(text, m.end()) is not None for m in lines)
    if not (given or (chat and not lower)) or (lower and 2 * len(given) < len(lines)):
        return
    for match in lines:
        low = match[1].lower()
        if (
            low not in NEVER
            and low not in PLACES
            and low not in public_figures()[1]
            and not match[1].isupper()
        ):
            yield Found(*match.span(1), Kind.PERSON, 0.6)


_ENDS_ITEM = re.compile(
    r"[ ]?(?:[,;&+)\n!?.]|$|[ ](?:and|or|und|et|y|are|is|were|was|have|had|went|want|who|both|will|can|keep|said|came|come|live|need|fight|sont|ont|se|sind|haben|son|están|van)[ ])"
)
_LOWER_LIST = re.compile(
    r"(?<![A-Za-z])[a-z]{3,20}(?:(?:,[ ]|[ ]and[ ]|[ ]&[ ]|,[ ]and[ ])[a-z]{3,20})+(?![A-Za-z])"
)


def lower_lists(text: str) -> Iterator[Found]:
    """Given names in a list without capitals (`ezra, nadia, birgit + kids`), where most of it are such."""
    for run in _LOWER_LIST.finditer(text):
        items = [m for m in re.finditer("[a-z]+", run[0]) if m[0] != "and"]
        given = [m for m in items if len(m[0]) > 3 and m[0] in latin().given and not is_word(m[0])]
        given = [m for m in given if m[0] not in PLACES and m[0] not in public_figures()[1]]
        if len(given) > 1 and len(given) * 3 >= len(items) * 2:
            for one in items:
                if one in given or not is_word(one[0]):
                    yield Found(run.start() + one.start(), run.start() + one.end(), Kind.PERSON, 0.57)


_OWNED = Scanned(
    r"(?<![A-Za-z'’])([A-Za-z]{3,15})s[ ](?:(?:new|old|little|older|younger|big|work|home)[ ])?(?:phone|e-?mail|number|address|birthday|bday|house|account|laptop|car|flat|place|room|desk|therapist|doctor|friends?|sister|brother|mom|mum|dad|mother|father|parents|kids?|wife|husband|son|daughter|boyfriend|girlfriend|bf|gf|ex|boss|roommate|landlord|wedding|funeral|salary|passport|password|resume|cv|contract|diagnosis|apartment)(?![A-Za-z])"
)


def owners(text: str) -> Iterator[Found]:
    """Whose something is, without the apostrophe: `latoyas sister`. The `s` is none of the name."""
    given = latin().given
    for match in matches(_OWNED, text):
        low = match[1].lower()
        if is_name(low, given) and not is_name(low + "s", given) and low not in NEVER | PLACES:
            if not is_word(low) and not is_word(low + "s") and low not in public_figures()[1]:
                yield Found(*match.span(1), Kind.PERSON, 0.6)


def together(text: str, found: Sequence[Found]) -> Iterator[Found]:
    """Given names that stand beside a found person (`Mark and Priya`): what is ambiguous alone is not there."""
    lexicon = latin()
    spans = {f.start: f for f in found} | {f.end: f for f in found}
    for token in matches(TOKEN, text):
        low = token[0].lower()
        capital, known = token[0][0].isupper(), is_name(low, lexicon.given)
        if low in NEVER or (not capital and (not known or is_word(low))):
            continue
        unknown = (
            capital
            and token[0].istitle()
            and len(low) > 3
            and "-" not in low
            and not (is_word(low) or low in PLACES)
            and _ENDS_ITEM.match(text, token.end()) is not None
        )
        if not (known or unknown or text[token.start() - 1 : token.start()] in tuple("'\"")):
            continue
        if re.match(r"[ ][A-Z]", text[token.end() : token.end() + 2]):
            continue
        after = re.match(
            r"[ ]?(?:,|&|and|n|und|et|y|/|\+)[ ]{0,2}(?:and )?[\"']?", text[token.end() : token.end() + 8]
        )
        before = _AND.search(text[max(0, token.start() - 8) : token.start()])
        if (
            after
            and token.end() + after.end() in spans
            and spans[token.end() + after.end()].start == token.end() + after.end()
        ) or (
            before
            and token.start() - len(before[0]) in spans
            and spans[token.start() - len(before[0])].end == token.start() - len(before[0])
        ):
            one = Found(*token.span(), Kind.PERSON, 0.58)
            spans |= {one.start: one, one.end: one}
            yield one
    yield from _listed_beside(text, found)
    for one in found:
        if " " not in text[one.start : one.end] and (given := _GIVEN_AFTER.match(text, one.end)) is not None:
            if is_name(given[1].lower(), lexicon.given) or text[one.start - 1 : one.start] in ('"', "'"):
                yield Found(one.start, given.end(1), Kind.PERSON, one.certainty)


def _listed_beside(text: str, found: Sequence[Found]) -> Iterator[Found]:
    """Whole names in one list with a whole name that was found: `Ada Byron, Renske Young and Mei Stone`."""
    waiting = [f for f in found if " " in text[f.start : f.end]]
    met = {f.start for f in found} | {f.end for f in found}
    while waiting:
        one = waiting.pop()
        around = [
            m
            for m in (_NEXT.match(text, one.end), _PREVIOUS.search(text, max(0, one.start - 64), one.start))
            if m
        ]
        for match in around:
            start, end = match.span(1)
            if start in met or end in met or not _could_be_listed(match[1], text, end):
                continue
            met |= {start, end}
            beside = Found(start, end, Kind.PERSON, 0.56)
            waiting.append(beside)
            yield beside


def _could_be_listed(name: str, text: str, end: int) -> bool:
    parts = [p.lower() for p in TOKEN.findall(name)]
    capitals = TOKEN.findall(name)
    if (
        any(
            p in NEVER and not (i == 0 and (p in VERBS_TOO or full_name(capitals)))
            for i, p in enumerate(parts)
        )
        or " ".join(parts) in public_figures()[0]
    ):
        return False
    if cues.NO_PERSON_TAIL.match(text[end : end + 48]):
        return False
    if all(is_word(p) for p in parts):
        return all((rank_of(p, latin()) or 9999) < 5000 for p in parts[1:]) and (
            is_name(parts[0], latin().given) or (rank_of(parts[0], latin()) or 9999) < 5000
        )
    return is_name(parts[0], latin().given) or (
        rank_of(parts[-1], latin()) is not None and parts[0] not in PLACES
    )
