"""Passphrases, codes that were asked for, files of secrets: found by where they stand."""

import pytest

from renga.client.sanitisation.codes import codes
from renga.client.sanitisation.contacts import ip_addresses, mac_addresses
from renga.client.sanitisation.entities import Deadline
from renga.client.sanitisation.formats import Formats
from renga.client.sanitisation.passphrases import passphrases
from renga.client.sanitisation.secret_files import secret_files
from renga.client.sanitisation.told_secrets import told_secrets


def found(recogniser, text):
    return {text[f.start : f.end] for f in recogniser(text)}


@pytest.mark.parametrize(
    "text",
    [
        "the wifi password is {}, how do i print a sign",
        "our network PelicanGuest, key {}. how do i add a printer",
        "la clave del wifi de casa es {} y no me deja",
        "IT gave me (sbrown22, {}) and it fails",
        "ルーターのパスワードは{}。変えるべき?",
        'Passphrase: "{}"',
    ],
)
@pytest.mark.parametrize(
    "phrase", ["saddle copper violin tundra", "saddle-copper-violin-tundra", "saddle.copper.violin.tundra"]
)
def test_words_that_make_no_sentence_are_a_passphrase_where_one_is_told(text, phrase):
    assert phrase in found(passphrases, text.format(phrase))


@pytest.mark.parametrize(
    "text",
    [
        "The password is case sensitive and must be long.",
        "the password reset email never arrived today",
        "A good passphrase is long, random and easy to remember.",
        "The key is patience practice kindness humour.",
        "correct horse battery staple is the famous passphrase",
        "see (above, left-hand-side-panel) for it",
    ],
)
def test_talk_about_passphrases_is_none(text):
    assert not found(passphrases, text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[10:02] Jo: whats the code for the garage?\n[10:03] Kim: 4471\n[10:04] Jo: ta", "4471"),
        ("Jo: PIN?\nKim: 90215", "90215"),
        ("front door: 8830 then hash", "8830"),
        ("back gate 55120 please close it", "55120"),
        ("Le coffre, c'est 441902, note-le", "441902"),
        ("Die Haustür hat 7742", "7742"),
        ("authenticator says 118204 but it wants 8 digits", "118204"),
        ("backup code 4f1cc-9ad02 was refused", "4f1cc-9ad02"),
        ("the code thing on the hotel safe was 0311 and now it beeps", "0311"),
    ],
)
def test_a_code_is_one_where_it_was_asked_for_or_is_typed(text, code):
    assert found(codes, text) == {code}


@pytest.mark.parametrize(
    "text",
    [
        "front door 2025 renovation budget 12000",
        "the front door is 2100 mm high",
        "The main entrance is 1500 metres away",
        "Q: what is the error code?\nA: 5000 means internal",
    ],
)
def test_other_numbers_at_doors_and_in_answers_stay(text):
    assert not found(codes, text)


def test_the_last_text_of_a_clients_constructor_is_its_key():
    key = "9f86d081884c7d659a2feaa0c55ad015"
    assert found(told_secrets, f'Client("AC" + sid, "{key}")') == {key}
    assert not found(told_secrets, 'Client("my-service-name-production-eu"); Session("https://example.com")')


def test_a_file_of_secrets_is_read_line_by_line():
    shown = (
        "$ cat secrets.yaml\n---\ndb_root: hazel_cobalt64\nhost: db1.internal\nstats: otter-anvil-quartz\n"
    )
    assert found(secret_files, shown) == {"hazel_cobalt64", "otter-anvil-quartz"}
    assert not found(secret_files, "$ cat settings.yaml\ntheme: hazel_cobalt64\n")


@pytest.mark.parametrize(
    "text",
    [
        "postgres://user:password@localhost:5432/mydb is in the README.",
        "Is 00:00:5E:00:53:01 reserved for documentation like example.com?",
        "ff:ff:ff:ff:ff:ff is the broadcast mac. what of 01:00:5e:00:00:01 and fe80::1",
    ],
)
def test_what_documentation_and_everybody_have_is_nobodys(text):
    assert not Formats().detect(text, (), Deadline.after(5))
    assert not list(ip_addresses(text)) and not list(mac_addresses(text))
