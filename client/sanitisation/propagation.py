"""Who is known is found again: by given name, surname, initials, kana, romaji, and in the names of e-mails.

Runs once the spans are settled. A form that two known persons share (a family's surname) is still hidden, under
a subject of its own: ambiguity never merges. Values of other kinds are found again letter by letter.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from renga.client.sanitisation.entities import Entity, Kind, Known
from renga.client.sanitisation.lexicon import japanese, listed, romaji_forms, words
from renga.client.sanitisation.normal import normal
from renga.client.sanitisation.shadow import shadow

_LATIN = re.compile(r"[A-Za-zÀ-ɏ](?:[A-Za-zÀ-ɏ]|['’\-](?=[A-Za-zÀ-ɏ])(?!s\b|san\b|sama\b))*")
_PARTICLES = listed("particles")
_KANJI = re.compile(r"[一-龥々ヶノ]+")
_SHORTEST_EXACT = 5
_GAPS = (" ", ". ", ".")
_UNIT = re.compile(r"[0-9a-z]+|[^0-9a-z\s]")
"""Where a value may begin: not inside of a word or number."""


def spread(text: str, entities: Sequence[Entity], known: Sequence[Known]) -> list[Entity]:
    """The entities, each with a subject, and those that follow from who and what is known."""
    people = _people(entities, known)
    owners = _owners(people)
    named = [_with_subject(e, people, owners, known) for e in entities]
    view = shadow(text)
    starts, ends = [e.start for e in named], [e.end for e in named]
    extra: list[Entity] = []

    def free(start: int, end: int) -> bool:
        at = bisect_right(starts, start) - 1
        return (at < 0 or ends[at] <= start) and (at + 1 >= len(starts) or starts[at + 1] >= end)

    for start, end, kind, subject in (*_again(view.text, owners), *_exactly(view.text, named, known)):
        first, last = view.span(start, end)
        if free(first, last):
            value = normal(kind, view.text[start:end])
            extra.append(Entity(first, last, kind, value, subject, certainty=0.55))
    return _without_overlaps([*named, *extra])


def _without_overlaps(entities: Iterable[Entity]) -> list[Entity]:
    kept: list[Entity] = []
    for entity in sorted(entities, key=lambda e: (e.start, -e.certainty, -e.end)):
        if not kept or kept[-1].end <= entity.start:
            kept.append(entity)
    return kept


def _people(entities: Sequence[Entity], known: Sequence[Known]) -> dict[str, str]:
    """Normal form of every whole name -> subject. Parts of a longer known name are not persons of their own."""
    people = {value: k.subject for k in known if k.kind is Kind.PERSON for value in k.values}
    holders: dict[str, set[str]] = defaultdict(set)
    for value, subject in people.items():
        for form in forms(value):
            holders[form].add(subject)
    for entity in sorted(entities, key=lambda e: -len(e.value)):
        if entity.kind is Kind.PERSON and entity.value not in people:
            of = holders.get(entity.value, set())
            subject = next(iter(of)) if len(of) == 1 else f"{Kind.PERSON}:{entity.value}"
            people[entity.value] = subject
            for form in forms(entity.value):
                holders[form].add(subject)
    return people


def _owners(people: dict[str, str]) -> dict[str, str]:
    """Form -> subject; a form of two persons belongs to neither but to itself."""
    owners: dict[str, set[str]] = defaultdict(set)
    for value, subject in people.items():
        for form in forms(value):
            owners[form].add(subject)
    whole = {value: {subject} for value, subject in people.items()}
    return {
        form: next(iter(subjects)) if len(subjects) == 1 else f"{Kind.PERSON}:{form}"
        for form, subjects in {**owners, **whole}.items()
    }


@lru_cache(maxsize=4096)
def forms(value: str) -> frozenset[str]:
    """The other forms of a whole name's normal form: parts, initials, readings, romaji; lower case."""
    found: set[str] = set()
    latin_parts = [p for p in _LATIN.findall(value) if p not in _PARTICLES]
    if latin_parts:
        found |= {p for p in latin_parts if len(p) > 2}
        if len(latin_parts) > 1:
            letters = [p[0] for p in latin_parts]
            found.add(".".join(letters) + ".")
            found.add(f"{latin_parts[0][0]}. {latin_parts[-1]}")
            found |= {"".join(latin_parts), latin_parts[0] + latin_parts[-1]}
    plain = value.replace(" ", "").replace("・", "")
    if _KANJI.match(plain):
        found |= _japanese_forms(value, plain)
    elif "・" in value:
        found |= {part for part in value.split("・") if len(part) > 2}
    elif re.fullmatch(r"[ぁ-んァ-ヴー ]+", value) and " " in value:
        found |= {part for part in value.split() if len(part) > 1} | {plain}
    return frozenset(found - {value})


def _japanese_forms(value: str, plain: str) -> set[str]:
    lists = japanese()
    found = {plain}
    for at in range(min(4, len(plain)), 0, -1):
        surname, given = plain[:at], plain[at:]
        if surname in lists.surnames and (
            given in lists.given or not given or " " in value or len(given) <= 3
        ):
            break
    else:
        if " " not in value:
            return found
        surname, given = value.split(" ", 1)
    found |= {surname} if len(surname) > 1 else set()
    found |= {given} if len(given) > 1 else set()
    firsts, lasts = lists.surnames.get(surname, ()), lists.given.get(given, ())[:4]
    for first in firsts:
        found |= _scripts(first) if len(first) > 2 else set()
        for last in lasts:
            for one, two in ((first, last),):
                found |= {one + two, f"{one} {two}", katakana(one + two), katakana(f"{one} {two}")}
            for one in _romaji(first):
                for two in _romaji(last):
                    found |= {
                        f"{one} {two}",
                        f"{two} {one}",
                        one + two,
                        two + one,
                        f"{two[0]}. {one}",
                        f"{two}.{one}",
                    }
    for last in lasts if len(given) > 1 else ():
        found |= _scripts(last) if len(last) > 2 else set()
    return found


def _scripts(reading: str) -> set[str]:
    return {reading, katakana(reading), *(r for r in _romaji(reading) if len(r) > 3)}


def katakana(kana: str) -> str:
    """Hiragana as katakana."""
    return "".join(chr(ord(c) + 0x60) if "ぁ" <= c <= "ゖ" else c for c in kana)


_DIGRAPHS = dict(
    zip(
        ["きゃ", "きゅ", "きょ", "しゃ", "しゅ", "しょ", "ちゃ", "ちゅ", "ちょ", "にゃ", "にゅ", "にょ", "ひゃ", "ひゅ", "ひょ", "みゃ", "みゅ", "みょ", "りゃ", "りゅ", "りょ", "ぎゃ", "ぎゅ", "ぎょ", "じゃ", "じゅ", "じょ", "びゃ", "びゅ", "びょ", "ぴゃ", "ぴゅ", "ぴょ"],
        ["kya", "kyu", "kyo", "sha", "shu", "sho", "cha", "chu", "cho", "nya", "nyu", "nyo", "hya", "hyu", "hyo", "mya", "myu", "myo", "rya", "ryu", "ryo", "gya", "gyu", "gyo", "ja", "ju", "jo", "bya", "byu", "byo", "pya", "pyu", "pyo"],
    )
)  # fmt: skip
_SYLLABLES = dict(
    zip(
        "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわをんがぎぐげござじずぜぞだぢづでどばびぶべぼぱぴぷぺぽゔ",
        ["a", "i", "u", "e", "o", "ka", "ki", "ku", "ke", "ko", "sa", "shi", "su", "se", "so", "ta", "chi", "tsu", "te", "to", "na", "ni", "nu", "ne", "no", "ha", "hi", "fu", "he", "ho", "ma", "mi", "mu", "me", "mo", "ya", "yu", "yo", "ra", "ri", "ru", "re", "ro", "wa", "o", "n", "ga", "gi", "gu", "ge", "go", "za", "ji", "zu", "ze", "zo", "da", "ji", "zu", "de", "do", "ba", "bi", "bu", "be", "bo", "pa", "pi", "pu", "pe", "po", "vu"],
    )
)  # fmt: skip


def _romaji(kana: str) -> set[str]:
    """Hepburn forms of a hiragana reading."""
    out, at, double = "", 0, False
    while at < len(kana):
        if kana[at] == "っ":
            double, at = True, at + 1
            continue
        size = 2 if kana[at : at + 2] in _DIGRAPHS else 1
        syllable = _DIGRAPHS.get(kana[at : at + 2]) or _SYLLABLES.get(kana[at], "")
        out += (
            ("t" if syllable.startswith("ch") else syllable[:1]) + syllable
            if double and syllable
            else syllable
        )
        double, at = False, at + size
    return romaji_forms(out)


def _with_subject(
    entity: Entity, people: dict[str, str], owners: dict[str, str], known: Sequence[Known]
) -> Entity:
    if entity.subject:
        return entity
    if entity.kind is Kind.PERSON:
        subject = people.get(entity.value) or owners.get(entity.value)
    elif entity.kind in (Kind.EMAIL, Kind.USERNAME):
        subject = next((k.subject for k in known if k.kind is entity.kind and entity.value in k.values), None)
        subject = subject or _owner_of(entity.value.partition("@")[0], owners)
    else:
        subject = next((k.subject for k in known if k.kind is entity.kind and entity.value in k.values), None)
    return replace(entity, subject=subject or f"{entity.kind}:{entity.value}")


def _owner_of(local: str, owners: dict[str, str]) -> str | None:
    """Whose e-mail name this is: it holds somebody's whole name, or a given name and an initial."""
    letters = re.sub(r"[^a-zà-ɏ]", "", local.lower())
    if len(letters) < 4:
        return None
    if letters in owners:
        return owners[letters]
    pieces = [p for p in re.split(r"[^a-zà-ɏ]+", local.lower()) if len(p) > 2]
    subjects = {owners[p] for p in pieces if p in owners}
    if len(subjects) == 1:
        return subjects.pop()
    ends = {owners[letters[1:]]} if letters[1:] in owners and len(letters) > 4 else set()
    return ends.pop() if ends else None


def _again(text: str, owners: dict[str, str]) -> Iterator[tuple[int, int, Kind, str]]:
    """Places of known persons' forms."""
    if not owners:
        return
    common = words()
    tokens = (
        list(_LATIN.finditer(text)) if any(form.isascii() or _LATIN.match(form) for form in owners) else []
    )
    begun = {form.partition(" ")[0].rstrip(".") for form in owners if " " in form}
    for at, token in enumerate(tokens):
        low = token[0].casefold()
        if low in begun and at + 1 < len(tokens) and text[token.end() : tokens[at + 1].start()] in _GAPS:
            pair = f"{low}{'.' if len(low) == 1 else ''} {tokens[at + 1][0].casefold()}"
            if pair in owners:
                yield token.start(), tokens[at + 1].end(), Kind.PERSON, owners[pair]
                continue
        if low in owners and len(low) > 1 and (token[0][0].isupper() or low not in common):
            yield *token.span(), Kind.PERSON, owners[low]
    by_head: dict[str, list[str]] = defaultdict(list)
    for form in sorted(owners, key=len, reverse=True):
        if len(form) > 1 and (not _LATIN.match(form) or (form.endswith(".") and len(form) > 3)):
            by_head[form[:2]].append(form)
    if not by_head:
        return
    folded = text.lower() if len(text.lower()) == len(text) else text
    for match in re.finditer("[" + re.escape("".join({head[0] for head in by_head})) + "]", folded):
        for form in by_head.get(folded[match.start() : match.start() + 2], ()):
            end = match.start() + len(form)
            if folded.startswith(form, match.start()) and _apart(text, form, match.start(), end):
                yield match.start(), end, Kind.PERSON, owners[form]
                break


def _apart(text: str, form: str, at: int, end: int) -> bool:
    """Does the form stand there by itself, and not as a piece of a longer word?"""
    left, right = text[at - 1 : at] if at else "", text[end : end + 2]
    if _LATIN.match(form):
        return not (left.isascii() and left.isalpha()) and not (right[:1].isascii() and right[:1].isalpha())
    if form[0] >= "一":
        suffix = r"(?!様|氏|君|殿|先生|部長|課長|社長|係長|家|宅|宛|本人)[一-龥々]"
        return not re.match(r"[一-龥々]", left) and not re.match(suffix, right)
    script = "[ァ-ヴー]" if "ァ" <= form[0] <= "ヶ" else "[ぁ-ん]"
    return (
        len(form) > 2 and not re.match(script, left) and (script == "[ぁ-ん]" or not re.match(script, right))
    )


def _exactly(
    text: str, entities: Sequence[Entity], known: Sequence[Known]
) -> Iterator[tuple[int, int, Kind, str]]:
    """Places where a value stands again, without what gave it away the first time."""
    values: dict[tuple[Kind, str], str] = {
        (e.kind, e.value): e.subject or "" for e in entities if e.kind not in (Kind.PERSON, Kind.DOB)
    }
    values |= {(k.kind, v): k.subject for k in known for v in k.values if k.kind is not Kind.PERSON}
    folded = text.lower() if len(text.lower()) == len(text) else text
    by_head: dict[str, list[tuple[str, Kind, str]]] = defaultdict(list)
    for (kind, value), subject in values.items():
        if len(value) >= _SHORTEST_EXACT and not (value.isalpha() and value.islower() and value in words()):
            needle = value.lower()
            by_head[needle[:_SHORTEST_EXACT]].append((needle, kind, subject))
    for unit in _UNIT.finditer(folded) if by_head else ():
        at = unit.start()
        for needle, kind, subject in by_head.get(folded[at : at + _SHORTEST_EXACT], ()):
            end = at + len(needle)
            if folded.startswith(needle, at) and _whole(folded, at, end):
                yield at, end, kind, subject


def _whole(text: str, at: int, end: int) -> bool:
    """Does no ASCII letter or digit go on where the span begins or ends?"""

    def goes_on(one: str, two: str) -> bool:
        return one.isascii() and one.isalnum() and two.isascii() and two.isalnum()

    return not (at and goes_on(text[at - 1], text[at])) and not (
        end < len(text) and goes_on(text[end - 1], text[end])
    )
