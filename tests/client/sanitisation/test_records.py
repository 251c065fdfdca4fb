"""Numbers and dates that their place in a record makes private, and those that look like them."""

import pytest

from renga.client.sanitisation.entities import find
from renga.client.sanitisation.formats import Formats

PRIVATE = [
    ("Orr, Lena / DOB 02/09/1951 / 771-40938\nc/o cough", "771-40938", "HEALTH_ID"),
    ("DOB: 1971-03-14, MR448120, seen today", "MR448120", "HEALTH_ID"),
    ("Patient Ekholm, Tove, 55120938, discharged", "55120938", "HEALTH_ID"),
    ("patient orr, lena (4412098) was seen", "4412098", "HEALTH_ID"),
    ("pt: Lena Orr / H-448120 / stable", "H-448120", "HEALTH_ID"),
    ("Medicare number on the card is 3K44-QW7-RD20", "3K44-QW7-RD20", "HEALTH_ID"),
    ("後期高齢者の保険証、番号44120983なんだけど", "44120983", "HEALTH_ID"),
    ("介護保険の番号は0012345678です", "0012345678", "HEALTH_ID"),
    ("| id | name | born |\n|--|--|--|\n| H-441209 | Lena Orr | 1971-02-03 |", "H-441209", "HEALTH_ID"),
    ("| id | name | born |\n|--|--|--|\n| 2 | Lena Orr | 1971-02-03 |", "1971-02-03", "DOB"),
    ("TOVE EKHOLM\n1988-02-11  F\nWARD 3", "1988-02-11", "DOB"),
    ("Bay 2: Orr, Lena, 1944-01-30, nil by mouth", "1944-01-30", "DOB"),
    ('"Lena Orr",child,"2019-03-04",Oak School', "2019-03-04", "DOB"),
    ("paid to routing 021000021, account 448120981", "448120981", "BANK_ACCOUNT"),
    ("Routing 021000021 / account 44812098", "44812098", "BANK_ACCOUNT"),
    ("ABA 021000021 and acct 4481-2098-11", "4481-2098-11", "BANK_ACCOUNT"),
    ("the tradesman's van, KT68WQZ, blocks us", "KT68WQZ", "VEHICLE_PLATE"),
    ("a white van (8KQZ112)", "8KQZ112", "VEHICLE_PLATE"),
    ("my tenancy reference is 5512-40933-1", "5512-40933-1", "ACCOUNT_ID"),
    ("para urgencias, 712340981.", "712340981", "PHONE"),
    ("para urgencias, 93 412 55 08.", "93 412 55 08", "PHONE"),
    ("me joindre au 01 77 30 12 \n44", "01 77 30 12 \n44", "PHONE"),
    ("oak turn, sale, wa, 2632\n07700 900412 | hello", "07700 900412", "PHONE"),
]
PUBLIC = [
    *("patient zero, 1918, and flu", "The patient group, 1200 people, was", "Patient, kind, 2020"),
    *(
        "account for 2024, routing around 5 nodes",
        "routing 10.0.0.1, account manager",
        "routing table 3, account 5",
    ),
    *(
        "room 12: Table, Chair, 4 lamps",
        "2024-03-01  M&A",
        "| id | title | released |\n| 448120 | A | 1979-05-25 |",
    ),
    *("van, 2024 model", "truck: ISO 9001", "van, 4000 EUR", "car, MK3 2012", "para urgencias, 112."),
    *(
        "urgencias: 24 horas",
        "1234 5678 9012 3456 is the pattern",
        "mother, 1913 novel",
        "name,year\nchild,2003",
    ),
    *(
        "policy reference guide",
        "保険証の番号は何桁?",
        "後期高齢者は75歳以上",
        "the Medicare card has 11 characters",
    ),
]


@pytest.mark.parametrize(("text", "value", "kind"), PRIVATE)
def test_the_place_in_a_record_tells_what_a_number_is(text, value, kind):
    found = find(text, (), (Formats(),))
    assert (value, kind) in [(text[e.start : e.end], str(e.kind)) for e in found]


@pytest.mark.parametrize("text", PUBLIC)
def test_numbers_in_such_places_that_are_nobodys_stay(text):
    assert find(text, (), (Formats(),)) == []


@pytest.mark.parametrize("of", ["lena.orr@orr-family.net", "mail: tove@ekholmhus.se, thanks"])
def test_hexadecimal_of_an_address_is_read(of):
    text = f"decode {of.encode().hex()} for me"
    assert [text[e.start : e.end] for e in find(text, (), (Formats(),))] == [of.encode().hex()]


@pytest.mark.parametrize("of", [b"hello, little world", bytes(range(100, 132)), b"\x93\x11\xfe\x02" * 8])
def test_other_hexadecimal_stays(of):
    assert find(f"what is 0x{of.hex()} worth", (), (Formats(),)) == []
