"""Values for the evaluation set of sanitisation: drawn by seed, valid where there is a checksum.

Names, addresses and telephone numbers come from Faker, whose lists no detector of ours has seen; the rest is
made here. `Drawn.forms` holds the other names of a person, for conversations.
"""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from renga.client.sanitisation.entities import Kind
from renga.errors import UsageError


@dataclass(frozen=True)
class Drawn:
    """One value, with its other forms by name (`given`, `kana`, …)."""

    text: str
    kind: Kind
    forms: dict[str, str] = field(default_factory=dict)


def fakers(seed: int) -> dict[str, Any]:
    """A Faker per language."""
    try:
        from faker import Faker
    except ImportError:
        raise UsageError("the evaluation set needs faker", hint="pip install faker") from None
    made = {}
    for name in ("en_US", "en_GB", "ja_JP", "de_DE", "fr_FR", "es_ES", "en_IN"):
        made[name] = Faker(name)
        made[name].seed_instance(seed)
    return made


def _digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choice(string.digits) for _ in range(count))


def _some(rng: random.Random, alphabet: str, count: int) -> str:
    return "".join(rng.choice(alphabet) for _ in range(count))


def _until(valid: Callable[[str], bool], draw: Callable[[], str]) -> str:
    for _ in range(100_000):
        value = draw()
        if valid(value):
            return value
    raise RuntimeError("no value passes its own check")


ALNUM = string.ascii_letters + string.digits
UPPER = string.ascii_uppercase


class Values:
    """Draws values of every slot that a template may name."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.fake = fakers(seed)

    def draw(self, slot: str) -> Drawn:
        """A fresh value for `slot`; KeyError if there is no such slot."""
        made = getattr(self, f"_{slot}", None)
        if made is None:
            raise KeyError(slot)
        value: Drawn = made()
        return value

    def _latin_person(self, locale: str) -> Drawn:
        fake = self.fake[locale]
        given, family = fake.first_name(), fake.last_name()
        local = self.rng.choice([f"{given}.{family}", f"{given[0]}{family}", f"{family}_{given[0]}"])
        local = local.lower().replace(" ", "").replace("'", "").encode("ascii", "ignore").decode()
        initials = f"{given[0]}. {family}"
        email = f"{local}@{fake.free_email_domain()}"
        forms = {"given": given, "family": family, "initials": initials, "email": email}
        return Drawn(f"{given} {family}", Kind.PERSON, {**forms, "lower": given.lower()})

    def _person(self) -> Drawn:
        return self._latin_person(self.rng.choice(["en_US", "en_US", "en_US", "en_GB", "en_IN"]))

    def _de_person(self) -> Drawn:
        return self._latin_person("de_DE")

    def _fr_person(self) -> Drawn:
        return self._latin_person("fr_FR")

    def _es_person(self) -> Drawn:
        return self._latin_person("es_ES")

    def _ja_person(self) -> Drawn:
        family, kana1, roman1 = self.fake["ja_JP"].last_name_pair()
        given, kana2, roman2 = self.fake["ja_JP"].first_name_pair()
        space = self.rng.choice(["", "", " ", "　"])
        kana = "".join(chr(ord(c) - 0x60) if "ァ" <= c <= "ヶ" else c for c in f"{kana1}{space}{kana2}")
        order = self.rng.choice([f"{roman2} {roman1}", f"{roman1} {roman2}"])
        forms = {
            "given": given,
            "family": family,
            "kana": kana,
            "katakana": f"{kana1} {kana2}",
            "romaji": order,
        }
        return Drawn(f"{family}{space}{given}", Kind.PERSON, forms)

    def _address(self) -> Drawn:
        text = self.fake[self.rng.choice(["en_US", "en_US", "en_GB"])].address()
        return Drawn(text.replace("\n", self.rng.choice([", ", "\n", ", "])), Kind.ADDRESS)

    def _localised_address(self, locale: str) -> Drawn:
        return Drawn(self.fake[locale].address().replace("\n", ", "), Kind.ADDRESS)

    def _de_address(self) -> Drawn:
        return self._localised_address("de_DE")

    def _fr_address(self) -> Drawn:
        return self._localised_address("fr_FR")

    def _es_address(self) -> Drawn:
        return self._localised_address("es_ES")

    def _ja_address(self) -> Drawn:
        text = self.fake["ja_JP"].address()
        if self.rng.random() < 0.4:
            text = f"〒{_digits(self.rng, 3)}-{_digits(self.rng, 4)} {text}"
        return Drawn(text, Kind.ADDRESS)

    def _phone(self) -> Drawn:
        area, mid, last = self.rng.randint(201, 989), self.rng.randint(200, 999), _digits(self.rng, 4)
        shapes = (
            f"({area}) {mid}-{last}",
            f"{area}-{mid}-{last}",
            f"+1 {area} {mid} {last}",
            f"{area}.{mid}.{last}",
        )
        british = f"07{_digits(self.rng, 3)} {_digits(self.rng, 6)}"
        return Drawn(self.rng.choice([*shapes, self.fake["en_US"].phone_number(), british]), Kind.PHONE)

    def _de_phone(self) -> Drawn:
        return Drawn(self.fake["de_DE"].phone_number(), Kind.PHONE)

    def _fr_phone(self) -> Drawn:
        return Drawn(self.fake["fr_FR"].phone_number(), Kind.PHONE)

    def _es_phone(self) -> Drawn:
        return Drawn(self.fake["es_ES"].phone_number(), Kind.PHONE)

    def _ja_phone(self) -> Drawn:
        a, b = _digits(self.rng, 4), _digits(self.rng, 4)
        lead = self.rng.choice(["090", "080", "070"])
        land = f"0{self.rng.choice(['3', '6'])}-{self.rng.randint(2000, 9999)}-{b}"
        return Drawn(
            self.rng.choice([f"{lead}-{a}-{b}", f"{lead}{a}{b}", land, f"+81 {lead[1:]} {a} {b}"]), Kind.PHONE
        )

    def _email(self) -> Drawn:
        fake = self.fake["en_US"]
        return Drawn(
            self.rng.choice([fake.free_email(), fake.company_email(), f"{self._username().text}@gmail.com"]),
            Kind.EMAIL,
        )

    def _username(self) -> Drawn:
        name = self.fake["en_US"].user_name()
        return Drawn(
            self.rng.choice([name, f"{name}_{self.rng.randint(1, 99)}", f"x_{name}", f"{name}.dev"]),
            Kind.USERNAME,
        )

    def _credit_card(self) -> Drawn:
        number = self.fake["en_US"].credit_card_number(
            card_type=self.rng.choice(["visa16", "mastercard", "amex", "jcb16"])
        )
        groups = (
            [number[:4], number[4:10], number[10:]]
            if len(number) == 15
            else [number[i : i + 4] for i in range(0, 16, 4)]
        )
        return Drawn(self.rng.choice(["", " ", "-"]).join(groups), Kind.CREDIT_CARD)

    def _iban(self) -> Drawn:
        number = self.fake[self.rng.choice(["de_DE", "fr_FR", "es_ES", "en_GB"])].iban()
        spaced = " ".join(number[i : i + 4] for i in range(0, len(number), 4))
        return Drawn(self.rng.choice([number, spaced]), Kind.IBAN)

    def _bank_account(self) -> Drawn:
        return Drawn(_digits(self.rng, self.rng.randint(8, 12)), Kind.BANK_ACCOUNT)

    def _routing(self) -> Drawn:
        return Drawn(_digits(self.rng, 9), Kind.BANK_ACCOUNT)

    def _ja_bank(self) -> Drawn:
        return Drawn(f"普通 {_digits(self.rng, 7)}", Kind.BANK_ACCOUNT)

    def _ssn(self) -> Drawn:
        return Drawn(self.fake["en_US"].ssn(), Kind.NATIONAL_ID)

    def _my_number(self) -> Drawn:
        from stdnum.jp import in_

        number = _until(in_.is_valid, lambda: _digits(self.rng, 12))
        return Drawn(
            self.rng.choice(
                [
                    number,
                    f"{number[:4]} {number[4:8]} {number[8:]}",
                    f"{number[:4]}-{number[4:8]}-{number[8:]}",
                ]
            ),
            Kind.NATIONAL_ID,
        )

    def _residence_card(self) -> Drawn:
        return Drawn(
            f"{_some(self.rng, UPPER, 2)}{_digits(self.rng, 8)}{_some(self.rng, UPPER, 2)}", Kind.NATIONAL_ID
        )

    def _steuer_id(self) -> Drawn:
        from stdnum.de import idnr

        return Drawn(_until(idnr.is_valid, lambda: _digits(self.rng, 11)), Kind.NATIONAL_ID)

    def _nino(self) -> Drawn:
        letters = self.rng.choice(["AB", "CE", "JG", "LM", "PR", "SW", "WX"])
        pairs = [_digits(self.rng, 2) for _ in range(3)]
        return Drawn(
            self.rng.choice(["", " "]).join([letters, *pairs, self.rng.choice("ABCD")]), Kind.NATIONAL_ID
        )

    def _nir(self) -> Drawn:
        rng = self.rng
        body = f"{rng.choice('12')}{rng.randint(40, 99)}{rng.randint(1, 12):02}{rng.randint(1, 89):02}{_digits(rng, 6)}"
        return Drawn(f"{body}{97 - int(body) % 97:02}", Kind.NATIONAL_ID)

    def _aadhaar(self) -> Drawn:
        from stdnum.in_ import aadhaar

        number = _until(aadhaar.is_valid, lambda: _digits(self.rng, 12))
        return Drawn(self.rng.choice([number, f"{number[:4]} {number[4:8]} {number[8:]}"]), Kind.NATIONAL_ID)

    def _dni(self) -> Drawn:
        number = self.rng.randint(10_000_000, 99_999_999)
        return Drawn(f"{number}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}", Kind.NATIONAL_ID)

    def _nhs(self) -> Drawn:
        from stdnum.gb import nhs

        number = _until(nhs.is_valid, lambda: _digits(self.rng, 10))
        return Drawn(f"{number[:3]} {number[3:6]} {number[6:]}", Kind.HEALTH_ID)

    def _passport(self) -> Drawn:
        return Drawn(
            self.rng.choice([_digits(self.rng, 9), f"{_some(self.rng, UPPER, 1)}{_digits(self.rng, 8)}"]),
            Kind.PASSPORT,
        )

    def _ja_passport(self) -> Drawn:
        return Drawn(f"{self.rng.choice(['TK', 'TR', 'TZ', 'MU'])}{_digits(self.rng, 7)}", Kind.PASSPORT)

    def _driver_license(self) -> Drawn:
        return Drawn(
            f"{_some(self.rng, UPPER, 1)}{_digits(self.rng, self.rng.choice([7, 8, 12]))}",
            Kind.DRIVER_LICENSE,
        )

    def _ja_license(self) -> Drawn:
        return Drawn(_digits(self.rng, 12), Kind.DRIVER_LICENSE)

    def _health_id(self) -> Drawn:
        return Drawn(
            self.rng.choice(
                [_digits(self.rng, 8), f"MRN-{_digits(self.rng, 6)}", f"P{_digits(self.rng, 7)}"]
            ),
            Kind.HEALTH_ID,
        )

    def _ja_health_id(self) -> Drawn:
        return Drawn(_digits(self.rng, self.rng.choice([8, 10])), Kind.HEALTH_ID)

    def _dob(self) -> Drawn:
        day = self.fake["en_US"].date_of_birth(minimum_age=18, maximum_age=90)
        return Drawn(
            day.strftime(self.rng.choice(["%m/%d/%Y", "%Y-%m-%d", "%B %d, %Y", "%d %b %Y", "%d.%m.%Y"])),
            Kind.DOB,
        )

    def _ja_dob(self) -> Drawn:
        day = self.fake["en_US"].date_of_birth(minimum_age=38, maximum_age=90)
        era = (
            f"昭和{day.year - 1925}年{day.month}月{day.day}日"
            if day.year < 1989
            else f"{day.year}年{day.month}月{day.day}日"
        )
        return Drawn(
            self.rng.choice([f"{day.year}年{day.month}月{day.day}日", era, day.strftime("%Y/%m/%d")]),
            Kind.DOB,
        )

    def _ip(self) -> Drawn:
        fake = self.fake["en_US"]
        return Drawn(
            self.rng.choice(
                [
                    fake.ipv4_public(),
                    f"10.{self.rng.randint(1, 250)}.{self.rng.randint(1, 250)}.{self.rng.randint(2, 250)}",
                ]
            ),
            Kind.IP_ADDRESS,
        )

    def _ip6(self) -> Drawn:
        return Drawn(self.fake["en_US"].ipv6(), Kind.IP_ADDRESS)

    def _mac(self) -> Drawn:
        return Drawn(self.fake["en_US"].mac_address(), Kind.MAC_ADDRESS)

    def _plate(self) -> Drawn:
        return Drawn(
            self.rng.choice(
                [
                    f"{self.rng.randint(1, 9)}{_some(self.rng, UPPER, 3)}{_digits(self.rng, 3)}",
                    f"{_some(self.rng, 'ABCDEFGHJKLM', 2)}{_digits(self.rng, 2)} {_some(self.rng, 'ABCDEFGH', 3)}",
                ]
            ),
            Kind.VEHICLE_PLATE,
        )

    def _ja_plate(self) -> Drawn:
        place = self.rng.choice(["品川", "横浜", "なにわ", "名古屋", "札幌", "足立"])
        return Drawn(
            f"{place} {self.rng.choice(['300', '500', '330', '58'])} {self.rng.choice('あいうえかさた')} {_digits(self.rng, 2)}-{_digits(self.rng, 2)}",
            Kind.VEHICLE_PLATE,
        )

    def _wallet(self) -> Drawn:
        return Drawn(
            self.rng.choice(
                [
                    f"0x{_some(self.rng, '0123456789abcdef', 40)}",
                    f"bc1q{_some(self.rng, 'qpzry9x8gf2tvdw0s3jn54khce6mua7l', 38)}",
                ]
            ),
            Kind.CRYPTO_WALLET,
        )

    def _account_id(self) -> Drawn:
        return Drawn(
            self.rng.choice(
                [
                    f"CUST-{_digits(self.rng, 6)}",
                    _digits(self.rng, 8),
                    f"{_some(self.rng, UPPER, 2)}{_digits(self.rng, 7)}",
                ]
            ),
            Kind.ACCOUNT_ID,
        )

    def _ja_account_id(self) -> Drawn:
        return Drawn(
            self.rng.choice(
                [
                    _digits(self.rng, 8),
                    f"A{_digits(self.rng, 7)}",
                    f"{_digits(self.rng, 4)}-{_digits(self.rng, 4)}",
                ]
            ),
            Kind.ACCOUNT_ID,
        )

    def _url(self) -> Drawn:
        name = self._username().text
        return Drawn(
            self.rng.choice(
                [
                    f"https://www.linkedin.com/in/{name}",
                    f"https://{name.replace('_', '')}.github.io/cv?token={_some(self.rng, ALNUM, 20)}",
                    f"https://drive.google.com/file/d/{_some(self.rng, ALNUM, 33)}/view",
                ]
            ),
            Kind.URL,
        )

    def _password(self) -> Drawn:
        word = self.rng.choice(["Sunset", "tiger", "Blue", "Kitchen", "maple", "Rocket"])
        rng = self.rng
        return Drawn(
            rng.choice(
                [
                    f"{word}{rng.randint(10, 9999)}{rng.choice('!#$')}",
                    _some(rng, ALNUM, 14) + "9!",
                    f"{word}-{rng.randint(100, 999)}-{_some(rng, ALNUM, 5)}",
                ]
            ),
            Kind.SECRET,
        )

    def _pin(self) -> Drawn:
        return Drawn(_digits(self.rng, self.rng.choice([4, 6])), Kind.SECRET)

    def _api_key(self) -> Drawn:
        rng = self.rng
        return Drawn(
            rng.choice(
                [
                    f"sk-proj-{_some(rng, ALNUM, 40)}",
                    f"AIza{_some(rng, ALNUM, 35)}",
                    f"hf_{_some(rng, ALNUM, 34)}",
                    _some(rng, "0123456789abcdef", 32),
                    _some(rng, ALNUM, 40),
                ]
            ),
            Kind.SECRET,
        )

    def _github_token(self) -> Drawn:
        return Drawn(f"ghp_{_some(self.rng, ALNUM, 36)}", Kind.SECRET)

    def _aws_key(self) -> Drawn:
        return Drawn(f"AKIA{_some(self.rng, UPPER + '234567', 16)}", Kind.SECRET)

    def _aws_secret(self) -> Drawn:
        return Drawn(_some(self.rng, ALNUM + "/+", 40), Kind.SECRET)

    def _stripe_key(self) -> Drawn:
        return Drawn(f"sk_live_{_some(self.rng, ALNUM, 24)}", Kind.SECRET)

    def _webhook(self) -> Drawn:
        return Drawn(
            f"https://hooks.slack.com/services/T{_some(self.rng, UPPER, 8)}/B{_some(self.rng, UPPER, 8)}/{_some(self.rng, ALNUM, 24)}",
            Kind.SECRET,
        )

    def _jwt(self) -> Drawn:
        def part(data: dict[str, object]) -> str:
            return base64.urlsafe_b64encode(json.dumps(data).encode()).decode().rstrip("=")

        return Drawn(
            f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'sub': _digits(self.rng, 8)})}.{_some(self.rng, ALNUM + '-_', 43)}",
            Kind.SECRET,
        )
