"""A person for a person, a valid card number for a card number: surrogates of the same kind, script,
format and, as far as it shows, gender and language. Numbers come from ranges that nobody is given, with
check digits that are right: NANP 555-01xx and the drama ranges of Ofcom, ARCEP and the Bundesnetzagentur,
card schemes' test prefixes, bank code 0, example.com (RFC 2606), documentation addresses (RFC 5737, 3849,
7042), social security area 666, tax numbers that begin with 0."""

from __future__ import annotations

import ipaddress
import re
import string
import unicodedata
from collections.abc import Callable
from random import Random, SystemRandom

from stdnum import luhn, verhoeff
from stdnum.iso7064 import mod_11_10

from renga.client.sanitisation.dates_shifted import shifted
from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.stand_ins import FIRMS, STREETS, TOWNS, WORDS
from renga.client.sanitisation.tags import folded

Maker = Callable[[str, str, Random], str | None]
DICE = SystemRandom()

_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_MARKS = {
    "de": re.compile(
        r"\b(?:und|der|die|das|ist|nicht|ich|mit|für|eine?[mnrs]?|wie|wer|wir|sie|auf|bei|zu[mr]|bitte|meine?[mnrs]?"
        r"|schreibe?|liebe[r]?|herr|frau|straße|str\.)(?!\w)|[äöüß]",
        re.I,
    ),
    "fr": re.compile(
        r"\b(?:et|le|la|les|des|du|est|ce|cette|je|tu|nous|vous|mon|ma|pour|avec|dans|qui|quelle?|bonjour|monsieur"
        r"|madame|rue|une?)(?!\w)|[çêèàœ]",
        re.I,
    ),
    "es": re.compile(
        r"\b(?:y|el|la|los|del?|es|soy|para|por|con|qué|cuál|hola|escribe|señora?|calle|una?|mi)(?!\w)|[ñ¿¡áíó]",
        re.I,
    ),
    "en": re.compile(r"\b(?:and|the|is|are|for|with|my|to|street|road|please|of)(?!\w)", re.I),
}


def language(text: str) -> str:
    """ja, de, fr, es or en: what a text looks most like."""
    if _CJK.search(text):
        return "ja"
    seen = {name: len(marks.findall(text[:4000])) for name, marks in _MARKS.items()}
    return max(seen, key=lambda name: (seen[name], name == "en"))


def filled(form: str, digits: str) -> str | None:
    """`form` with its digits replaced in order, full-width ones by full-width ones; None if there are not as
    many."""
    if sum(character.isdigit() for character in form) != len(digits):
        return None
    left = iter(digits)
    said = []
    for character in form:
        if not character.isdigit():
            said.append(character)
        else:
            digit = next(left)
            said.append(chr(0xFF10 + int(digit)) if "０" <= character <= "９" else digit)
    return "".join(said)


def digits_of(text: str) -> str:
    """Its digits, in ASCII."""
    return "".join(
        str(unicodedata.digit(c)) for c in text if c.isdigit() and unicodedata.digit(c, None) is not None
    )


def drawn(count: int, dice: Random) -> str:
    return "".join(dice.choice(string.digits) for _ in range(count))


def same_format(own: str, text: str, dice: Random) -> str | None:
    """Letters for letters, digits for digits; None where there is too little to change."""

    def other(character: str) -> str:
        if character.isdigit():
            return filled(character, dice.choice(string.digits)) or character
        if character in string.ascii_letters:
            letter = dice.choice("ABCDEFGHJKLMNPRSTUVWXYZ")
            return letter if character.isupper() else letter.lower()
        return character

    made = "".join(map(other, own))
    return made if sum(a != b for a, b in zip(own, made, strict=True)) >= 2 and "\n" not in own else None


def phone(own: str, text: str, dice: Random) -> str | None:
    digits = digits_of(own)
    foreign = folded(own).lstrip(" (").startswith("+")
    if (foreign and digits.startswith("1")) or (
        not foreign and len(digits) in (10, 11) and digits[0] not in "0+"
    ):
        head = digits[: len(digits) - 10]
        return filled(
            own, f"{head}{dice.choice(('202', '303', '415', '617'))}55501{drawn(2, dice)}"[: len(digits)]
        )
    for code in ("81", "44", "49", "33", "34"):
        if foreign and digits.startswith(code):
            return filled(own, code + _national(code, digits[len(code) :], dice))
    if digits.startswith("0"):
        code = {"ja": "81", "de": "49", "fr": "33"}.get(language(text), "44")
        if len(digits) in (10, 11) and re.match(r"0[5789]0", digits):
            code = "81"
        return filled(own, "0" + _national(code, digits[1:], dice))
    return (
        filled(own, digits[:2] + "0" * max(0, len(digits) - 6) + drawn(min(4, len(digits) - 2), dice))
        if len(digits) > 5
        else None
    )


def _national(code: str, rest: str, dice: Random) -> str:
    """A number of the same length without its trunk prefix, from what a country sets apart for fiction."""
    zero = "0" if rest.startswith("0") else ""  # +44 (0)20 …
    size = len(rest) - len(zero)
    reserved = {
        "44": ("7700900" if rest[len(zero) :].startswith("7") else "1632960"),
        "49": ("17139200" if rest[len(zero) :].startswith("1") else "3023125"),
        "33": ("639980" if rest[len(zero) :][:1] in "67" else "199000"),
        "81": (f"{rest[len(zero) :][:2]}0000" if size == 10 else f"{rest[len(zero) :][:1]}0000"),
    }.get(code, rest[:2] + "000")
    return zero + (reserved + drawn(size, dice))[:size]


def email(own: str, text: str, dice: Random) -> str | None:
    local = own.partition("@")[0]
    mark = next((mark for mark in "._-" if mark in local), "")
    first, second = dice.sample(WORDS, 2)
    tail = drawn(len(re.findall(r"\d", local)), dice)[:4]
    domain = dice.choice(("example.com", "example.org", "example.net"))
    return f"{first}{mark}{second}{tail}@{domain}"


def username(own: str, text: str, dice: Random) -> str | None:
    at = "@" if own.startswith("@") else ""
    first, second = dice.sample(WORDS, 2)
    return f"{at}{first}{dice.choice(('_', '.', ''))}{second}{drawn(2, dice)}"


def card(own: str, text: str, dice: Random) -> str | None:
    digits = digits_of(own)
    prefix = {"4": "424242", "5": "555555", "2": "555555", "6": "601111"}.get(digits[:1], "400000")
    prefix = {
        "34": "378282",
        "37": "378282",
        "35": "353011",
        "36": "305693",
        "30": "305693",
        "38": "305693",
    }.get(digits[:2], prefix)
    body = (prefix + drawn(20, dice))[: len(digits) - 1]
    return filled(own, body + luhn.calc_check_digit(body)) if len(digits) > 8 else None


def iban(own: str, text: str, dice: Random) -> str | None:
    plain = re.sub(r"[^A-Za-z0-9]", "", folded(own)).upper()
    if len(plain) < 15 or not plain[:2].isalpha():
        return None
    bban = "".join(
        ("0" if place < 4 else dice.choice(string.digits)) if character.isdigit() else dice.choice("XYZ")
        for place, character in enumerate(plain[4:])
    )
    number = int("".join(str(int(c, 36)) for c in bban + plain[:2] + "00"))
    new = iter(f"{plain[:2]}{98 - number % 97:02d}{bban}")
    return "".join(
        _like(character, next(new)) if folded(character).isalnum() else character for character in own
    )


def _like(old: str, new: str) -> str:
    """`new` in the case and width of `old`."""
    new = new.lower() if old.islower() else new
    return chr(ord(new) + 0xFEE0) if "！" <= old <= "～" else new


def national_id(own: str, text: str, dice: Random) -> str | None:
    digits, plain = digits_of(own), re.sub(r"[^A-Za-z0-9]", "", folded(own)).upper()
    if re.fullmatch(r"[A-Z]{2}\d{6}[A-D]", plain):  # UK: QQ is never given out
        new = iter("QQ" + drawn(6, dice) + dice.choice("ABCD"))
        return "".join(_like(c, next(new)) if folded(c).isalnum() else c for c in own)
    if len(digits) != len(plain):
        return same_format(own, text, dice)
    match len(digits):
        case 9:  # US
            return filled(own, "666" + f"{dice.randint(1, 99):02d}{dice.randint(1, 9999):04d}")
        case 11:  # DE: ten digits of which one comes twice; those that begin with 0 are for tests
            body = list("1234567890".replace("0", ""))
            dice.shuffle(body)
            body = ["0", *body[:8]]
            body.insert(dice.randint(2, 9), body[-1])
            if body[-1] == body[-2] == body[-3]:
                body[-1] = body[1]
            start = "".join(body)
            return filled(own, start + mod_11_10.calc_check_digit(start))
        case 12 if verhoeff.is_valid(digits):  # IN: none begins with 0 or 1
            body11 = "1" + drawn(10, dice)
            return filled(own, body11 + verhoeff.calc_check_digit(body11))
        case 12:  # JP
            body11 = "0000" + drawn(7, dice)
            return filled(own, body11 + my_number_check(body11))
        case 15:  # FR: month 20 is for those who were born in none
            body13 = f"{dice.choice('12')}{drawn(2, dice)}2099{drawn(6, dice)}"
            return filled(own, f"{body13}{97 - int(body13) % 97:02d}")
    return same_format(own, text, dice)


def my_number_check(body: str) -> str:
    """The last digit of a Japanese individual number (Ordinance 85 of 2014, article 5)."""
    total = sum(int(digit) * (n + 1 if n <= 6 else n - 5) for n, digit in enumerate(reversed(body), 1))
    return str(0 if total % 11 <= 1 else 11 - total % 11)


def address(own: str, text: str, dice: Random) -> str | None:
    spoken = language(own) if language(own) != "en" else language(text)
    if "\n" in own:
        return None
    if _CJK.search(own):
        code = "〒000-" + drawn(4, dice) + " " if re.search(r"〒|\d{3}[-ー−]\d{4}", own) else ""
        block = f"{dice.randint(1, 9)}-{dice.randint(1, 40)}-{dice.randint(1, 20)}"
        return f"{code}架空県{dice.choice(TOWNS['ja'])}見本{block}"
    spoken = spoken if spoken in STREETS else "en"
    street, number = dice.choice(STREETS[spoken]), dice.randint(2, 190)
    line = f"{street} {number}" if spoken in ("de", "es") else f"{number} {street}"
    code = "00000 " if re.search(r"\b\d{5}\b", own) else ""
    return f"{line}, {code}{dice.choice(TOWNS[spoken])}" if "," in own or code else line


def ip(own: str, text: str, dice: Random) -> str | None:
    bare = re.match(r"(?:\d{1,3}\.){3}\d{1,3}|[0-9A-Fa-f:]+(?:\.\d+)*", own)
    try:
        parsed = ipaddress.ip_address(bare[0] if bare else own)
    except ValueError:
        return None
    rest = own[len(bare[0]) if bare else 0 :]
    if parsed.version == 4:
        return f"{dice.choice(('192.0.2', '198.51.100', '203.0.113'))}.{dice.randint(1, 254)}{rest}"
    return f"2001:db8::{dice.randint(1, 0xFFFF):x}:{dice.randint(1, 0xFFFF):x}{rest}"


def mac(own: str, text: str, dice: Random) -> str | None:
    new = iter(f"00005e0053{dice.randint(0, 255):02x}")
    if sum(c.isalnum() for c in own) != 12:
        return None
    upper = any(c.isupper() for c in own)
    made = "".join(next(new) if c.isalnum() else c for c in own)
    return made.upper() if upper else made


def url(own: str, text: str, dice: Random) -> str | None:
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.\-]*://", own)
    first, second = dice.sample(WORDS, 2)
    return f"{scheme[0] if scheme else ''}{first}.example.com/{second}{drawn(3, dice)}"


def secret(own: str, text: str, dice: Random) -> str | None:
    mark = re.match(r"[A-Za-z]{2,6}[-_](?=.{8})", own)
    head = mark[0] if mark else ""
    rest = same_format(own[len(head) :], text, dice)
    return head + rest if rest else None


def birth(own: str, text: str, dice: Random, days: int = 0) -> str | None:
    return shifted(own, days)


def organisation(own: str, text: str, dice: Random) -> str | None:
    spoken = language(own) if _CJK.search(own) else language(text)
    return dice.choice(FIRMS.get(spoken, FIRMS["en"]))


def location(own: str, text: str, dice: Random) -> str | None:
    spoken = language(own) if _CJK.search(own) else language(text)
    return dice.choice(TOWNS["ja" if _CJK.search(own) else spoken if spoken != "ja" else "en"])


MAKERS: dict[str, Maker] = {
    Kind.ADDRESS: address,
    Kind.PHONE: phone,
    Kind.EMAIL: email,
    Kind.USERNAME: username,
    Kind.CREDIT_CARD: card,
    Kind.IBAN: iban,
    Kind.BANK_ACCOUNT: same_format,
    Kind.NATIONAL_ID: national_id,
    Kind.PASSPORT: same_format,
    Kind.DRIVER_LICENSE: same_format,
    Kind.HEALTH_ID: same_format,
    Kind.IP_ADDRESS: ip,
    Kind.MAC_ADDRESS: mac,
    Kind.VEHICLE_PLATE: same_format,
    Kind.CRYPTO_WALLET: same_format,
    Kind.ACCOUNT_ID: same_format,
    Kind.URL: url,
    Kind.SECRET: secret,
    Kind.ORG: organisation,
    Kind.LOCATION: location,
}
