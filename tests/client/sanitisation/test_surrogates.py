"""Stand-ins: of the same kind and form, valid where that can be checked, from ranges nobody is given."""

from __future__ import annotations

import re
from random import Random

import phonenumbers
import pytest
from stdnum import iban, luhn, verhoeff
from stdnum.de import idnr
from stdnum.fr import nir
from stdnum.iso7064 import mod_11_10

from renga.client.sanitisation import realistic
from renga.client.sanitisation.conversation import Conversation, Pair
from renga.client.sanitisation.dates_shifted import decade, shifted
from renga.client.sanitisation.entities import Entity, Kind
from renga.client.sanitisation.persons import gender, person
from renga.client.sanitisation.rules import Rule, Rules, Style
from renga.client.sanitisation.sanitiser import Blocked, Sanitised, Sanitiser
from renga.client.sanitisation.surrogates import coarse, surrogate

DRAWS = range(12)


def made(kind: Kind, own: str, text: str = "") -> list[str]:
    said = [realistic.MAKERS[kind](own, text, Random(seed)) for seed in DRAWS]
    assert all(said), (kind, own)
    return [one for one in said if one]


def shape(text: str) -> str:
    return re.sub(r"[A-Z]", "A", re.sub(r"[a-z]", "a", re.sub(r"\d", "0", text)))


@pytest.mark.parametrize(
    "own",
    ["4539 4487 0134 3918", "4539448701343918", "3714-496353-98431", "５５５５５５５５５５５５４４４４"],
)
def test_cards_pass_luhn_in_their_own_form(own: str) -> None:
    for card in made(Kind.CREDIT_CARD, own):
        assert luhn.is_valid(realistic.digits_of(card)) and shape(card) == shape(own)
        assert realistic.digits_of(card)[:6] in {"424242", "378282", "555555"}


@pytest.mark.parametrize(
    "own", ["DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819", "nl91 abna 0417 1643 00"]
)
def test_ibans_keep_their_country_and_their_checksum(own: str) -> None:
    for one in made(Kind.IBAN, own):
        assert iban.is_valid(one, check_country=False) and shape(one) == shape(own)
        assert one[:2] == own[:2] and one != own


def test_national_numbers_have_their_check_digits_and_are_nobodys() -> None:
    for one in made(Kind.NATIONAL_ID, "86 095 742 719"):  # Steuer-ID
        assert (
            one.startswith("0")
            and mod_11_10.is_valid(realistic.digits_of(one))
            and shape(one) == "00 000 000 000"
        )
        assert idnr.is_valid("1" + one[1:]) is not None
    for one in made(Kind.NATIONAL_ID, "2341 2341 2346"):  # Aadhaar
        assert one.startswith("1") and verhoeff.is_valid(one.replace(" ", ""))
    for one in made(Kind.NATIONAL_ID, "1234-5678-9018"):  # My Number
        digits = one.replace("-", "")
        assert digits.startswith("0000") and realistic.my_number_check(digits[:11]) == digits[11]
    assert realistic.my_number_check("12345678901") == "8"
    for one in made(Kind.NATIONAL_ID, "2 95 10 99 126 111 93"):  # NIR
        assert nir.calc_check_digits(realistic.digits_of(one)[:13]) == realistic.digits_of(one)[13:]
    for one in made(Kind.NATIONAL_ID, "078-05-1120"):
        assert re.fullmatch(r"666-\d\d-\d{4}", one)
    for one in made(Kind.NATIONAL_ID, "AB 12 34 56 C"):
        assert re.fullmatch(r"QQ \d\d \d\d \d\d [A-D]", one)


def test_phones_ring_nowhere() -> None:
    for own, text, pattern in [
        ("(415) 867-5309", "call me", r"\(\d{3}\) 555-01\d\d"),
        ("+1 415 867 5309", "", r"\+1 \d{3} 555 01\d\d"),
        ("07911 123456", "ring the number", r"07700 900\d{3}"),
        ("+44 20 7946 1234", "", r"\+44 16 3296 0\d{3}"),
        ("+33 6 12 34 56 78", "", r"\+33 6 39 98 0\d \d\d"),
        ("090-1234-5678", "電話は", r"090-0000-\d{4}"),
        ("０３－１２３４－５６７８", "電話は", r"０３－００００－\d{4}"),
        ("+49 171 3456789", "", r"\+49 171 39200\d\d"),
    ]:
        for one in made(Kind.PHONE, own, text):
            assert re.fullmatch(pattern, one), (own, one)
    drama = phonenumbers.parse("+442079460123", None)
    assert phonenumbers.is_valid_number(drama)


def test_addresses_of_machines_and_mail_are_for_documentation() -> None:
    for one in made(Kind.IP_ADDRESS, "10.20.30.40:8080"):
        assert re.fullmatch(r"(192\.0\.2|198\.51\.100|203\.0\.113)\.\d+:8080", one)
    assert all(one.startswith("2001:db8:") for one in made(Kind.IP_ADDRESS, "fe80::1"))
    assert all(re.fullmatch(r"00:00:5E:00:53:..", one) for one in made(Kind.MAC_ADDRESS, "3C:22:FB:1A:2B:3C"))
    assert all(re.search(r"@example\.(com|net|org)$", one) for one in made(Kind.EMAIL, "jane.doe7@corp.co"))
    assert all(re.match(r"https://\w+\.example\.com/", one) for one in made(Kind.URL, "https://wiki.corp/x"))


@pytest.mark.parametrize(
    ("own", "days", "later"),
    [
        ("1980-03-31", 1, "1980-04-01"), ("1980/3/9", 1, "1980/3/10"), ("31.12.1979", 1, "01.01.1980"),
        ("3/31/80", 1, "4/1/80"), ("12 March 1980", 20, "1 April 1980"),
        ("March 31st, 1980", 1, "April 1st, 1980"),
        ("3. märz 1980", -3, "29. februar 1980"), ("1er janvier 1980", 31, "1er février 1980"),
        ("2 de enero de 1980", 30, "1 de febrero de 1980"), ("1980年3月31日", 1, "1980年4月1日"),
        ("昭和55年3月31日", 1, "1980年4月1日"), ("Dec 31, 1999", 1, "Jan 1, 2000"),
        ("31/02/1980", 1, None), ("yesterday", 1, None),
    ],
)  # fmt: skip
def test_dates_move_in_their_own_format(own: str, days: int, later: str | None) -> None:
    assert shifted(own, days) == later


def test_what_lies_between_two_dates_stays() -> None:
    conversation = Conversation(shift=-40)
    one = surrogate(Kind.DOB, "1980-03-10", "a", "", conversation)
    two = surrogate(Kind.DOB, "1980-03-20", "b", "", conversation)
    assert (one, two) == ("1980-01-30", "1980-02-09")


def test_persons_keep_language_script_gender_and_shape() -> None:
    dice = Random(3)

    def say(own: str, text: str = "") -> str:
        said = person(own, text, (), dice)
        assert said is not None
        return said

    from renga.client.sanitisation.stand_ins import FAMILY, GIVEN, GIVEN_JA

    given, family = say("Charlotte Brown", "Please write to Charlotte Brown for the papers").split()
    assert given in GIVEN["en"]["f"] and family in FAMILY["en"]
    given, family = say("Karl Huber", "Ich bin mit Herr Karl Huber nicht einig").split()
    assert given in GIVEN["de"]["m"]
    assert say("JANE DOE").isupper() and say("jane doe").islower()
    assert re.fullmatch(r"\w\. \w+", say("J. Doe"))
    assert re.fullmatch(r"\w+, \w+", say("Doe, Jane"))
    kanji = say("山田 花子", "患者は山田 花子さん")
    assert kanji.split()[1] in {row[0] for row in GIVEN_JA["f"]}
    assert re.fullmatch(r"[ァ-ヶー]+ [ァ-ヶー]+", say("ヤマダ ハナコ"))
    assert re.fullmatch(r"[ぁ-ん]+", say("やまだはなこ"))
    assert gender("花子", "") == "f" and gender("一郎", "") == "m" and gender("Doe", "Mr. Doe") == "m"
    for name, known in {
        "Ross Parker": "m",
        "Isobel": "f",
        "Vanessa Baker": "f",
        "Niklas": "",
        "高橋智也": "m",
    }.items():
        assert gender(name, "") == known, name
    assert say("Niklas Scheibe", "Schreibe eine Einladung an Niklas Scheibe.").split()[1] in FAMILY["de"]
    assert person("王\n小", "", (), dice) is None and person("Иван", "", (), dice) is None


def test_parts_initials_and_kana_of_a_person_stay_the_same_persons() -> None:
    known = [Pair("Harriet Penrose", "Jane Doe", "PERSON", "jane doe", "p", 1, 0, tag=False)]
    for own, said in {
        "Jane": "Harriet",
        "doe": "penrose",
        "J. Doe": "H. Penrose",
        "JANE DOE": "HARRIET PENROSE",
    }.items():
        assert person(own, "", known, Random(1)) == said
    one = [Pair("久世若葉", "山田花子", "PERSON", "", "p", 1, 0, tag=False)]
    assert person("花子", "", one, Random(1)) == "若葉" and person("山田", "", one, Random(1)) == "久世"
    known = [Pair("久世 若葉", "山田 花子", "PERSON", "", "p", 1, 0, tag=False)]
    assert person("ヤマダ ハナコ", "", known, Random(1)) == "クゼ ワカバ"


def test_two_conversations_are_not_linked_and_one_is_consistent() -> None:
    def talk(sanitiser: Sanitiser) -> list[Sanitised]:
        def entity(text: str, own: str, kind: Kind) -> Entity:
            return Entity(text.index(own), text.index(own) + len(own), kind, own.lower(), "j")

        return [
            sanitiser.replace(text, [entity(text, own, kind)])
            for text, own, kind in [
                ("I am Jane Doe.", "Jane Doe", Kind.PERSON), ("Jane is here", "Jane", Kind.PERSON),
                ("So Jane Doe wrote", "Jane Doe", Kind.PERSON), ("to a.b@corp.co", "a.b@corp.co", Kind.EMAIL),
            ]
        ]  # fmt: skip

    for style in Style:
        first, again, third, mail = talk(Sanitiser([], Rules(style=style)))
        name = first.entities[0].surrogate
        assert third.entities[0].surrogate == name != again.entities[0].surrogate
        assert mail.entities[0].surrogate.startswith("<") == style.tags(Kind.EMAIL)
        if not style.tags(Kind.PERSON):
            assert again.entities[0].surrogate == name.split()[0]
        else:
            assert "_1_" in name and "_1b_" in again.text and "_1c_" in mail.text
        others = {talk(Sanitiser([], Rules(style=style)))[0].text for _ in range(20)}
        assert len(others) > 5


def test_by_default_a_name_stands_for_a_name_and_a_tag_for_the_rest() -> None:
    sanitiser = Sanitiser([])
    people = [f"Jane{chr(97 + i // 26)}{chr(97 + i % 26)} Doe" for i in range(60)]
    text = "a@b.co " + ", ".join(people)
    spans = [Entity(0, 6, Kind.EMAIL, "")]
    spans += [Entity(text.index(p), text.index(p) + len(p), Kind.PERSON, p, p) for p in people]
    out = sanitiser.replace(text, spans)
    assert out.text.startswith("<EMAIL_1_") and "".join(sanitiser.restore([out.text])) == text
    names = [hidden.surrogate for hidden in out.entities[1:]]
    posing = [name for name in names if not name.startswith("<")]
    assert 12 < len(posing) <= 24 and len(set(names)) == 60  # more than there are names for get tags
    assert sanitiser.replace(text, spans).text == out.text


def test_a_realistic_name_is_restored_in_parts_and_other_cases() -> None:
    sanitiser = Sanitiser([], Rules(style=Style.REALISTIC))
    out = sanitiser.replace("Jane Doe", [Entity(0, 8, Kind.PERSON, "jane doe")]).text
    given, family = out.split()
    answer = f"{given} wrote. Dear Ms. {family}, {out.upper()}! {given}'s, {family}s. {given}x"
    said = "".join(sanitiser.restore(list(answer)))
    assert said == f"Jane wrote. Dear Ms. Doe, JANE DOE! Jane's, Does. {given}x"


def test_numbers_and_addresses_are_restored_as_models_shorten_them() -> None:
    for kind, own, shorten in [
        (Kind.PHONE, "(415) 867-5309", lambda s: s.replace("(", "").replace(")", "")),
        (Kind.PHONE, "+1 415 867 5309", lambda s: s.removeprefix("+1 ").replace(" ", "-")),
        (Kind.PHONE, "415.867.5309", lambda s: s.replace(".", "-")),
        (Kind.EMAIL, "jane.doe@corp.co", lambda s: s.replace(".", "", 1)),
    ]:
        sanitiser = Sanitiser([], Rules(style=Style.REALISTIC))
        out = sanitiser.replace(own, [Entity(0, len(own), kind, own)]).text
        assert shorten(out) != out
        assert "".join(sanitiser.restore(list(f"It is {shorten(out)}."))) == f"It is {own}."


def test_rules_replace_coarsen_block_and_allow() -> None:
    text = "Jane, 1980-03-10, Tokyo, key"
    spans = [
        Entity(0, 4, Kind.PERSON, "jane"), Entity(6, 16, Kind.DOB, ""), Entity(18, 23, Kind.LOCATION, ""),
        Entity(25, 28, Kind.SECRET, ""),
    ]  # fmt: skip
    sanitiser = Sanitiser([], Rules(style=Style.TAG, kinds={Kind.DOB: Rule.COARSEN}))
    out = sanitiser.replace(text, spans)
    assert re.fullmatch(r"<PERSON_1_\w{3}>, 1980s, Tokyo, <SECRET_2_\w{3}>", out.text)
    assert "".join(sanitiser.restore([out.text])) == "Jane, 1980s, Tokyo, key"
    assert out.counts == {"PERSON": 1, "DOB": 1, "SECRET": 1}
    with pytest.raises(Blocked, match="1 SECRET") as blocked:
        Sanitiser([], Rules(kinds={Kind.SECRET: Rule.BLOCK})).replace(text, spans)
    assert "key" not in str(blocked.value)


def test_coarse_words() -> None:
    for kind, own, said in [
        (Kind.DOB, "昭和55年3月1日", "1980年代"), (Kind.ADDRESS, "東京都港区1-2-3", "東京都"),
        (Kind.IP_ADDRESS, "10.20.30.40", "10.20.x.x"), (Kind.EMAIL, "a@b.co", "[e-mail address]"),
        (Kind.CREDIT_CARD, "4539", "[credit card]"),
    ]:  # fmt: skip
        assert coarse(Entity(0, 1, kind, ""), own) == said
    assert decade("no date") is None
