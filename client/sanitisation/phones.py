"""Telephone numbers: shapes that nothing else has, `phonenumbers` for the rest, and labels for what is left."""

from __future__ import annotations

import re
from collections.abc import Iterator

import phonenumbers

from renga.client.sanitisation.checked_numbers import is_public_number
from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found, digits_of, near
from renga.client.sanitisation.patterns import Pattern

_S = r"(?:[ \t]{0,2}[\-.·・/の]?[ \t]{0,2}(?:\r?\n[ \t>]{0,4})?)"
_CANDIDATE = Pattern(
    rf"(?:(?<![0-9A-Za-z_])|(?<=TEL|FAX|Tel|tel|Fax|fax))(?<![0-9][.:\-/])(?:\+{_S}|00(?=[1-9])|\()?{_S}[0-9](?:{_S}[()]?{_S}[0-9]){{6,16}}"
    r"(?:\s{0,2}(?:x|ext\.?|extension|内線|#)[ .:]{0,2}[0-9]{1,6})?(?![0-9A-Za-z_])(?![.:/][0-9])",
    re.I,
)
_WORDS = Pattern(
    r"phone|(?<![A-Za-z])call|(?<![A-Za-z])tel(?![A-Za-z])|tel[.:]|mobile|(?<![A-Za-z])cell(?![A-Za-z])|(?<![A-Za-z])fax|(?<![A-Za-z])text(?:ed)?(?![A-Za-z])|whats ?app|(?<![A-Za-z])sms(?![A-Za-z])|contact|reach|dial|hotline"
    r"|電話|携帯|ケータイ|スマホ|連絡先|ファックス|ﾌｧｯｸｽ|でんわ|ＴＥＬ|TEL|FAX|telefon|(?<![a-zäöü])nummer|ruf(?:e|st|en|t)?[ ](?:mich|uns|bitte|ihn|sie)|melde dich|erreich|rufnummer|handy|mobil|anrufen"
    r"|t[ée]l[ée]phone|portable|appel|m[óo]v(?:il)?(?![a-z])|tel[ée]fono|ll[áa]m|mi n[úu]mero es|mon num[ée]ro est|il mio numero è|signal|telegram|viber|(?<![A-Za-z])line(?![A-Za-z])|(?:my|old|new|other|work|home|current) (?:new )?number|number (?:is|changed|was)|new number|内線",
    re.I,
)
_DATE = Pattern(
    r"(?:19|20)[0-9]{2}[\-./](?:0?[1-9]|1[0-2])[\-./][0-9]{1,2}|[0-9]{1,2}[\-./][0-9]{1,2}[\-./](?:19|20)[0-9]{2}"
)
_NORTH_AMERICA = Pattern(
    r"(?:(?:\+|00)?1[\-. ]{0,2})?(?:\([0-9]{3}\)[\-. \n>]{0,3}|[0-9]{3}[\-. ][\n>]{0,2})[0-9]{3}[\-. ][\-. \n>]{0,3}[0-9]{4}(?:\D.*)?",
    re.S,
)
_SEVEN = Pattern(r"[2-9][0-9]{2}[\-.][0-9]{4}(?:\D.*)?", re.S)
_JAPAN = Pattern(
    r"\(?0[0-9]{1,4}\)?[\- (の.・][\- (の.・\n]{0,3}[0-9]{1,4}[\- )の.・][\- )の.・\n]{0,3}[0-9]{3,4}"
)
_JAPAN_MOBILE = Pattern(r"0[5789]0[0-9]{8}")
_GERMAN_MOBILE = Pattern(r"01[5-7][0-9][ \-/]{0,3}\n?[0-9]{3,4}[ \-]?[0-9]{3,5}")
_FRANCE = Pattern(r"0[1-9](?:[ .\-][ \n>]{0,3}[0-9]{2}){4}")
_REGIONS = {"0": ("JP", "GB", "DE", "FR", "IT", "AU", "NL"), "": ("US", "ES", "IN", "JP", "BR", "PL")}


def phones(text: str) -> Iterator[Found]:
    """Telephone numbers in the reading `text` (digits folded)."""
    for match in _AFTER_BLANK.finditer(text):
        if not _DATE.search(match[1]) and len(set(digits_of(match[1]))) > 2:
            yield Found(*match.span(1), Kind.PHONE, 0.9)
    for match in _BEFORE_MAIL.finditer(text):
        if len(set(match[1])) > 3 and not is_public_number(text, match.start()):
            yield Found(*match.span(1), Kind.PHONE, 0.8)
    for match in _CANDIDATE.finditer(text):
        start, end = match.span()
        if match[0][0] == "(" and ")" not in match[0]:
            start += 1
        raw = text[start:end].strip()
        start += len(text[start:end]) - len(text[start:end].lstrip())
        end = start + len(raw)
        while start < end and text[start] not in "+(" and not text[start].isdigit():
            start += 1
        certainty = _certainty(text, start, end)
        last = text.rfind("\n", start, end) + 1
        if last and _NORTH_AMERICA.fullmatch(
            text[last:end].strip()
        ):  # a line of its own, below another number
            start = last + len(text[last:end]) - len(text[last:end].lstrip())
            certainty = _certainty(text, start, end)
        if not certainty and (alone := _behind_others(text, start, end)) is not None:
            start, certainty = alone, 0.9
        if certainty:
            yield Found(start, end, Kind.PHONE, certainty)


_AFTER_BLANK = Pattern(
    r"(?<=[0-9号室][ 　\n])(0[0-9]{1,3}-[0-9]{1,4}-[0-9]{4}|[2-9][0-9]{2}-[2-9][0-9]{2}-[0-9]{4}|07[0-9]{3} ?[0-9]{6})(?![0-9A-Za-z_\-])"
)
"""Right behind a house, a flat or a postal code, with which it would be too long."""
_BEFORE_MAIL = Pattern(
    r"(?<![0-9A-Za-z.\-_+])([2-9][0-9]{2}[2-9][0-9]{6})(?=[,;|]?[ \t\n]{1,2}[\w.+\-]{1,64}@[\w\-]{1,63}\.)"
)
"""Ten digits as North America has them, beside an e-mail address."""
_GAP = Pattern(r"(?<=[0-9])[ \t\n]{1,3}(?=[(0-9])")


def _behind_others(text: str, start: int, end: int) -> int | None:
    """Where a telephone number begins behind digits of something else: a house, a flat, a postal code."""
    for gap in _GAP.finditer(text, start, end):
        raw = text[gap.end() : end]
        shaped = _JAPAN.fullmatch(raw) is not None and len(digits_of(raw)) in (10, 11)
        if shaped or _NORTH_AMERICA.fullmatch(raw) or _JAPAN_MOBILE.fullmatch(raw):
            return gap.end() if not _DATE.search(raw) else None
    return None


def _certainty(text: str, start: int, end: int) -> float:
    raw = text[start:end]
    digits = digits_of(raw.lower().split("x")[0])
    if len(set(digits)) < 2 or _DATE.search(raw) or is_public_number(text, start):
        return 0.0
    called = near(_WORDS, text, start, end)
    if raw.startswith("+"):
        return 0.92 if 7 <= len(digits) <= 15 and (called or _valid(raw, None) or len(digits) > 9) else 0.0
    if _JAPAN_MOBILE.fullmatch(digits) or (_JAPAN.fullmatch(raw) and len(digits) in (10, 11)):
        return 0.92
    if _NORTH_AMERICA.fullmatch(raw):
        return 0.9
    if _FRANCE.fullmatch(raw) or (_GERMAN_MOBILE.fullmatch(raw) and len(digits) in (11, 12)):
        return 0.9
    if called and 7 <= len(digits) <= 15:
        return 0.88
    if _SEVEN.fullmatch(raw):
        return 0.6 if raw.startswith("555") else 0.0
    if digits.startswith("0") and len(digits) in (10, 11) and re.search(r"[0-9][\-/ .)][0-9]", raw):
        return 0.8 if _valid(raw, "0") else 0.0
    if re.fullmatch(r"0[0-9]{9,10}", raw):
        return 0.75 if _valid(raw, "0") else 0.0
    if re.fullmatch(r"00[1-9][0-9\-. ()]+", raw):
        return 0.8 if _valid("+" + raw[2:], None) else 0.0
    return 0.0


def _valid(raw: str, lead: str | None) -> bool:
    for region in (None,) if lead is None else _REGIONS[lead]:
        try:
            number = phonenumbers.parse(raw, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return True
    return False
