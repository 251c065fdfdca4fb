"""Numbers that prove themselves, or nearly: cards, bank accounts, national ids, wallets, plates.

Check digits come from python-stdnum. What one number in ten passes by chance (a single check digit) also has to
be written as such numbers are, or to stand near its name. Boundaries are looked for among ASCII only: there is
no word boundary between a Japanese character and a digit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from hashlib import sha256

from stdnum import iban, luhn
from stdnum.br import cpf
from stdnum.ca import sin
from stdnum.ch import ssn as ahv
from stdnum.cn import ric
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.in_ import aadhaar, pan
from stdnum.it import codicefiscale
from stdnum.jp import in_ as my_number
from stdnum.kr import rrn
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.se import personnummer

from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found, before, digits_of, near
from renga.client.sanitisation.patterns import Pattern
from renga.client.sanitisation.scanning import Scanned, matches

SEPARATOR = r"(?:[ \t]?[\-.·・_/]?[ \t]?(?:\r?\n[ \t>]{0,4})?)"
"""What may stand between the digits of one number, a broken line included."""

_NOT_PRIVATE = Pattern(
    r"(?:order|invoice|tracking|receipt|ticket|issue|isbn|issn|ean|jan|upc|sku|part|serial|model|po|build|bug"
    r"|注文|受注|伝票|追跡|請求書|問い合わせ|お問い合わせ|型番|品番|商品|在庫|bestell\w*|commande|pedido)"
    r"[ _\-]{0,2}(?:no\.?|number|num|nr\.?|id|code|番号|コード|#)?[^\w\n]{0,6}$",
    re.I,
)


def is_public_number(text: str, start: int) -> bool:
    """Is the number at `start` called an order, a book, a part: something that names no person?"""
    return _NOT_PRIVATE.search(text, max(0, start - 32), start) is not None


def _spaced(first: str, count: str) -> Scanned:
    return Scanned(rf"(?<![0-9A-Za-z])(?<![0-9][.,\-]){first}(?:{SEPARATOR}[0-9]){{{count}}}(?![0-9])")


_CARD = _spaced("[2-6]", "12,18")
_CARD_WORDS = Pattern(
    r"card|カード|visa|master|amex|jcb|karte|carte|tarjeta|cvv|cvc|クレカ|pan(?![A-Za-z])", re.I
)


def _issuer_length(digits: str) -> tuple[int, ...]:
    """How long a card number with these first digits may be (ISO/IEC 7812 ranges); nothing if nobody's."""
    if digits[0] == "4":
        return (16, 13, 19)
    if digits[:2] in ("34", "37"):
        return (15,)
    if "51" <= digits[:2] <= "55" or "2221" <= digits[:4] <= "2720":
        return (16,)
    if "3528" <= digits[:4] <= "3589":
        return (16, 19)
    if digits[:2] in ("36", "38", "39") or "300" <= digits[:3] <= "305":
        return (14, 16, 19)
    if digits[:2] in ("62", "64", "65", "60", "50", "56", "57", "58", "63", "67", "69", "61", "66", "68"):
        return (16, 17, 18, 19, 13, 12)
    return ()


def cards(text: str) -> Iterator[Found]:
    """Payment cards: an issuer's range, a length of theirs, and Luhn's check."""
    for match in matches(_CARD, text):
        places = [at for at in range(*match.span()) if "0" <= text[at] <= "9"]
        digits = "".join(text[at] for at in places)
        head = re.match(r"[0-9]+", match[0])
        if head and len(head[0]) not in (4, 6, 8) and len(head[0]) < 12:
            continue  # a decimal fraction, numbers in a row
        called = near(_CARD_WORDS, text, *match.span()) or _beside_card(text, match.start())
        called = called or (len(digits) in (15, 16) and luhn.is_valid(digits) and _paid(text, match.start()))
        for length in _issuer_length(digits):
            if len(digits) < length or len(set(digits[:length])) < 3:
                continue
            end = places[length - 1] + 1
            if end < len(text) and length < len(digits) and places[length] == end:
                continue  # it would end inside a group of digits
            if luhn.is_valid(digits[:length]) and (called or not is_public_number(text, match.start())):
                yield Found(match.start(), end, Kind.CREDIT_CARD, 0.96)
                break
        else:
            if called and 13 <= len(digits) <= 19 and len(set(digits)) > 2:
                yield Found(*match.span(), Kind.CREDIT_CARD, 0.85)


_ANOTHER = Pattern(
    r"(?:[2-6][0-9]{3}(?:[ \-]?[0-9]{4}){3}|3[47][0-9]{2}[ \-]?[0-9]{6}[ \-]?[0-9]{5})(?![0-9])[^\n]{0,60}?(?:(?:new|other|old|second|next|replacement)[ ](?:one|number)|(?:新しい|別の|もう一枚|前の)[^\n]{0,6})[^\n0-9]{0,16}$"
)


_PAID = Pattern(
    r"(?<![A-Za-z])(?:pay|paid|charged?|billed|bezahlt(?: mit)?|payé avec|pagado con|pagué con)(?![A-Za-z])[^\n0-9]{0,24}$|(?:支払|決済|払っ)[^\n0-9]{0,12}$",
    re.I,
)


def _paid(text: str, start: int) -> bool:
    """Does somebody pay with what comes, be it no issuer's that we know?"""
    return _PAID.search(text, max(0, start - 48), start) is not None and not is_public_number(text, start)


def _beside_card(text: str, start: int) -> bool:
    """Is another card spoken of just before, and this one called the new or the other one?"""
    return _ANOTHER.search(text, max(0, start - 120), start) is not None


_IBAN = Pattern(
    rf"(?<![A-Za-z0-9])[A-Za-z]{{2}}{SEPARATOR}[0-9]{SEPARATOR}[0-9](?:{SEPARATOR}[A-Za-z0-9]){{11,30}}"
    r"(?![A-Za-z0-9])"
)
_IBAN_WORD = Pattern(r"iban", re.I)


def ibans(text: str) -> Iterator[Found]:
    """International bank account numbers: ISO 13616, mod 97."""
    at = 0
    while match := _IBAN.search(text, at):
        at = match.start() + 2
        places = [i for i in range(*match.span()) if text[i].isalnum() and text[i].isascii()]
        whole = "".join(text[i] for i in places).upper()
        for length in range(min(len(whole), 34), 14, -1):
            end = places[length - 1] + 1
            ends_group = end == len(text) or not (text[end].isascii() and text[end].isalnum())
            if ends_group and iban.is_valid(whole[:length]):
                yield Found(match.start(), end, Kind.IBAN, 0.96)
                at = end
                break
        else:
            if before(_IBAN_WORD, text, match.start(), 16):
                yield Found(*match.span(), Kind.IBAN, 0.8)
                at = match.end()


def _pattern(body: str, flags: int = 0) -> Scanned:
    return Scanned(rf"(?<![0-9A-Za-z])(?<![0-9][.\-])(?:{body})(?![0-9A-Za-z])(?!-[0-9])", flags)


_S = r"[ \-.\t]?(?:\r?\n[ \t>]{0,4})?"


def _run(*groups: int) -> str:
    """Groups of digits with optional separators between them, and inside none but a broken line."""
    return _S.join(rf"[0-9]{{{n}}}" for n in groups)


Check = Callable[[str], bool]
_SELF_EVIDENT: tuple[tuple[Scanned, Check, Kind], ...] = (
    # Formats whose letters or check digits leave hardly anything to chance.
    (_pattern(r"[A-Z]{2}[ -]?[0-9]{8}[ -]?[A-Z]{2}"), lambda s: True, Kind.NATIONAL_ID),       # residence card
    (
        _pattern(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\n?[0-9]{2}[ -]?\n?[0-9]{2}[ -]?\n?[0-9]{2}[ -]?\n?[A-D]", re.I),
        lambda s: s[:2].upper() not in ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ"),
        Kind.NATIONAL_ID,
    ),
    (_pattern(rf"[12][ .]?{_run(2, 2)}[ .]?(?:[0-9]{{2}}|2[AB])[ .]?{_run(3, 3, 2)}"), nir.is_valid, Kind.NATIONAL_ID),
    (_pattern(r"[0-9]{3}[.]?[0-9]{3}[.]?[0-9]{3}-[0-9]{2}"), cpf.is_valid, Kind.NATIONAL_ID),
    (_pattern(r"756[.]?[0-9]{4}[.]?[0-9]{4}[.]?[0-9]{2}"), ahv.is_valid, Kind.NATIONAL_ID),
    (_pattern(r"[0-9]{17}[0-9Xx]"), ric.is_valid, Kind.NATIONAL_ID),
    (_pattern(r"[0-9]{6}-[1-8][0-9]{6}"), rrn.is_valid, Kind.NATIONAL_ID),
    (_pattern(r"[A-Za-z]{6}[0-9]{2}[A-Za-z][0-9]{2}[A-Za-z][0-9]{3}[A-Za-z]"), codicefiscale.is_valid, Kind.NATIONAL_ID),
    (_pattern(r"(?:19|20)?[0-9]{6}[\-+][0-9]{4}"), personnummer.is_valid, Kind.NATIONAL_ID),
    (_pattern(r"[0-9]{8}[ -]?[A-Za-z]"), dni.is_valid, Kind.NATIONAL_ID),
    (_pattern(r"[XYZxyz][ -]?[0-9]{7}[ -]?[A-Za-z]"), nie.is_valid, Kind.NATIONAL_ID),
)  # fmt: skip

_NAMED: tuple[tuple[Scanned, Check, Pattern, Pattern | None, Kind], ...] = (
    # One check digit: the number's name near it, or its own way of being written (the second pattern).
    (
        _pattern(_run(4, 4, 4)),
        my_number.is_valid,
        Pattern(r"マイナンバー|個人番号|my ?number|individual number|社会保障", re.I),
        Pattern(r"[0-9]{4}([ \-])[0-9]{4}\1[0-9]{4}"),
        Kind.NATIONAL_ID,
    ),
    (
        _pattern(_run(4, 4, 4)),
        aadhaar.is_valid,
        Pattern(r"aadha+r|uidai|आधार", re.I),
        Pattern(r"[0-9]{4}([ \-])[0-9]{4}\1[0-9]{4}"),
        Kind.NATIONAL_ID,
    ),
    (
        _pattern(rf"{_run(2, 3, 3, 3)}|{_run(3, 3, 3, 2)}|{_run(3, 4, 4)}"),
        idnr.is_valid,
        Pattern(r"steuer|idnr|identifikationsnummer|tax|tin(?![A-Za-z])|税", re.I),
        Pattern(r"[0-9]{2}([ /])[0-9]{3}\1[0-9]{3}\1[0-9]{3}"),
        Kind.NATIONAL_ID,
    ),
    (
        _pattern(_run(3, 3, 4)),
        nhs.is_valid,
        Pattern(r"(?<![A-Za-z])nhs(?![A-Za-z])|health", re.I),
        Pattern(r"[0-9]{3} [0-9]{3} [0-9]{4}"),
        Kind.HEALTH_ID,
    ),
    (_pattern(_run(3, 3, 3)), sin.is_valid, Pattern(r"(?<![A-Za-z])sin(?![A-Za-z])|social insurance", re.I), None, Kind.NATIONAL_ID),
    (_pattern("[0-9]{11}"), pesel.is_valid, Pattern("pesel", re.I), None, Kind.NATIONAL_ID),
    (_pattern("[0-9]{9}"), bsn.is_valid, Pattern("bsn|burgerservice", re.I), None, Kind.NATIONAL_ID),
    (
        _pattern("[A-Za-z]{5}[0-9]{4}[A-Za-z]"),
        pan.is_valid,
        Pattern(r"(?<![A-Za-z])pan(?![A-Za-z])|income tax", re.I),
        Pattern("[A-Z]{3}P[A-Z][0-9]{4}[A-Z]"),
        Kind.NATIONAL_ID,
    ),
)  # fmt: skip

_SSN = _pattern(r"[0-9]{3}([ \-.])[0-9]{2}\1[0-9]{4}|[0-9]{3}[ \-]*\n?[0-9]{2}[ \-]*\n?[0-9]{4}")
_SSN_WORDS = Pattern(
    r"ssn|(?:my|his|her|their|your)[ ]social(?![ ]?(?:media|life|work|circle|skill|net))|social[ _-]?sec|社会保障|itin|tax ?id|tin(?![A-Za-z])|ss#",
    re.I,
)
_SSN_SHAPE = Pattern(r"[0-9]{3}([ \-.])[0-9]{2}\1[0-9]{4}")
_LABELLED_TWELVE = Pattern(r"マイナンバー|個人番号|my ?number|aadha+r|steuer-?id|steueridentifik|idnr", re.I)
_ELEVEN_OR_TWELVE = _pattern(rf"{_run(4, 4, 4)}|{_run(2, 3, 3, 3)}")


def national_ids(text: str) -> Iterator[Found]:
    """National and health ids with a check digit or an unmistakable form."""
    for pattern, check, kind in _SELF_EVIDENT:
        for match in matches(pattern, text):
            if check(match[0].replace("\n", "")) and not is_public_number(text, match.start()):
                yield Found(*match.span(), kind, 0.95)
    for pattern, check, words, written, kind in _NAMED:
        for match in matches(pattern, text):
            plain = re.sub(r"\s|[.\-]", "", match[0])
            called = near(words, text, *match.span())
            if (called or (written and written.fullmatch(match[0]))) and check(plain):
                if called or not is_public_number(text, match.start()):
                    yield Found(*match.span(), kind, 0.95 if called else 0.93)
    for match in matches(_SSN, text):
        digits = digits_of(match[0])
        called = near(_SSN_WORDS, text, *match.span())
        usual = digits[:3] not in ("000", "666") and digits[3:5] != "00" and digits[5:] != "0000"
        if called or (usual and _SSN_SHAPE.fullmatch(match[0]) and not is_public_number(text, match.start())):
            yield Found(*match.span(), Kind.NATIONAL_ID, 0.94 if called else 0.85)
    for match in matches(_ELEVEN_OR_TWELVE, text):
        if before(_LABELLED_TWELVE, text, match.start(), 24):  # mistyped, and private all the same
            yield Found(*match.span(), Kind.NATIONAL_ID, 0.91)


_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_RUN = Pattern(r"(?<![A-Za-z0-9])[13LMDX9ATr2mn][1-9A-HJ-NP-Za-km-z]{24,34}(?![A-Za-z0-9])")
_BECH32 = Pattern(
    r"(?<![A-Za-z0-9])(?:bc1|tb1|ltc1|addr1|cosmos1|BC1)[02-9ac-hj-np-zAC-HJ-NP-Z]{20,100}(?![A-Za-z0-9])"
)
_ETHEREUM = Scanned(r"(?<![A-Za-z0-9])0x[0-9a-fA-F]{40}(?![A-Za-z0-9])")
_WALLET_WORDS = Pattern(
    r"wallet|solana|(?<![A-Za-z])sol(?![A-Za-z])|phantom|monero|(?<![A-Za-z])xmr(?![A-Za-z])|tron|ウォレット|暗号資産|仮想通貨|crypto",
    re.I,
)
_LONG_BASE58 = Pattern(
    r"(?<![A-Za-z0-9])(?:[48][1-9A-HJ-NP-Za-km-z]{94}|[1-9A-HJ-NP-Za-km-z]{32,44})(?![A-Za-z0-9])"
)
_NO_WALLETS = Pattern(r"0x(?:0{40}|[fF]{40}|[dD][eE][aA][dD].{32}[bB][eE][eE][fF])")


def _base58check(text: str) -> bool:
    number = 0
    for char in text:
        number = number * 58 + _BASE58.index(char)
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big").rjust(25, b"\0")
    return len(raw) == 25 and sha256(sha256(raw[:-4]).digest()).digest()[:4] == raw[-4:]


def wallets(text: str) -> Iterator[Found]:
    """Addresses of Bitcoin and its kin (Base58Check, Bech32), Ethereum; of others where they are named."""
    for match in _BASE58_RUN.finditer(text):
        if _base58check(match[0]) or near(_WALLET_WORDS, text, *match.span()):
            yield Found(*match.span(), Kind.CRYPTO_WALLET, 0.95)
    for match in _BECH32.finditer(text):
        yield Found(*match.span(), Kind.CRYPTO_WALLET, 0.95)
    for match in matches(_ETHEREUM, text):
        if not _NO_WALLETS.fullmatch(match[0]):
            yield Found(*match.span(), Kind.CRYPTO_WALLET, 0.95)
    for match in _LONG_BASE58.finditer(text):
        mixed = any(c.islower() for c in match[0]) and any(c.isupper() for c in match[0])
        if mixed and before(_WALLET_WORDS, text, match.start()):
            yield Found(*match.span(), Kind.CRYPTO_WALLET, 0.9)


_PLATE_JA = Scanned(
    r"(?:[一-龥ヶ]{1,4}|なにわ|いわき|つくば|とちぎ)[ \t]?[0-9]{2,3}[ \t]?[ぁ-んA-Z][ \t]?(?:[0-9]{2}[\-・ ]?[0-9]{2}|[・\-.]{1,3}[0-9]{1,3})(?![0-9])"
)
_PLATE_FR = Scanned(r"(?<![A-Za-z0-9\-])[A-HJ-NP-TV-Z]{2}-[0-9]{3}-[A-HJ-NP-TV-Z]{2}(?![A-Za-z0-9\-])")
_PLATE = Pattern(
    r"(?<![A-Za-z0-9\-])(?:"
    r"[A-Z]{2}[0-9]{2}[ -]?[A-Z]{3}"                              # UK
    r"|[A-ZÄÖÜ]{1,3}[ \-][A-Z]{1,2}[ \-]?[0-9]{1,4}[EH]?"         # Germany
    r"|[0-9]{4}[ \-]?[BCDFGHJ-NPR-TV-Z]{3}"                       # Spain
    r"|[A-HJ-NP-TV-Z]{2}[ ]?[0-9]{3}[ ]?[A-HJ-NP-TV-Z]{2}"        # France, spaced
    r"|[A-Z]{2}[ \-]?[0-9]{2}[ \-]?[A-Z]{1,2}[ \-]?[0-9]{4}"      # India
    r"|[0-9][A-Z]{3}[0-9]{3}|[A-Z]{1,3}[ \-]?[0-9]{3,4}[A-Z]{0,3}|[0-9]{1,4}[ \-]?[A-Z]{2,3}[0-9]{0,3}"  # US
    r")(?![A-Za-z0-9\-])",
    re.I,
)  # fmt: skip
_PLATE_WORDS = Scanned(
    r"plate|licen[cs]e tag|(?<![A-Za-z])reg(?:istration)?(?![A-Za-z])|vrn|ナンバー|車両番号|登録番号|車番|kennzeichen|immatricul|plaque"
    r"|matr[ií]cula|(?<![A-Za-z])vehicle(?![A-Za-z])|(?<![A-Za-z])car(?![A-Za-z])|(?<![A-Za-z])parked(?![A-Za-z])",
    re.I,
)
_PLATE_UK = Scanned(r"(?<![A-Za-z0-9\-])[A-Z]{2}[0-9]{2} [A-Z]{3}(?![A-Za-z0-9\-])")
_VIN = Scanned(r"(?<![A-Za-z0-9])[A-HJ-NPR-Z0-9]{17}(?![A-Za-z0-9])")
_VIN_WORDS = Pattern(r"(?<![A-Za-z])vin(?![A-Za-z])|chassis|車台番号", re.I)


def plates(text: str) -> Iterator[Found]:
    """Number plates: Japanese and French ones by their form, others near a word for them."""
    for match in matches(_PLATE_JA, text):
        yield Found(*match.span(), Kind.VEHICLE_PLATE, 0.93)
    for pattern in (_PLATE_FR, _PLATE_UK):
        for match in matches(pattern, text):
            yield Found(*match.span(), Kind.VEHICLE_PLATE, 0.9)
    for words in matches(_PLATE_WORDS, text):
        for match in _PLATE.finditer(text, words.end(), min(len(text), words.end() + 40)):
            has = any(c.isdigit() for c in match[0]) and any(c.isalpha() for c in match[0])
            strong = words[0].lower() not in ("car", "vehicle", "parked", "reg", "registration")
            if has and (strong or match[0].isupper() or not any(c.islower() for c in match[0])):
                yield Found(*match.span(), Kind.VEHICLE_PLATE, 0.88)
    for match in matches(_VIN, text):
        if any(c.isdigit() for c in match[0]) and near(_VIN_WORDS, text, *match.span()):
            yield Found(*match.span(), Kind.VEHICLE_PLATE, 0.9)
