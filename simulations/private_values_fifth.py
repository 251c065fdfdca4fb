"""Values of the fifth volume of the evaluation set: an office and a family world.

Written by somebody who has opened no detector. At least half of the names and addresses come from Faker, in every
locale it has of English, Japanese, German, French and Spanish; the rest from lists of this module. Numbers with a
checksum pass it.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from hashlib import sha256
from itertools import pairwise
from typing import Any

from renga.client.sanitisation.entities import Kind
from renga.simulations.private_values import ALNUM, UPPER, Drawn, Values, _digits, _some

HEX = "0123456789abcdef"
LOWER = "abcdefghijklmnopqrstuvwxyz"
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

_LOCALES = {
    "en": ("en_US", "en_US", "en_GB", "en_GB", "en_IE", "en_NZ", "en_IN", "en_NG", "en_KE"),
    "de": ("de_DE", "de_DE", "de_AT", "de_CH"),
    "fr": ("fr_FR", "fr_FR", "fr_BE", "fr_CA", "fr_CH"),
    "es": ("es_ES", "es_ES", "es_MX", "es_AR", "es_CO", "es_CL"),
}
_ADDRESS_LOCALES = {
    "en": ("en_US", "en_GB", "en_CA", "en_AU", "en_IE", "en_NZ", "en_IN"),
    "de": ("de_DE", "de_DE", "de_AT", "de_CH"),
    "fr": ("fr_FR", "fr_FR", "fr_CH", "fr_CA"),
    "es": ("es_ES", "es_ES", "es_MX", "es_AR", "es_CO", "es_CL"),
}
_GIVEN = {
    "en": "Tom Priya Grace Will Mark Faith Rosalind Declan Siobhan Kwame Ngozi Anh Wei Mateusz Agnieszka Farah Yusuf Imogen"
    " Callum Beatrix Dylan Joy Rich Penny Olufemi Zainab Hye-jin Rafferty Maeve Lakshmi Arjun Tunde Marisol Otis June",
    "de": "Jürgen Heike Anneliese Malte Wiebke Detlef Cem Ayşe Burkhard Friederike Swantje Korbinian Jörg Käthe Hans-Peter"
    " Sieglinde Torben Özlem",
    "fr": "Maëlys Jean-Baptiste Solène Anaïs Gwenaël Fatoumata Karim Marie-Claude Loïc Bérengère Thibault Yasmine Hélène"
    " Océane Baptiste Ludivine",
    "es": "Íñigo Begoña Nerea Rocío Lucía Concepción Álvaro Itziar Yolanda Joaquín Inés Xavier Montserrat Ramón Luz",
}
_FAMILY = {
    "en": "Fielding Okafor Nowak Brennan Haverford O'Shaughnessy Pemberton Szymanski Oyelaran Baptiste MacKinnon Nguyen"
    " Bhattacharya Al-Rashid Winters Page Bishop Stone Tranter Yardley Achebe-Cole D'Souza Featherstone Kang Lim Ito"
    " Marlowe Quigley Snow Thistlewood Underhill Vance-Porter Whitlock Young Zielinski McGarrity",
    "de": "Krämer Wüstenhagen Yılmaz Schäfer-Lotz Oberhuber Petersen Grünwald Öztürk Niedermayer Hoßfeld Jansen Kühn"
    " Rademacher Sommer Vogt Zimmermann Brandl Freitag",
    "fr": "Lefèvre Kervella N'Diaye Benali Dupont-Marchal Charpentier Guégan Rousselot Traoré d'Aubigny Guillou Poirier"
    " Vasseur Delacourt Haddad Meunier",
    "es": "Etxeberria Muñoz Peñalver Ibáñez Quiroga Santamaría Gorostiza Núñez Villalobos Alcántara Cepeda Zubiri Montoya"
    " Roldán Saavedra Puig",
}
_JAPANESE_FAMILY = (
    ("五十嵐", "イガラシ", "Igarashi"), ("東海林", "ショウジ", "Shoji"), ("小笠原", "オガサワラ", "Ogasawara"),
    ("長谷部", "ハセベ", "Hasebe"), ("比嘉", "ヒガ", "Higa"), ("林", "ハヤシ", "Hayashi"), ("森", "モリ", "Mori"),
    ("勅使河原", "テシガワラ", "Teshigawara"), ("西", "ニシ", "Nishi"), ("金城", "キンジョウ", "Kinjo"),
    ("大久保", "オオクボ", "Okubo"), ("南雲", "ナグモ", "Nagumo"), ("辻", "ツジ", "Tsuji"), ("髙橋", "タカハシ", "Takahashi"),
    ("佐々木", "ササキ", "Sasaki"), ("八木", "ヤギ", "Yagi"), ("宇都宮", "ウツノミヤ", "Utsunomiya"), ("原", "ハラ", "Hara"),
)  # fmt: skip
_JAPANESE_GIVEN = (
    ("陽葵", "ヒマリ", "Himari"), ("蓮", "レン", "Ren"), ("千代子", "チヨコ", "Chiyoko"), ("誠", "マコト", "Makoto"),
    ("光", "ヒカル", "Hikaru"), ("さくら", "サクラ", "Sakura"), ("翔太郎", "ショウタロウ", "Shotaro"), ("泉", "イズミ", "Izumi"),
    ("美咲", "ミサキ", "Misaki"), ("悠真", "ユウマ", "Yuma"), ("文子", "フミコ", "Fumiko"), ("ひなた", "ヒナタ", "Hinata"),
    ("幸", "サチ", "Sachi"), ("義男", "ヨシオ", "Yoshio"), ("結衣", "ユイ", "Yui"), ("大樹", "ダイキ", "Daiki"),
)  # fmt: skip
_JAPANESE_PLACES = (
    "神奈川県川崎市中原区小杉町", "埼玉県所沢市東狭山ヶ丘", "東京都練馬区石神井台", "大阪府豊中市新千里南町", "京都府宇治市木幡",
    "北海道旭川市神楽岡", "愛知県岡崎市羽根町", "福岡県久留米市津福本町", "長野県松本市深志", "千葉県船橋市習志野台", "東京都杉並区荻窪",
)  # fmt: skip
_JAPANESE_HOUSES = (
    "メゾン小杉",
    "コーポさつき",
    "第二みどり荘",
    "グランハイツ",
    "サンライズマンション",
    "県営住宅3号棟",
)
_STREETS = {
    "en": "Albany Road|Maple Hollow Drive|Quarry Lane|St Mary's Terrace|Birchwood Close|Old Mill Way|Kestrel Court|Tanner Street",
    "de": "Lindenstraße|Am Alten Markt|Bürgermeister-Smidt-Str.|Kastanienallee|Untere Dorfstr.|Gneisenaustraße|Im Rosengarten",
    "fr": "rue des Lilas|avenue Jean Jaurès|impasse du Moulin|boulevard de la Liberté|chemin des Vignes|allée des Tilleuls",
    "es": "C/ Mayor|Calle de la Paloma|Avda. de la Constitución|Plaza del Mercado|Carrer de Balmes|Paseo de las Acacias",
}
_TOWNS = {
    "us": (
        "Dayton, OH 45402",
        "Asheville, NC 28801",
        "Spokane, WA 99201",
        "Lowell, MA 01852",
        "Tempe, AZ 85281",
    ),
    "gb": ("Bristol BS6 5LQ", "Leeds LS8 1NT", "Cardiff CF24 3DG", "Norwich NR2 3HB", "Stirling FK8 2QU"),
    "de": ("80331 München", "24105 Kiel", "50825 Köln", "04229 Leipzig", "79098 Freiburg", "22765 Hamburg"),
    "fr": (
        "69003 Lyon",
        "35000 Rennes",
        "13006 Marseille",
        "67000 Strasbourg",
        "31200 Toulouse",
        "59800 Lille",
    ),
    "es": (
        "28013 Madrid",
        "48005 Bilbao",
        "41003 Sevilla",
        "08036 Barcelona",
        "46006 Valencia",
        "30001 Murcia",
    ),
}
_WORDS = (
    "bluebell teapot harbour lantern gravel pickle saddle thunder velvet walnut orchid button marble pepper window"
    " cactus river button anchor ginger"
)
_HANDLES = "mum-of-three,gardenfox,nightshift_nurse,pixelbaker,tinroof,rail_nerd,kaffeetante,le_petit_chat,mapachito,sakuramochi"
_MAIL = {
    "en": (
        "gmail.com",
        "outlook.com",
        "btinternet.com",
        "comcast.net",
        "icloud.com",
        "sky.com",
        "fielding-lettings.co.uk",
    ),
    "de": ("web.de", "gmx.net", "t-online.de", "posteo.de", "freenet.de"),
    "fr": ("orange.fr", "laposte.net", "free.fr", "wanadoo.fr", "sfr.fr"),
    "es": ("telefonica.net", "hotmail.es", "yahoo.es", "gmail.com"),
    "ja": ("yahoo.co.jp", "docomo.ne.jp", "gmail.com", "ezweb.ne.jp", "nifty.com"),
}


def _ascii(text: str) -> str:
    """Latin letters as they stand in a mail address."""
    for a, b in (("ß", "ss"), ("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ı", "i"), (" ", ""), ("'", "")):
        text = text.lower().replace(a, b)
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _base58check(payload: bytes) -> str:
    """Bitcoin's writing of bytes, with four bytes of checksum."""
    whole = payload + sha256(sha256(payload).digest()).digest()[:4]
    number, out = int.from_bytes(whole, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        out = _BASE58[rest] + out
    return "1" * (len(whole) - len(whole.lstrip(b"\0"))) + out


def _bech32(prefix: str, data: list[int]) -> str:
    """BIP 173: five-bit values after a readable prefix, with six characters of checksum."""
    check = 1
    spread = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    for value in spread + data + [0] * 6:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if (top >> i) & 1 else 0
    check ^= 1
    return f"{prefix}1" + "".join(_BECH32[v] for v in data + [(check >> 5 * (5 - i)) & 31 for i in range(6)])


class FifthValues(Values):
    """Draws values of every slot of the fifth volume."""

    def __init__(self, seed: int) -> None:
        from faker import Faker

        super().__init__(seed)
        names = {n for group in (_LOCALES, _ADDRESS_LOCALES) for more in group.values() for n in more}
        for name in sorted(names - set(self.fake)):
            self.fake[name] = Faker(name)
            self.fake[name].seed_instance(seed)

    def _faker(self, locales: tuple[str, ...]) -> Any:
        return self.fake[self.rng.choice(locales)]

    # People

    def _someone(self, language: str) -> Drawn:
        rng = self.rng
        if rng.random() < 0.6:
            fake = self._faker(_LOCALES[language])
            given, family = fake.first_name(), fake.last_name()
        else:
            given = rng.choice(_GIVEN[language].split())
            family = rng.choice(_FAMILY[language].split())
        full = f"{given} {family}"
        if language == "es" and rng.random() < 0.6:
            full = f"{full} {rng.choice(_FAMILY['es'].split())}"
        elif language == "en" and rng.random() < 0.12:
            full = f"{given} {rng.choice('ABCDEFGHJKLMRST')}. {family}"
        a, b = _ascii(given), _ascii(family)
        local = rng.choice(
            [f"{a}.{b}", f"{a[0]}{b}", f"{b}.{a}", f"{a}{b[0]}{rng.randint(61, 99)}", f"{a}_{b}"]
        )
        forms = {
            "given": given,
            "family": family,
            "initials": f"{given[0]}. {family}",
            "email": f"{local}@{rng.choice(_MAIL[language])}",
            "lower": given.lower(),
            "small": f"{given} {family}".lower(),
            "upper": f"{given} {family}".upper(),
            "reversed": f"{family}, {given}",
        }
        return Drawn(full, Kind.PERSON, forms)

    def _person(self) -> Drawn:
        return self._someone("en")

    def _mixed_person(self) -> Drawn:
        return self._someone(self.rng.choice(["en", "de", "fr", "es"]))

    def _de_person(self) -> Drawn:
        return self._someone("de")

    def _fr_person(self) -> Drawn:
        return self._someone("fr")

    def _es_person(self) -> Drawn:
        return self._someone("es")

    def _ja_person(self) -> Drawn:
        rng = self.rng
        if rng.random() < 0.55:
            one, two = self.fake["ja_JP"].last_name_pair(), self.fake["ja_JP"].first_name_pair()
        else:
            one, two = rng.choice(_JAPANESE_FAMILY), rng.choice(_JAPANESE_GIVEN)
        (family, kana1, roman1), (given, kana2, roman2) = one, two
        space = rng.choice(["", "", " ", "　"])
        gap = rng.choice([" ", "　"])
        kana = "".join(chr(ord(c) - 0x60) if "ァ" <= c <= "ヶ" else c for c in f"{kana1}{gap}{kana2}")
        a, b = _ascii(roman2), _ascii(roman1)
        local = rng.choice([f"{a}.{b}", f"{b}{rng.randint(1, 99):02}", f"{b}-{a}", f"{a[0]}.{b}"])
        forms = {
            "given": given,
            "family": family,
            "kana": kana,
            "katakana": f"{kana1}{gap}{kana2}",
            "joined": f"{kana1}{kana2}",
            "romaji": rng.choice([f"{roman2} {roman1}", f"{roman1} {roman2}", f"{roman1.upper()} {roman2}"]),
            "roman": roman1,
            "email": f"{local}@{rng.choice(_MAIL['ja'])}",
        }
        return Drawn(f"{family}{space}{given}", Kind.PERSON, forms)

    # Where they live

    def _house(self, language: str) -> str:
        rng = self.rng
        street, number = rng.choice(_STREETS[language].split("|")), rng.randint(1, 189)
        if language == "de":
            extra = rng.choice(
                ["", "", f"{rng.choice('abc')}", f", Hinterhaus, {rng.randint(1, 5)}. OG links"]
            )
            return f"{street} {number}{extra}, {rng.choice(_TOWNS['de'])}"
        if language == "fr":
            extra = rng.choice(["", f"appt {rng.randint(1, 60)}, ", f"bât. {rng.choice('ABC')}, "])
            return f"{extra}{number}{rng.choice(['', ' bis'])} {street}, {rng.choice(_TOWNS['fr'])}"
        if language == "es":
            extra = rng.choice(
                ["", f", {rng.randint(1, 7)}.º {rng.choice('ABCD')}", f", bajo {rng.choice('12')}"]
            )
            return f"{street} {number}{extra}, {rng.choice(_TOWNS['es'])}"
        if rng.random() < 0.5:
            unit = rng.choice(
                ["", f", Apt {rng.randint(1, 30)}{rng.choice('ABC')}", f" #{rng.randint(100, 420)}"]
            )
            return f"{number * 37} {street}{unit}, {rng.choice(_TOWNS['us'])}"
        flat = rng.choice(["", f"Flat {rng.randint(1, 40)}, ", f"Unit {rng.randint(1, 9)}B, "])
        return f"{flat}{number} {street}, {rng.choice(_TOWNS['gb'])}"

    def _home(self, language: str, joint: str = ", ") -> Drawn:
        if self.rng.random() < 0.5:
            return Drawn(self._house(language), Kind.ADDRESS)
        text = self._faker(_ADDRESS_LOCALES[language]).address()
        for military in range(20):
            if not any(word in text for word in ("APO", "FPO", "DPO")):
                break
            text = (
                self._faker(_ADDRESS_LOCALES[language][:3]).address() if military else self._house(language)
            )
        return Drawn(joint.join(line.strip().rstrip(",") for line in text.split("\n")), Kind.ADDRESS)

    def _address(self) -> Drawn:
        return self._home("en")

    def _address_lines(self) -> Drawn:
        return self._home("en", "\n")

    def _de_address(self) -> Drawn:
        return self._home("de")

    def _fr_address(self) -> Drawn:
        return self._home("fr")

    def _es_address(self) -> Drawn:
        return self._home("es")

    def _street(self) -> Drawn:
        street = self.rng.choice(_STREETS["en"].split("|"))
        return Drawn(f"{self.rng.randint(2, 240)} {street}", Kind.ADDRESS)

    def _ja_address(self) -> Drawn:
        rng = self.rng
        text = self.fake["ja_JP"].address()
        if rng.random() < 0.5:
            a, b, c = rng.randint(1, 8), rng.randint(1, 30), rng.randint(1, 25)
            number = rng.choice([f"{a}-{b}-{c}", f"{a}丁目{b}番{c}号", f"{a}丁目{b}-{c}"])
            room = rng.choice(
                ["", "", f" {rng.choice(_JAPANESE_HOUSES)}{rng.randint(1, 9)}0{rng.randint(1, 8)}号室"]
            )
            text = f"{rng.choice(_JAPANESE_PLACES)}{number}{room}"
        if rng.random() < 0.35:
            text = f"〒{_digits(rng, 3)}-{_digits(rng, 4)} {text}"
        return Drawn(text, Kind.ADDRESS)

    # How they are reached

    def _phone(self) -> Drawn:
        rng = self.rng
        area, mid, last = rng.randint(201, 989), rng.randint(201, 998), _digits(rng, 4)
        uk = f"7{rng.choice('45789')}{_digits(rng, 2)}"
        made = (
            f"({area}) {mid}-{last}", f"{area}-{mid}-{last}", f"+1 {area} {mid} {last}", f"+1-{area}-{mid}-{last}",
            f"0{uk} {_digits(rng, 6)}", f"+44 {uk} {_digits(rng, 3)} {_digits(rng, 3)}", f"0117 {_digits(rng, 3)} {_digits(rng, 4)}",
            f"020 7{_digits(rng, 3)} {_digits(rng, 4)}", f"+91 {rng.choice('789')}{_digits(rng, 4)} {_digits(rng, 5)}",
            f"+353 8{rng.choice('3567')} {_digits(rng, 3)} {_digits(rng, 4)}", f"04{_digits(rng, 2)} {_digits(rng, 3)} {_digits(rng, 3)}",
        )  # fmt: skip
        return Drawn(rng.choice(made), Kind.PHONE)

    def _de_phone(self) -> Drawn:
        rng = self.rng
        made = (
            f"0{rng.choice(['151', '160', '172', '176'])} {_digits(rng, 8)}", f"+49 89 {_digits(rng, 7)}",
            f"0431/{_digits(rng, 6)}", f"030 - {_digits(rng, 4)} {_digits(rng, 3)}", f"+43 664 {_digits(rng, 7)}",
        )  # fmt: skip
        return Drawn(rng.choice([*made, self.fake["de_DE"].phone_number()]), Kind.PHONE)

    def _fr_phone(self) -> Drawn:
        rng = self.rng
        pairs = [_digits(rng, 2) for _ in range(4)]
        lead = rng.choice("12345679")
        made = (
            f"0{lead} " + " ".join(pairs),
            f"0{lead}." + ".".join(pairs),
            f"+33 {lead} " + " ".join(pairs),
        )
        return Drawn(rng.choice([*made, self.fake["fr_FR"].phone_number()]), Kind.PHONE)

    def _es_phone(self) -> Drawn:
        rng = self.rng
        a, b, c = _digits(rng, 2), _digits(rng, 3), _digits(rng, 3)
        made = (f"6{a} {b} {c}", f"+34 6{a} {b} {c}", f"91 {b} {a} {a[::-1]}", f"7{a}{b}{c}")
        return Drawn(rng.choice([*made, self.fake["es_ES"].phone_number()]), Kind.PHONE)

    def _ja_phone(self) -> Drawn:
        rng = self.rng
        a, b, lead = _digits(rng, 4), _digits(rng, 4), rng.choice(["90", "80", "70"])
        made = (
            f"0{lead}-{a}-{b}", f"0{lead}{a}{b}", f"03-{rng.randint(3200, 6999)}-{b}", f"044-{rng.randint(200, 999)}-{b}",
            f"0263-{rng.randint(20, 99)}-{b}", f"+81-{lead}-{a}-{b}", f"06({rng.randint(6100, 6999)}){b}",
        )  # fmt: skip
        return Drawn(rng.choice(made), Kind.PHONE)

    def _email(self) -> Drawn:
        language = self.rng.choice(["en", "en", "en", "de", "fr", "es"])
        if self.rng.random() < 0.3:
            return Drawn(self.fake["en_US"].company_email(), Kind.EMAIL)
        return Drawn(self._someone(language).forms["email"], Kind.EMAIL)

    def _ja_email(self) -> Drawn:
        return Drawn(self._ja_person().forms["email"], Kind.EMAIL)

    def _username(self) -> Drawn:
        rng = self.rng
        made = self._faker(("en_US", "en_GB", "de_DE", "fr_FR", "es_ES")).user_name()
        own = f"{rng.choice(_HANDLES.split(','))}{rng.choice(['', str(rng.randint(2, 99)), '_'])}".rstrip("_")
        return Drawn(
            rng.choice([made, made, f"{made}{rng.randint(1, 99)}", f"{own}{rng.randint(1, 9)}"]),
            Kind.USERNAME,
        )

    # Money

    def _credit_card(self) -> Drawn:
        number = self.fake["en_US"].credit_card_number(
            card_type=self.rng.choice(["visa16", "visa16", "mastercard", "amex", "discover", "jcb16"])
        )
        cuts = (0, 4, 10, 15) if len(number) == 15 else (0, 4, 8, 12, 16)
        groups = [number[a:b] for a, b in pairwise(cuts)]
        return Drawn(self.rng.choice(["", " ", " ", "-"]).join(groups), Kind.CREDIT_CARD)

    def _iban_of(self, country: str) -> Drawn:
        from stdnum import iban
        from stdnum.es import ccc

        rng = self.rng
        if country == "FR":
            bank, branch, account = (rng.randint(10**4, 10**n - 1) for n in (5, 5, 11))
            key = 97 - (89 * bank + 15 * branch + 3 * account) % 97
            body = f"{bank:05}{branch:05}{account:011}{key:02}"
        elif country == "ES":
            bank_branch, account_number = _digits(rng, 8), _digits(rng, 10)
            body = (
                f"{bank_branch}{ccc.calc_check_digits(bank_branch + '00' + account_number)}{account_number}"
            )
        elif country == "GB":
            body = f"{rng.choice(['LOYD', 'BARC', 'NWBK', 'MIDL'])}{_digits(rng, 14)}"
        else:
            body = _digits(rng, {"DE": 18, "AT": 16, "CH": 17}[country])
        number = f"{country}{iban.calc_check_digits(f'{country}00{body}')}{body}"
        spaced = " ".join(number[i : i + 4] for i in range(0, len(number), 4))
        return Drawn(rng.choice([number, spaced, spaced]), Kind.IBAN)

    def _iban(self) -> Drawn:
        return self._iban_of(self.rng.choice(["DE", "FR", "ES", "GB", "AT", "CH"]))

    def _de_iban(self) -> Drawn:
        return self._iban_of(self.rng.choice(["DE", "DE", "AT", "CH"]))

    def _fr_iban(self) -> Drawn:
        return self._iban_of("FR")

    def _es_iban(self) -> Drawn:
        return self._iban_of("ES")

    def _uk_account(self) -> Drawn:
        return Drawn(_digits(self.rng, 8), Kind.BANK_ACCOUNT)

    def _sort_code(self) -> Drawn:
        return Drawn("-".join(_digits(self.rng, 2) for _ in range(3)), Kind.BANK_ACCOUNT)

    def _bank_account(self) -> Drawn:
        return Drawn(_digits(self.rng, self.rng.choice([9, 10, 12])), Kind.BANK_ACCOUNT)

    def _routing(self) -> Drawn:
        from stdnum.us import rtn

        body = f"{self.rng.choice(['01', '03', '06', '07', '11', '12', '26', '32'])}{_digits(self.rng, 6)}"
        return Drawn(body + rtn.calc_check_digit(body), Kind.BANK_ACCOUNT)

    def _ja_account(self) -> Drawn:
        return Drawn(_digits(self.rng, 7), Kind.BANK_ACCOUNT)

    def _yucho(self) -> Drawn:
        return Drawn(f"1{_digits(self.rng, 3)}0-{_digits(self.rng, 7)}1", Kind.BANK_ACCOUNT)

    def _wallet(self) -> Drawn:
        rng = self.rng
        made = (
            _base58check(bytes([0]) + rng.randbytes(20)),
            _base58check(bytes([5]) + rng.randbytes(20)),
            _base58check(bytes([0x41]) + rng.randbytes(20)),
            _bech32("bc", [0] + [rng.randrange(32) for _ in range(31)] + [rng.choice([0, 16])]),
            f"0x{_some(rng, HEX, 40)}",
        )
        return Drawn(rng.choice(made), Kind.CRYPTO_WALLET)

    def _btc_wallet(self) -> Drawn:
        return Drawn(
            _base58check(bytes([self.rng.choice([0, 5])]) + self.rng.randbytes(20)), Kind.CRYPTO_WALLET
        )

    def _eth_wallet(self) -> Drawn:
        return Drawn(f"0x{_some(self.rng, HEX, 40)}", Kind.CRYPTO_WALLET)

    # Papers

    def _steuer_id(self) -> Drawn:
        text = super()._steuer_id().text
        spaced = f"{text[:2]} {text[2:5]} {text[5:8]} {text[8:]}"
        return Drawn(self.rng.choice([text, spaced]), Kind.NATIONAL_ID)

    def _nir(self) -> Drawn:
        text = super()._nir().text
        spaced = f"{text[0]} {text[1:3]} {text[3:5]} {text[5:7]} {text[7:10]} {text[10:13]} {text[13:]}"
        return Drawn(self.rng.choice([text, spaced, spaced]), Kind.NATIONAL_ID)

    def _dni(self) -> Drawn:
        rng = self.rng
        number = rng.randint(10_000_000, 79_999_999)
        letter = "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23]
        foreign = rng.randint(0, 9_999_999)
        nie = f"X{foreign:07}{'TRWAGMYFPDXBNJZSQVHLCKE'[foreign % 23]}"
        return Drawn(rng.choice([f"{number}{letter}", f"{number}-{letter}", nie]), Kind.NATIONAL_ID)

    def _passport(self) -> Drawn:
        rng = self.rng
        return Drawn(
            rng.choice([f"5{_digits(rng, 8)}", f"{rng.choice('AXZ')}{_digits(rng, 8)}"]), Kind.PASSPORT
        )

    def _de_passport(self) -> Drawn:
        """Nine characters and the check digit of the machine-readable zone."""
        letters = "CFGHJKLMNPRTVWXYZ"
        body = self.rng.choice("CFGHJK") + _some(self.rng, letters + "0123456789", 8)
        total = sum(int(c, 36) * (7, 3, 1)[i % 3] for i, c in enumerate(body))
        return Drawn(self.rng.choice([body, f"{body}{total % 10}"]), Kind.PASSPORT)

    def _fr_passport(self) -> Drawn:
        return Drawn(
            f"{_digits(self.rng, 2)}{_some(self.rng, UPPER, 2)}{_digits(self.rng, 5)}", Kind.PASSPORT
        )

    def _es_passport(self) -> Drawn:
        return Drawn(f"{_some(self.rng, UPPER, 3)}{_digits(self.rng, 6)}", Kind.PASSPORT)

    def _driver_license(self) -> Drawn:
        rng = self.rng
        sex = rng.choice([0, 5])
        british = (
            f"{rng.choice(['FIELD', 'OKAFO', 'BRENN', 'KANG9', 'PEMBE'])}{rng.randint(5, 9)}{sex}{rng.randint(1, 9)}"
            f"{rng.randint(1, 28):02}{_digits(rng, 1)}{_some(rng, UPPER, 2)}9{_some(rng, UPPER, 2)}"
        )
        return Drawn(
            rng.choice([british, f"{rng.choice('ABDFY')}{_digits(rng, 7)}", f"S{_digits(rng, 12)}"]),
            Kind.DRIVER_LICENSE,
        )

    def _de_license(self) -> Drawn:
        rng = self.rng
        return Drawn(
            f"{rng.choice('BCJN')}{_digits(rng, 3)}{_some(rng, UPPER, 3)}{_digits(rng, 1)}{_some(rng, UPPER, 1)}{_digits(rng, 2)}",
            Kind.DRIVER_LICENSE,
        )

    def _ja_license(self) -> Drawn:
        rng = self.rng
        body = f"{rng.choice(['30', '45', '62', '10', '54'])}{rng.randint(0, 23):02}{_digits(rng, 6)}"
        total = sum(int(c) * w for c, w in zip(body, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2), strict=True))
        check = (11 - total % 11) % 11 % 10
        return Drawn(f"{body}{check}{rng.randint(0, 2)}", Kind.DRIVER_LICENSE)

    def _medicare(self) -> Drawn:
        rng, letters = self.rng, "ACDEFGHJKMNPQRTUVWXY"
        either = letters + "0123456789"
        text = (
            f"{rng.randint(1, 9)}{_some(rng, letters, 1)}{_some(rng, either, 1)}{_digits(rng, 1)}-{_some(rng, letters, 1)}"
            f"{_some(rng, either, 1)}{_digits(rng, 1)}-{_some(rng, letters, 2)}{_digits(rng, 2)}"
        )
        return Drawn(text, Kind.HEALTH_ID)

    def _kvnr(self) -> Drawn:
        letter, body = self.rng.choice(UPPER), _digits(self.rng, 8)
        digits = f"{ord(letter) - 64:02}{body}"
        products = [int(c) * (1 + i % 2) for i, c in enumerate(digits)]
        return Drawn(f"{letter}{body}{sum(p // 10 + p % 10 for p in products) % 10}", Kind.HEALTH_ID)

    def _health_id(self) -> Drawn:
        rng = self.rng
        return Drawn(
            rng.choice(
                [
                    f"MRN{_digits(rng, 7)}",
                    f"H-{_digits(rng, 6)}",
                    _digits(rng, 8),
                    f"{_digits(rng, 3)}-{_digits(rng, 5)}",
                ]
            ),
            Kind.HEALTH_ID,
        )

    def _hokensha(self) -> Drawn:
        body = (
            f"{self.rng.choice(['01', '06', '31', '39'])}{self.rng.randint(1, 47):02}{_digits(self.rng, 3)}"
        )
        products = [int(c) * (2 - i % 2) for i, c in enumerate(reversed(body))]
        return Drawn(f"{body}{-sum(p // 10 + p % 10 for p in products) % 10}", Kind.HEALTH_ID)

    def _hihokensha(self) -> Drawn:
        return Drawn(f"{_digits(self.rng, 4)}{self.rng.choice('・-')}{_digits(self.rng, 5)}", Kind.HEALTH_ID)

    def _dob(self) -> Drawn:
        day = self.fake["en_US"].date_of_birth(minimum_age=3, maximum_age=92)
        shape = self.rng.choice(
            ["%m/%d/%Y", "%d/%m/%Y", "%Y-%m-%d", "%B %d, %Y", "%d %B %Y", "%d %b %Y", "%d-%m-%y"]
        )
        return Drawn(day.strftime(shape), Kind.DOB)

    def _iso_dob(self) -> Drawn:
        return Drawn(self.fake["en_US"].date_of_birth(minimum_age=3, maximum_age=92).isoformat(), Kind.DOB)

    def _child_dob(self) -> Drawn:
        return Drawn(self.fake["en_US"].date_of_birth(minimum_age=3, maximum_age=11).isoformat(), Kind.DOB)

    def _eu_dob(self) -> Drawn:
        day = self.fake["de_DE"].date_of_birth(minimum_age=18, maximum_age=90)
        return Drawn(day.strftime(self.rng.choice(["%d.%m.%Y", "%d/%m/%Y", "%d-%m-%Y"])), Kind.DOB)

    def _ja_dob(self) -> Drawn:
        return self._japanese_day(95)

    def _ja_child_dob(self) -> Drawn:
        return self._japanese_day(14)

    def _japanese_day(self, oldest: int) -> Drawn:
        day = self.fake["ja_JP"].date_of_birth(minimum_age=3, maximum_age=oldest)
        rest = f"{day.month}月{day.day}日"
        if day.year > 2019:
            era, letter, year = "令和", "R", day.year - 2018
        elif 1989 < day.year < 2019:
            era, letter, year = "平成", "H", day.year - 1988
        elif day.year < 1989:
            era, letter, year = "昭和", "S", day.year - 1925
        else:
            return Drawn(f"{day.year}年{rest}", Kind.DOB)
        made = (
            f"{day.year}年{rest}",
            f"{era}{year}年{rest}",
            f"{letter}{year}.{day.month}.{day.day}",
            day.strftime("%Y/%m/%d"),
        )
        return Drawn(self.rng.choice(made), Kind.DOB)

    # Machines and accounts

    def _ip(self) -> Drawn:
        rng, fake = self.rng, self.fake["en_US"]
        made = (
            fake.ipv4_public(),
            fake.ipv4_public(),
            f"192.168.{rng.randint(0, 60)}.{rng.randint(2, 250)}",
            f"172.{rng.randint(16, 31)}.{rng.randint(1, 250)}.{rng.randint(2, 250)}",
        )
        return Drawn(rng.choice(made), Kind.IP_ADDRESS)

    def _ip6(self) -> Drawn:
        rng = self.rng
        short = f"2a02:{_some(rng, '123456789', 3)}:{_some(rng, 'abcdef', 1)}{_digits(rng, 3)}::{_some(rng, '123456789abcdef', 3)}"
        full = f"2001:{_some(rng, '123456789', 3)}:" + ":".join(
            f"{_some(rng, '123456789abcdef', 4)}" for _ in range(6)
        )
        return Drawn(rng.choice([short, full]), Kind.IP_ADDRESS)

    def _mac(self) -> Drawn:
        pairs = [_some(self.rng, HEX, 2) for _ in range(6)]
        pairs[0] = self.rng.choice(["3c", "a4", "f8", "00", "d8"])
        dots = ".".join(a + b for a, b in zip(pairs[::2], pairs[1::2], strict=True))
        return Drawn(
            self.rng.choice([":".join(pairs), "-".join(pairs).upper(), ":".join(pairs).upper(), dots]),
            Kind.MAC_ADDRESS,
        )

    def _plate(self) -> Drawn:
        rng = self.rng
        british = f"{_some(rng, 'ABCDEFGHKLMNPRSVWXY', 2)}{rng.choice(['07', '12', '19', '21', '63', '68', '73'])} {_some(rng, 'ABCDEFGHJKLMNPRSTUVWXYZ', 3)}"
        american = rng.choice(
            [
                f"{rng.randint(6, 9)}{_some(rng, UPPER, 3)}{_digits(rng, 3)}",
                f"{_some(rng, UPPER, 3)}-{_digits(rng, 4)}",
            ]
        )
        return Drawn(rng.choice([british, british.replace(" ", ""), american]), Kind.VEHICLE_PLATE)

    def _de_plate(self) -> Drawn:
        rng = self.rng
        return Drawn(
            f"{rng.choice(['M', 'KI', 'HH', 'K', 'FR', 'LÖ'])}-{_some(rng, UPPER, 2)} {rng.randint(12, 9999)}",
            Kind.VEHICLE_PLATE,
        )

    def _fr_plate(self) -> Drawn:
        rng, letters = self.rng, "ABCDEFGHJKLMNPQRSTVWXYZ"
        return Drawn(
            f"{_some(rng, letters, 2)}-{_digits(rng, 3)}-{_some(rng, letters, 2)}", Kind.VEHICLE_PLATE
        )

    def _es_plate(self) -> Drawn:
        return Drawn(
            f"{_digits(self.rng, 4)}{self.rng.choice([' ', ''])}{_some(self.rng, 'BCDFGHJKLMNPRSTVWXYZ', 3)}",
            Kind.VEHICLE_PLATE,
        )

    def _ja_plate(self) -> Drawn:
        rng = self.rng
        place = rng.choice(["品川", "川崎", "なにわ", "松本", "旭川", "岡崎", "久留米", "練馬", "富士山"])
        return Drawn(
            f"{place}{rng.choice(['300', '501', '330', '580'])}{rng.choice('あいうえかきくけこさす')}{_digits(rng, 2)}-{_digits(rng, 2)}",
            Kind.VEHICLE_PLATE,
        )

    def _account_id(self) -> Drawn:
        rng = self.rng
        made = (
            f"{rng.choice(['MEM', 'EMP', 'STU', 'POL', 'C'])}-{_digits(rng, 6)}",
            _digits(rng, 9),
            f"{_some(rng, UPPER, 2)}{_digits(rng, 6)}",
            f"{_digits(rng, 4)}-{_digits(rng, 5)}-{_digits(rng, 1)}",
        )
        return Drawn(rng.choice(made), Kind.ACCOUNT_ID)

    def _ja_account_id(self) -> Drawn:
        rng = self.rng
        return Drawn(
            rng.choice([_digits(rng, 9), f"K{_digits(rng, 6)}", f"{_digits(rng, 3)}-{_digits(rng, 6)}"]),
            Kind.ACCOUNT_ID,
        )

    def _url(self) -> Drawn:
        rng = self.rng
        name = _ascii(self._username().text)
        made = (
            f"https://www.linkedin.com/in/{name}",
            f"https://www.facebook.com/{name}",
            f"https://github.com/{name}/dotfiles",
            f"https://docs.google.com/document/d/{_some(rng, ALNUM, 44)}/edit?usp=sharing",
            f"https://us02web.zoom.us/j/{_digits(rng, 11)}?pwd={_some(rng, ALNUM, 32)}",
            f"https://portal.kestrel-lettings.co.uk/reset?token={_some(rng, HEX, 40)}",
            f"https://www.dropbox.com/scl/fi/{_some(rng, LOWER + '0123456789', 20)}/scan.pdf?rlkey={_some(rng, LOWER, 25)}",
            f"https://calendar.google.com/calendar/ical/{name}%40gmail.com/private-{_some(rng, HEX, 32)}/basic.ics",
        )
        return Drawn(rng.choice(made), Kind.URL)

    def _profile_url(self) -> Drawn:
        name = _ascii(self._username().text)
        sites = (
            "www.linkedin.com/in/",
            "www.facebook.com/",
            "github.com/",
            "www.instagram.com/",
            "www.xing.com/profile/",
        )
        return Drawn(f"https://{self.rng.choice(sites)}{name}", Kind.URL)

    def _repo_url(self) -> Drawn:
        return Drawn(f"https://gitlab.com/{_ascii(self._username().text)}/school-rota.git", Kind.URL)

    def _meeting_url(self) -> Drawn:
        return Drawn(
            f"https://us02web.zoom.us/j/{_digits(self.rng, 11)}?pwd={_some(self.rng, ALNUM, 32)}", Kind.URL
        )

    # Secrets

    def _password(self) -> Drawn:
        rng = self.rng
        one, two = rng.sample(sorted(set(_WORDS.split())), 2)
        made = (
            f"{one.title()}{rng.randint(10, 2024)}{rng.choice('!#?*')}", f"{one}{two}{rng.randint(1, 99)}", f"{one}-{two}-{rng.randint(10, 99)}",
            f"{one.title()}{two.title()}{rng.choice('!$%')}", f"{_some(rng, ALNUM, 11)}{rng.choice('!@#&')}{_some(rng, ALNUM, 4)}",
            f"{rng.choice(['Sommerregen', 'Gatito', 'sakura', 'Chocolat', 'Fussball', 'Abuelita'])}{rng.randint(100, 9999)}!",
            f"{one[0].upper()}{one[1:].replace('e', '3').replace('a', '@')}{rng.randint(1, 99)}x{_digits(rng, 1)}",
        )  # fmt: skip
        return Drawn(rng.choice(made), Kind.SECRET)

    def _passphrase(self) -> Drawn:
        return Drawn(" ".join(self.rng.sample(sorted(set(_WORDS.split())), 4)), Kind.SECRET)

    def _pin(self) -> Drawn:
        return Drawn(_digits(self.rng, self.rng.choice([4, 4, 6])), Kind.SECRET)

    def _otp(self) -> Drawn:
        return Drawn(_digits(self.rng, 6), Kind.SECRET)

    def _recovery(self) -> Drawn:
        return Drawn(
            f"{_some(self.rng, LOWER + '23456789', 5)}-{_some(self.rng, LOWER + '23456789', 5)}", Kind.SECRET
        )

    def _shaped(self, *shapes: str) -> Drawn:
        """A secret of one of the shapes: `<h32>` is 32 hexadecimal digits, `a` alphanumeric, `u` also - and _, `d` digits."""
        alphabets = {"h": HEX, "a": ALNUM, "u": ALNUM + "-_", "d": "0123456789", "l": LOWER + "0123456789"}
        shape = self.rng.choice(shapes)
        text = re.sub(r"<(.)(\d+)>", lambda m: _some(self.rng, alphabets[m[1]], int(m[2])), shape)
        return Drawn(text, Kind.SECRET)

    def _openai_key(self) -> Drawn:
        return self._shaped("sk-proj-<u48>", "sk-svcacct-<u60>", "sk-<a48>")

    def _anthropic_key(self) -> Drawn:
        return self._shaped("sk-ant-api03-<u93>AA")

    def _hf_token(self) -> Drawn:
        return self._shaped("hf_<a34>")

    def _gitlab_token(self) -> Drawn:
        return self._shaped("glpat-<u20>", "glpat-<a20>")

    def _npm_token(self) -> Drawn:
        return self._shaped("npm_<a36>")

    def _pypi_token(self) -> Drawn:
        return self._shaped("pypi-AgEIcHlwaS5vcmc<u140>")

    def _sendgrid_key(self) -> Drawn:
        return self._shaped("SG.<u22>.<u43>")

    def _slack_token(self) -> Drawn:
        return self._shaped("xoxb-<d12>-<d13>-<a24>", "xapp-1-A0<d9>-<d13>-<h64>")

    def _telegram_token(self) -> Drawn:
        return self._shaped("7<d9>:AA<u33>", "6<d9>:AA<u33>")

    def _discord_token(self) -> Drawn:
        number = base64.b64encode(f"1{_digits(self.rng, 17)}".encode()).decode()
        return self._shaped(f"{number}.G<a5>.<u38>")

    def _twilio_token(self) -> Drawn:
        return self._shaped("<h32>")

    def _sentry_dsn(self) -> Drawn:
        return self._shaped("https://<h32>@o<d6>.ingest.sentry.io/45<d5>")

    def _vendor_key(self) -> Drawn:
        return self._shaped(
            "glpat-<u20>", "npm_<a36>", "SG.<u22>.<u43>", "rk_live_<a24>", "whsec_<a32>", "key-<h32>", "dop_v1_<h64>", "shpat_<h32>",
            "dapi<h32>", "hvs.<a24>", "lin_api_<a40>", "sbp_<h40>", "glsa_<a32>_<h8>", "gsk_<a52>", "r8_<a37>", "dckr_pat_<u27>",
            "github_pat_<a22>_<a59>", "AIza<u35>", "ntn_<d11><a35>", "pat<a14>.<h64>", "PMAK-<h24>-<h34>", "sk-ant-api03-<u93>AA",
            "sk-proj-<u48>", "xoxp-<d12>-<d12>-<d12>-<h32>", "rubygems_<h48>", "sq0atp-<u22>", "pscale_tkn_<u43>", "figd_<u40>",
        )  # fmt: skip

    def _wireguard_key(self) -> Drawn:
        return Drawn(base64.b64encode(self.rng.randbytes(32)).decode(), Kind.SECRET)

    def _azure_dsn(self) -> Drawn:
        key = base64.b64encode(self.rng.randbytes(64)).decode()
        text = f"DefaultEndpointsProtocol=https;AccountName=kestrelfiles;AccountKey={key};EndpointSuffix=core.windows.net"
        return Drawn(text, Kind.SECRET)

    def _plain_key(self) -> Drawn:
        rng = self.rng
        uuid = "-".join(_some(rng, HEX, n) for n in (8, 4, 4, 4, 12))
        made = (
            _some(rng, HEX, 32),
            _some(rng, ALNUM, 40),
            _some(rng, HEX, 64),
            f"{uuid}:fx",
            _some(rng, ALNUM + "-_", 43),
        )
        return Drawn(rng.choice(made), Kind.SECRET)

    def _base64_key(self) -> Drawn:
        return Drawn(
            base64.b64encode(self.rng.randbytes(self.rng.choice([32, 32, 64]))).decode(), Kind.SECRET
        )

    def _basic_auth(self) -> Drawn:
        pair = f"{self._username().text}:{self._password().text}"
        return Drawn(base64.b64encode(pair.encode()).decode(), Kind.SECRET)

    def _dsn(self) -> Drawn:
        rng = self.rng
        name, word = _ascii(self._username().text), f"{_some(rng, ALNUM, rng.randint(10, 18))}"
        host = f"{rng.choice(['db', 'pg', 'data', 'mq'])}-{rng.choice(['prod', 'main', 'eu1'])}.{rng.choice(['kestrel', 'stadtwerk', 'papelito'])}.internal"
        made = (
            f"postgresql://{name}:{word}@{host}:5432/lettings", f"mysql://{name}:{word}@{host}/school?charset=utf8mb4",
            f"mongodb+srv://{name}:{word}@cluster0.{_some(rng, LOWER + '0123456789', 5)}.mongodb.net/clinic", f"redis://:{word}@{host}:6379/0",
            f"amqps://{name}:{word}@{host}/jobs",
            f"Server=tcp:{host},1433;Database=hr;User ID={name};Password={word};Encrypt=True;",
        )  # fmt: skip
        return Drawn(rng.choice(made), Kind.SECRET)

    def _webhook(self) -> Drawn:
        rng = self.rng
        made = (
            f"https://hooks.slack.com/services/T{_some(rng, UPPER + '0123456789', 10)}/B{_some(rng, UPPER + '0123456789', 10)}/{_some(rng, ALNUM, 24)}",
            f"https://discord.com/api/webhooks/1{_digits(rng, 18)}/{_some(rng, ALNUM + '-_', 68)}",
            f"https://hooks.zapier.com/hooks/catch/{_digits(rng, 7)}/{_some(rng, LOWER + '0123456789', 7)}/",
        )
        return Drawn(rng.choice(made), Kind.SECRET)

    def _private_key(self) -> Drawn:
        rng = self.rng
        name, lead = rng.choice(
            [
                ("RSA PRIVATE KEY", "MIIEowIBAAKCAQEA"),
                ("OPENSSH PRIVATE KEY", "b3BlbnNzaC1rZXktdjEAAAAA"),
                ("EC PRIVATE KEY", "MHcCAQEEI"),
            ]
        )
        body = lead + _some(rng, ALNUM + "+/", 64 * 5 - len(lead) - 2) + "=="
        lines = "\n".join(body[i : i + 64] for i in range(0, len(body), 64))
        return Drawn(f"-----BEGIN {name}-----\n{lines}\n-----END {name}-----", Kind.SECRET)
