"""Values of the sixth volume: written by somebody who never opened a detector, for prompts of people in a hurry.

Half of the names and addresses come from Faker, in more locales than the base draws from; the other half from the
lists here. Numbers have the lengths, prefixes and check digits of the real ones.
"""

from __future__ import annotations

import base64
import string
import unicodedata
from hashlib import sha256
from itertools import pairwise
from typing import Any

from renga.client.sanitisation.entities import Kind
from renga.simulations.private_values import ALNUM, UPPER, Drawn, Values, _digits, _some, fakers

HEX = "0123456789abcdef"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
URLSAFE = ALNUM + "-_"
BASE64 = ALNUM + "+/"

_LOCALES = {
    "en": ("en_US", "en_US", "en_GB", "en_AU", "en_NZ", "en_IN", "en_NG", "en_KE"),
    "de": ("de_DE", "de_DE", "de_AT", "de_CH"),
    "fr": ("fr_FR", "fr_FR", "fr_CA", "fr_CH"),
    "es": ("es_ES", "es_ES", "es_MX", "es_CO", "es_CL", "es_AR"),
}
_GIVEN = {
    "en": (
        "Priyanka", "Tobias", "Oluwaseun", "Mei-Ling", "Declan", "Saoirse", "Yusuf", "Ines", "Harriet", "Bogdan",
        "Thandiwe", "Rafael", "Siobhan", "Kwame", "Ayesha", "Duncan", "Linh", "Marek", "Zainab", "Owen", "Freya",
        "Callum", "Anneke", "Hyun-woo", "Nadia", "Rohan", "Imogen", "Tariq", "Beatriz", "Emeka", "Gwen", "Piotr",
        "Lakshmi", "Joel", "Ngozi", "Stellan", "Farah", "Mateus", "Alasdair", "Keiko", "Ravi", "Tamsin",
    ),
    "de": ("Wiebke", "Jannis", "Ottilie", "Cem", "Henrike", "Torben", "Svenja", "Ferdinand", "Gülsen", "Lorenz", "Maike", "Ansgar"),
    "fr": ("Solène", "Aurélien", "Maëlys", "Yann", "Capucine", "Thibault", "Fatoumata", "Gaëtan", "Ségolène", "Karim", "Noémie", "Loïc"),
    "es": ("Nerea", "Iker", "Macarena", "Joaquín", "Ainhoa", "Gonzalo", "Ximena", "Álvaro", "Lucero", "Rubén", "Montserrat", "Nicanor"),
}  # fmt: skip
_FAMILY = {
    "en": (
        "Raghunathan", "Fielding", "Adeyemi", "Tan", "Kilbride", "Mahoney", "Haddad", "Whitlock", "Petrov", "Dlamini",
        "Sandoval", "Okonjo", "Farooqi", "McAllister", "Nguyen", "Wojcik", "Penrose", "Van der Berg", "Cho", "Kaminski",
        "Desai", "Thornbury", "Aziz", "Carvalho", "Eze", "Blackwood", "Iyer", "Lindqvist", "Shirazi", "Nakagawa",
        "Bell", "Stone", "Rivers", "Pryce-Jones", "D'Angelo", "Osei", "Quill", "Lim", "Yeo", "Marsh",
    ),
    "de": ("Hagedorn", "Stöckl", "Yıldız", "von Reuth", "Brüggemann", "Paschke", "Öztürk", "Kranz", "Weißmann", "Lüttich", "Nagel"),
    "fr": ("Le Goff", "Bonnefoy", "Diallo", "Delacourt", "Haddouche", "Marchais", "de Kervran", "Tessier", "Boulanger", "Quéré"),
    "es": ("Etxeberria Lasa", "Montoya", "Cifuentes Rey", "del Pozo", "Barrientos", "Zúñiga", "Arriaga Soto", "Peñalver", "Rincón"),
}  # fmt: skip
_JA_FAMILY = (
    ("久保田", "クボタ", "Kubota"), ("長谷部", "ハセベ", "Hasebe"), ("神谷", "カミヤ", "Kamiya"), ("大槻", "オオツキ", "Otsuki"),
    ("榊原", "サカキバラ", "Sakakibara"), ("五十嵐", "イガラシ", "Igarashi"), ("東", "アズマ", "Azuma"), ("三宅", "ミヤケ", "Miyake"),
    ("荒井", "アライ", "Arai"), ("小野寺", "オノデラ", "Onodera"), ("白石", "シライシ", "Shiraishi"), ("桑原", "クワバラ", "Kuwabara"),
    ("森", "モリ", "Mori"), ("宇佐美", "ウサミ", "Usami"), ("金城", "キンジョウ", "Kinjo"), ("永田", "ナガタ", "Nagata"),
    ("早坂", "ハヤサカ", "Hayasaka"), ("林", "ハヤシ", "Hayashi"), ("浜口", "ハマグチ", "Hamaguchi"), ("羽鳥", "ハトリ", "Hatori"),
)  # fmt: skip
_JA_GIVEN = (
    ("悠斗", "ユウト", "Yuto"), ("美咲", "ミサキ", "Misaki"), ("航平", "コウヘイ", "Kohei"), ("奈緒", "ナオ", "Nao"),
    ("さくら", "サクラ", "Sakura"), ("隆之", "タカユキ", "Takayuki"), ("千尋", "チヒロ", "Chihiro"), ("誠", "マコト", "Makoto"),
    ("莉子", "リコ", "Riko"), ("健太郎", "ケンタロウ", "Kentaro"), ("由美子", "ユミコ", "Yumiko"), ("慎吾", "シンゴ", "Shingo"),
    ("ひなた", "ヒナタ", "Hinata"), ("亮", "リョウ", "Ryo"), ("真理恵", "マリエ", "Marie"), ("拓海", "タクミ", "Takumi"),
)  # fmt: skip
_JA_PLACES = (
    "東京都世田谷区桜新町", "大阪府吹田市江坂町", "神奈川県藤沢市鵠沼海岸", "北海道札幌市豊平区月寒東一条", "福岡県福岡市早良区西新",
    "愛知県名古屋市千種区覚王山通", "京都府京都市左京区下鴨松ノ木町", "宮城県仙台市青葉区八幡", "埼玉県川口市並木", "沖縄県那覇市首里当蔵町",
)  # fmt: skip
_JA_HOUSES = (
    "メゾン・ド・桜",
    "コーポ山吹",
    "グランドハイツ",
    "パークタワー",
    "サンライズ壱番館",
    "第二青葉荘",
    "ライオンズガーデン",
)
_STREETS = {
    "en": (
        "Larkspur Lane",
        "Harrow Road",
        "Ocean Blvd",
        "Tannery Row",
        "W 43rd St",
        "Mill Hill",
        "Old Quarry Rd",
        "Cedar Ct",
    ),
    "de": (
        "Rosenheimer Str.",
        "Am Alten Markt",
        "Kastanienallee",
        "Lindenweg",
        "Steinbrückstraße",
        "Untere Gasse",
    ),
    "fr": (
        "rue des Tanneurs",
        "avenue de la Gare",
        "boulevard Voltaire",
        "chemin du Moulin",
        "impasse des Lilas",
    ),
    "es": (
        "Calle Mayor",
        "C/ del Olmo",
        "Avda. de la Constitución",
        "Paseo de la Ribera",
        "Travesía del Horno",
    ),
}
_TOWNS = {
    "en": ("Leeds LS6 2QH", "Austin, TX 78704", "Bristol BS3 4DN", "Portland, OR 97214", "Edinburgh EH9 1LR", "Oakland, CA 94611"),
    "de": ("81669 München", "50667 Köln", "04109 Leipzig", "24103 Kiel", "70182 Stuttgart"),
    "fr": ("69007 Lyon", "44000 Nantes", "59800 Lille", "33000 Bordeaux", "35000 Rennes"),
    "es": ("28004 Madrid", "41003 Sevilla", "48001 Bilbao", "46021 Valencia", "50009 Zaragoza"),
}  # fmt: skip
_SPOKEN = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_FIRMS = (
    "halvorsen-freight",
    "tidewell",
    "pinnaclefit",
    "murasaki-foods",
    "brightloom",
    "kestrelpay",
    "norlake",
)


def ascii_of(text: str) -> str:
    """`text` as it stands in a mail address."""
    for one, two in (("ß", "ss"), ("ü", "ue"), ("ö", "oe"), ("ä", "ae"), ("ı", "i")):
        text = text.replace(one, two)
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return "".join(c for c in plain.lower() if c.isalnum() or c == "-")


def hiragana(text: str) -> str:
    """Katakana as hiragana."""
    return "".join(chr(ord(c) - 0x60) if "ァ" <= c <= "ヶ" else c for c in text)


def base58check(payload: bytes) -> str:
    """An address of Bitcoin's old kind."""
    whole = payload + sha256(sha256(payload).digest()).digest()[:4]
    return base58(whole)


def base58(whole: bytes) -> str:
    """Bytes in Bitcoin's alphabet."""
    number, text = int.from_bytes(whole), ""
    while number:
        number, rest = divmod(number, 58)
        text = BASE58[rest] + text
    return "1" * (len(whole) - len(whole.lstrip(b"\0"))) + text


def bech32(prefix: str, data: list[int]) -> str:
    """An address of Bitcoin's newer kind, with its six letters of checksum."""

    def polymod(values: list[int]) -> int:
        check = 1
        for value in values:
            top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
            for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
                check ^= generator if top >> bit & 1 else 0
        return check

    spread = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    rest = polymod([*spread, *data, 0, 0, 0, 0, 0, 0]) ^ 1
    return f"{prefix}1{''.join(BECH32[d] for d in data + [rest >> 5 * (5 - i) & 31 for i in range(6)])}"


class SixthValues(Values):
    """Draws the sixth volume's values: the base's where they have checksums, others here."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.fake = {**fakers(seed), **self._more(seed)}

    def _more(self, seed: int) -> dict[str, Any]:
        from faker import Faker

        made: dict[str, Any] = {}
        for locale in sorted({one for group in _LOCALES.values() for one in group}):
            made[locale] = Faker(locale)
            made[locale].seed_instance(seed + 6)
        return made

    # People

    def _named(self, language: str) -> Drawn:
        rng = self.rng
        if rng.random() < 0.5:
            given, family = rng.choice(_GIVEN[language]), rng.choice(_FAMILY[language])
        else:
            fake = self.fake[rng.choice(_LOCALES[language])]
            given, family = fake.first_name(), fake.last_name()
        return self._person_of(given, family)

    def _person_of(self, given: str, family: str) -> Drawn:
        rng, one, two = self.rng, ascii_of(given), ascii_of(family)
        local = rng.choice(
            [f"{one}.{two}", f"{one[0]}{two}", f"{two}.{one}", f"{one}{rng.randint(2, 99)}", f"{one}_{two}"]
        )
        domain = rng.choice(
            [
                f"{rng.choice(_FIRMS)}.{rng.choice(['com', 'io', 'co.uk', 'net'])}",
                self.fake["en_US"].free_email_domain(),
            ]
        )
        forms = {
            "given": given,
            "family": family,
            "initials": f"{given[0]}. {family}",
            "short": f"{given} {family[0]}.",
            "reverse": f"{family}, {given}",
            "lower": given.lower(),
            "small": f"{given} {family}".lower(),
            "upper": f"{given} {family}".upper(),
            "spelled": "-".join(ascii_of(family).replace("-", "").upper()),
            "email": f"{local}@{domain}",
        }  # fmt: skip
        return Drawn(f"{given} {family}", Kind.PERSON, forms)

    def _person(self) -> Drawn:
        return self._named("en")

    def _de_person(self) -> Drawn:
        return self._named("de")

    def _fr_person(self) -> Drawn:
        return self._named("fr")

    def _es_person(self) -> Drawn:
        return self._named("es")

    def _ja_person(self) -> Drawn:
        rng = self.rng
        if rng.random() < 0.5:
            family, given = rng.choice(_JA_FAMILY), rng.choice(_JA_GIVEN)
        else:
            family, given = self.fake["ja_JP"].last_name_pair(), self.fake["ja_JP"].first_name_pair()
        space = rng.choice(["", "", " ", "　"])
        local = rng.choice(
            [f"{given[2]}.{family[2]}", f"{family[2]}-{given[2][0]}", f"{given[2][0]}{family[2]}"]
        )
        forms = {
            "given": given[0],
            "family": family[0],
            "kana": hiragana(f"{family[1]}{space}{given[1]}"),
            "katakana": f"{family[1]}　{given[1]}",
            "familykana": hiragana(family[1]),
            "familykatakana": family[1],
            "romaji": rng.choice([f"{given[2]} {family[2]}", f"{family[2]} {given[2]}"]),
            "passport": f"{family[2]} {given[2]}".upper(),
            "lower": given[2].lower(),
            "email": f"{local}@{rng.choice(_FIRMS)}.co.jp".lower(),
        }
        return Drawn(f"{family[0]}{space}{given[0]}", Kind.PERSON, forms)

    # Where and how to reach them

    def _place(self, language: str, locales: tuple[str, ...], shape: str) -> Drawn:
        rng = self.rng
        if rng.random() < 0.4:
            number = rng.randint(1, 214)
            street, town = rng.choice(_STREETS[language]), rng.choice(_TOWNS[language])
            return Drawn(shape.format(number, street, town), Kind.ADDRESS)
        text = self.fake[rng.choice(locales)].address()
        return Drawn(text.replace("\n", ", "), Kind.ADDRESS)

    def _address(self) -> Drawn:
        rng = self.rng
        shapes = ["{0} {1}, {2}"] * 3 + [
            f"Flat {rng.randint(1, 40)}, {{0}} {{1}}, {{2}}",
            f"{{0}} {{1}} Apt {rng.randint(2, 30)}{rng.choice('ABC')}, {{2}}",
        ]
        return self._place("en", ("en_US", "en_US", "en_GB", "en_AU", "en_NZ"), rng.choice(shapes))  # fmt: skip

    def _de_address(self) -> Drawn:
        return self._place("de", ("de_DE", "de_DE", "de_AT", "de_CH"), "{1} {0}, {2}")

    def _fr_address(self) -> Drawn:
        return self._place("fr", ("fr_FR", "fr_FR", "fr_CH"), "{0} {1}, {2}")

    def _es_address(self) -> Drawn:
        return self._place(
            "es", ("es_ES",), f"{{1}} {{0}}, {self.rng.randint(1, 7)}º {self.rng.choice('ABCD')}, {{2}}"
        )

    def _ja_address(self) -> Drawn:
        rng = self.rng
        text = self.fake["ja_JP"].address()
        if rng.random() < 0.5:
            numbers = [rng.randint(1, 6), rng.randint(1, 30), rng.randint(1, 22)]
            text = rng.choice(["{}-{}-{}", "{}丁目{}番{}号", "{}丁目{}-{}"]).format(*numbers)
            text = f"{rng.choice(_JA_PLACES)}{text}"
            if rng.random() < 0.6:
                text += f"{rng.choice(['', ' '])}{rng.choice(_JA_HOUSES)}{rng.randint(1, 12)}0{rng.randint(1, 9)}{rng.choice(['', '号室'])}"
        return Drawn(
            f"〒{_digits(rng, 3)}-{_digits(rng, 4)} {text}" if rng.random() < 0.4 else text, Kind.ADDRESS
        )

    def _phone(self) -> Drawn:
        rng = self.rng
        area, mid, last = (
            rng.choice(["212", "415", "617", "503", "737", "312", "206", "919", "646"]),
            rng.randint(220, 989),
            _digits(rng, 4),
        )
        mobile = f"{rng.choice('4578')}{_digits(rng, 2)}"
        shapes = [
            f"({area}) {mid}-{last}", f"{area}-{mid}-{last}", f"+1 {area} {mid} {last}", f"{area}.{mid}.{last}", f"+1{area}{mid}{last}",
            f"07{mobile} {_digits(rng, 6)}", f"+44 7{mobile} {_digits(rng, 3)} {_digits(rng, 3)}", f"020 7{_digits(rng, 3)} {_digits(rng, 4)}",
            f"+91 9{_digits(rng, 4)} {_digits(rng, 5)}", f"04{_digits(rng, 2)} {_digits(rng, 3)} {_digits(rng, 3)}",
        ]  # fmt: skip
        return Drawn(rng.choice(shapes), Kind.PHONE)

    def _phone_spoken(self) -> Drawn:
        text = f"{self.rng.choice(['415', '617', '503', '312'])}{self.rng.randint(220, 989)}{_digits(self.rng, 4)}"
        return Drawn(" ".join(_SPOKEN[int(c)] for c in text), Kind.PHONE)

    def _de_phone(self) -> Drawn:
        rng = self.rng
        shapes = [f"0{rng.choice(['151', '160', '171', '176'])} {_digits(rng, 8)}", f"+49 {rng.choice(['30', '89', '221', '40'])} {_digits(rng, 7)}", f"0{rng.choice(['30', '89', '69'])}/{rng.randint(2, 9)}{_digits(rng, 6)}"]  # fmt: skip
        return Drawn(rng.choice(shapes), Kind.PHONE)

    def _fr_phone(self) -> Drawn:
        rng, pairs = self.rng, [_digits(self.rng, 2) for _ in range(4)]
        lead = rng.choice("123467")
        shapes = [
            f"0{lead} {' '.join(pairs)}",
            f"0{lead}.{'.'.join(pairs)}",
            f"0{lead}{''.join(pairs)}",
            f"+33 {lead} {' '.join(pairs)}",
        ]
        return Drawn(rng.choice(shapes), Kind.PHONE)

    def _es_phone(self) -> Drawn:
        rng, a = self.rng, f"{self.rng.choice('67')}{_digits(self.rng, 2)}"
        b, c = _digits(rng, 3), _digits(rng, 3)
        return Drawn(
            rng.choice(
                [f"{a} {b} {c}", f"+34 {a} {b} {c}", f"{a}{b}{c}", f"{a} {b[:2]} {b[2]}{c[0]} {c[1:]}"]
            ),
            Kind.PHONE,
        )

    def _ja_phone(self) -> Drawn:
        rng, a, b = self.rng, _digits(self.rng, 4), _digits(self.rng, 4)
        lead = rng.choice(["090", "080", "070"])
        shapes = [f"{lead}-{a}-{b}", f"{lead}-{a}-{b}", f"{lead}{a}{b}", f"03-{rng.randint(3200, 6999)}-{b}", f"06-{rng.randint(4300, 7999)}-{b}", f"045-{rng.randint(200, 989)}-{b}", f"({lead}){a}-{b}", f"+81-{lead[1:]}-{a}-{b}"]  # fmt: skip
        return Drawn(rng.choice(shapes), Kind.PHONE)

    def _email(self) -> Drawn:
        rng, fake = self.rng, self.fake["en_US"]
        person = self._named(rng.choice(["en", "en", "de", "es"]))
        word = rng.choice(["pixel", "noodle", "oncall", "trackday", "biscuit", "late.night", "moss"])
        own = f"{word}{rng.randint(1, 999)}@{rng.choice(['proton.me', 'fastmail.com', 'icloud.com', 'gmx.de', 'hey.com'])}"
        tagged = f"{ascii_of(person.forms['given'])}+{rng.choice(['aws', 'jobs', 'steam', 'spam'])}@gmail.com"
        return Drawn(
            rng.choice([person.forms["email"], own, tagged, fake.free_email(), fake.company_email()]),
            Kind.EMAIL,
        )

    def _mail_spelt(self) -> Drawn:
        person = self._named("en").forms
        one, two = ascii_of(person["given"]), ascii_of(person["family"])
        return Drawn(
            f"{one} dot {two} at {self.rng.choice(['gmail', 'outlook', 'icloud'])} dot com", Kind.EMAIL
        )

    def _username(self) -> Drawn:
        rng, person = self.rng, self._named("en").forms
        one, two = ascii_of(person["given"]).replace("-", ""), ascii_of(person["family"]).replace("-", "")
        shapes = [
            f"{one[0]}{two}",
            f"{one}.{two}",
            f"{two}{one[0]}",
            f"{one}{rng.randint(60, 2009)}",
            self.fake["en_GB"].user_name(),
        ]
        return Drawn(rng.choice(shapes), Kind.USERNAME)

    def _gamer(self) -> Drawn:
        rng = self.rng
        first = rng.choice(
            ["frost", "Moss", "nova", "Grim", "pixel", "Turbo", "sable", "quiet", "Rusty", "neko"]
        )
        second = rng.choice(
            ["wolf", "Knight", "bean", "Sniper", "otter", "byte", "fang", "Reaper", "potato", "ronin"]
        )
        shapes = [f"{first}{second}{rng.randint(2, 999)}", f"xX{first}{second}Xx", f"{first}_{second}", f"{first}-{second}-{rng.randint(1, 99)}", f"{first}{second}#{_digits(rng, 4)}"]  # fmt: skip
        return Drawn(rng.choice(shapes), Kind.USERNAME)

    # Money

    def _iban(self) -> Drawn:
        rng = self.rng
        if rng.random() < 0.5:
            return super()._iban()
        country, body = rng.choice(
            [
                ("CH", f"00{_digits(rng, 15)}"),
                ("AT", _digits(rng, 16)),
                ("DE", f"{rng.randint(1, 8)}00{_digits(rng, 15)}"),
            ]
        )
        rest = int("".join(str(int(c, 36)) for c in f"{body}{country}00")) % 97
        number = f"{country}{98 - rest:02}{body}"
        return Drawn(
            rng.choice([number, " ".join(number[i : i + 4] for i in range(0, len(number), 4))]), Kind.IBAN
        )

    def _routing(self) -> Drawn:
        body = f"{self.rng.choice(['02', '06', '11', '12', '26', '32'])}{_digits(self.rng, 6)}"
        total = sum(int(c) * w for c, w in zip(body, (3, 7, 1, 3, 7, 1, 3, 7), strict=True))
        return Drawn(f"{body}{-total % 10}", Kind.BANK_ACCOUNT)

    def _sort_code(self) -> Drawn:
        rng = self.rng
        return Drawn(
            f"{rng.choice(['20', '30', '40', '60', '09'])}-{_digits(rng, 2)}-{_digits(rng, 2)}",
            Kind.BANK_ACCOUNT,
        )

    def _uk_account(self) -> Drawn:
        return Drawn(_digits(self.rng, 8), Kind.BANK_ACCOUNT)

    def _ja_bank(self) -> Drawn:
        return Drawn(
            f"{self.rng.choice(['普通 ', '普通', '当座 ', '(普)'])}{_digits(self.rng, 7)}", Kind.BANK_ACCOUNT
        )

    def _ja_account(self) -> Drawn:
        return Drawn(_digits(self.rng, 7), Kind.BANK_ACCOUNT)

    def _wallet(self) -> Drawn:
        rng = self.rng
        shapes = [
            f"0x{_some(rng, HEX, 40)}",
            bech32("bc", [0] + [rng.randrange(32) for _ in range(31)] + [rng.choice([0, 16])]),
            base58check(b"\0" + rng.randbytes(20)),
            base58check(b"\x05" + rng.randbytes(20)),
            base58(rng.randbytes(32)),
        ]
        return Drawn(rng.choice(shapes), Kind.CRYPTO_WALLET)

    # Numbers of offices

    def _nir(self) -> Drawn:
        text = super()._nir().text
        cuts = (0, 1, 3, 5, 7, 10, 13, 15)
        spaced = " ".join(text[a:b] for a, b in pairwise(cuts))
        return Drawn(self.rng.choice([text, spaced]), Kind.NATIONAL_ID)

    def _steuer_id(self) -> Drawn:
        text = super()._steuer_id().text
        return Drawn(
            self.rng.choice([text, f"{text[:2]} {text[2:5]} {text[5:8]} {text[8:]}"]), Kind.NATIONAL_ID
        )

    def _nie(self) -> Drawn:
        lead, body = self.rng.randrange(3), _digits(self.rng, 7)
        return Drawn(
            f"{'XYZ'[lead]}{body}{'TRWAGMYFPDXBNJZSQVHLCKE'[int(f'{lead}{body}') % 23]}", Kind.NATIONAL_ID
        )

    def _passport(self) -> Drawn:
        rng = self.rng
        shapes = [_digits(rng, 9), f"{rng.choice('ACEPX')}{_digits(rng, 8)}", f"{rng.choice('KLMNPRSTVZ')}{_digits(rng, 7)}", f"{rng.choice(['PA', 'RA', 'LL'])}{_digits(rng, 7)}"]  # fmt: skip
        return Drawn(rng.choice(shapes), Kind.PASSPORT)

    def _de_passport(self) -> Drawn:
        return Drawn(
            f"{self.rng.choice('CFGHJK')}{_some(self.rng, '0123456789CFGHJKLMNPRTVWXYZ', 8)}", Kind.PASSPORT
        )

    def _ja_passport(self) -> Drawn:
        return Drawn(
            f"{self.rng.choice(['TR', 'TS', 'TT', 'TZ', 'MZ'])}{_digits(self.rng, 7)}", Kind.PASSPORT
        )

    def _driver_license(self) -> Drawn:
        rng = self.rng
        shapes = [
            f"{rng.choice('DFNY')}{_digits(rng, 7)}",
            f"{rng.choice('BCGMS')}{_digits(rng, 3)}-{_digits(rng, 4)}-{_digits(rng, 4)}",
            _digits(rng, 8),
        ]
        return Drawn(rng.choice([*shapes, self._uk_license().text]), Kind.DRIVER_LICENSE)

    def _uk_license(self) -> Drawn:
        rng = self.rng
        name = f"{ascii_of(self._named('en').forms['family']).replace('-', '').upper()}9999"[:5]
        born = f"{rng.randint(5, 9)}{rng.choice(['0', '1', '5', '6'])}{rng.randint(1, 9)}{rng.randint(1, 28):02}{rng.randint(0, 9)}"
        return Drawn(f"{name}{born}{_some(rng, UPPER, 2)}9{_some(rng, UPPER, 2)}", Kind.DRIVER_LICENSE)

    def _ja_license(self) -> Drawn:
        body = f"{self.rng.choice(['30', '62', '45', '43', '10', '90'])}{_digits(self.rng, 8)}"
        rest = sum(int(c) * w for c, w in zip(body, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2), strict=True)) % 11
        return Drawn(f"{body}{0 if rest < 2 else 11 - rest}{self.rng.choice('001')}", Kind.DRIVER_LICENSE)

    def _health_id(self) -> Drawn:
        rng = self.rng
        shapes = [
            f"MRN{_digits(rng, 7)}",
            _digits(rng, 8),
            f"{_some(rng, UPPER, 3)}{_digits(rng, 9)}",
            self._mbi().text,
        ]
        return Drawn(rng.choice(shapes), Kind.HEALTH_ID)

    def _mbi(self) -> Drawn:
        rng, letters = self.rng, "ACDEFGHJKMNPQRTUVWXY"
        text = f"{rng.randint(1, 9)}{rng.choice(letters)}{rng.choice(letters)}{rng.randint(0, 9)}{rng.choice(letters)}{rng.choice(letters)}{rng.randint(0, 9)}{_some(rng, letters, 2)}{_digits(rng, 2)}"
        return Drawn(rng.choice([text, f"{text[:4]}-{text[4:7]}-{text[7:]}"]), Kind.HEALTH_ID)

    def _kvnr(self) -> Drawn:
        letter, body = self.rng.choice(UPPER), _digits(self.rng, 8)
        products = [int(c) * (1 + i % 2) for i, c in enumerate(f"{ord(letter) - 64:02}{body}")]
        return Drawn(f"{letter}{body}{sum(p // 10 + p % 10 for p in products) % 10}", Kind.HEALTH_ID)

    def _ja_health_id(self) -> Drawn:
        rng = self.rng
        return Drawn(
            rng.choice([_digits(rng, 8), _digits(rng, 7), f"{_digits(rng, 3)}-{_digits(rng, 5)}"]),
            Kind.HEALTH_ID,
        )

    def _day(self, youngest: int = 18) -> Any:
        return self.fake["en_US"].date_of_birth(minimum_age=youngest, maximum_age=85)

    def _dob(self) -> Drawn:
        day = self._day()
        ordinal = "th" if 10 < day.day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
        shapes = [
            "%m/%d/%Y",
            "%Y-%m-%d",
            "%B %d, %Y",
            "%d %b %Y",
            "%d/%m/%Y",
            "%d-%m-%y",
            f"{day.day}{ordinal} %B %Y",
            f"{day.day}{ordinal} of %B %Y",
        ]
        return Drawn(day.strftime(self.rng.choice(shapes)), Kind.DOB)

    def _eu_dob(self) -> Drawn:
        return Drawn(
            self._day().strftime(self.rng.choice(["%d.%m.%Y", "%d/%m/%Y", "%d.%m.%y", "%d-%m-%Y"])), Kind.DOB
        )

    def _ja_dob(self) -> Drawn:
        day = self._day()
        era, short, first = ("昭和", "S", 1925) if day.year < 1989 else ("平成", "H", 1988)
        shapes = [f"{day.year}年{day.month}月{day.day}日", f"{era}{day.year - first}年{day.month}月{day.day}日", f"{short}{day.year - first}.{day.month}.{day.day}", day.strftime("%Y/%m/%d"), day.strftime("%Y%m%d")]  # fmt: skip
        return Drawn(self.rng.choice(shapes), Kind.DOB)

    def _ja_old_dob(self) -> Drawn:
        day = self.fake["en_US"].date_of_birth(minimum_age=76, maximum_age=95)
        shapes = [
            f"昭和{day.year - 1925}年{day.month}月{day.day}日",
            f"{day.year}年{day.month}月{day.day}日",
            f"S{day.year - 1925}.{day.month}.{day.day}",
        ]
        return Drawn(self.rng.choice(shapes), Kind.DOB)

    # Machines

    def _ip(self) -> Drawn:
        rng = self.rng
        if rng.random() < 0.5:
            return Drawn(self.fake["en_US"].ipv4_public(), Kind.IP_ADDRESS)
        shapes = [f"10.{rng.randint(1, 250)}.{rng.randint(1, 250)}.{rng.randint(2, 250)}", f"192.168.{rng.randint(2, 250)}.{rng.randint(2, 250)}", f"172.{rng.randint(18, 31)}.{rng.randint(1, 250)}.{rng.randint(2, 250)}"]  # fmt: skip
        return Drawn(rng.choice(shapes), Kind.IP_ADDRESS)

    def _ip6(self) -> Drawn:
        rng = self.rng
        lead = f"{rng.choice(['2a02:810', '2a01:4f8', '2600:170', '240b:10', '2a00:23c'])}{rng.choice(HEX)}:{_some(rng, HEX[1:], 4)}:{_some(rng, HEX[1:], 4)}"
        return Drawn(
            rng.choice(
                [
                    f"{lead}::{_some(rng, HEX[1:], 2)}",
                    f"{lead}:{':'.join(_some(rng, HEX[1:], 4) for _ in range(4))}",
                ]
            ),
            Kind.IP_ADDRESS,
        )

    def _mac(self) -> Drawn:
        rng = self.rng
        text = f"{rng.choice(['3c22fb', 'b827eb', '00155d', 'f4d488', 'a4c3f0'])}{_some(rng, HEX, 6)}"
        pairs = [text[i : i + 2] for i in range(0, 12, 2)]
        return Drawn(
            rng.choice([":".join(pairs), "-".join(pairs).upper(), ".".join((text[:4], text[4:8], text[8:]))]),
            Kind.MAC_ADDRESS,
        )

    def _plate(self) -> Drawn:
        rng, letters = self.rng, "ABCDEFGHJKLMNPRSTVWXY"
        shapes = [f"{rng.randint(6, 9)}{_some(rng, letters, 3)}{_digits(rng, 3)}", f"{_some(rng, letters, 3)}-{_digits(rng, 4)}", f"{_some(rng, letters, 2)}{rng.choice(['09', '14', '19', '21', '68', '72'])} {_some(rng, letters, 3)}"]  # fmt: skip
        return Drawn(rng.choice(shapes), Kind.VEHICLE_PLATE)

    def _de_plate(self) -> Drawn:
        rng = self.rng
        return Drawn(
            f"{rng.choice(['B', 'M', 'HH', 'K', 'LEV', 'GÖ', 'MTK'])}{rng.choice(['-', ' '])}{_some(rng, UPPER, 2)} {rng.randint(10, 9999)}",
            Kind.VEHICLE_PLATE,
        )

    def _fr_plate(self) -> Drawn:
        rng, letters = self.rng, "ABCDEFGHJKLMNPQRSTVWXYZ"
        return Drawn(
            f"{_some(rng, letters, 2)}-{_digits(rng, 3)}-{_some(rng, letters, 2)}", Kind.VEHICLE_PLATE
        )

    def _es_plate(self) -> Drawn:
        return Drawn(
            f"{_digits(self.rng, 4)}{self.rng.choice([' ', '-', ''])}{_some(self.rng, 'BCDFGHJKLMNPRSTVWXYZ', 3)}",
            Kind.VEHICLE_PLATE,
        )

    def _ja_plate(self) -> Drawn:
        rng = self.rng
        place = rng.choice(["品川", "湘南", "神戸", "春日部", "富士山", "世田谷", "札幌", "なにわ"])
        return Drawn(f"{place}{rng.choice(['', ' '])}{rng.choice(['301', '530', '583', '330'])}{rng.choice(['', ' '])}{rng.choice('さすせそたちつてなにぬねほまみむもやゆらりるれろ')} {rng.randint(10, 99)}-{_digits(rng, 2)}", Kind.VEHICLE_PLATE)  # fmt: skip

    def _account_id(self) -> Drawn:
        rng = self.rng
        shapes = [
            _digits(rng, 9),
            f"{_some(rng, UPPER, 2)}-{_digits(rng, 7)}",
            f"C{_digits(rng, 8)}",
            f"{_digits(rng, 4)}-{_digits(rng, 4)}-{_digits(rng, 2)}",
        ]
        return Drawn(rng.choice(shapes), Kind.ACCOUNT_ID)

    def _flyer(self) -> Drawn:
        return Drawn(f"{self.rng.choice(['', 'BA', 'LH', 'NH'])}{_digits(self.rng, 10)}", Kind.ACCOUNT_ID)

    def _aws_account(self) -> Drawn:
        return Drawn(f"{self.rng.randint(2, 9)}{_digits(self.rng, 11)}", Kind.ACCOUNT_ID)

    def _stripe_customer(self) -> Drawn:
        return Drawn(f"cus_{_some(self.rng, ALNUM, 14)}", Kind.ACCOUNT_ID)

    def _ja_account_id(self) -> Drawn:
        rng = self.rng
        return Drawn(
            rng.choice(
                [
                    _digits(rng, 8),
                    f"{_some(rng, UPPER, 1)}{_digits(rng, 6)}",
                    f"{_digits(rng, 4)}-{_digits(rng, 6)}",
                ]
            ),
            Kind.ACCOUNT_ID,
        )

    def _url(self) -> Drawn:
        rng, name = self.rng, self._username().text
        shapes = [
            f"https://www.linkedin.com/in/{name.replace('.', '-')}-{_some(rng, HEX, 8)}",
            f"https://us0{rng.randint(2, 6)}web.zoom.us/j/{rng.randint(8, 9)}{_digits(rng, 10)}?pwd={_some(rng, ALNUM, 32)}",
            f"https://docs.google.com/document/d/1{_some(rng, URLSAFE, 43)}/edit?usp=sharing",
            f"https://calendar.google.com/calendar/ical/{name}%40gmail.com/private-{_some(rng, HEX, 32)}/basic.ics",
            f"https://www.strava.com/athletes/{name}",
            f"https://www.dropbox.com/scl/fi/{_some(rng, HEX, 21)}/scan.pdf?rlkey={_some(rng, HEX, 25)}&dl=0",
        ]
        return Drawn(rng.choice(shapes), Kind.URL)

    def _profile(self) -> Drawn:
        name, rng = self._username().text, self.rng
        shapes = [
            f"https://www.linkedin.com/in/{name.replace('.', '-')}-{_some(rng, HEX, 8)}",
            f"https://www.xing.com/profile/{name.replace('.', '_')}",
            f"https://{name.replace('.', '')}.notion.site/Portfolio-{_some(rng, HEX, 32)}",
        ]
        return Drawn(rng.choice(shapes), Kind.URL)

    def _meeting(self) -> Drawn:
        rng = self.rng
        shapes = [
            f"https://us0{rng.randint(2, 6)}web.zoom.us/j/8{_digits(rng, 10)}?pwd={_some(rng, ALNUM, 32)}.1",
            f"https://teams.microsoft.com/meet/2{_digits(rng, 12)}?p={_some(rng, ALNUM, 18)}",
            f"https://norlake.webex.com/norlake/j.php?MTID=m{_some(rng, HEX, 32)}",
        ]
        return Drawn(rng.choice(shapes), Kind.URL)

    def _reset_url(self) -> Drawn:
        rng = self.rng
        site = rng.choice(
            ["app.tidewell.io", "id.kestrelpay.com", "accounts.brightloom.com", "sso.norlake.net"]
        )
        shapes = [f"/reset?token={_some(rng, URLSAFE, 43)}", f"/magic/{_some(rng, HEX, 40)}", f"/invite?user={self._username().text}&code={_some(rng, ALNUM, 22)}", f"/password/new?reset_password_token={_some(rng, ALNUM, 20)}"]  # fmt: skip
        return Drawn(f"https://{site}{rng.choice(shapes)}", Kind.URL)

    def _presigned(self) -> Drawn:
        rng = self.rng
        return Drawn(f"https://norlake-backups.s3.eu-west-1.amazonaws.com/dump.tar.gz?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA{_some(rng, UPPER + '234567', 16)}%2F20250611%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Expires=3600&X-Amz-Signature={_some(rng, HEX, 64)}", Kind.URL)  # fmt: skip

    # Secrets

    def _password(self) -> Drawn:
        rng = self.rng
        word = rng.choice(
            [
                "Marmalade",
                "hockey",
                "Zanzibar",
                "mittens",
                "Falafel",
                "gr33n",
                "DragonFruit",
                "osaka",
                "Winter",
            ]
        )
        other = rng.choice(["tractor", "Lamp", "9lives", "cobalt", "Velvet", "soup"])
        shapes = [f"{word}{rng.randint(10, 2024)}{rng.choice('!?#*$')}", f"{word}{rng.choice('_.@-')}{other}{rng.randint(1, 99)}", _some(rng, ALNUM + "!#%^*", 15) + "k7", f"{word.lower()}{rng.randint(100, 9999)}", f"{_some(rng, ALNUM, 6)}-{_some(rng, ALNUM, 6)}-{_some(rng, ALNUM, 6)}"]  # fmt: skip
        return Drawn(rng.choice(shapes), Kind.SECRET)

    def _passphrase(self) -> Drawn:
        words = (
            "anvil",
            "cobweb",
            "dinner",
            "falcon",
            "gravel",
            "hazel",
            "igloo",
            "jigsaw",
            "ketchup",
            "lantern",
            "mustard",
            "otter",
            "pebble",
            "quartz",
        )
        return Drawn(self.rng.choice(["-", ".", " "]).join(self.rng.sample(words, 4)), Kind.SECRET)  # fmt: skip

    def _pin(self) -> Drawn:
        return Drawn(_digits(self.rng, self.rng.choice([4, 6])), Kind.SECRET)

    def _otp(self) -> Drawn:
        return Drawn(f"{self.rng.randint(1, 9)}{_digits(self.rng, 5)}", Kind.SECRET)

    def _recovery(self) -> Drawn:
        rng = self.rng
        return Drawn(
            rng.choice(
                [f"{_some(rng, HEX, 5)}-{_some(rng, HEX, 5)}", f"{_digits(rng, 4)} {_digits(rng, 4)}"]
            ),
            Kind.SECRET,
        )

    def _totp_seed(self) -> Drawn:
        return Drawn(_some(self.rng, UPPER + "234567", self.rng.choice([16, 32])), Kind.SECRET)

    def _hex_key(self) -> Drawn:
        return Drawn(_some(self.rng, HEX, self.rng.choice([32, 40, 64])), Kind.SECRET)

    def _llm_key(self) -> Drawn:
        rng = self.rng
        shapes = [f"sk-ant-api03-{_some(rng, URLSAFE, 93)}AA", f"sk-proj-{_some(rng, URLSAFE, 74)}", f"gsk_{_some(rng, ALNUM, 52)}", f"xai-{_some(rng, ALNUM, 80)}", f"AIzaSy{_some(rng, URLSAFE, 33)}", f"hf_{_some(rng, ALNUM, 34)}", f"r8_{_some(rng, ALNUM, 37)}", f"pplx-{_some(rng, ALNUM, 48)}", f"sk-or-v1-{_some(rng, HEX, 64)}"]  # fmt: skip
        return Drawn(rng.choice(shapes), Kind.SECRET)

    def _api_key(self) -> Drawn:
        rng = self.rng
        shapes = [
            f"SG.{_some(rng, URLSAFE, 22)}.{_some(rng, URLSAFE, 43)}", f"dop_v1_{_some(rng, HEX, 64)}", f"shpat_{_some(rng, HEX, 32)}",
            f"ntn_{_digits(rng, 11)}{_some(rng, ALNUM, 35)}", f"lin_api_{_some(rng, ALNUM, 40)}", f"figd_{_some(rng, URLSAFE, 40)}",
            f"pat{_some(rng, ALNUM, 14)}.{_some(rng, HEX, 64)}", f"dapi{_some(rng, HEX, 32)}", f"NRAK-{_some(rng, UPPER + string.digits, 27)}",
            f"PMAK-{_some(rng, HEX, 24)}-{_some(rng, HEX, 34)}", f"tskey-auth-k{_some(rng, ALNUM, 11)}CNTRL-{_some(rng, ALNUM, 32)}",
            f"hvs.{_some(rng, URLSAFE, 95)}", f"GOCSPX-{_some(rng, URLSAFE, 28)}", f"whsec_{_some(rng, ALNUM, 32)}", f"rk_live_{_some(rng, ALNUM, 24)}",
            f"key-{_some(rng, HEX, 32)}", f"sbp_{_some(rng, HEX, 40)}", f"phc_{_some(rng, ALNUM, 43)}", f"glc_{_some(rng, ALNUM, 60)}",
        ]  # fmt: skip
        return Drawn(rng.choice(shapes), Kind.SECRET)

    def _openai_key(self) -> Drawn:
        lead = self.rng.choice(["sk-proj-", "sk-svcacct-", "sk-admin-"])
        return Drawn(
            f"{lead}{_some(self.rng, URLSAFE, 58)}T3BlbkFJ{_some(self.rng, URLSAFE, 58)}", Kind.SECRET
        )

    def _anthropic_key(self) -> Drawn:
        return Drawn(f"sk-ant-api03-{_some(self.rng, URLSAFE, 93)}AA", Kind.SECRET)

    def _sendgrid_key(self) -> Drawn:
        return Drawn(f"SG.{_some(self.rng, URLSAFE, 22)}.{_some(self.rng, URLSAFE, 43)}", Kind.SECRET)

    def _telegram_token(self) -> Drawn:
        return Drawn(
            f"{self.rng.randint(5, 8)}{_digits(self.rng, 9)}:AA{_some(self.rng, URLSAFE, 33)}", Kind.SECRET
        )

    def _broker(self) -> Drawn:
        lead, secret = (
            self.rng.choice(["amqps", "amqp", "redis"]),
            self._password().text.replace("#", "").replace("@", ""),
        )
        return Drawn(f"{lead}://{rng_user(self)}:{secret}@mq-2.norlake.net/jobs", Kind.SECRET)

    def _btc(self) -> Drawn:
        rng = self.rng
        program = [0] + [rng.randrange(32) for _ in range(31)] + [rng.choice([0, 16])]
        return Drawn(
            rng.choice([bech32("bc", program), base58check(b"\0" + rng.randbytes(20))]), Kind.CRYPTO_WALLET
        )

    def _eth(self) -> Drawn:
        return Drawn(f"0x{_some(self.rng, HEX, 40)}", Kind.CRYPTO_WALLET)

    def _us_license(self) -> Drawn:
        rng = self.rng
        return Drawn(
            f"{rng.choice('BCGMSW')}{_digits(rng, 3)}-{_digits(rng, 3)}-{_digits(rng, 2)}-{_digits(rng, 3)}-0",
            Kind.DRIVER_LICENSE,
        )

    def _git_token(self) -> Drawn:
        rng = self.rng
        shapes = [f"ghp_{_some(rng, ALNUM, 36)}", f"github_pat_{_some(rng, ALNUM, 22)}_{_some(rng, ALNUM, 59)}", f"glpat-{_some(rng, URLSAFE, 20)}", f"npm_{_some(rng, ALNUM, 36)}", f"pypi-AgEIcHlwaS5vcmc{_some(rng, URLSAFE, 120)}", f"dckr_pat_{_some(rng, URLSAFE, 27)}"]  # fmt: skip
        return Drawn(rng.choice(shapes), Kind.SECRET)

    def _bot_token(self) -> Drawn:
        rng = self.rng
        shapes = [f"xoxb-{_digits(rng, 12)}-{_digits(rng, 13)}-{_some(rng, ALNUM, 24)}", f"{rng.randint(1, 9)}{_digits(rng, 9)}:AA{_some(rng, URLSAFE, 33)}", f"MT{_some(rng, ALNUM, 24)}.G{_some(rng, ALNUM, 5)}.{_some(rng, URLSAFE, 38)}"]  # fmt: skip
        return Drawn(rng.choice(shapes), Kind.SECRET)

    def _webhook(self) -> Drawn:
        rng = self.rng
        slack = f"https://hooks.slack.com/services/T0{_some(rng, UPPER + string.digits, 9)}/B0{_some(rng, UPPER + string.digits, 9)}/{_some(rng, ALNUM, 24)}"
        discord = f"https://discord.com/api/webhooks/1{_digits(rng, 18)}/{_some(rng, URLSAFE, 68)}"
        return Drawn(rng.choice([slack, discord]), Kind.SECRET)

    def _conn(self) -> Drawn:
        rng, user = self.rng, rng_user(self)
        secret, host = (
            _some(rng, ALNUM, 16),
            rng.choice(
                ["db-7.norlake.net", "pg.kestrelpay.com:5432", "10.4.18.9:5432", "cache.tidewell.io:6380"]
            ),
        )
        shapes = [f"postgresql://{user}:{secret}@{host}/billing", f"mysql://{user}:{secret}@{host}/shop?ssl=true", f"redis://default:{secret}@{host}/0", f"mongodb+srv://{user}:{secret}@cluster0.{_some(rng, HEX, 5)}.mongodb.net/prod", f"amqps://{user}:{secret}@{host}/jobs"]  # fmt: skip
        return Drawn(rng.choice(shapes), Kind.SECRET)

    def _pem(self) -> Drawn:
        rng = self.rng
        name, lead, rows = rng.choice(
            [
                (
                    "OPENSSH PRIVATE KEY",
                    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW",
                    5,
                ),
                ("RSA PRIVATE KEY", "MIIEowIBAAKCAQEA", 8),
                ("EC PRIVATE KEY", "MHcCAQEEI", 3),
                ("PRIVATE KEY", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ", 7),
            ]
        )
        body = f"{lead}{_some(rng, BASE64, 64 * rows - len(lead) - 1)}="
        lines = "\n".join(body[i : i + 64] for i in range(0, len(body), 64))
        return Drawn(f"-----BEGIN {name}-----\n{lines}\n-----END {name}-----", Kind.SECRET)

    def _wg_key(self) -> Drawn:
        return Drawn(base64.b64encode(self.rng.randbytes(32)).decode(), Kind.SECRET)

    def _azure_key(self) -> Drawn:
        return Drawn(base64.b64encode(self.rng.randbytes(64)).decode(), Kind.SECRET)

    def _basic_auth(self) -> Drawn:
        text = f"{rng_user(self)}:{self._password().text}"
        return Drawn(base64.b64encode(text.encode()).decode(), Kind.SECRET)

    def _cookie(self) -> Drawn:
        return Drawn(
            _some(self.rng, HEX, 32)
            if self.rng.random() < 0.5
            else f"s%3A{_some(self.rng, URLSAFE, 32)}.{_some(self.rng, ALNUM, 43)}",
            Kind.SECRET,
        )


def rng_user(values: SixthValues) -> str:
    """The user of a service, as it stands in a connection string."""
    return values.rng.choice(["app", "svc_billing", "readonly", "etl", "admin"])
