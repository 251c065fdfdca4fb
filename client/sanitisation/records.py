"""Numbers and dates that only their place in a record makes private: behind a patient's name, beside a birth."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stdnum import luhn

from renga.client.sanitisation.checked_numbers import is_public_number
from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found
from renga.client.sanitisation.patterns import Pattern
from renga.client.sanitisation.scanning import Scanned, matches

_DAY = (
    r"(?:(?:19|20)[0-9]{2}[\-/.][0-9]{1,2}[\-/.][0-9]{1,2}|[0-9]{1,2}[\-/.][0-9]{1,2}[\-/.](?:19|20)[0-9]{2})"
)
_NUMBER = (
    r"(?:[A-Z]{1,3}-?[0-9]{5,10}|[0-9]{6,10}|[0-9]{2,4}-[0-9]{4,6}|[0-9]{3}-[0-9]{3})(?![A-Za-z0-9]|-[0-9])"
)
_NAME = r"[^\W\d_][\w'’.\-]{1,24}"
_TABLE = 20_000
"""So many characters below its head a table is read."""

_BESIDE_BIRTH = Scanned(
    rf"(?<![A-Za-z])(?:dob|d\.o\.b\.?|born|date of birth)[ :]{{1,3}}{_DAY}[ ]?[/|,;)][ ]{{0,2}}({_NUMBER})",
    re.I,
)
"""A patient's number that follows the date of birth."""
_BEHIND_PATIENT = Scanned(
    rf"(?<![A-Za-z])(?:patient|pt\.?|inpatient|outpatient)[: ]{{1,2}}{_NAME}(?:,?[ ]{_NAME}){{1,3}}[ ]?[,(/|][ ]?({_NUMBER})",
    re.I,
)
_IN_BED = Scanned(
    rf"(?<![A-Za-z])(?:bay|bed|room|ward|patient|pt|cubicle)[ ]?[0-9A-Z]{{0,3}}:?[ ]{_NAME}(?:,?[ ]{_NAME}){{1,3}}[ ]?[,(/|][ ]?({_DAY})(?![0-9])",
    re.I,
)
"""The date behind the name of whoever lies there."""
_AND_SEX = Scanned(rf"^({_DAY})[ \t]{{1,4}}(?:[MFX]|male|female)[ \t]*$", re.I | re.M)
"""As a wristband has it."""
_RELATIVE = Scanned(
    rf"(?<![A-Za-z])(?:mother|father|child|son|daughter|guardian|spouse|wife|husband|brother|sister|mère|père|enfant|madre|padre|hij[oa]|mutter|vater|kind)[\"']?[ ]?[,;\t|][ ]?[\"']?({_DAY})(?![0-9])",
    re.I,
)
"""The cell beside what somebody is in a family."""
_BORN = Scanned(
    r"^[^\n]{0,200}[,;|\t][ ]{0,12}[\"']?(?:born|birth|dob|geboren|naissance|nacimiento)[\"']?[ ]{0,12}(?:[,;|\t][^\n]{0,200})?$",
    re.I | re.M,
)
"""The head of a table with a column of births."""
_CELL = Pattern(rf"(?:(?<=[|,;\t])|(?<=[|,;\t][ \"']))({_DAY})(?=[ \"']{{0,12}}(?:[|,;\t]|$))", re.M)
_FIRST = Pattern(rf"\|?[ ]{{0,4}}({_NUMBER})(?=[ ]{{0,12}}[|;\t,])")
_ROUTED = Scanned(
    r"(?<![A-Za-z])(?:routing|aba|transit|bsb|blz)[ ]?(?:number|no\.?|#)?[ :#]{1,2}[0-9][0-9 \-]{4,10}[0-9][ ]?(?:[,/;|]|and|\+)[ ]?(?:account|acct\.?|a/c|konto)[ ]?(?:number|no\.?|#)?[ :#]{0,2}([0-9](?:[ \-]?[0-9]){3,16})(?![A-Za-z0-9])",
    re.I,
)
_MEDICARE = Scanned(
    r"(?<![A-Za-z0-9\-])[1-9][AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9][0-9]-[AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9][0-9]-[AC-HJKMNP-RT-Y]{2}[0-9]{2}(?![A-Za-z0-9\-])",
    re.I,
)
"""A Medicare beneficiary's number, written with its dashes."""
_INSURED_JA = Scanned(
    r"(?:保険証|後期高齢者|被保険者証|資格確認書|介護保険)[^\n。0-9]{0,16}番号[はが：: 　]{0,2}([0-9]{6,10})(?![0-9・\-])"
)
_FOURS = Scanned(
    r"(?<![0-9A-Za-z\-.])[1-9][0-9]{3}([ \-])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?![0-9A-Za-z]|[ \-][0-9])"
)
_DRIVEN = Scanned(
    r"(?<![A-Za-z])(?:van|car|lorry|truck|pickup|motorbike|scooter|suv|taxi|caravan|trailer|hatchback|estate)[ ]?[,(:][ ]?(?!BMW|ISO|SUV|RAV)([A-Z]{2}[0-9]{2}[ ]?[A-Z]{3}|[0-9][A-Z]{3}[0-9]{3}|[A-Z]{3}[ \-]?[0-9]{4}|[0-9]{4}[ ]?[BCDFGHJ-NPR-TV-Z]{3})(?![A-Za-z0-9\-])",
    re.I,
)
_SORTED = Scanned(
    r"(?<![A-Za-z])(?:sort[ ]code[ :#]{1,2}[0-9]{2}[\- ]?[0-9]{2}[\- ]?[0-9]{2}[ ]?[,/;]?|routing[ ]?(?:number|no\.?|#)?[ :#]{1,2}[0-9]{9}[ ]?\n)[ ]?(?:account|acct\.?|a/c)[ ]?(?:number|no\.?|#)?[ :#]{1,2}([0-9](?:[ \-]?[0-9]){5,16})(?![A-Za-z0-9])",
    re.I,
)
"""An account behind its sort code, or under its routing number."""
_CLOUD = Scanned(
    r"(?<![A-Za-z])(?:aws_)?account(?:_id|Id)?[ ]{0,8}[=:][ ]{0,2}[\"']?([0-9]{12})(?![0-9])|(?<![A-Za-z0-9_])((?:cus|acct|sub|pi|cs|ch|in)_[A-Za-z0-9]{14,40})(?![A-Za-z0-9])"
)
"""An AWS account, an object of a payment service."""
_GERMAN_PASSPORT = Scanned(
    r"(?<![A-Za-z])(?:reisepass|personalausweis|passnummer|ausweisnummer)(?:[ ]?nr\.?|nummer)?[ :]{1,2}([CFGHJKLMNPRTVWXYZ][CFGHJKLMNPRTVWXYZ0-9]{8})(?![A-Za-z0-9])",
    re.I,
)
_SPANISH_PLATE = Scanned(
    r"(?<![A-Za-z])(?:coche|moto|furgoneta|vehículo|matrícula|taxi|camión)[ ](?:es[ ]|con[ ]matrícula[ ]|matrícula[ ])?([0-9]{4}[ \-]?[BCDFGHJ-NPR-TV-Z]{3})(?![A-Za-z0-9])",
    re.I,
)
_LICENCE = Scanned(
    r"(?:(?<![A-Za-z])(?:driver'?s?|driving|old|my)[ ]|,[ ])licen[cs]e(?:[ ]number)?(?:[ ]for[ ]the[ ][a-z]{3,14},?[ ]it'?s)?[ :#]{1,2}([A-Z]?[0-9]{3}(?:-?[0-9]{2,3}){2,4}(?:-[0-9])?|[0-9]{8,9})(?![A-Za-z0-9\-])",
    re.I,
)
_IN_NEED = Scanned(
    r"(?<![a-z])(?:urgencias?|emergencias?|avisos|recados|citas|incidencias)[,:]?[ ](?:al |el |en el )?([6789][0-9]{1,2}(?:[ .]?[0-9]{2,3}){2,3})(?![0-9])",
    re.I,
)
"""A Spanish telephone number, behind what it is for."""

_PLACED: tuple[tuple[Scanned, Kind, float], ...] = (
    (_BESIDE_BIRTH, Kind.HEALTH_ID, 0.9),
    (_BEHIND_PATIENT, Kind.HEALTH_ID, 0.9),
    (_IN_BED, Kind.DOB, 0.9),
    (_AND_SEX, Kind.DOB, 0.9),
    (_RELATIVE, Kind.DOB, 0.9),
    (_ROUTED, Kind.BANK_ACCOUNT, 0.95),
    (_INSURED_JA, Kind.HEALTH_ID, 0.95),
    (_DRIVEN, Kind.VEHICLE_PLATE, 0.88),
    (_SORTED, Kind.BANK_ACCOUNT, 0.95),
    (_CLOUD, Kind.ACCOUNT_ID, 0.88),
    (_GERMAN_PASSPORT, Kind.PASSPORT, 0.9),
    (_SPANISH_PLATE, Kind.VEHICLE_PLATE, 0.9),
    (_LICENCE, Kind.DRIVER_LICENSE, 0.88),
)


def records(text: str) -> Iterator[Found]:
    """Numbers and dates of a record, a table's row, a note (digits folded)."""
    for pattern, kind, certainty in _PLACED:
        for match in matches(pattern, text):
            yield Found(*match.span(match.lastindex or 1), kind, certainty)
    for match in matches(_MEDICARE, text):
        yield Found(*match.span(), Kind.HEALTH_ID, 0.95)
    for match in matches(_IN_NEED, text):
        if sum(c.isdigit() for c in match[1]) == 9:
            yield Found(*match.span(1), Kind.PHONE, 0.9)
    for match in matches(_FOURS, text):
        digits = re.sub(r"\D", "", match[0])
        if luhn.is_valid(digits) and len(set(digits)) > 2 and not is_public_number(text, match.start()):
            yield Found(*match.span(), Kind.CREDIT_CARD, 0.9)
    for head in matches(_BORN, text):
        yield from _below(text, head.end())


def _below(text: str, at: int) -> Iterator[Found]:
    """Dates, and the number a row begins with, in the rows below a head that has a column of births."""
    for line in re.finditer(r"\n([^\n]*)", text[at : at + _TABLE]):
        start, end = at + line.start(1), at + line.end(1)
        if not re.search(r"[|,;\t]", line[1]):
            return
        births = list(_CELL.finditer(text, start, end))
        for date in births:
            yield Found(*date.span(1), Kind.DOB, 0.9)
        if births and (number := _FIRST.match(text, start, end)) is not None:
            yield Found(*number.span(1), Kind.HEALTH_ID, 0.85)
