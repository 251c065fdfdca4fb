"""Dates of birth: a date, in any of the usual ways of writing one, that its sentence or label says is one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found
from renga.client.sanitisation.lexicon import public_figures
from renga.client.sanitisation.patterns import Pattern
from renga.client.sanitisation.scanning import Scanned, matches

_MONTH = (
    r"(?:jan(?:uary|\.)?|feb(?:ruary|\.)?|mar(?:ch|\.)?|apr(?:il|\.)?|may\.?|june?\.?|july?\.?|aug(?:ust|\.)?|sept?(?:ember|\.)?|oct(?:ober|\.)?"
    r"|nov(?:ember|\.)?|dec(?:ember|\.)?|januar|februar|märz|mai|juni|juli|oktober|dezember|janvier|février|fevrier|mars|avril|juin|juillet|août|aout"
    r"|septembre|octobre|novembre|décembre|decembre|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre)"
)
_ERA = r"(?:明治|大正|昭和|平成|令和|[MTSHR](?=[ .]?[0-9]))"
_N = r"(?:[0-9]{1,2}|[〇一二三四五六七八九十元]{1,3})"
_DATE = Scanned(
    r"(?<![0-9A-Za-z])(?:"
    rf"{_ERA}[ .]?{_N}(?:[ ]?年[ ]?|[./\-]){_N}(?:[ ]?月[ ]?|[./\-]){_N}(?:[ ]?日)?"
    r"|(?:[0-9]{4}|[〇一二三四五六七八九]{4})[ ]?年[ ]?(?:[0-9]{1,2}|[一二三四五六七八九十]{1,2})[ ]?月[ ]?(?:[0-9]{1,2}|[一二三四五六七八九十]{1,3})[ ]?日"
    r"|[0-9]{4}[\-./ ][0-9]{1,2}[\-./ ][0-9]{1,2}(?=[^0-9]|$)"
    r"|[0-9]{1,2}[\-./ ][0-9]{1,2}[\-./ ](?:[0-9]{4}|'?[0-9]{2})(?![0-9])"
    rf"|{_MONTH}\s{{1,2}}[0-9]{{1,2}}(?:st|nd|rd|th)?(?:,?\s{{1,2}}'?[0-9]{{2,4}})?(?![0-9])"
    rf"|[0-9]{{1,2}}(?:st|nd|rd|th|\.)?[\s\-]{{1,2}}(?:of |de )?{_MONTH}(?:,?[\s\-]{{1,2}}(?:de )?[0-9]{{4}}|[\s\-]'?[0-9]{{2}})?(?![0-9])"
    r"|(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:[0-2][0-9]|3[01])(?![0-9])"
    r"|[0-9]{1,2}[ ]?月[ ]?[0-9]{1,2}[ ]?日"
    r")(?![A-Za-z0-9])",
    re.I,
)
_BEFORE = Scanned(
    r"(?<![a-z])(?:d\.?o\.?b\.?|(?:date|day)[ _\-]?of[ _\-]?birth|birth[ _\-]?(?:date|day)|bday|b-day|born|dateofbirth|geb(?:oren|urtsdatum|urtstag|\.)"
    r"|n[ée]+e? le|date de naissance|naissance|fecha de nacimiento|naci(?:d[oa]|ó|eron)|nacimiento|cumplea[ñn]os|data di nascita)(?![a-z])"
    r"|生年月日|誕生日|生まれ|出生|バースデー|せいねんがっぴ",
    re.I,
)
_MONTH_OF = Pattern(
    rf"[ ]?(?:in|on|is|:)?[ ]{{0,2}}({_MONTH},?[ ](?:of[ ])?(?:19|20)[0-9]{{2}})(?![0-9])", re.I
)
_EIGHT = Pattern(
    r"[^\w\n]{0,4}((?:0[1-9]|[12][0-9]|3[01])(?:0[1-9]|[12][0-9]|3[01])(?:19|20)[0-9]{2})(?![0-9])"
)
_SHORT = Scanned(
    r"(?:(?<![A-Za-z])b\.[ ]?|(?<=[A-Za-z])DOB|(?<![A-Za-z])DOB)[ :]{0,2}((?:[0-9]{1,2}[./\-]){2}(?:[0-9]{4}|[0-9]{2})|[0-9]{4}-[0-9]{2}-[0-9]{2})(?![0-9])"
)
"""Written shorter or glued to the word, as forms have it."""
_AFTER = Pattern(
    r"[\s(（,)）]{0,3}(?:生まれ|生(?![成産徒活命物])|産まれ|誕生|\(?(?:date of birth|dob|birthday)|is my birthday)",
    re.I,
)
_NO_BIRTH = Pattern(r"(?:company|founded|設立|創業|発売|開催|締切|deadline)", re.I)


_HEAD = Scanned(
    r"^[^\n]{0,300}(?<![a-z])(?:dob|birth[ _\-]?(?:date|day)|date[ _]of[ _]birth|生年月日)(?![a-z])[^\n]{0,300}$",
    re.I | re.M,
)


def _in_columns(text: str) -> Iterator[Found]:
    """Dates in the lines below a table's head (or after a statement's columns) that names a date of birth."""
    for head in matches(_HEAD, text):
        marks = [m for m in ",\t|;" if head[0].count(m)]
        if not marks or not re.search(r"name|phone|tel|mail|氏名|電話|ssn|address", head[0], re.I):
            continue
        mark = max(marks, key=head[0].count)
        at = head.end() if "VALUES" not in head[0].upper() else head.start()
        for line in re.finditer(r"[^\n]+", text[at : at + 20_000]):
            if mark not in line[0]:
                break
            for date in _DATE.finditer(line[0]):
                yield Found(at + line.start() + date.start(), at + line.start() + date.end(), Kind.DOB, 0.9)


_ROW = Pattern(r"^[^\n]*(?:@|(?<![0-9])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![0-9]))[^\n]*$", re.M)
_LONG_AGO = Pattern(
    r"(?:19[2-9][0-9]|200[0-9])[\-/.][0-9]{1,2}[\-/.][0-9]{1,2}|[0-9]{1,2}[\-/.][0-9]{1,2}[\-/.](?:19[2-9][0-9]|200[0-9])"
)


def _in_rows(text: str) -> Iterator[Found]:
    """Dates of long ago in a row of a table that has an e-mail address or a social security number too."""
    for row in _ROW.finditer(text):
        if any(row[0].count(mark) >= 3 for mark in "|;\t,"):
            for date in _LONG_AGO.finditer(row[0]):
                yield Found(row.start() + date.start(), row.start() + date.end(), Kind.DOB, 0.8)


def _of_somebody_public(text: str, end: int) -> bool:
    """Is the birth told of a person whom everybody knows?"""
    full, single = public_figures()
    near = re.split(r"[;.!?\n]", text[max(0, end - 60) : end])[-1]
    names = re.findall(r"[A-Z][\w.'\-]+(?: [A-Z][\w.'\-]+){0,3}", near)
    if any(n.casefold() in full or n.casefold() in single for n in names):
        return True
    return not near.isascii() and any(n in near for n in full if not n.isascii() and len(n) > 2)


def births(text: str) -> Iterator[Found]:
    """Dates that are said to be of a birth."""
    for word in matches(_BEFORE, text):
        limit = min(len(text), word.end() + 60)
        for written in (_MONTH_OF, _EIGHT):
            if (other := written.match(text, word.end())) is not None and not _of_somebody_public(
                text, word.start()
            ):
                yield Found(*other.span(1), Kind.DOB, 0.9)
        match = _DATE.search(text, word.end(), limit)
        if (
            match
            and "\n\n" not in text[word.end() : match.start()]
            and not _NO_BIRTH.search(text, word.end(), match.start())
        ):
            # A cut-off window can cut a date: match it again in the whole text.
            whole = _DATE.match(text, match.start()) or match
            if _of_somebody_public(text, word.start()):
                continue
            yield Found(*whole.span(), Kind.DOB, 0.94)
    for match in matches(_SHORT, text):
        yield Found(*match.span(1), Kind.DOB, 0.9)
    yield from _in_columns(text)
    yield from _in_rows(text)
    for match in matches(_DATE, text):
        if _AFTER.match(text, match.end()):
            yield Found(*match.span(), Kind.DOB, 0.94)
