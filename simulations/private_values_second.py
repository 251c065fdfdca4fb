"""Values of the second volume of prompts: other names, wordings of dates, and secrets of many vendors.

Written without looking at any detector. Whatever has a checksum has a right one.
"""

from __future__ import annotations

import base64
import datetime
import unicodedata
from functools import partial
from typing import Any

from renga.client.sanitisation.entities import Kind
from renga.simulations.private_values import ALNUM, UPPER, Drawn, Values, _digits, _some, _until

GIVEN = (
    "Oluwaseun Siobhán Katarzyna Xiaoming Fatima Björn Priya Kwame Anneliese Mateo Thandiwe Yusuf Ingrid Rafael "
    "Nguyet Dmitri Leilani Hamza Zsófia Jean-Luc Mei-Ling Ana-Maria Tariq Eleni Bartosz Chiamaka Sanjay Noor "
    "Giulia Tomasz Aoife Ibrahim Renske Vikram Marisol Anders Soo-jin Farid Lucinda Tobias Grace Mark Will Rose"
).split()
FAMILY = (
    "Adebayo|O'Connor|Wójcik|Zhang|al-Rashid|Lindqvist|Raghunathan|Mensah|van der Berg|García López|Nkosi|Demir|"
    "Haugen|Ferreira|Tran|Volkov|Kealoha|Siddiqui|Szabó|Moreau|Huang|Popescu|Mahmood|Papadopoulos|Kowalski|"
    "Okonkwo|Gupta|Rahman|Ricci|Zielinski|Byrne|Diallo|de Vries|Iyer|Castillo|Nygaard|Park|Hosseini|Hale|"
    "Brandt|Young|Brown|Bishop|Stone"
).split("|")
STREETS = "Alder Lane|Mill Road|Sycamore Ave|W 4th St|Old Quarry Rd|Harbour View|St. Mary's Close|Kingfisher Dr|N Fremont Blvd|Castle Hill".split(
    "|"
)
US_TOWNS = "Boise, ID 83702|Duluth, MN 55802|Savannah, GA 31401|Eugene, OR 97401|Albany, New York 12207|El Paso, TX 79901".split(
    "|"
)
UK_TOWNS = (
    "Leeds LS6 3HN|Norwich NR2 1TF|Cardiff CF10 3AT|London SW9 8JH|Edinburgh EH8 9YL|Hove BN3 2WB".split("|")
)
MONTHS = "January February March April May June July August September October November December".split()
MOIS = "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split()
MESES = "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre".split()
MONATE = "Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split()
JA_PLACES = (
    "東京都世田谷区北沢|神奈川県鎌倉市由比ガ浜|大阪府豊中市本町|北海道札幌市中央区南三条西|京都市左京区吉田神楽岡町|"
    "名古屋市千種区今池|福岡県福岡市早良区西新|長野県松本市大手|埼玉県さいたま市浦和区岸町|石川県金沢市片町"
).split("|")
JA_BUILDINGS = "サンハイツ|コーポ田園|グランメゾン|メゾン・ド・ソレイユ|第二青葉荘|パークタワー".split("|")
WORDS = (
    "ribbon tunnel ladder velvet orbit candy winter panda fossil magnet tiger cactus lemon rocket salon harvest "
    "museum pencil ocean bridge guitar walnut silver planet"
).split()


class SecondValues(Values):
    """Slots of the first volume, and those that the second one names."""

    def _one(self, *choices: str) -> str:
        return self.rng.choice(choices)

    def _kind(self, kind: Kind, *choices: str) -> Drawn:
        return Drawn(self._one(*choices), kind)

    def _secret(self, *choices: str) -> Drawn:
        return self._kind(Kind.SECRET, *choices)

    def _named(self, given: str, family: str) -> Drawn:
        plain = unicodedata.normalize("NFKD", f"{given}.{family}").encode("ascii", "ignore").decode()
        local = plain.lower().replace(" ", "").replace("'", "")
        forms = {
            "given": given,
            "family": family,
            "lower": given.lower(),
            "initials": f"{given[0]}. {family}",
            "email": f"{local}@fastpost.net",
        }
        return Drawn(f"{given} {family}", Kind.PERSON, forms)

    def _world_person(self) -> Drawn:
        return self._named(self._one(*GIVEN), self._one(*FAMILY))

    def _it_person(self) -> Drawn:
        return self._named(
            self._one("Giovanni", "Chiara", "Luca", "Elena"), self._one("Esposito", "Conti", "Bianchi")
        )

    def _nl_person(self) -> Drawn:
        return self._named(self._one("Sanne", "Daan", "Femke"), self._one("Jansen", "van Dijk", "Bakker"))

    def _pl_person(self) -> Drawn:
        return self._named(
            self._one("Agnieszka", "Piotr", "Małgorzata"), self._one("Lewandowska", "Nowak", "Zając")
        )

    def _uk_address(self) -> Drawn:
        number, street, town = self.rng.randint(1, 240), self._one(*STREETS), self._one(*UK_TOWNS)
        return self._kind(
            Kind.ADDRESS,
            f"Flat {self.rng.randint(1, 30)}, {number} {street}, {town}",
            f"{number}a {street}, {town}",
            f"{number} {street}, {town}",
        )

    def _us_address(self) -> Drawn:
        number, street, town = self.rng.randint(10, 9900), self._one(*STREETS), self._one(*US_TOWNS)
        return self._kind(
            Kind.ADDRESS,
            f"{number} {street}, Apt {self.rng.randint(1, 40)}, {town}",
            f"{number} {street} #{self.rng.randint(1, 99)}, {town}",
            f"{number} {street}, {town}",
            f"{number} {street}\n{town}",
        )

    def _intl_phone(self) -> Drawn:
        d = self.rng.randint
        return self._kind(
            Kind.PHONE,
            f"+44 20 79{d(10, 99)} {d(1000, 9999)}",
            f"020 79{d(10, 99)} {d(1000, 9999)}",
            f"(0161) 496 {d(1000, 9999)}",
            f"+91 98{d(100, 999)} {d(10000, 99999)}",
            f"+1-{d(206, 209)}-{d(300, 899)}-{d(1000, 9999)} ext. {d(10, 99)}",
            f"+61 4{d(10, 99)} {d(100, 999)} {d(100, 999)}",
            f"+33 6 {d(10, 99)} {d(10, 99)} {d(10, 99)} {d(10, 99)}",
            f"07{d(300, 999)}{d(100000, 999999)}",
            f"({d(206, 209)}){d(300, 899)}-{d(1000, 9999)}",
        )

    def _born(self) -> datetime.date:
        return datetime.date(1940, 1, 1) + datetime.timedelta(days=self.rng.randint(0, 365 * 64))

    def _dob_words(self) -> Drawn:
        b = self._born()
        month = MONTHS[b.month - 1]
        ordinal = f"{b.day}{'th' if 10 < b.day < 14 else {1: 'st', 2: 'nd', 3: 'rd'}.get(b.day % 10, 'th')}"
        return self._kind(
            Kind.DOB,
            f"{ordinal} of {month} {b.year}",
            f"{month} {ordinal}, {b.year}",
            f"{b.day} {month[:3]} {b.year}",
            f"{b.month}/{b.day}/{b.year % 100:02}",
            f"{b.day:02}-{b.month:02}-{b.year}",
            f"{month[:3]}. {b.day}, {b.year}",
        )

    def _dob_iso(self) -> Drawn:
        return Drawn(self._born().isoformat(), Kind.DOB)

    def _de_dob(self) -> Drawn:
        b = self._born()
        return self._kind(
            Kind.DOB,
            f"{b.day}.{b.month}.{b.year}",
            f"{b.day}. {MONATE[b.month - 1]} {b.year}",
            f"{b:%d.%m.%y}",
        )

    def _fr_dob(self) -> Drawn:
        b = self._born()
        return self._kind(Kind.DOB, f"{b.day} {MOIS[b.month - 1]} {b.year}", f"{b:%d/%m/%Y}")

    def _es_dob(self) -> Drawn:
        b = self._born()
        return self._kind(Kind.DOB, f"{b.day} de {MESES[b.month - 1]} de {b.year}", f"{b:%d-%m-%Y}")

    def _ja_dob2(self) -> Drawn:
        b = self._born()
        era = f"昭和{b.year - 1925}年" if b.year < 1989 else f"平成{b.year - 1988}年"
        short = f"S{b.year - 1925}" if b.year < 1989 else f"H{b.year - 1988}"
        return self._kind(
            Kind.DOB,
            f"{era}{b.month}月{b.day}日",
            f"{b.year}年{b.month}月{b.day}日",
            f"{b.year}.{b.month}.{b.day}",
            f"{short}.{b.month}.{b.day}",
        )

    def _conn_string(self) -> Drawn:
        user, word = self._one("app", "svc_report", "root"), _some(self.rng, ALNUM, 12)
        return self._secret(
            f"postgres://{user}:{word}@db.prod.internal:5432/app",
            f"mongodb+srv://{user}:{word}@cluster0.x3k9q.mongodb.net/prod?retryWrites=true",
            f"mysql+pymysql://{user}:{word}@10.2.3.4/crm",
            f"redis://:{word}@cache-7.shop.io:6379/0",
            f"amqps://{user}:{word}@rabbit.shop.io/vh1",
        )

    def _openai_key(self) -> Drawn:
        halves = [_some(self.rng, ALNUM + "-_", 74) for _ in range(2)]
        return self._secret(f"sk-{_some(self.rng, ALNUM, 48)}", f"sk-proj-{'T3BlbkFJ'.join(halves)}")

    def _vendor_key(self) -> Drawn:
        rng = self.rng
        a, h = partial(_some, rng, ALNUM), partial(_some, rng, "0123456789abcdef")
        return self._secret(
            f"xoxb-{_digits(rng, 12)}-{_digits(rng, 13)}-{a(24)}",
            f"glpat-{a(20)}",
            f"sk-ant-api03-{a(93)}-{a(6)}AA",
            f"SK{h(32)}",
            f"GOCSPX-{a(28)}",
            f"ya29.{a(60)}",
            f"rk_live_{a(24)}",
            f"whsec_{a(32)}",
            f"shpat_{h(32)}",
            f"dop_v1_{h(64)}",
            f"hf_{a(34)}",
            f"dapi{h(32)}",
            f"key-{h(32)}",
            f"NRAK-{_some(rng, UPPER + '0123456789', 27)}",
            f"lin_api_{a(40)}",
            f"ntn_{a(46)}",
            f"figd_{a(40)}",
            f"ATATT3xFfGF0{a(60)}",
            f"hvs.{a(90)}",
            f"github_pat_{a(22)}_{a(59)}",
            f"pat{a(14)}.{h(64)}",
            f"gsk_{a(52)}",
            f"r8_{a(37)}",
            f"AGE-SECRET-KEY-1{_some(rng, 'QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L', 58)}",
            f"PMAK-{h(24)}-{h(34)}",
            f"sq0atp-{a(22)}",
            f"pypi-AgEIcHlwaS5vcmc{a(90)}",
        )

    def _hex_key(self) -> Drawn:
        return Drawn(_some(self.rng, "0123456789abcdef", self.rng.choice([32, 40, 64])), Kind.SECRET)

    def _sendgrid(self) -> Drawn:
        return Drawn(
            f"SG.{_some(self.rng, ALNUM + '-_', 22)}.{_some(self.rng, ALNUM + '-_', 43)}", Kind.SECRET
        )

    def _npm_token(self) -> Drawn:
        return Drawn(f"npm_{_some(self.rng, ALNUM, 36)}", Kind.SECRET)

    def _telegram(self) -> Drawn:
        return Drawn(f"{_digits(self.rng, 10)}:AA{_some(self.rng, ALNUM + '-_', 33)}", Kind.SECRET)

    def _azure_secret(self) -> Drawn:
        return Drawn(f"{_some(self.rng, ALNUM, 3)}8Q~{_some(self.rng, ALNUM + '._~-', 34)}", Kind.SECRET)

    def _azure_conn(self) -> Drawn:
        key = base64.b64encode(self.rng.randbytes(64)).decode()
        text = f"DefaultEndpointsProtocol=https;AccountName=shopdata;AccountKey={key};EndpointSuffix=core.windows.net"
        return Drawn(text, Kind.SECRET)

    def _webhook(self) -> Drawn:
        rng = self.rng
        return self._secret(
            f"https://hooks.slack.com/services/T{_some(rng, UPPER, 8)}/B{_some(rng, UPPER, 10)}/{_some(rng, ALNUM, 24)}",
            f"https://discord.com/api/webhooks/{_digits(rng, 18)}/{_some(rng, ALNUM + '-_', 68)}",
            f"https://outlook.office.com/webhook/{_some(rng, ALNUM, 36)}/IncomingWebhook/{_some(rng, ALNUM, 32)}",
        )

    def _pem(self) -> Drawn:
        body = base64.b64encode(self.rng.randbytes(240)).decode()
        lines = "\n".join(body[i : i + 64] for i in range(0, len(body), 64))
        name = self._one("RSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "EC PRIVATE KEY", "PRIVATE KEY")
        return Drawn(f"-----BEGIN {name}-----\n{lines}\n-----END {name}-----", Kind.SECRET)

    def _password(self) -> Drawn:
        rng = self.rng
        word, other = self._one(*WORDS), self._one(*WORDS)
        return self._secret(
            f"{word.title()}{other.title()}{rng.randint(1, 99)}",
            f"{word}-{other}-{self._one(*WORDS)}-{rng.randint(1, 9)}",
            f"{word[0].upper()}{word[1:]}@{rng.randint(1950, 2024)}",
            _some(rng, ALNUM + "!$%&*+?", 13) + "q7",
            f"{word}{_digits(rng, 4)}",
            word.replace("o", "0").replace("e", "3").replace("i", "1") + "!" + _digits(rng, 2),
        )

    def _wifi(self) -> Drawn:
        return self._secret(_digits(self.rng, 16), _some(self.rng, UPPER + "23456789", 10), "correcthorse" + _digits(self.rng, 3))  # fmt: skip

    def _gate_code(self) -> Drawn:
        return self._secret(_digits(self.rng, 4), f"{_digits(self.rng, 4)}#", _digits(self.rng, 6))

    def _seed_phrase(self) -> Drawn:
        return Drawn(" ".join(self.rng.sample(WORDS, 12)), Kind.SECRET)

    def _profile_url(self) -> Drawn:
        name = self._username().text
        return self._kind(Kind.URL, f"https://linkedin.com/in/{name}", f"linkedin.com/in/{name}")

    def _employee_id(self) -> Drawn:
        return self._kind(Kind.ACCOUNT_ID, _digits(self.rng, 6), f"E{_digits(self.rng, 5)}", f"EMP-{_digits(self.rng, 4)}")  # fmt: skip

    def _policy_id(self) -> Drawn:
        return self._kind(Kind.ACCOUNT_ID, f"HO-{_digits(self.rng, 7)}", f"{_some(self.rng, UPPER, 3)}{_digits(self.rng, 8)}")  # fmt: skip

    def _ja_addr2(self) -> Drawn:
        r = self.rng.randint
        place, house = self._one(*JA_PLACES), self._one(*JA_BUILDINGS)
        return self._kind(
            Kind.ADDRESS,
            f"{place}{r(1, 9)}-{r(1, 30)}-{r(1, 20)}",
            f"{place}{r(1, 6)}丁目{r(1, 30)}番{r(1, 20)}号",
            f"{place}{r(1, 9)}-{r(1, 30)}-{r(1, 20)} {house}{r(101, 909)}号室",
            f"〒{_digits(self.rng, 3)}-{_digits(self.rng, 4)} {place}{r(1, 9)}−{r(1, 30)}−{r(1, 20)}",
            f"{place}{r(1, 6)}丁目{r(1, 30)}-{r(1, 20)} {house} {r(1, 20)}階",
        )

    def _ja_addr3(self) -> Drawn:
        r = self.rng.randint
        return Drawn(f"{self._one(*JA_PLACES)}{r(1, 9)}-{r(1, 30)}-{r(1, 20)}", Kind.ADDRESS)

    def _zip(self) -> Drawn:
        return Drawn(f"{_digits(self.rng, 3)}-{_digits(self.rng, 4)}", Kind.ADDRESS)

    def _ja_phone2(self) -> Drawn:
        a, b = _digits(self.rng, 4), _digits(self.rng, 4)
        lead = self._one("090", "080", "070")
        return self._kind(
            Kind.PHONE, f"{lead}-{a}-{b}", f"{lead} {a} {b}", f"{lead}{a}{b}", f"+81-{lead[1:]}-{a}-{b}",
            f"{lead}ー{a}ー{b}", f"{lead}（{a}）{b}",
        )  # fmt: skip

    def _ja_land(self) -> Drawn:
        b = _digits(self.rng, 4)
        area = self._one("03-52", "06-62", "045-2", "075-7", "0263-3", "011-2", "092-8")
        pad = area + _digits(self.rng, 10 - 4 - (len(area) - 1))
        return self._kind(Kind.PHONE, f"{pad}-{b}", f"({pad.split('-')[0]}){pad.split('-')[1]}-{b}")

    def _ja_bank2(self) -> Drawn:
        return self._kind(
            Kind.BANK_ACCOUNT, f"普通預金 {_digits(self.rng, 7)}", f"（普）{_digits(self.rng, 7)}"
        )

    def _ja_bank_no(self) -> Drawn:
        return Drawn(_digits(self.rng, 7), Kind.BANK_ACCOUNT)

    def _iban_of(self, locale: str) -> Drawn:
        number = self.fake[locale].iban()
        spaced = " ".join(number[i : i + 4] for i in range(0, len(number), 4))
        return self._kind(Kind.IBAN, number, spaced, number.lower())

    def _de_iban(self) -> Drawn:
        return self._iban_of("de_DE")

    def _fr_iban(self) -> Drawn:
        return self._iban_of("fr_FR")

    def _es_iban(self) -> Drawn:
        return self._iban_of("es_ES")

    def _de_addr2(self) -> Drawn:
        r = self.rng.randint
        street = self._one(
            "Lindenstr.", "Am Mühlbach", "Kaiser-Wilhelm-Ring", "Goetheplatz", "Alte Poststraße"
        )
        town = self._one("50667 Köln", "04109 Leipzig", "79098 Freiburg im Breisgau", "D-28195 Bremen")
        return self._kind(Kind.ADDRESS, f"{street} {r(1, 120)}, {town}", f"{street} {r(1, 120)}{self._one('a', 'b')}\n{town}")  # fmt: skip

    def _fr_addr2(self) -> Drawn:
        street = self._one(
            "rue des Lilas", "avenue Jean Jaurès", "chemin du Moulin", "place de la République"
        )
        town = self._one("69003 Lyon", "31000 Toulouse", "44000 Nantes", "75011 Paris")
        return self._kind(Kind.ADDRESS, f"{self.rng.randint(1, 150)}, {street}, {town}", f"{self.rng.randint(1, 150)} bis {street} {town}")  # fmt: skip

    def _es_addr2(self) -> Drawn:
        street = self._one("Calle Mayor", "C/ Alcalá", "Avda. de la Constitución", "Plaza de España")
        town = self._one("28013 Madrid", "41001 Sevilla", "46002 Valencia")
        r = self.rng.randint
        return self._kind(Kind.ADDRESS, f"{street} {r(1, 120)}, {r(1, 8)}º {self._one('A', 'B', 'izq.')}, {town}", f"{street}, {r(1, 120)}, {town}")  # fmt: skip

    def _nl_address(self) -> Drawn:
        return Drawn(f"{self._one('Prinsengracht', 'Dorpsstraat')} {self.rng.randint(1, 300)}, 10{_digits(self.rng, 2)} {_some(self.rng, UPPER, 2)} Amsterdam", Kind.ADDRESS)  # fmt: skip

    def _de_phone2(self) -> Drawn:
        r = self.rng.randint
        return self._kind(Kind.PHONE, f"0171 {r(1000000, 9999999)}", f"030 / {r(100, 999)} {r(10, 99)} {r(10, 99)}", f"+49 (0)221 {r(100000, 999999)}", f"0151-{r(10000000, 99999999)}", f"089/{r(100000, 999999)}")  # fmt: skip

    def _fr_phone2(self) -> Drawn:
        p = [f"{self.rng.randint(10, 99)}" for _ in range(4)]
        return self._kind(Kind.PHONE, "06 " + " ".join(p), "07." + ".".join(p), "01" + "".join(p), "+33 6" + " ".join(["", *p]))  # fmt: skip

    def _es_phone2(self) -> Drawn:
        r = self.rng.randint
        return self._kind(Kind.PHONE, f"6{r(10, 99)} {r(100, 999)} {r(100, 999)}", f"91 {r(100, 999)} {r(10, 99)} {r(10, 99)}", f"+34 6{r(10, 99)}{r(100000, 999999)}")  # fmt: skip

    def _it_phone(self) -> Drawn:
        return Drawn(f"+39 34{_digits(self.rng, 1)} {_digits(self.rng, 7)}", Kind.PHONE)

    def _de_plate(self) -> Drawn:
        return Drawn(f"{self._one('K', 'B', 'HH', 'FR')}-{_some(self.rng, UPPER, 2)} {self.rng.randint(10, 9999)}", Kind.VEHICLE_PLATE)  # fmt: skip

    def _checked(self, module: Any, kind: Kind, draw: Any) -> Drawn:
        return Drawn(_until(module.is_valid, draw), kind)

    def _kvnr(self) -> Drawn:
        def draw() -> str:
            letter, body = self._one(*UPPER), _digits(self.rng, 8)
            digits = [int(c) for c in f"{ord(letter) - 64:02}{body}"]
            total = sum(sum(divmod(d * (1 + i % 2), 10)) for i, d in enumerate(digits))
            return f"{letter}{body}{total % 10}"

        return Drawn(draw(), Kind.HEALTH_ID)

    def _nie(self) -> Drawn:
        from stdnum.es import nie

        return self._checked(
            nie, Kind.NATIONAL_ID, lambda: f"{self._one('X', 'Y')}{_digits(self.rng, 7)}{self._one(*UPPER)}"
        )

    def _es_ss(self) -> Drawn:
        body = f"28{_digits(self.rng, 8)}"
        return Drawn(f"{body[:2]} {body[2:]} {int(body) % 97:02}", Kind.NATIONAL_ID)

    def _codice_fiscale(self) -> Drawn:
        from stdnum.it import codicefiscale

        body = f"{_some(self.rng, 'BCDFGLMNPRST', 6)}{self.rng.randint(50, 99)}{self._one(*'ABCDEHLMPRST')}{self.rng.randint(1, 28):02}H501"
        return Drawn(body + codicefiscale.calc_check_digit(body), Kind.NATIONAL_ID)

    def _bsn(self) -> Drawn:
        from stdnum.nl import bsn

        return self._checked(bsn, Kind.NATIONAL_ID, lambda: _digits(self.rng, 9))

    def _pesel(self) -> Drawn:
        from stdnum.pl import pesel

        return self._checked(
            pesel, Kind.NATIONAL_ID, lambda: f"{self.rng.randint(50, 99)}0{self.rng.randint(1, 9)}1{_digits(self.rng, 6)}"
        )  # fmt: skip
