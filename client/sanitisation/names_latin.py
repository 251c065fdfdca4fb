"""Names of persons in Latin script: what a name is made of, and what is said around it.

Two readings are weighed. From inside: capitals, given names and surnames that people have, against words of the
language. From outside: titles, greetings, signatures, labels, kinship, "my name is". A strong outside needs little
inside (lower case, unknown names); without any outside a name must look like one by itself.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from unicodedata import combining, normalize

from renga.client.sanitisation import name_cues as cues
from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found
from renga.client.sanitisation.lexicon import Latin, latin, listed, public_figures, words
from renga.client.sanitisation.scanning import matches

TOKEN = re.compile(
    r"[A-Za-zÀ-ɏḀ-ỿ](?:[A-Za-zÀ-ɏḀ-ỿ]|['’\-](?=[A-Za-zÀ-ɏḀ-ỿ])(?!(?:s|san|sama|kun|chan|sensei)(?![A-Za-z])))*"
)
_PARTICLES = listed("particles")
_SUFFIXES = listed("suffixes")
NEVER = listed("never a name")
PLACES = listed("places")
_NEVER_ALONE = frozenset(
    {
        "park",
        "lake",
        "church",
        "bank",
        "street",
        "hill",
        "may",
        "west",
        "north",
        "day",
        "long",
        "rivers",
        "summer",
        "rose",
    }
)
_TEXTBOOK = {"alice", "bob"}
"""Who exchange keys and apples; both together, where nothing is said of oneself, are nobody."""
_MONTH_NAMES = frozenset({"april", "may", "june", "august"})
_NAMES_FIRST = listed("names that are words")
_FOREIGN = listed("words of other languages")


def latin_names(text: str) -> Iterator[Found]:
    """Persons in a reading of the text."""
    lexicon, common = latin(), words()
    tokens = list(matches(TOKEN, text))
    heard = _Heard.in_text(text) if tokens else None
    at = 0
    textbook = heard is not None and not heard.personal and {t[0].lower() for t in tokens} >= _TEXTBOOK
    while heard is not None and at < len(tokens):
        if textbook and tokens[at][0].lower() in _TEXTBOOK | {"eve", "carol", "charlie"}:
            at += 1
            continue
        glued = tokens[at].start() and text[tokens[at].start() - 1] in "'’" and len(tokens[at][0]) < 3
        titled = tokens[at].start() in heard.titled and tokens[at][0][0].isupper()
        stray = tokens[at][0] in _PARTICLES and tokens[at].start() not in heard.titled
        if glued or stray or not (titled or _may_start(tokens[at][0], lexicon, common)):
            at += 1
            continue
        run = _run(text, tokens, at)
        best = _best(text, tokens, at, run, heard)
        if best is None:
            at += 1
            continue
        size, certainty = best
        if not certainty:  # somebody public
            at += size
            continue
        start, end = tokens[at].start(), tokens[at + size - 1].end()
        if tokens[at + size - 1][0].lower() in _SUFFIXES | {"jr", "sr"} and text[end : end + 1] == ".":
            end += 1
        yield Found(start, end, Kind.PERSON, certainty)
        at += size


def _may_start(token: str, lexicon: Latin, common: frozenset[str]) -> bool:
    low = token.lower().replace("’", "'")
    if (low in NEVER and not (low in _MONTH_NAMES and token[0].isupper())) or low.endswith(
        ("n't", "'ll", "'ve", "'re", "'d", "'m")
    ):
        return False
    return token[0].isupper() or low in lexicon.given or low in lexicon.rank or low not in common


def _run(text: str, tokens: Sequence[re.Match[str]], at: int) -> int:
    """How many tokens from `at` stand together as a name could: single spaces, initials' dots, particles."""
    size = 1
    upper = tokens[at][0][0].isupper()
    while at + size < len(tokens) and size < 6:
        before, here = tokens[at + size - 1], tokens[at + size]
        gap = text[before.end() : here.start()]
        initial = len(before[0]) == 1 or before[0].lower() in _PARTICLES | {"st"}
        if not (
            gap in (" ", "  ", "\u3000")
            or (gap in (". ", ".") and initial)
            or (gap == ", " and here[0].lower() in _SUFFIXES)
        ):
            break
        if upper and not _is_capital(here[0]) and here[0].lower() not in _PARTICLES:
            break
        size += 1
    while (
        size > 1
        and tokens[at + size - 1][0].lower() in _PARTICLES
        and not tokens[at + size - 1][0][0].isupper()
    ):
        size -= 1
    return size


def _is_capital(part: str) -> bool:
    """Does it begin with a capital, a particle with a hyphen aside (`al-Rashid`)?"""
    particle, hyphen, rest = part.partition("-")
    return part[0].isupper() or (bool(hyphen and rest) and particle in _PARTICLES and rest[0].isupper())


def _best(
    text: str, tokens: Sequence[re.Match[str]], at: int, run: int, heard: _Heard
) -> tuple[int, float] | None:
    """The longest prefix of the run that is a person, with its certainty."""
    start = tokens[at].start()
    said = heard.before(text, start)
    full, _ = public_figures()
    for size in range(min(run, 5), 0, -1):
        parts = [t[0] for t in tokens[at : at + size]]
        end = tokens[at + size - 1].end()
        lows = [p.lower() for p in parts]
        plain = " ".join(lows)
        if size > 1 and (plain in full or plain.replace(".", "") in full):
            return size, (0.5 if said.strong and not said.titled else 0.0)
        if any(low.endswith(("n't", "'ll", "'ve", "'re")) for low in lows):
            continue
        surname = said.titled and size == 1 and parts[0][0].isupper() and lows[0] in latin().rank
        if not surname and any(
            low in NEVER
            and not _also_a_surname(lows, i)
            and not (i == 0 and said.strong and full_name(parts))
            for i, low in enumerate(lows)
        ):
            continue
        score = _score(parts, lows, text, start, end, said)
        if score >= 0.5:
            return size, min(0.83, 0.45 + score / 4)
    return None


def full_name(parts: Sequence[str]) -> bool:
    """Are these a given name that is a verb and a surname that is no word (`Will Okafor`)?"""
    return (
        len(parts) == 2
        and parts[0].lower() in ("will", "may", "can", "art", "sue", "pat")
        and all(part[0].isupper() for part in parts)
        and not is_word(parts[1].lower())
        and parts[1].lower() not in NEVER
    )


def _also_a_surname(lows: Sequence[str], at: int) -> bool:
    """Is a word that is no name alone a part of one here (`Jiwoo Park`, `Theresa May`)?"""
    if lows[at] in ("st", "san", "santa"):
        return len(lows) > 1
    if at == 0 and len(lows) == 2 and lows[0] in _MONTH_NAMES:
        return latin().rank.get(lows[1], 9999) < 5000 and not is_word(lows[1])
    return at > 0 and at == len(lows) - 1 and lows[at] in _NEVER_ALONE and is_name(lows[0], latin().given)


def _score(parts: Sequence[str], lows: Sequence[str], text: str, start: int, end: int, said: _Said) -> float:
    """Evidence that exactly these parts name a person; half and more says so."""
    core = [
        (p, low)
        for place, (p, low) in enumerate(zip(parts, lows))
        if (low not in _PARTICLES or (place == len(parts) - 1 > 0 and p[0].isupper()))
        and low not in _SUFFIXES
        and len(low) > 1
    ]
    tail = text[end : end + 48]
    mailed = cues.AFTER_NAME.match(tail) is not None
    reachable = mailed or (_capital_or_known(parts, lows) and cues.CONTACT.match(tail) is not None)
    honoured = cues.JAPANESE_TITLE.match(tail) is not None
    if not core or cues.NO_PERSON_TAIL.match(tail):
        return 0.0
    if len(parts) == 2 and cues.KING.fullmatch(parts[1]):
        return 0.0  # a king
    if (
        tail[:1].isdigit()
        or (tail[:1] == "-" and tail[1:2].isdigit())
        or (start and text[start - 1].isdigit())
    ):
        return 0.0
    signed = cues.SIGNED.search(text, max(0, start - 8), start) is not None
    if not mailed and (
        cues.CODE_TAIL.match(tail) or (start and text[start - 1] in "._/\\#$@&%-" and not signed)
    ):
        return 0.0
    lexicon = latin()
    capital = all(_is_capital(p) for p, _ in core)
    closed = cues.CLOSED.match(tail) is not None or cues.AGAIN.match(tail) is not None
    inside = [
        _Part(
            p,
            low,
            is_name(low, lexicon.given),
            rank_of(low, lexicon),
            is_word(low) and not (p[0].isupper() and low in _NAMES_FIRST),
        )
        for p, low in core
    ]
    if len(core) == 1:
        initials = sum(len(low) == 1 for low in lows)
        score = _alone(inside[0], text, start, end, said, closed)
        if initials and capital and inside[0].rank is None and not inside[0].word and len(inside[0].low) > 3:
            score += 0.5 if text[start + 1 : start + 2] == "." and inside[0].text.istitle() else 0.0
        if initials and capital and inside[0].rank is not None:
            dotted = text[start + 1 : start + 2] == "." and text[max(0, start - 8) : start].rstrip(" ")[
                -1:
            ] not in ("", "\n")
            often = dotted and (inside[0].rank or 0) < 5000
            score += 0.35 if not inside[0].word or often else 0.15 if dotted else 0.0
    else:
        opens = start == 0 or text[max(0, start - 80) : start].rstrip(" *#>\t")[-1:] in (
            "",
            ".",
            "!",
            "?",
            "\n",
            ":",
        )
        introduced = said.label or cues.INTRODUCED.search(text, max(0, start - 24), start) is not None
        unplaced = said.personal and cues.NO_NAME_BEFORE.search(text, max(0, start - 12), start) is None
        score = (
            _capitals(inside, opens, unplaced)
            if capital
            else _lower(inside, introduced or said.strong or (said.greeting and closed), said.casual)
        )
        score += 0.45 if said.strong or (said.greeting and closed) else 0.1 if said.weak else 0.0
        if not said.strong and text[max(0, start - 4) : start].lower() == "the ":
            score -= 0.5
        if (
            any(part.low in PLACES for part in inside)
            and not said.strong
            and not (inside[-1].rank or 9999) < 4000
        ):
            score -= 0.15
    if not (said.strong or said.titled or honoured or reachable) and _public_talk(
        text, start, end, said.public
    ):
        score -= 0.5
    if honoured:
        score += (
            0.6
            if len(core) > 1 or not inside[0].word or inside[0].given or inside[0].rank is not None
            else 0.2
        )
    if reachable:
        score += 0.5 if len(core) > 1 else 0.3 if mailed or inside[0].given else 0.0
    if capital and len(core) == 1 and not inside[0].word and said.personal and not parts[0].isupper():
        if cues.THING.match(tail) and cues.HANDS.search(text, max(0, start - 12), start):
            score += 0.5 - 0.25 * (inside[0].low in public_figures()[1])
    if (
        len(core) == 1
        and (capital or inside[0].given)
        and cues.WHO.match(tail)
        and not (inside[0].word or inside[0].low in public_figures()[1])
    ):
        score += 0.5
    elif capital and (cues.PERSON_VERB.match(tail) or cues.POSSESSION.match(tail)):
        known = any(p.given for p in inside)
        score += (
            (0.2 if len(core) > 1 else 0.3) if known else 0.15 if not any(p.word for p in inside) else 0.0
        )
    return score


def _capital_or_known(parts: Sequence[str], lows: Sequence[str]) -> bool:
    """Do all parts begin with a capital, or the first be a given name and none be too common a word?"""
    return all(p[0].isupper() for p in parts) or (
        len(parts) == 2 and lows[0] in latin().given and lows[1] in latin().rank
    )


def _public_talk(text: str, start: int, end: int, said: Sequence[tuple[int, int]]) -> bool:
    """Is the sentence about books, history, politics, fame? said: where a word for these stands, in order."""
    at = bisect_right(said, (start, start)) - 1
    if at >= 0:
        left = max(start - 90, 0, *(text.rfind(mark, max(0, start - 90), start) for mark in ".!?\n"))
        if said[at][0] >= left and said[at][1] <= start:
            return True
    return cues.WORK.match(text, end) is not None


class _Said(NamedTuple):
    """What stands before a candidate: a label, a title, what certainly or only perhaps announces a name."""

    label: bool
    titled: bool
    strong: bool
    greeting: bool
    weak: bool
    personal: bool
    """Is the text as a whole about somebody at hand: first persons, contacts, greetings?"""
    casual: bool
    """Is it written without capitals, so that a name has none either?"""
    public: Sequence[tuple[int, int]]
    """Where a word of books, history, politics or fame stands."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """Where in a text announcements end; found once, asked for every candidate."""

    label: frozenset[int]
    titled: frozenset[int]
    strong: frozenset[int]
    greeting: frozenset[int]
    weak: frozenset[int]
    personal: bool
    casual: bool
    public: Sequence[tuple[int, int]]

    @classmethod
    def in_text(cls, text: str) -> _Heard:
        def ends(*patterns: re.Pattern[str]) -> frozenset[int]:
            return frozenset(m.end() for pattern in patterns for m in matches(pattern, text))

        return cls(
            ends(cues.LABEL),
            ends(cues.TITLED),
            ends(cues.STRONG, cues.ROLE),
            ends(cues.GREETING),
            ends(cues.WEAK, cues.MARKS),
            cues.PERSONAL.search(text) is not None,
            _is_casual(text),
            [m.span() for m in matches(cues.PUBLIC_TALK, text)],
        )

    def before(self, text: str, start: int) -> _Said:
        label, titled = start in self.label, start in self.titled
        strong = label or titled or start in self.strong
        greeting = strong or start in self.greeting
        opens = start == 0 or text[start - 1] == "\n" or not text[max(0, start - 60) : start].strip()
        return _Said(
            label,
            titled,
            strong,
            greeting,
            greeting or opens or start in self.weak,
            self.personal,
            self.casual,
            self.public,
        )


_WRITTEN = re.compile(r"[A-Za-zÀ-ɏ]+")
_CODE = re.compile(r"[{};]\s*\n|(?:^|\n)\s*(?:def|class|import|function|const|SELECT|\$)\s|=>|==|\(\)")


def _is_casual(text: str) -> bool:
    """Are hardly any of its words capitals (`I` aside), and is it no code?"""
    tokens = _WRITTEN.findall(text[:4000])
    capital = sum(token[0].isupper() and token != "I" for token in tokens)
    return len(tokens) > 0 and capital * 12 <= len(tokens) and _CODE.search(text[:4000]) is None


class _Part(NamedTuple):
    text: str
    low: str
    given: bool
    rank: int | None
    word: bool


def _capitals(parts: Sequence[_Part], opens: bool, unplaced: bool) -> float:
    """Several capitalised parts, from inside. `opens`: they open a sentence or a line, where any word is a
    capital. `unplaced`: no article or preposition of place stands before them."""
    first, last = parts[0], parts[-1]
    score = 0.0
    if first.given and last.rank is not None:
        both = first.word and last.word
        score = (
            0.8
            if not (first.word or last.word)
            else 0.7
            if not both
            else 0.5
            if last.rank < 4000 and not opens
            else 0.3
        )
    elif last.given and first.rank is not None and len(parts) == 2:
        score = 0.6 if not (first.word or last.word) else 0.25
    elif first.given and not last.word:
        score = 0.35 if first.word else 0.65
    elif last.rank is not None and not first.word:
        score = 0.3 if last.word else 0.55 if last.rank < 20000 else 0.45
    elif not first.word and not last.word:
        plain = all(len(p.low) > 2 and p.text[1:].islower() for p in parts)
        score = 0.5 if unplaced and plain and not opens and len(parts) == 2 else 0.4
    elif all(p.word for p in parts):
        score = -0.4
    elif not last.word:
        score = 0.15 if last.rank is not None else 0.1
    if len(parts) > 2 and any(p.word and not p.given and p.rank is None for p in parts):
        score -= 0.5
    return score


def _lower(parts: Sequence[_Part], introduced: bool, casual: bool) -> float:
    """Several parts not all capitalised, from inside; only an introduction makes names of unknown ones, or a
    given name before them in a text without capitals."""
    first, last = parts[0], parts[-1]
    if any(len(p.low) < 3 or (p.word and not p.given and p.rank is None) or p.low in _FOREIGN for p in parts):
        return -0.6
    known = first.given and last.rank is not None and last.rank < 30000
    if known:
        if not first.word and last.word:
            return 0.5 if last.rank is not None and last.rank < 5000 else 0.3
        return 0.65 if not last.word else 0.4 if not (first.word and last.word) else -0.1
    if last.given and first.rank is not None and len(parts) == 2:
        return 0.45 if not (first.word or last.word) else 0.0
    if casual and first.given and not any(p.word for p in parts) and min(len(p.low) for p in parts) > 3:
        return 0.5
    if not introduced or any(p.word for p in parts):
        return -0.3
    return 0.35 if first.given else 0.1


def _alone(part: _Part, text: str, start: int, end: int, said: _Said, closed: bool) -> float:
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
    famous = part.low in public_figures()[1] or part.low in PLACES
    score = 0.0
    if capital and part.given:
        score = 0.05 if famous else 0.3 if part.word else 0.5
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
        score -= (0.3 if part.word or part.low in _FOREIGN else 0.0) + (0.3 if len(part.low) < 3 else 0.0)
    if (outright := _in_company(part, before, text, end, said, closed, famous)) is not None:
        return outright
    if said.titled and (capital or not part.word):
        score += 0.6
    elif said.label:
        field = cues.NAME_FIELD.search(before) is not None
        score += (
            0.65 if field else 0.5 if (capital or part.given) and not (part.word and not part.given) else 0.2
        )
    elif said.strong:
        score += 0.5 if (capital and not part.word) or part.given else 0.2 if not part.word else 0.0
        unknown = not (capital or part.word or part.given or part.low in _FOREIGN) and len(part.low) > 3
        if unknown and cues.PERSON_VERB.match(text, end):
            score += 0.45  # `my gf steph wants …`
    elif said.greeting and (capital or closed) and part.given:
        score += 0.45
    elif (
        said.greeting
        and (closed or cues.HERE.match(text, end))
        and not part.word
        and (not famous or (part.given and cues.HERE.match(text, end) is not None))
        and part.low not in _FOREIGN
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
            if part.low in _NAMES_FIRST and cues.TELL.search(before)
            else 0.0
        )
    return score


def _in_company(
    part: _Part, before: str, text: str, end: int, said: _Said, closed: bool, famous: bool
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
        or part.low in _FOREIGN
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


_SAINT = re.compile(r"(?<![A-Za-z])(?:st\.?|saint|san|santa)[ ]$", re.I)
_ASSISTANTS = frozenset(
    {"claude", "chatgpt", "gpt", "alexa", "siri", "gemini", "copilot", "grok", "cortana", "llama", "bard"}
)
"""Who is hailed, and is no person."""
_TOOLS = frozenset(
    [
        "jenkins",
        "travis",
        "kafka",
        "cassandra",
        "celery",
        "hudson",
        "gatsby",
        "jasmine",
        "chai",
        "mocha",
        "ruby",
        "julia",
        "crystal",
        "pascal",
        "ada",
        "oracle",
        "delphi",
        "jira",
        "perl",
        "jade",
        "apollo",
        "athena",
        "selenium",
        "beam",
        "luigi",
        "dagger",
        "sierra",
        "monterey",
        "ventura",
    ]
)
"""Names that in lower case are programs rather."""
_NO_NAME_ENDINGS = ("ing", "tion", "ness", "ware", "js", "sql", "ism", "ist", "'s", "lol", "haha", "ish")


@lru_cache(maxsize=65536)
def is_word(low: str) -> bool:
    """Is this a word of a language rather than only a name, inflected or not?"""
    common = words()
    if low in common or low in _FOREIGN or ("our" in low and low.replace("our", "or") in common):
        return True
    low = low.replace("our", "or") if low.endswith(("ours", "oured", "ouring")) else low
    for ending in ("s", "es", "d", "ed", "ing", "ly", "er", "ers", "ies", "ied"):
        stem = low.removesuffix(ending)
        if (
            stem != low
            and len(stem) > 2
            and (
                stem in common
                or (
                    ending in ("ed", "ing", "er", "ers")
                    and (stem + "e" in common or (stem[:-1] in common and stem[-1] == stem[-2]))
                )
                or (stem + "y" in common and ending.startswith("ie"))
            )
        ):
            return True
    return False


@lru_cache(maxsize=65536)
def _unaccented(low: str) -> str:
    return low if low.isascii() else "".join(c for c in normalize("NFD", low) if not combining(c))


def is_name(low: str, names: frozenset[str]) -> bool:
    return (
        low in names
        or _unaccented(low) in names
        or ("-" in low and all(p in names for p in low.split("-")))
        or (low.endswith(("'s", "’s")) and low[:-2] in names)
    )


def rank_of(low: str, lexicon: Latin) -> int | None:
    plain = _unaccented(low.replace("'", "").replace("’", ""))
    if plain in lexicon.rank:
        return lexicon.rank[plain]
    if "-" in plain:
        ranks = [lexicon.rank.get(p) for p in plain.split("-")]
        return max(r for r in ranks if r is not None) if any(r is not None for r in ranks) else None
    return None
