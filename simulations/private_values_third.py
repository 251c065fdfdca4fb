"""Values of the third volume of prompts: given names alone, passwords as people make them, keys of further vendors.

Written before anything was mended on its account, by somebody who had read the detectors. Whatever has a checksum
has a right one.
"""

from __future__ import annotations

import base64
import datetime

from renga.client.sanitisation.entities import Kind
from renga.simulations.private_values import ALNUM, UPPER, Drawn, _digits, _some
from renga.simulations.private_values_second import SecondValues

GIVEN = [
    "Marguerite",
    "Dashiell",
    "Imani",
    "Sanne",
    "Takoda",
    "Yevgenia",
    "Caoimhe",
    "Rohan",
    "Lupita",
    "Ezra",
    "Wanjiru",
    "Desmond",
    "Annika",
    "Thabo",
    "Mireille",
    "Callum",
    "Aisha",
    "Stefan",
    "Noemi",
    "Jamal",
    "Birgit",
    "Devi",
    "Marek",
    "Paloma",
    "Kenji",
    "Shreya",
    "Olive",
    "Marcus",
    "Hannah",
    "Eduardo",
    "Naomi",
    "Greg",
    "Patricia",
    "Deepak",
    "Lena",
    "Simone",
    "Trevor",
    "Yasmin",
    "Hugo",
    "Bianca",
    "Nadia",
    "Owen",
    "Keisha",
    "Vivian",
    "Arjun",
    "Colette",
    "Doug",
    "Ingeborg",
]
FAMILY = [
    "Pemberton",
    "Achterberg",
    "Nakashima",
    "Oyelaran",
    "Vasquez",
    "MacAllister",
    "Sundaram",
    "Kovačević",
    "Bellamy",
    "Trujillo",
    "Eze",
    "Lindholm",
    "Fitzgerald",
    "Khoury",
    "Whitaker",
    "Boateng",
    "Delacroix",
    "Hashemi",
    "Ostrowski",
    "Quigley",
    "Ramanathan",
    "Schaefer",
    "Tanaka",
    "Uribe",
    "Villanueva",
    "Weatherby",
    "Yamamoto",
    "Zapata",
    "Cohen",
    "Griffiths",
    "Marchetti",
    "Nguyen",
    "Olsen",
    "Rosenberg",
    "Stewart",
    "Walsh",
]
JAPANESE = (
    ("宇佐美", "うさみ", "Usami"), ("久保田", "くぼた", "Kubota"), ("篠原", "しのはら", "Shinohara"),
    ("東海林", "しょうじ", "Shoji"), ("長谷川", "はせがわ", "Hasegawa"), ("堀", "ほり", "Hori"),
    ("三浦", "みうら", "Miura"), ("榊原", "さかきばら", "Sakakibara"), ("西村", "にしむら", "Nishimura"),
    ("小野寺", "おのでら", "Onodera"), ("白石", "しらいし", "Shiraishi"), ("児玉", "こだま", "Kodama"),
)  # fmt: skip
JAPANESE_GIVEN = (
    ("亮介", "りょうすけ", "Ryosuke"), ("千尋", "ちひろ", "Chihiro"), ("結衣", "ゆい", "Yui"),
    ("和彦", "かずひこ", "Kazuhiko"), ("真由美", "まゆみ", "Mayumi"), ("拓海", "たくみ", "Takumi"),
    ("恵子", "けいこ", "Keiko"), ("健吾", "けんご", "Kengo"), ("さくら", "さくら", "Sakura"),
    ("隼人", "はやと", "Hayato"), ("美穂", "みほ", "Miho"), ("修", "おさむ", "Osamu"),
)  # fmt: skip
SEED_WORDS = [
    "lunar",
    "orphan",
    "velvet",
    "margin",
    "cactus",
    "dune",
    "ripple",
    "gospel",
    "anchor",
    "shiver",
    "meadow",
    "trumpet",
    "oblige",
    "fossil",
    "walnut",
    "saddle",
    "nephew",
    "blossom",
    "crater",
    "pulse",
    "vivid",
    "hockey",
    "magnet",
    "frozen",
    "tongue",
    "island",
    "ladder",
    "copper",
]
BASE32 = UPPER + "234567"
HEX = "0123456789abcdef"
STREETS = (
    "Juniper Terrace|Larkspur Ln|Old Mill Rd|E 93rd St|Peachtree Street NE|Bramble Way|Foxglove Ct|Ocean Blvd"
)
TOWNS = (
    "Tacoma, WA 98402|Ithaca, NY 14850|Flagstaff AZ 86001|Chapel Hill, North Carolina 27514|Provo, UT 84601"
)
UK = "Bristol BS6 5QA|Glasgow G12 8QQ|Exeter EX4 4QJ|London E8 3PN|York YO31 7EX"


class ThirdValues(SecondValues):
    """Further slots: those of the second volume go on."""

    def _person3(self) -> Drawn:
        return self._named(self._one(*GIVEN), self._one(*FAMILY))

    def _given3(self) -> Drawn:
        given = self._one(*GIVEN)
        return Drawn(given, Kind.PERSON, {"lower": given.lower()})

    def _ja3(self) -> Drawn:
        rng = self.rng
        (family, kana1, roman1), (given, kana2, roman2) = rng.choice(JAPANESE), rng.choice(JAPANESE_GIVEN)
        kata = "".join(chr(ord(c) + 0x60) if "ぁ" <= c <= "ゖ" else c for c in f"{kana1} {kana2}")
        forms = {"family": family, "given": given, "kana": f"{kana1}{kana2}", "katakana": kata}
        forms |= {"romaji": f"{roman2} {roman1}", "mail": f"{roman1.lower()}.{roman2.lower()}"}
        return Drawn(f"{family}{rng.choice(['', ' ', '　'])}{given}", Kind.PERSON, forms)

    def _us3(self) -> Drawn:
        house = self.rng.randint(4, 18999)
        unit = self._one("", "", ", Apt 7C", " #210", ", Unit 4")
        return Drawn(
            f"{house} {self._one(*STREETS.split('|'))}{unit}, {self._one(*TOWNS.split('|'))}", Kind.ADDRESS
        )

    def _street3(self) -> Drawn:
        return Drawn(f"{self.rng.randint(4, 1899)} {self._one(*STREETS.split('|'))}", Kind.ADDRESS)

    def _uk3(self) -> Drawn:
        street = self._one(
            "Chatsworth Road", "Hawthorn Avenue", "Priory Close", "Dovecote Lane", "The Crescent"
        )
        lead = self._one("", "", "Flat 2, ", "Flat 14B, Kestrel House, ")
        return Drawn(f"{lead}{self.rng.randint(1, 240)} {street}, {self._one(*UK.split('|'))}", Kind.ADDRESS)

    def _ja_addr4(self) -> Drawn:
        rng = self.rng
        town = self._one(
            "神奈川県川崎市中原区小杉町", "埼玉県所沢市緑町", "東京都世田谷区北沢", "福岡市中央区大名",
            "京都市左京区吉田本町", "札幌市豊平区月寒東二条", "杉並区高円寺南", "愛知県春日井市鳥居松町",
        )  # fmt: skip
        a, b, c = rng.randint(1, 8), rng.randint(1, 30), rng.randint(1, 20)
        number = self._one(f"{a}-{b}-{c}", f"{a}丁目{b}番{c}号", f"{a}丁目{b}-{c}")
        room = self._one(
            "", "", f" メゾン青葉{rng.randint(101, 909)}号室", f"サンハイツ{rng.randint(101, 505)}"
        )
        return Drawn(f"{town}{number}{room}", Kind.ADDRESS)

    def _phone3(self) -> Drawn:
        rng = self.rng
        a, b, c = rng.randint(212, 979), rng.randint(220, 989), _digits(rng, 4)
        return Drawn(self._one(f"{a}-{b}-{c}", f"({a}) {b}-{c}", f"+1-{a}-{b}-{c}", f"{a}{b}{c}"), Kind.PHONE)

    def _uk_phone3(self) -> Drawn:
        rng = self.rng
        mobile = f"07{rng.randint(400, 989)}"
        return Drawn(
            self._one(f"{mobile} {_digits(rng, 6)}", f"+44 {mobile[1:]} {_digits(rng, 3)} {_digits(rng, 3)}",
                      f"020 7{_digits(rng, 3)} {_digits(rng, 4)}"), Kind.PHONE,
        )  # fmt: skip

    def _born3(self) -> Drawn:
        day: datetime.date = self._born()
        return Drawn(
            self._one(f"{day.day}/{day.month}/{day.year}", f"{day:%B} {day.day}, {day.year}", f"{day:%d%b%Y}",
                      f"{day:%m-%d-%Y}", f"{day.day} {day:%B} {day.year}", f"{day:%Y%m%d}"), Kind.DOB,
        )  # fmt: skip

    def _pw3(self) -> Drawn:
        rng = self.rng
        one, two = rng.choice(SEED_WORDS), rng.choice(SEED_WORDS)
        return self._secret(
            f"{one.title()}{two.title()}{rng.randint(1, 99)}", f"{one}.{two}.{rng.randint(10, 999)}",
            f"{one[:3]}{rng.choice('!@#')}{two.title()}{rng.randint(1960, 2024)}", f"{one}{two}{rng.randint(1, 9)}!",
            f"{_some(rng, ALNUM, 4)}#{_some(rng, ALNUM, 5)}{rng.randint(10, 99)}", f"{two.upper()}_{rng.randint(100, 9999)}",
        )  # fmt: skip

    def _phrase3(self) -> Drawn:
        return self._secret(
            "-".join(self.rng.sample(SEED_WORDS, 4)), " ".join(self.rng.sample(SEED_WORDS, 4))
        )

    def _code3(self) -> Drawn:
        return self._secret(_digits(self.rng, 4), _digits(self.rng, 6), f"{_digits(self.rng, 4)}#")

    def _words12(self) -> Drawn:
        return self._secret(" ".join(self.rng.choice(SEED_WORDS) for _ in range(12)))

    def _totp3(self) -> Drawn:
        return self._secret(_some(self.rng, BASE32, 16), _some(self.rng, BASE32, 32))

    def _opaque3(self) -> Drawn:
        return self._secret(
            _some(self.rng, ALNUM, 32), _some(self.rng, HEX, 40), _some(self.rng, ALNUM + "_-", 43), _some(self.rng, HEX, 32)
        )  # fmt: skip

    def _wireguard3(self) -> Drawn:
        return self._secret(base64.b64encode(self.rng.randbytes(32)).decode())

    def _k8s3(self) -> Drawn:
        return self._secret(base64.b64encode(self._pw3().text.encode()).decode())

    def _basic3(self) -> Drawn:
        return self._secret(
            base64.b64encode(f"svc_{self.rng.choice(SEED_WORDS)}:{self._pw3().text}".encode()).decode()
        )

    def _vendor3(self) -> Drawn:
        rng = self.rng
        return self._secret(
            f"sk-ant-api03-{_some(rng, ALNUM + '-_', 86)}AA", f"glpat-{_some(rng, ALNUM, 20)}",
            f"xoxb-{_digits(rng, 12)}-{_digits(rng, 12)}-{_some(rng, ALNUM, 24)}", f"pk.eyJ1Ijoi{_some(rng, ALNUM, 40)}.{_some(rng, ALNUM, 22)}",
            f"{_some(rng, ALNUM, 14)}.atlasv1.{_some(rng, ALNUM, 67)}", f"shpat_{_some(rng, HEX, 32)}",
            f"https://{_some(rng, HEX, 32)}@o{_digits(rng, 6)}.ingest.sentry.io/{_digits(rng, 7)}",
            f"ghs_{_some(rng, ALNUM, 36)}", f"rk_live_{_some(rng, ALNUM, 24)}", f"dckr_pat_{_some(rng, ALNUM, 27)}",
        )  # fmt: skip

    def _conn3(self) -> Drawn:
        password, host = (
            _some(self.rng, ALNUM, 13),
            self._one("db-prod.internal", "10.4.2.19", "cluster0.ab1cd.mongodb.net"),
        )
        scheme = self._one("postgresql", "mongodb+srv", "amqps", "redis", "mysql+pymysql")
        return self._secret(f"{scheme}://{self._one('svc', 'app_rw', 'root')}:{password}@{host}/main")

    def _handle3(self) -> Drawn:
        one, two = self.rng.sample(SEED_WORDS, 2)
        return Drawn(
            self._one(f"{one}_{two}", f"{one}{self.rng.randint(10, 999)}", f"{two}.{one}", f"xX{one}Xx", f"{one}-{two}{self.rng.randint(1, 9)}"),
            Kind.USERNAME,
        )  # fmt: skip

    def _private_url3(self) -> Drawn:
        rng = self.rng
        return Drawn(
            self._one(
                f"https://docs.google.com/document/d/{_some(rng, ALNUM, 44)}/edit", f"https://www.dropbox.com/s/{_some(rng, ALNUM.lower(), 15)}/payslip.pdf",
                f"https://acme-hr.zendesk.com/agent/tickets/{_digits(rng, 6)}", f"https://portal.meridianclinic.org/patients/{_digits(rng, 7)}",
                f"https://us02web.zoom.us/j/{_digits(rng, 11)}?pwd={_some(rng, ALNUM, 20)}",
            ), Kind.URL,
        )  # fmt: skip

    def _member3(self) -> Drawn:
        rng = self.rng
        return Drawn(
            self._one(
                f"{_some(rng, UPPER, 3)}{_digits(rng, 6)}",
                _digits(rng, 9),
                f"{_digits(rng, 3)}-{_digits(rng, 5)}",
            ),
            Kind.ACCOUNT_ID,
        )

    def _member_ja3(self) -> Drawn:
        return Drawn(
            self._one(_digits(self.rng, 10), f"{_digits(self.rng, 4)}-{_digits(self.rng, 6)}"),
            Kind.ACCOUNT_ID,
        )

    def _insured3(self) -> Drawn:
        rng = self.rng
        return Drawn(
            self._one(
                f"{_some(rng, UPPER, 3)}{_digits(rng, 9)}",
                f"{_some(rng, UPPER, 1)}{_digits(rng, 8)}",
                _digits(rng, 10),
            ),
            Kind.HEALTH_ID,
        )

    def _licence3(self) -> Drawn:
        rng = self.rng
        return Drawn(
            self._one(f"{_some(rng, UPPER, 5)}{_digits(rng, 6)}{_some(rng, UPPER, 2)}9AB", f"{_some(rng, UPPER, 1)}{_digits(rng, 7)}", f"{_digits(rng, 8)}"),
            Kind.DRIVER_LICENSE,
        )  # fmt: skip

    def _plate3(self) -> Drawn:
        rng = self.rng
        return Drawn(
            self._one(
                f"{_some(rng, UPPER, 3)}-{_digits(rng, 4)}",
                f"{rng.randint(2, 9)}{_some(rng, UPPER, 3)}{_digits(rng, 3)}",
                f"LK{rng.randint(51, 74)} {_some(rng, UPPER, 3)}",
            ),
            Kind.VEHICLE_PLATE,
        )

    def _account3(self) -> Drawn:
        return Drawn(
            self._one(
                _digits(self.rng, 8), _digits(self.rng, 10), f"{_digits(self.rng, 4)} {_digits(self.rng, 6)}"
            ),
            Kind.BANK_ACCOUNT,
        )

    def _sort3(self) -> Drawn:
        return Drawn("-".join(_digits(self.rng, 2) for _ in range(3)), Kind.BANK_ACCOUNT)
