"""Names in Japanese that the sentence tells, where neither the tagger nor an honorific does: `蓮って子`, `森・原両名`,
`森より、と署名`, a reading beside a label or before the kanji, a line of a list with an address."""

from __future__ import annotations

import re
from collections.abc import Iterator

from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found
from renga.client.sanitisation.lexicon import japanese, listed, public_figures
from renga.client.sanitisation.names_ja import hiragana, usual
from renga.client.sanitisation.names_of_nobody_ja import is_nobody
from renga.client.sanitisation.scanning import Scanned, matches

_NOT_NAMES = listed("before an honorific")
_NO_GIVEN = listed("no given names")
_PLACES = listed("places that are surnames")
_KIN = listed("hiragana kin")

_SO_CALLED = Scanned(
    r"(?:(?<=[はがもの、。「\n])|^)([一-龥々]{1,3}|[ァ-ヴー]{2,5})(?=(?:って|っていう|という|と言う)(?:名前の)?(?:子|人|男|女|友達|友人|同僚|後輩|先輩|奴|やつ)(?!の名前)(?:[、。がはにをとでのだもか]|$|\n))",
    re.M,
)
_BOTH = Scanned(
    r"(?<![一-龥々])([一-龥々]{1,4})[・、と]([一-龥々]{1,4}?)(?=[ 　]?(?:ご|御)?(?:両名|両人|連名|ペア|コンビ)|の(?:ご|御)?連名)"
)
_TO_BOTH_PARTS = Scanned(
    r"(?<![一-龥々])([一-龥々]{2,3}[ 　]([一-龥々]{1,3}))(?=[ 　]?(?:宛|様|殿|さん|氏(?![名族])))"
)
_ONLY_SIGNED = Scanned(r"(?<![一-龥々])([一-龥々]{3})より(?=[、。」』]{0,2}と署名)")
_OF_KIN = Scanned(
    r"(?:彼氏|彼女|旦那|妻|夫|娘|息子|母|父|祖母|祖父|長男|長女|次男|次女|弟|妹|兄|姉|友達|友人|親友|同僚|後輩|先輩|孫|姪|甥)の([ぁ-ん]{3,5}?)(?=(?:[がはもに]|には|にも|とは|を|と)(?:[^ぁ-ん]|[ぁ-ん]{2}))"
)
_WORDS = listed("hiragana names that are words")
_SIGNED = Scanned(
    r"(?<![一-龥々])([一-龥々]{1,3}|[ァ-ヴー]{2,5})より(?=[、。」』]{0,2}と(?:署名|書|入れ|添え|締め|記|結))"
)
_OURS = Scanned(
    r"(?:うち|ウチ|我が家)の([ぁ-ん]{2,6}?|[一-龥々]{1,3}|[ァ-ヴー]{2,5})(?=[がはもにをと](?:[^ぁ-ん]|[ぁ-ん]{2}))"
)
_WHEN = Scanned(
    r"(?:明日|昨日|今日|本日|先日|来週|先週|毎週|毎月|来月|先月|今朝|昨夜|今夜|次回|前回)の?([一-龥々]{1,4})(?=さん|様|先生|くん|君|ちゃん|医師|部長|課長)"
)
_LABELLED_KANA = Scanned(
    r"(?:フリガナ|ふりがな|カナ|ヨミ(?:ガナ)?|よみがな|名義人?)[^ァ-ヴぁ-ん一-龥A-Za-z0-9\n]{0,6}([ァ-ヴー]{2,8}[ 　・][ァ-ヴー]{2,8}|[ぁ-んー]{2,8}[ 　・][ぁ-んー]{2,8}?)(?=[^ァ-ヴーぁ-ん]|$|です|で(?![ぁ-ん])|に|を|の|と)"
)
_BEFORE_KANJI = Scanned(r"(?<![ぁ-ん])([ぁ-ん]{2,6})[ 　]([ぁ-ん]{2,6})(?=[（(][一-龥々])")
_SPACED_KANA = Scanned(
    r"[ぁ-ん]{2,12}[ 　]([ぁ-ん]{2,5}?)(?=(?:で|は|が|に|を|の|も|と|さん|様|って|です|という)(?![ぁ-ん]{0,2}[ 　])|[、。」）)]|$)",
    re.M,
)
_ROW = Scanned(
    r"^[ 　・*\-]{0,3}([一-龥々]{2,6})[ 　]{1,2}(?=〒|[一-龥]{2,3}[都道府県]|[一-龥]{1,5}[市区町村]|0[0-9]{1,4}-)",
    re.M,
)


def told_names_ja(text: str) -> Iterator[Found]:
    """Persons in a reading of the text, by what is said of them."""
    return (one for one in _told(text.translate(usual)) if not is_nobody(text, one.start, one.end))


def _told(text: str) -> Iterator[Found]:
    lists = japanese()
    for match in matches(_SO_CALLED, text):
        name = match[1]
        given = name in lists.given or hiragana(name) in lists.given_kana
        place = name in _PLACES
        if (given or (name in lists.surnames and not place)) and _may_be(name, strict=not place):
            yield Found(*match.span(1), Kind.PERSON, 0.62)
    for match in matches(_BOTH, text):
        if all(_known(name) and _may_be(name, strict=False) for name in match.groups()):
            yield Found(*match.span(1), Kind.PERSON, 0.66)
            yield Found(*match.span(2), Kind.PERSON, 0.66)
    for pattern in (_SIGNED, _WHEN):
        for match in matches(pattern, text):
            if _known(match[1]) and _may_be(match[1], strict=True):
                yield Found(*match.span(1), Kind.PERSON, 0.64)
    for match in matches(_OURS, text):
        name = match[1]
        if (name in lists.given or hiragana(name) in lists.given_kana) and _may_be(name, strict=True):
            yield Found(*match.span(1), Kind.PERSON, 0.6)
    for match in matches(_OF_KIN, text):
        if match[1] in lists.given_kana and match[1] not in _WORDS and match[1] not in _KIN:
            yield Found(*match.span(1), Kind.PERSON, 0.6)
    for match in matches(_TO_BOTH_PARTS, text):
        if match[2] in lists.given and all(_may_be(n, strict=False) for n in re.split("[ 　]", match[1])):
            yield Found(*match.span(1), Kind.PERSON, 0.66)
    for match in matches(_ONLY_SIGNED, text):
        if match[1][-1] not in "同会社族者員生課部店組" and _may_be(match[1], strict=True):
            yield Found(*match.span(1), Kind.PERSON, 0.6)
    for match in matches(_LABELLED_KANA, text):
        if any(_read(part) for part in re.split("[ 　・]", match[1])):
            yield Found(*match.span(1), Kind.PERSON, 0.74)
    for match in matches(_BEFORE_KANJI, text):
        if match[2] in lists.given_kana or match[1] in lists.surname_kana:
            yield Found(*match.span(), Kind.PERSON, 0.74)
    for match in matches(_SPACED_KANA, text):
        gap = match.start(1) - 1
        run = text[match.start() : gap]
        size = next((n for n in range(min(6, len(run)), 1, -1) if run[-n:] in lists.surname_kana), 0)
        if size and match[1] in lists.given_kana:
            yield Found(gap - size, match.end(1), Kind.PERSON, 0.72)
    for match in matches(_ROW, text):
        name = match[1]
        if name not in _PLACES and any(
            name[:at] in lists.surnames and name[at:] in lists.given for at in range(1, len(name))
        ):
            yield Found(*match.span(1), Kind.PERSON, 0.7)


def _known(name: str) -> bool:
    lists = japanese()
    return name in lists.surnames or name in lists.given or hiragana(name) in lists.given_kana


def _read(kana: str) -> bool:
    lists = japanese()
    return hiragana(kana) in lists.surname_kana or hiragana(kana) in lists.given_kana


def _may_be(name: str, *, strict: bool) -> bool:
    """Is it none of the words that are no names? `strict`: nor one that is seldom one."""
    if name in _NOT_NAMES or name in _KIN or (strict and name in _NO_GIVEN):
        return False
    full, single = public_figures()
    return name not in full and name not in single
