"""Columns: what a table's head calls private is private in every row, whatever it looks like.

Comma, tab, semicolon and pipe tables, Markdown ones with their rule below the head; a head is a line of short
cells without digits, one of which names a kind, over lines with as many marks; what stands in double quotation marks
is one cell. The columns of an SQL `INSERT` name its values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found
from renga.client.sanitisation.lexicon import latin, words
from renga.client.sanitisation.patterns import Pattern

_HEADS: tuple[tuple[Kind, Pattern], ...] = tuple(
    (kind, Pattern(rf"(?:{words})", re.I))
    for kind, words in (
        (Kind.SECRET, r"(?:temp(?:orary)?[ _])?pass(?:word|wd|code|phrase)?|pwd?|pin(?:[ _]code)?|secret|(?:api|access)[ _]?(?:key|token)|token|otp|cvv|cvc|door[ _]code|passwort|kennwort|mot de passe|contraseña|clave|パスワード|暗証番号|パス"),
        (Kind.USERNAME, r"user[ _]?(?:name)?|login|handle|benutzer(?:name)?|identifiant|usuario|ユーザー名|ログインID"),
        (Kind.PERSON, r"(?:full|first|last|given|family|middle|sur|nick|customer|client|patient|employee|student|member|guest|contact|card ?holder)?[ _]?name|first|last|last[ _]first|first[ _]last|surname|forename|patient|customer|employee|student|guest|attendee|participant|vorname|nachname|nom|pr[ée]nom|nombre|apellidos?|氏名|名前|お名前|患者名?|担当者?|顧客名|社員名|参加者|フリガナ|カナ"),
        (Kind.ADDRESS, r"(?:home|street|mailing|billing|shipping)?[ _]?addr(?:ess)?|street|adresse|anschrift|direcci[óo]n|住所"),
        (Kind.PHONE, r"(?:home|cell|mobile|work)?[ _]?(?:tele)?(?:phone|tel|mobile|cell|fax)(?:[ _]?(?:no|number))?|telefon|t[ée]l[ée]phone|tel[ée]fono|handy|電話(?:番号)?|携帯(?:番号)?"),
        (Kind.DOB, r"d\.?o\.?b\.?|birth[ _]?(?:day|date)|date of birth|geburtsdatum|生年月日|誕生日"),
        (Kind.ACCOUNT_ID, r"(?:member|customer|client|account|employee|emp|student|user|policy|badge|staff|loyalty)(?:ship)?[ _]?(?:id|no\.?|number|#)|member|badge|kundennummer|会員番号|社員番号|顧客番号|学籍番号"),
        (Kind.HEALTH_ID, r"mrn|insurance(?:[ _](?:id|no|number))?|nhs(?:[ _](?:no|number))?|保険証(?:番号)?|患者ID|診察券番号"),
        (Kind.NATIONAL_ID, r"ssn|social(?: security)?(?: (?:no|number))?|national[ _]?id|tax[ _]?id|nino|マイナンバー|個人番号"),
        (Kind.PASSPORT, r"passport(?:[ _]?(?:no|number))?|パスポート(?:番号)?|旅券番号"),
        (Kind.DRIVER_LICENSE, r"(?:driver'?s?[ _])?licen[cs]e(?:[ _]?(?:no|number))?|dln?|免許(?:証)?(?:番号)?"),
        (Kind.VEHICLE_PLATE, r"(?:licen[cs]e[ _])?plate|reg(?:istration)?|kennzeichen|ナンバー|車番"),
        (Kind.BANK_ACCOUNT, r"(?:bank[ _])?(?:account|acct)|routing|sort[ _]?code|口座(?:番号)?"),
        (Kind.EMAIL, r"e-?mail(?:[ _]address)?|メール(?:アドレス)?"),
    )
)  # fmt: skip
_HEAD = Pattern(
    r"^[ \t>]{0,4}(?:\|[ ]?)?[^\n\r,;|\t.!?:=0-9@]{1,32}(?:[,;|\t][^\n\r,;|\t.!?:=0-9@]{1,32}){1,15}(?:[|,])?[ ]?(?=\r?\n)",
    re.M,
)
_ROW = Pattern(r"\r?\n([^\n\r]*)")
_QUOTED = Pattern(r'"[^"\n]{0,200}"')
_INSERT = Pattern(
    r"INSERT\s{1,4}INTO\s{1,4}[\w.`\"\[\]]{1,64}\s{0,4}\(([^()]{1,400})\)\s{0,8}VALUES\s{0,8}", re.I
)
_TUPLE = Pattern(r"\s{0,8},?\s{0,8}\(((?:'[^'\n]{0,400}'|\"[^\"\n]{0,400}\"|[^()'\"]){1,2000})\)")
_LITERAL = Pattern(r"'((?:[^'\n]|'(?=[a-z])){0,400}?)'(?![a-z])|\"([^\"\n]{0,400})\"|([\w.+\-]{1,64})")
_RULE = Pattern(r"[ \t|:+\-]{3,}$")
_PLACEHOLDER = Pattern(
    r"(?:n/?a|none|null|nil|-+|x+|\.+|true|false|yes|no|string|text|varchar.*|int\w*|<.*>|\{.*\}|\[.*\]|\*+|todo|tbd|redacted)?",
    re.I,
)
_IDS = frozenset({Kind.ACCOUNT_ID, Kind.HEALTH_ID, Kind.BANK_ACCOUNT, Kind.PHONE, Kind.DOB, Kind.ADDRESS, Kind.VEHICLE_PLATE, Kind.DRIVER_LICENSE, Kind.PASSPORT, Kind.NATIONAL_ID})  # fmt: skip


def columns(text: str) -> Iterator[Found]:
    """The cells below heads that name a kind."""
    at = 0
    while (head := _HEAD.search(text, at)) is not None:
        at = head.end()
        mark = max(",\t|;", key=head[0].count)
        marks, names = head[0].count(mark), head[0].split(mark)
        kinds = [_kind_of(name) for name in names]
        few = len(names) == 2 and mark == ","
        if not any(kinds) or (few and not _next_agrees(text, at, marks, mark)):
            continue
        alone = sum(kind is not None for kind in kinds) < 2
        while (
            (row := _ROW.match(text, at)) is not None
            and row[1].strip()
            and _unquoted(row[1]).count(mark) == marks
        ):
            yield from _cells(row[1], row.start(1), mark, kinds, alone)
            at = row.end()
    for insert in _INSERT.finditer(text):
        kinds = [_kind_of(name) for name in re.findall(r"[\w.]+", insert[1])]
        end = insert.end()
        while any(kinds) and (row := _TUPLE.match(text, end)) is not None:
            values = list(_LITERAL.finditer(text, *row.span(1)))
            for kind, value in zip(kinds, values) if len(kinds) == len(values) else ():
                yield from _cell(text, *value.span(value.lastindex or 0), kind, alone=False)
            end = row.end()


def _unquoted(line: str) -> str:
    """The line with blanks for what stands in quotation marks, so that only real marks are left."""
    return _QUOTED.sub(lambda match: " " * len(match[0]), line) if '"' in line else line


def _kind_of(head: str) -> Kind | None:
    plain = head.strip(" \t\"'`*>")
    return next((kind for kind, words in _HEADS if words.fullmatch(plain)), None)


def _next_agrees(text: str, at: int, marks: int, mark: str) -> bool:
    """Do the next two lines (or the only one) have as many marks, and are they short?"""
    lines = text[at : at + 400].lstrip("\r\n").split("\n")[:2]
    return all(_unquoted(line).count(mark) == marks and len(line) < 160 for line in lines if line.strip())


def _cells(line: str, start: int, mark: str, kinds: list[Kind | None], alone: bool) -> Iterator[Found]:
    if _RULE.match(line):
        return
    at = 0
    for kind, cell in zip(kinds, _unquoted(line).split(mark)):
        yield from _cell(line, at, at + len(cell), kind, alone, start)
        at += len(cell) + 1


def _cell(
    text: str, start: int, end: int, kind: Kind | None, alone: bool, offset: int = 0
) -> Iterator[Found]:
    """One cell, if it holds what its head says. `offset`: where `text` stands in the whole."""
    value = text[start:end].strip(" \t\"'`*>\r")
    where = offset + text.find(value, start)
    if kind is None or len(value) < 2 or _PLACEHOLDER.fullmatch(value):
        return
    if kind in _IDS and not any(c.isdigit() or c > "\u3000" for c in value):
        return
    if (kind is Kind.PERSON and not _can_be_name(value, alone)) or (kind is Kind.EMAIL and "@" not in value):
        return
    yield Found(where, where + len(value), kind, 0.8)


def _can_be_name(value: str, alone: bool) -> bool:
    """A name rather than what things are called: surely, where no other column is private."""
    if any(c.isdigit() for c in value) or len(value) > 48:
        return False
    parts = re.findall(r"[^\W\d_]+", value)
    if not parts or not parts[0].isascii():
        return bool(parts)
    known = any(
        p.lower() in latin().given or (p.lower() in latin().rank and p.lower() not in words()) for p in parts
    )
    return known if alone else known or (parts[0][0].isupper() and parts[0].lower() not in words())
