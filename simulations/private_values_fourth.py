"""Values of the fourth volume of prompts: invented people of many countries, and credentials in the files they live in.

Written blind, by somebody who never opened a detector. Telephone numbers come from the ranges that regulators keep
for fiction where a country has one; whatever has a checksum has a right one; the bodies of keys are noise.
"""

from __future__ import annotations

import base64
import json
from functools import partial
from hashlib import sha256
from urllib.parse import quote

from renga.client.sanitisation.entities import Kind
from renga.simulations.private_values import ALNUM, UPPER, Drawn, _digits, _some
from renga.simulations.private_values_second import MESES, MOIS, MONATE, MONTHS
from renga.simulations.private_values_third import ThirdValues

GIVEN = (
    "Theodora Winston Ngozi Piers Saoirse Malik Henrietta Joaquin Beatrix Ravi Odette Clive Zainab Gareth Philippa "
    "Tyrone Anjali Rupert Esperanza Cormac Latoya Nigel Ayesha Brandon Wilhelmina Kofi Stacey Rajesh Tabitha Curtis "
    "Minh Gwendolyn Darnell Svetlana Percy Amara Todd Meera Joan Pete Karen Dave Liz Samir April Summer Chase"
).split()
FAMILY = (
    "Abernathy|Okafor|Thistlewood|Banerjee|O'Sullivan|Kirkpatrick|Chukwu|Lockhart|Mukherjee|Hargreaves|Espinoza|"
    "Da Silva|Featherstone|Pham|Novak|Blackwood|Jarvis|Subramanian|Winterbourne|Goldstein|Haddad|McNamara|Petrov|"
    "Ellington|Choudhury|Barlow|Sorensen|Tillman|Yeo|Crabtree|Singh|Baker|Wood|Page|Lane"
).split("|")
JAPANESE = (
    ("大河内", "おおこうち", "Okochi"), ("七海", "ななみ", "Nanami"), ("鷲尾", "わしお", "Washio"),
    ("五十嵐", "いがらし", "Igarashi"), ("樋口", "ひぐち", "Higuchi"), ("真壁", "まかべ", "Makabe"),
    ("佐々木", "ささき", "Sasaki"), ("柚木", "ゆずき", "Yuzuki"), ("西園寺", "さいおんじ", "Saionji"),
    ("渡邉", "わたなべ", "Watanabe"), ("森", "もり", "Mori"), ("日向", "ひゅうが", "Hyuga"),
    ("安達", "あだち", "Adachi"), ("水谷", "みずたに", "Mizutani"), ("牧野", "まきの", "Makino"),
    ("髙橋", "たかはし", "Takahashi"), ("城戸", "きど", "Kido"), ("比嘉", "ひが", "Higa"),
)  # fmt: skip
JAPANESE_GIVEN = (
    ("琴音", "ことね", "Kotone"), ("壮太", "そうた", "Sota"), ("明日香", "あすか", "Asuka"), ("蓮", "れん", "Ren"),
    ("志保", "しほ", "Shiho"), ("大和", "やまと", "Yamato"), ("幸子", "さちこ", "Sachiko"), ("徹", "とおる", "Toru"),
    ("陽菜", "ひな", "Hina"), ("康介", "こうすけ", "Kosuke"), ("ゆかり", "ゆかり", "Yukari"), ("光", "ひかる", "Hikaru"),
    ("文子", "ふみこ", "Fumiko"), ("悠真", "ゆうま", "Yuma"), ("茜", "あかね", "Akane"), ("良平", "りょうへい", "Ryohei"),
)  # fmt: skip
EUROPE = {
    "de": ("Friederike Torsten Gudrun Jonas Heike Detlef", "Rosenkranz|Vogelsang|Müllner|Baumgärtner|von Thun|Kessler"),
    "fr": ("Solène Thibault Maëlys Gérard Océane Loïc", "Carpentier|Le Goff|Boulanger|d'Arcy|Fontaine|Berthelot"),
    "es": ("Nuria Gonzalo Itziar Ramón Macarena Íñigo", "Aguirre Soler|Montoya|Peñalver|Ibarra Ruiz|Cifuentes|Roldán"),
}  # fmt: skip
STREETS = "Tamarack Drive|Cobblestone Ct|SE Hawthorne Blvd|Whispering Pines Rd|Magnolia St|County Road 12|Lexington Ave|Mesa Verde Way".split("|")  # fmt: skip
TOWNS = "Missoula, MT 59801|Asheville, NC 28801|Santa Fe, NM 87501|Kalamazoo, MI 49007|Burlington, Vermont 05401|Waco TX 76701".split("|")  # fmt: skip
UK_STREETS = (
    "Wren Street|Marlborough Gardens|Bakehouse Hill|Cathedral Mews|Ferry Road|Nightingale Grove".split("|")
)
UK_TOWNS = "Nottingham NG7 2RD|Bath BA1 5LN|London N16 8JN|Aberdeen AB24 3UE|Swansea SA2 0UT|Brighton BN2 9QA".split("|")  # fmt: skip
JA_PLACES = (
    "千葉県船橋市宮本|兵庫県西宮市甲子園口|東京都練馬区豊玉北|広島県広島市南区宇品神田|沖縄県那覇市首里石嶺町|"
    "宮城県仙台市青葉区国分町|新潟県長岡市大手通|目黒区自由が丘|静岡市葵区鷹匠|熊本県熊本市中央区水前寺"
).split("|")
JA_HOUSES = "レジデンス桜台|ハイム三番館|ヴィラ・フローラ|コーポ大空|リバーサイド東雲|県営第三団地".split("|")
NOUNS = (
    "pretzel quasar mitten thunder beagle saffron kayak dragon pickle comet raven teapot bonsai waffle glacier "
    "puzzle otter banjo clover ember"
).split()
HEX = "0123456789abcdef"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def _part(data: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(data).encode()).decode().rstrip("=")


class FourthValues(ThirdValues):
    """Slots that the fourth volume names; of the earlier ones it uses numbers with checksums only."""

    def _n(self, low: int, high: int) -> int:
        return self.rng.randint(low, high)

    def _noun(self) -> str:
        return self.rng.choice(NOUNS)

    def _person4(self) -> Drawn:
        one = self._named(self._one(*GIVEN), self._one(*FAMILY))
        given, family = one.forms["given"], one.forms["family"]
        more = {"comma": f"{family}, {given}", "all": one.text.lower(), "upper": one.text.upper()}
        more |= {"email": one.forms["email"].replace("fastpost.net", "thornbury.io")}
        return Drawn(one.text, one.kind, {**one.forms, **more, "pct": quote(one.text)})

    def _given4(self) -> Drawn:
        given = self._one(*GIVEN[:-3])
        return Drawn(given, Kind.PERSON, {"lower": given.lower()})

    def _ja4(self) -> Drawn:
        (family, kana1, roman1), (given, kana2, roman2) = (
            self.rng.choice(JAPANESE),
            self.rng.choice(JAPANESE_GIVEN),
        )
        kata = "".join(chr(ord(c) + 0x60) if "ぁ" <= c <= "ゖ" else c for c in f"{kana1} {kana2}")
        forms = {"family": family, "given": given, "kana": f"{kana1} {kana2}", "katakana": kata}
        forms |= {"romaji": f"{roman2} {roman1}", "eastern": f"{roman1.upper()} {roman2}"}
        forms |= {"email": f"{roman2[0]}.{roman1}@post-mail.ne.jp".lower(), "givenkana": kana2}
        return Drawn(f"{family}{self._one('', '', ' ', '　')}{given}", Kind.PERSON, forms)

    def _european(self, language: str) -> Drawn:
        given, family = EUROPE[language]
        return self._named(self._one(*given.split()), self._one(*family.split("|")))

    def _de4(self) -> Drawn:
        return self._european("de")

    def _fr4(self) -> Drawn:
        return self._european("fr")

    def _es4(self) -> Drawn:
        return self._european("es")

    def _us4(self) -> Drawn:
        unit = self._one("", "", f" Apt {self._n(1, 30)}B", f", Unit {self._n(100, 999)}", f", Ste {self._n(2, 40)}")  # fmt: skip
        return Drawn(f"{self._n(11, 9899)} {self._one(*STREETS)}{unit}, {self._one(*TOWNS)}", Kind.ADDRESS)

    def _street4(self) -> Drawn:
        return Drawn(f"{self._n(11, 9899)} {self._one(*STREETS)}", Kind.ADDRESS)

    def _uk4(self) -> Drawn:
        lead = self._one("", "", f"Flat {self._n(1, 40)}, ", f"Room {self._n(1, 60)}, Aldous House, ")
        return Drawn(
            f"{lead}{self._n(1, 190)} {self._one(*UK_STREETS)}, {self._one(*UK_TOWNS)}", Kind.ADDRESS
        )

    def _ja_addr5(self) -> Drawn:
        place, a, b, c = self._one(*JA_PLACES), self._n(1, 7), self._n(1, 40), self._n(1, 25)
        house, room = self._one(*JA_HOUSES), self._n(101, 1205)
        return self._kind(
            Kind.ADDRESS, f"{place}{a}-{b}-{c}", f"{place}{a}丁目{b}番地{c}", f"{place}{a}丁目{b}-{c} {house}{room}",
            f"{place}{a}-{b}-{c}-{room}", f"〒{_digits(self.rng, 3)}-{_digits(self.rng, 4)} {place}{a}－{b}－{c}",
            f"{place}{'一二三四五六七'[a - 1]}丁目{b}番{c}号{house}{room}号室",
        )  # fmt: skip

    def _de_addr4(self) -> Drawn:
        street = self._one("Birkenallee", "Schillerstr.", "Am Alten Hafen", "Untere Marktgasse")
        town = self._one("37073 Göttingen", "01099 Dresden", "D-48143 Münster", "90402 Nürnberg")
        return Drawn(f"{street} {self._n(1, 140)}{self._one('', 'c')}, {town}", Kind.ADDRESS)

    def _fr_addr4(self) -> Drawn:
        street = self._one("rue du Faubourg", "boulevard Carnot", "impasse des Cerisiers", "quai Voltaire")
        town = self._one("59000 Lille", "33000 Bordeaux", "35000 Rennes", "13006 Marseille")
        return Drawn(f"{self._n(1, 160)}{self._one('', ' ter')} {street}, {town}", Kind.ADDRESS)

    def _es_addr4(self) -> Drawn:
        street = self._one("Calle Luna", "Avenida del Puerto", "Paseo de Gracia", "C/ San Roque")
        town = self._one("48001 Bilbao", "29012 Málaga", "08007 Barcelona", "50003 Zaragoza")
        return Drawn(f"{street} {self._n(1, 140)}, {self._n(1, 9)}º {self._one('C', 'dcha.')}, {town}", Kind.ADDRESS)  # fmt: skip

    def _phone4(self) -> Drawn:
        area, last = self._one("303", "415", "617", "808", "512"), f"01{self._n(0, 99):02}"
        return self._kind(
            Kind.PHONE, f"({area}) 555-{last}", f"{area}-555-{last}", f"+1 {area}-555-{last}", f"{area}.555.{last}",
            f"{area}555{last}", f"1-{area}-555-{last}", f"{area} 555 {last}",
        )  # fmt: skip

    def _uk_phone4(self) -> Drawn:
        a = self._n(0, 999)
        return self._kind(Kind.PHONE, f"07700 900{a:03}", f"+44 7700 900{a:03}", f"020 7946 0{a:03}", f"0161 496 0{a:03}", f"07700900{a:03}")  # fmt: skip

    def _ja_phone4(self) -> Drawn:
        lead, a, b = self._one("090", "080", "070"), f"{self._n(1000, 9999)}", _digits(self.rng, 4)
        return self._kind(
            Kind.PHONE, f"{lead}-{a}-{b}", f"{lead}{a}{b}", f"{lead}.{a}.{b}", f"03-{self._n(3200, 3999)}-{b}",
            f"+81{lead[1:]}{a}{b}", f"06({self._n(6200, 6999)}){b}",
        )  # fmt: skip

    def _de_phone4(self) -> Drawn:
        a = self._n(10, 99)
        return self._kind(
            Kind.PHONE, f"030 23125 0{a}", f"0171 39200{a}", f"+49 171 39200{a}", f"040/66969-0{a}"
        )

    def _fr_phone4(self) -> Drawn:
        a, b = self._n(10, 99), self._n(10, 99)
        return self._kind(Kind.PHONE, f"01 99 00 {a} {b}", f"06.39.98.{a}.{b}", f"+33 6 39 98 {a} {b}", f"063998{a}{b}")  # fmt: skip

    def _es_phone4(self) -> Drawn:
        a, b = self._n(100, 999), self._n(100, 999)
        return self._kind(Kind.PHONE, f"612 {a} {b}", f"+34 612 {a} {b}", f"612{a}{b}")

    def _born4(self) -> Drawn:
        b = self._born()
        month = MONTHS[b.month - 1]
        return self._kind(
            Kind.DOB, f"{b.month}/{b.day}/{b.year}", f"{month} {b.day} {b.year}", f"{b.day} {month[:3]} {b.year}",
            f"{b:%Y-%m-%d}", f"{month[:3]} {b.day}, {b.year}", f"{b:%d.%m.%Y}", f"{b:%d/%m/%y}",
        )  # fmt: skip

    def _ja_born4(self) -> Drawn:
        b = self._born()
        old = b.year < 1989
        era = f"{'昭和' if old else '平成'}{b.year - (1925 if old else 1988)}年{b.month}月{b.day}日"
        return self._kind(Kind.DOB, era, f"{b.year}年{b.month}月{b.day}日", f"{b:%Y/%m/%d}", f"{b:%Y-%m-%d}")

    def _de_born4(self) -> Drawn:
        b = self._born()
        return self._kind(Kind.DOB, f"{b.day}. {MONATE[b.month - 1]} {b.year}", f"{b:%d.%m.%Y}")

    def _fr_born4(self) -> Drawn:
        b = self._born()
        return self._kind(Kind.DOB, f"{b.day} {MOIS[b.month - 1]} {b.year}", f"{b:%d/%m/%Y}")

    def _es_born4(self) -> Drawn:
        b = self._born()
        return self._kind(Kind.DOB, f"{b.day} de {MESES[b.month - 1]} de {b.year}", f"{b:%d/%m/%Y}")

    def _mail4(self) -> Drawn:
        local = self._one(
            f"{self._noun()}.{self._noun()}", f"{self._noun()}{self._n(1, 99)}", f"{self._noun()}+shop"
        )
        host = self._one("kestrelmail.com", "post.mossgrove.co.uk", "gmail.com", "tsuki-net.jp", "icloud.com")
        return Drawn(f"{local}@{host}", Kind.EMAIL)

    def _mail_b64(self) -> Drawn:
        return Drawn(base64.b64encode(self._mail4().text.encode()).decode(), Kind.EMAIL)

    def _mail_pct(self) -> Drawn:
        return Drawn(quote(self._mail4().text, safe=""), Kind.EMAIL)

    def _mail_spelt(self) -> Drawn:
        return Drawn(f"{self._noun()} dot {self._noun()} at gmail dot com", Kind.EMAIL)

    def _handle4(self) -> Drawn:
        a, b = self._noun(), self._noun()
        return self._kind(Kind.USERNAME, f"{a}_{b}", f"{a}{b}{self._n(1, 999)}", f"the_{a}", f"{a}.{b}", f"{a}-{self._n(10, 99)}")  # fmt: skip

    def _pw4(self) -> Drawn:
        a, b, n = self._noun(), self._noun(), self._n(10, 999)
        return self._secret(
            f"{a.title()}{b.title()}{n}!", f"{a}#{b}{n}", f"{a.replace('e', '3').replace('a', '@')}{n}", f"{a.title()}_{n}",
            f"I<3{b}{n}", f"{_some(self.rng, ALNUM, 5)}!{_some(self.rng, ALNUM, 5)}{n}", f"{a}{b}{n}", f"{a.upper()}{b}?{n}",
        )  # fmt: skip

    def _strong4(self) -> Drawn:
        return Drawn(f"{_some(self.rng, ALNUM, 7)}-{_some(self.rng, ALNUM, 6)}{self._n(1, 9)}", Kind.SECRET)

    def _code4(self) -> Drawn:
        return Drawn(_digits(self.rng, self._n(4, 8)), Kind.SECRET)

    def _seed4(self) -> Drawn:
        return Drawn(" ".join(self.rng.sample(NOUNS, 12)), Kind.SECRET)

    def _opaque4(self) -> Drawn:
        return self._secret(
            _some(self.rng, ALNUM, 36), _some(self.rng, HEX, 40), _some(self.rng, ALNUM + "-_", 48)
        )

    def _b64pw4(self) -> Drawn:
        return Drawn(base64.b64encode(f"{self._strong4().text}\n".encode()).decode(), Kind.SECRET)

    def _vendor4(self) -> Drawn:
        rng = self.rng
        a, h = partial(_some, rng, ALNUM), partial(_some, rng, HEX)
        return self._secret(
            f"sk-or-v1-{h(64)}", f"sk-ant-admin01-{a(93)}AA", f"pplx-{a(48)}", f"xai-{a(80)}", f"nvapi-{a(64)}",
            f"xapp-1-A{_some(rng, UPPER, 10)}-{_digits(rng, 13)}-{h(64)}", f"gho_{a(36)}", f"glrt-{a(20)}", f"doo_v1_{h(64)}",
            f"dp.st.prd.{a(43)}", f"sntrys_{a(60)}", f"phc_{a(43)}", f"sbp_{h(40)}", f"re_{a(8)}_{a(24)}", f"tskey-auth-{a(12)}CNTRL-{a(32)}",
            f"EAACEdEose0cBA{a(60)}", f"AKCp{a(69)}", f"rubygems_{h(48)}", f"ops_{_part({'email': 'x'})}{a(80)}", f"fo1_{a(43)}",
            f"pscale_tkn_{a(43)}", f"LTAI{a(20)}", f"ASIA{_some(rng, UPPER + '234567', 16)}", f"AC{h(32)}", f"lsv2_pt_{h(32)}_{h(10)}",
            f"secret_{a(43)}", f"tvly-{a(32)}", f"co_live_{a(40)}", f"CFPAT-{a(43)}", f"glsa_{a(32)}_{h(8)}",
        )  # fmt: skip

    def _jwt4(self) -> Drawn:
        body = _part({"iss": "auth", "uid": self._n(1000, 99999), "exp": 1900000000 + self._n(0, 9999)})
        return Drawn(f"{_part({'typ': 'JWT', 'alg': 'RS256'})}.{body}.{_some(self.rng, ALNUM + '-_', 86)}", Kind.SECRET)  # fmt: skip

    def _pem4(self) -> Drawn:
        body = base64.b64encode(self.rng.randbytes(192)).decode()
        label = self._one("OPENSSH PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "DSA PRIVATE KEY")
        lines = "\n".join(body[i : i + 64] for i in range(0, len(body), 64))
        return Drawn(f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----", Kind.SECRET)

    def _conn4(self) -> Drawn:
        user, word = self._one("orders_rw", "etl", "sa"), f"{self._noun()}{_some(self.rng, ALNUM, 9)}"
        return self._secret(
            f"postgresql+asyncpg://{user}:{word}@pg-7.ledger.internal:6432/orders", f"mongodb://{user}:{word}@mongo-0:27017/?authSource=admin",
            f"Server=tcp:sql4.ledger.internal,1433;Database=crm;User Id={user};Password={word};", f"rediss://default:{word}@cache.ledger.internal:6380",
            f"jdbc:mysql://db4:3306/crm?user={user}&password={word}", f"clickhouse://{user}:{word}@ch.ledger.internal/logs", f"ftp://{user}:{word}@files.ledger.internal/in",
        )  # fmt: skip

    def _hook4(self) -> Drawn:
        rng = self.rng
        return self._secret(
            f"https://hooks.slack.com/triggers/T0{_some(rng, UPPER, 8)}/{_digits(rng, 13)}/{_some(rng, HEX, 32)}",
            f"https://discordapp.com/api/webhooks/{_digits(rng, 19)}/{_some(rng, ALNUM + '-_', 68)}",
            f"https://chat.googleapis.com/v1/spaces/{_some(rng, ALNUM, 11)}/messages?key={_some(rng, ALNUM, 39)}&token={_some(rng, ALNUM, 43)}",
            f"https://hooks.zapier.com/hooks/catch/{_digits(rng, 7)}/{_some(rng, ALNUM.lower(), 7)}/", f"https://maker.ifttt.com/trigger/door/with/key/{_some(rng, ALNUM, 22)}",
        )  # fmt: skip

    def _basicurl4(self) -> Drawn:
        return Drawn(
            f"https://{self._noun()}:{self._strong4().text}@registry.ledger.internal/simple", Kind.SECRET
        )

    def _basic4(self) -> Drawn:
        return Drawn(
            base64.b64encode(f"{self._noun()}:{self._strong4().text}".encode()).decode(), Kind.SECRET
        )

    def _url4(self) -> Drawn:
        rng, name = self.rng, f"{self._noun()}-{self._noun()}-{self._n(10, 99)}"
        return self._kind(
            Kind.URL, f"https://www.facebook.com/{name.replace('-', '.')}", f"https://www.instagram.com/{name.replace('-', '_')}/",
            f"https://1drv.ms/w/s!{_some(rng, ALNUM, 22)}", f"https://calendly.com/{name}/30min", f"https://my.oakvalehealth.org/results?patient={_digits(rng, 8)}",
            f"https://share.icloud.com/photos/0{_some(rng, ALNUM, 20)}",
        )  # fmt: skip

    def _btc4(self) -> Drawn:
        raw = bytes([0, self._n(1, 255)]) + self.rng.randbytes(19)
        number, text = int.from_bytes(raw + sha256(sha256(raw).digest()).digest()[:4]), ""
        while number:
            number, at = divmod(number, 58)
            text = BASE58[at] + text
        return Drawn(f"1{text}", Kind.CRYPTO_WALLET)

    def _eth4(self) -> Drawn:
        return Drawn(f"0x{_some(self.rng, HEX, 40)}", Kind.CRYPTO_WALLET)

    def _member4(self) -> Drawn:
        return self._kind(Kind.ACCOUNT_ID, _digits(self.rng, 10), f"{_some(self.rng, UPPER, 2)}-{_digits(self.rng, 7)}", f"M{_digits(self.rng, 8)}")  # fmt: skip

    def _insured4(self) -> Drawn:
        return self._kind(Kind.HEALTH_ID, f"{_some(self.rng, UPPER, 3)}{_digits(self.rng, 8)}", _digits(self.rng, 9), f"MRN{_digits(self.rng, 7)}")  # fmt: skip

    def _ja_insured4(self) -> Drawn:
        return Drawn(_digits(self.rng, 8), Kind.HEALTH_ID)

    def _licence4(self) -> Drawn:
        return self._kind(Kind.DRIVER_LICENSE, f"{self._one(*UPPER)}{_digits(self.rng, 12)}", f"{_digits(self.rng, 9)}", f"{_some(self.rng, UPPER, 2)}{_digits(self.rng, 6)}")  # fmt: skip

    def _plate4(self) -> Drawn:
        return self._kind(
            Kind.VEHICLE_PLATE, f"{_some(self.rng, UPPER, 3)} {_digits(self.rng, 4)}", f"{self._n(1, 9)}{_some(self.rng, UPPER, 3)}{_digits(self.rng, 3)}",
            f"{self._one('AB', 'KX', 'WN')}{self._n(11, 74)} {_some(self.rng, 'BCDFGHJK', 3)}",
        )  # fmt: skip

    def _ja_plate4(self) -> Drawn:
        place = self._one("世田谷", "湘南", "神戸", "春日部", "沼津")
        return Drawn(f"{place}{self._one(' ', '')}{self._one('301', '580', '33')}{self._one(' ', '')}{self._one(*'すせたちの')}{self._one(' ', '')}{self._n(10, 99)}-{self._n(10, 99)}", Kind.VEHICLE_PLATE)  # fmt: skip

    def _account4(self) -> Drawn:
        return self._kind(
            Kind.BANK_ACCOUNT, _digits(self.rng, 8), _digits(self.rng, 10), _digits(self.rng, 12)
        )

    def _ja_account4(self) -> Drawn:
        return Drawn(_digits(self.rng, 7), Kind.BANK_ACCOUNT)

    def _passport4(self) -> Drawn:
        return self._kind(Kind.PASSPORT, _digits(self.rng, 9), f"{_some(self.rng, 'CFGHJK', 2)}{_digits(self.rng, 7)}", f"C{_digits(self.rng, 8)}")  # fmt: skip

    def _private_ip4(self) -> Drawn:
        return self._kind(Kind.IP_ADDRESS, f"192.168.{self._n(2, 60)}.{self._n(11, 250)}", f"172.{self._n(17, 30)}.{self._n(1, 250)}.{self._n(11, 250)}", self.fake["en_US"].ipv4_public())  # fmt: skip

    def _noun_secret4(self) -> Drawn:
        return Drawn(f"{self._noun()}{self._noun()}", Kind.SECRET)

    def _all_person4(self) -> Drawn:
        return Drawn(self._person4().text.lower(), Kind.PERSON)

    def _hf4(self) -> Drawn:
        return Drawn(f"hf_{_some(self.rng, ALNUM, 34)}", Kind.SECRET)

    def _zip4(self) -> Drawn:
        return Drawn(f"{_digits(self.rng, 3)}-{_digits(self.rng, 4)}", Kind.ADDRESS)

    def _ja_addr6(self) -> Drawn:
        return Drawn(
            f"{self._one(*JA_PLACES)}{self._n(1, 7)}-{self._n(1, 40)}-{self._n(1, 25)}", Kind.ADDRESS
        )

    def _kanji_phone4(self) -> Drawn:
        digits = f"0{self._one('9', '8', '7')}0{self._n(1000, 9999)}{_digits(self.rng, 4)}"
        return Drawn(digits.translate(str.maketrans("0123456789", "〇一二三四五六七八九")), Kind.PHONE)
