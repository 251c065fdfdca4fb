"""Names of persons in Latin script: what a name is made of, and what is said around it.

Two readings are weighed. From inside: capitals, given names and surnames that people have, against words of the
language. From outside: titles, greetings, signatures, labels, kinship, "my name is". A strong outside needs little
inside (lower case, unknown names); without any outside a name must look like one by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from renga.client.sanitisation import name_cues as cues
from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found
from renga.client.sanitisation.lexicon import Latin, latin, listed, public_figures, words
from renga.client.sanitisation.names_alone import alone
from renga.client.sanitisation.names_heard import Heard, Said, public_talk
from renga.client.sanitisation.names_inside import (
    FIRMS,
    NAMES_FIRST,
    NEVER,
    PARTICLES,
    PLACES,
    SELDOM,
    SUFFIXES,
    TOKEN,
    Part,
    capitals,
    full_name,
    is_capital,
    is_name,
    is_word,
    lower_case,
    rank_of,
)
from renga.client.sanitisation.names_placed import VERBS_TOO, acts, handed
from renga.client.sanitisation.scanning import matches

_NEVER_ALONE = listed("never a name alone")

_TEXTBOOK = {"alice", "bob"}
"""Who exchange keys and apples; both together, where nothing is said of oneself, are nobody."""
_ARTICLE = re.compile(r"(?<![a-z])(?:d(?:ie|er|as)|l[ae]s?|el|los)[ ]$", re.I)
_MONTH_NAMES = frozenset({"april", "may", "june", "august"})


def latin_names(text: str) -> Iterator[Found]:
    """Persons in a reading of the text."""
    lexicon, common = latin(), words()
    tokens = list(matches(TOKEN, text))
    heard = Heard.in_text(text) if tokens else None
    at = 0
    textbook = heard is not None and not heard.personal and {t[0].lower() for t in tokens} >= _TEXTBOOK
    while heard is not None and at < len(tokens):
        if textbook and tokens[at][0].lower() in _TEXTBOOK | {"eve", "carol", "charlie"}:
            at += 1
            continue
        verb = heard.places.verbs.get(tokens[at].start())
        if verb is not None:
            while at < len(tokens) and tokens[at].start() < verb:
                at += 1
            continue
        role = at + 1 < len(tokens) and tokens[at + 1].start() in heard.strong
        if role and cues.GERMAN_ROLE.fullmatch(tokens[at][0]):
            at += 1
            continue
        glued = tokens[at].start() and text[tokens[at].start() - 1] in "'’" and len(tokens[at][0]) < 3
        titled = tokens[at].start() in heard.titled and (
            tokens[at][0][0].isupper() or tokens[at][0] in PARTICLES
        )
        stray = tokens[at][0] in PARTICLES and tokens[at].start() not in heard.titled
        meant = (
            tokens[at][0].lower() in VERBS_TOO
            and tokens[at][0][0].isupper()
            and _meant(text, tokens, at, heard)
        )
        if glued or stray or not (titled or meant or _may_start(tokens[at][0], lexicon, common)):
            at += 1
            continue
        run = _run(text, tokens, at)
        if run > 2 and heard.unsure and not heard.places.trade and _only_opens(text, tokens, at):
            at += 1
            continue
        best = _best(text, tokens, at, run, heard)
        if best is None:
            at += 1
            continue
        size, certainty = best
        if not certainty:  # somebody public
            at += size
            continue
        start, end = tokens[at].start(), tokens[at + size - 1].end()
        said = heard.before(text, start)
        if heard.nobody.named(start, end, said.strong, said.titled, said.label):
            at += size
            continue
        if tokens[at + size - 1][0].lower() in SUFFIXES | {"jr", "sr"} and text[end : end + 1] == ".":
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


def _between_unknown(parts: Sequence[str], at: int) -> bool:
    """Does a short word stand, with a capital, inside a name of none (`Truong My Linh`)?"""
    around = (*parts[:at], *parts[at + 1 :])
    return (
        at > 0
        and len(parts) == 3
        and len(parts[at]) < 5
        and all(p[0].isupper() for p in parts)
        and not any(is_word(p.lower()) for p in around)
    )


def _only_opens(text: str, tokens: Sequence[re.Match[str]], at: int) -> bool:
    """Is a word no name, but the first of a sentence in another language, before one (`Ayer Julia Ortiz`)?"""
    low = tokens[at][0].lower()
    opens = text[: tokens[at].start()].rstrip(' >*"')[-1:] in ("", ".", "!", "?", "\n", ":", "¿", "¡")
    lexicon = latin()
    return (
        opens
        and not is_name(low, lexicon.given)
        and rank_of(low, lexicon) is None
        and is_name(tokens[at + 1][0].lower(), lexicon.given)
    )


def _meant(text: str, tokens: Sequence[re.Match[str]], at: int, heard: Heard) -> bool:
    """Is a name that is a verb, too, meant as one (`Thank Will Grant`, `April Rose owes me`)?"""
    start, end = tokens[at].span()
    if start in heard.places.firm:
        return True
    announced = start in heard.label or start in heard.strong
    if (
        at + 1 == len(tokens)
        or text[end : tokens[at + 1].start()] != " "
        or not is_capital(tokens[at + 1][0])
    ):
        return False
    low = tokens[at + 1][0].lower()
    told = announced or start in heard.places.loose or acts(text, tokens[at + 1].end())
    return told and rank_of(low, latin()) is not None and low not in NEVER | PLACES


def _run(text: str, tokens: Sequence[re.Match[str]], at: int) -> int:
    """How many tokens from `at` stand together as a name could: single spaces, initials' dots, particles."""
    size = 1
    upper = tokens[at][0][0].isupper()
    while at + size < len(tokens) and size < 6:
        before, here = tokens[at + size - 1], tokens[at + size]
        gap = text[before.end() : here.start()]
        initial = len(before[0]) == 1 or before[0].lower() in PARTICLES | {"st"}
        if not (
            gap in (" ", "  ", "\u3000")
            or (gap in (". ", ".") and initial)
            or (gap == ", " and here[0].lower() in SUFFIXES)
        ):
            break
        if upper and not is_capital(here[0]) and here[0].lower() not in PARTICLES:
            break
        size += 1
    while (
        size > 1
        and tokens[at + size - 1][0].lower() in PARTICLES
        and not tokens[at + size - 1][0][0].isupper()
    ):
        size -= 1
    return size


def _best(
    text: str, tokens: Sequence[re.Match[str]], at: int, run: int, heard: Heard
) -> tuple[int, float] | None:
    """The longest prefix of the run that is a person, with its certainty."""
    start = tokens[at].start()
    said = heard.before(text, start)
    full, _ = public_figures()
    run = _before_somebody_public([t[0].lower() for t in tokens[at : at + run]])
    for size in range(min(run, 5), 0, -1):
        parts = [t[0] for t in tokens[at : at + size]]
        end = tokens[at + size - 1].end()
        lows = [p.lower() for p in parts]
        plain = " ".join(lows)
        initialled = size == 3 and len(lows[1]) == 1 and f"{lows[0]} {lows[2]}" in full  # John F. Kennedy
        if size > 1 and (plain in full or plain.replace(".", "") in full or initialled):
            return size, (0.5 if said.strong and not said.titled else 0.0)
        if (
            parts[-1].islower()
            and size > 1
            and (len(lows[-1]) == 1 or lows[-1] in ("den", "der", "de", "da"))
        ):
            continue
        if any(low.endswith(("n't", "'ll", "'ve", "'re")) for low in lows) or lows[:2] == ["u", "s"]:
            continue
        if size > 1 and parts[0].islower() and parts[-1].istitle() and lows[0] not in PARTICLES:
            continue  # a verb and a name (`rob Peter`)
        surname = said.titled and size == 1 and parts[0][0].isupper() and lows[0] in latin().rank
        if not surname and any(
            low in NEVER
            and not (low in PARTICLES and _joins(parts, i, said))
            and not _also_a_surname(lows, i)
            and not (i == 0 and said.strong and full_name(parts))
            and not (
                i == 0
                and low in VERBS_TOO
                and parts[0][0].isupper()
                and (said.firm or (size > 1 and (said.loose or said.strong or acts(text, end))))
            )
            and not _between_unknown(parts, i)
            for i, low in enumerate(lows)
        ):
            continue
        if not (said.titled or said.label) and any(
            low in FIRMS and rank_of(low, latin()) is None for low in lows
        ):
            continue
        score = _score(parts, lows, text, start, end, said)
        if score >= 0.5:
            return size, min(0.83, 0.45 + score / 4)
    return None


def _before_somebody_public(lows: Sequence[str]) -> int:
    """How much of a run stands before a public person's whole name in it (`Summarise Barack Obama`)."""
    full, _ = public_figures()
    for at in range(1, len(lows) - 1):
        if " ".join(lows[at : at + 2]) in full or " ".join(lows[at : at + 3]) in full:
            return at
    return len(lows)


def _joins(parts: Sequence[str], at: int, said: Said) -> bool:
    """Does a particle stand between two parts of a name, or after a title before one (`Herrn von Aue`)?"""
    if at == 0:
        return said.titled and len(parts) == 2 and parts[1][0].isupper()
    last = parts[-1].lower()
    shown = parts[-1][0].isupper() or (
        said.strong and rank_of(last, latin()) is not None and not is_word(last)
    )
    return at < len(parts) - 1 and is_name(parts[0].lower(), latin().given) and shown


def _also_a_surname(lows: Sequence[str], at: int) -> bool:
    """Is a word that is no name alone a part of one here (`Jiwoo Park`, `Theresa May`)?"""
    if lows[at] in ("st", "san", "santa"):
        return len(lows) > 1
    if at == 0 and len(lows) == 2 and lows[0] in _MONTH_NAMES:
        return latin().rank.get(lows[1], 9999) < 5000 and not is_word(lows[1])
    return at > 0 and at == len(lows) - 1 and lows[at] in _NEVER_ALONE and is_name(lows[0], latin().given)


def _score(parts: Sequence[str], lows: Sequence[str], text: str, start: int, end: int, said: Said) -> float:
    """Evidence that exactly these parts name a person; half and more says so."""
    core = [
        (p, low)
        for place, (p, low) in enumerate(zip(parts, lows))
        if (low not in PARTICLES or (place == len(parts) - 1 > 0 and p[0].isupper()))
        and low not in SUFFIXES
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
    capital = all(is_capital(p) for p, _ in core)
    closed = cues.CLOSED.match(tail) is not None or cues.AGAIN.match(tail) is not None
    inside = [
        Part(
            p,
            low,
            is_name(low, lexicon.given),
            rank_of(low, lexicon),
            is_word(low) and not (p[0].isupper() and low in NAMES_FIRST),
        )
        for p, low in core
    ]
    if len(core) == 1:
        initials = sum(len(low) == 1 for low in lows)
        score = alone(inside[0], text, start, end, said, closed)
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
        placed = (
            said.firm
            or acts(text, end)
            or (said.handing and handed(text, end))
            or cues.POSSESSION.match(tail) is not None
        )
        unplaced = said.personal and cues.NO_NAME_BEFORE.search(text, max(0, start - 12), start) is None
        score = (
            capitals(inside, opens, unplaced)
            if capital
            else lower_case(
                inside,
                introduced or said.strong or (said.greeting and closed),
                said.casual,
                placed,
                not said.unsure and (placed or said.personal),
            )
        )
        score += _outside(inside, said, capital, placed, closed)
        if not said.strong and text[max(0, start - 4) : start].lower() == "the ":
            score -= 0.5
        if not inside[0].given and _ARTICLE.search(text, max(0, start - 4), start):
            score -= 0.5
        if (
            any(part.low in PLACES for part in inside)
            and not said.strong
            and not (inside[-1].rank or 9999) < 4000
        ):
            score -= 0.15
    if not (said.strong or said.titled or honoured or reachable) and public_talk(
        text, start, end, said.public
    ):
        score -= 0.5 if cues.BOTHERS.match(text, end) is None else 0.0
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


def _outside(inside: Sequence[Part], said: Said, capital: bool, placed: bool, closed: bool) -> float:
    """What is said around a name of several parts adds for it."""
    first, last = inside[0], inside[-1]
    if said.strong or (said.greeting and closed):
        return 0.45
    if placed:
        return 0.35 if capital else 0.1
    no_word = not first.word or (first.given and not (last.word or first.low in SELDOM))
    if said.loose and capital and no_word:
        return 0.15
    return 0.1 if said.weak else 0.0


def _capital_or_known(parts: Sequence[str], lows: Sequence[str]) -> bool:
    """Do all parts begin with a capital, or the first be a given name and none be too common a word?"""
    return all(p[0].isupper() for p in parts) or (
        len(parts) == 2 and lows[0] in latin().given and lows[1] in latin().rank
    )
