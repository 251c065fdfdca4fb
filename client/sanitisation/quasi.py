"""Organisations and places: what identifies nobody by itself, and is looked for only where its owner asks.

An organisation is told by its form (`Nordwind GmbH`, `株式会社青葉`, `University of Leeds`) or by what is said around it
(`I work at …`, `Employer: …`, MeCab's tag); a place by a gazetteer: the towns and countries that `phonenumbers`
carries in many languages, and MeCab's tag for Japanese. A town that is also a word needs a preposition before it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

from renga.client.sanitisation.entities import QUASI, Deadline, Entity, Kind, Known
from renga.client.sanitisation.found import Found
from renga.client.sanitisation.lexicon import listed, words
from renga.client.sanitisation.names_ja import tagged
from renga.client.sanitisation.normal import normal
from renga.client.sanitisation.shadow import shadow

_CAP = r"[A-ZÀ-Þ0-9][\wÀ-ɏ'’&.\-]*[\wÀ-ɏ]|[A-Z]"
_RUN = rf"(?:{_CAP})(?:[ ](?:(?:of|the|and|&|de|der|des|für|du|la)[ ])?(?:{_CAP})){{0,4}}"
_LEGAL = (
    r"Inc|LLC|Ltd|Limited|Corp|Corporation|Co|Company|PLC|LLP|GmbH(?:[ ]&[ ]Co\.?[ ]KG)?|AG|KG|SE|e\.V\.|S\.?A\.?S?|SARL|S\.r\.l\.|SpA|S\.L\.|B\.V\.|N\.V\.|Oy|AB|ApS"
    r"|Group|Holdings?|University|College|Hospital|Clinic|Bank|Foundation|Institute|Partners|Associates|Insurance|Airlines|Church|Academy"
    r"|Laborator(?:y|ies)|Labs|Industries|Technologies|Solutions|Systems|Consulting|Capital|Logistics|Pharmaceuticals|Energy|Motors|Universität|Klinik"
)
_BY_FORM = re.compile(
    rf"(?<![\wÀ-ɏ])(?:(?:{_CAP})[ ]){{1,4}}(?:&[ ](?:{_CAP})[ ])?(?:{_LEGAL})(?![\wÀ-ɏ])(?:(?<=Inc|Ltd)\.|(?<=Corp)\.|(?<=Co)\.(?![ ][A-Z]))?"
)
_OF = re.compile(
    rf"(?<![\w])(?:University|Bank|Institute|College|Ministry|Department|Church|Universität|Klinikum|Hochschule|Université|Universidad|Banco|Ayuntamiento)[ ](?:of|de|der|für|zu)?[ ]?{_RUN}"
)
_SAID = re.compile(
    r"(?:work(?:s|ed|ing)?[ ](?:at|for)|employ(?:ed|er)(?:[ ](?:at|by|is))?:?|company(?:[ ](?:is|called|named|name))*:?|joined|(?:interview(?:ed)?|job|intern(?:ed|ship)?|career|internship)[ ](?:at|with)"
    r"|(?:CEO|CTO|CFO|founder|director|manager|engineer|employee)[ ](?:of|at)|(?:hired|fired|laid off)[ ](?:by|from)|arbeite[ ]bei|bei[ ]der[ ]Firma|Arbeitgeber:?|Firma:?|travaille[ ]chez|trabajo[ ]en|organi[sz]ation:?|supplier:?|vendor:?)[ ]"
    rf"(?P<name>{_RUN})"
)
_JA_BY_FORM = re.compile(
    r"(?:株式会社|有限会社|合同会社|合資会社|医療法人|学校法人|一般社団法人|社会福祉法人|NPO法人|（株）|\(株\))[ ]?[一-龥ァ-ヴーA-Za-z0-9・&]{1,20}"
    r"|[一-龥ァ-ヴーA-Za-z0-9・&]{1,20}(?:株式会社|有限会社|合同会社|（株）|\(株\))"
    r"|[一-龥ァ-ヴーA-Za-z]{1,12}(?:銀行|信用金庫|大学(?:院|病院)?|高等学校|高校|中学校|小学校|病院|医院|クリニック|製作所|商事|証券|製薬|物産|保険|市役所|区役所|警察署)"
)
_PREPOSITION = re.compile(
    r"(?<![A-Za-z])(?:in|at|from|to|near|around|via|of|toward|towards|visit|visiting|visited|leave|left|leaving|live[sd]?|moved|based|born|nach|aus|bei|à|de|vers|en|desde|hacia|a)[ ]$",
    re.I,
)
_LATIN = re.compile(r"[A-Za-zÀ-ɏ][A-Za-zÀ-ɏ'’\-]*")
_CHUNK = 2000
_JAPANESE = re.compile(r"[一-龥ぁ-んァ-ヶ々]")
_MUNICIPAL = re.compile(r"[都道府県市区町村郡駅島]")


@lru_cache(maxsize=1)
def gazetteer() -> frozenset[str]:
    """Towns, regions and countries, lower case, in the languages that phonenumbers names them in."""
    from phonenumbers.geodata import GEOCODE_DATA
    from phonenumbers.geodata.locale import LOCALE_DATA

    found: set[str] = set()
    for names in (*GEOCODE_DATA.values(), *LOCALE_DATA.values()):
        for name in names.values():
            for part in re.split(r"[/,]|[ ]-[ ]", name.lstrip("*")):
                plain = part.strip().casefold()
                if len(plain) > 2 and not any(c.isdigit() for c in plain):
                    found.add(plain)
    return frozenset(found | listed("places"))


class Quasi:
    """Detector of the `kinds` among ORG and LOCATION."""

    name = "organisations and places"

    def __init__(self, kinds: Collection[Kind]) -> None:
        self.kinds = frozenset(kinds) & QUASI

    def detect(self, text: str, known: Sequence[Known], deadline: Deadline) -> list[Entity]:
        view = shadow(text)
        entities = []
        for found in self._found(view.text, deadline):
            if found.kind in self.kinds:
                start, end = view.span(found.start, found.end)
                value = normal(found.kind, view.text[found.start : found.end])
                entities.append(Entity(start, end, found.kind, value, certainty=found.certainty))
        return entities

    def _found(self, text: str, deadline: Deadline) -> Iterator[Found]:
        if Kind.ORG in self.kinds:
            yield from organisations(text)
        deadline.check()
        if Kind.LOCATION in self.kinds:
            yield from places(text)
        if _JAPANESE.search(text):
            for start in range(0, len(text), _CHUNK):
                deadline.check()
                yield from _by_tagger(text, start)


def organisations(text: str) -> Iterator[Found]:
    """By their form, or by what is said before them."""
    for pattern in (_BY_FORM, _OF, _JA_BY_FORM):
        for match in pattern.finditer(text):
            start = match.start()
            if match[0].split()[0].lower() in ("the", "a", "our", "my", "this"):
                start += len(match[0].split()[0]) + 1
            yield Found(start, match.end(), Kind.ORG, 0.5)
    for match in _SAID.finditer(text):
        name = match["name"].rstrip(".")
        if not all(part.lower() in words() for part in name.split()):
            yield Found(match.start("name"), match.start("name") + len(name), Kind.ORG, 0.45)


def places(text: str) -> Iterator[Found]:
    """Names of the gazetteer, the longest first."""
    tokens, at = list(_LATIN.finditer(text)), 0
    while at < len(tokens):
        size = next((n for n in (4, 3, 2, 1) if _is_place(text, tokens[at : at + n], n)), 0)
        if size:
            yield Found(tokens[at].start(), tokens[at + size - 1].end(), Kind.LOCATION, 0.4)
        at += size or 1


def _is_place(text: str, tokens: Sequence[re.Match[str]], size: int) -> bool:
    if len(tokens) < size or tokens[0][0] in ("Will", "May", "March", "Of", "The"):
        return False
    start, end = tokens[0].start(), tokens[-1].end()
    written = text[start:end]
    if "\n" in written or written.casefold() not in gazetteer():
        return False
    capital = tokens[0][0][0].isupper() and tokens[-1][0][0].isupper()
    placed = _PREPOSITION.search(text, max(0, start - 12), start) is not None
    word = all(token[0].lower() in words() for token in tokens)
    return placed if capital and word else capital or (placed and not word and len(written) > 3)


def _by_tagger(text: str, start: int) -> Iterator[Found]:
    """Runs of what MeCab calls places, with 県, 市 and the like behind them, and what it calls organisations."""
    run: tuple[int, int] | None = None
    for word in (*tagged(text[start : start + _CHUNK], start), None):
        if word is not None and word.what == "組" and len(word.surface) > 1:
            yield Found(word.start, word.end, Kind.ORG, 0.4)
        joins = word is not None and (
            word.what == "地" or (run is not None and _MUNICIPAL.fullmatch(word.surface) is not None)
        )
        if word is not None and joins and (run is None or run[1] == word.start):
            run = (run[0] if run else word.start, word.end)
            continue
        if run and run[1] - run[0] > 1:
            yield Found(*run, Kind.LOCATION, 0.4)
        run = (word.start, word.end) if word is not None and word.what == "地" else None
