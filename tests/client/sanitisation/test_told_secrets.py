"""What talk gives away: passwords beside words for getting in, codes of doors, phrases of wallets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.client.sanitisation.codes import codes
from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.passphrases import passphrases
from renga.client.sanitisation.secret_values import secrets
from renga.client.sanitisation.told_secrets import looks_like_password, told_secrets

WORDS = st.sampled_from(["Tulip", "grape", "Kestrel", "himawari", "Blume", "quartz"])
PASSWORDS = st.one_of(
    st.builds("{}#{}".format, WORDS, st.integers(10, 99999)),
    st.builds("{}{}!".format, WORDS, st.integers(10, 9999)),
    st.builds("{}-{}-{}".format, WORDS, WORDS, st.integers(100, 999)),
    st.builds("{}{}".format, WORDS, st.integers(10, 9999)),
)
TALK = [
    *(
        "it's {}, that's the root password",
        "when it asks for the password enter {}",
        "log in with mjones / {}",
    ),
    *(
        "i keep typing {} but it says wrong password",
        "creds admin_lee {} for prod",
        "smtp: jo@acme-mail.io / {}",
    ),
    *("the hotspot is JoPhone and you get on with {}", "{}というパスワード", "ゲスト用Wi-FiはHome、キーは{}"),
    *(
        "Zugangsdaten mlee77 {}",
        "mon mot de passe c'est {}",
        "root/{}",
        "password changed from Old#881x to {}",
    ),
    *("pw\n{}".replace("\n", " "), "netflix: jo@acme-mail.io {} is the login"),
]
CALLED = [
    *("unzip -P {} a.zip", "7z x a.7z -p{}", "openssl enc -k {} -in a", "ldapsearch -w {} -b dc=x"),
    *("requests.get(u, auth=('amy', '{}'))", 'getConnection(url, "amy", "{}")', 'let secret: &str = "{}";'),
    *("our shared key, {}, has to go", "the archive opens with {}", "keytool -storepass {}", "wpa-psk {}"),
    *("mosquitto_pub -u dev -P {} -t a", "sqlplus amy/{}@orcl", "root → {}", 'let pw = String::from("{}");'),
    *("reset it to {} please", "WLAN: Otters / {}"),
]
CODES = [
    *("the safe opens with {}", "our garage keypad takes {}", "disarm the alarm with {}", "2FA code {}"),
    *("{} is your verification code", "lockbox {} on the back door", "the pin for my debit card is {}"),
    *("金庫は{}で開きます", "宅配ボックスの番号は{}", "スマホのロックは{}", "die PIN meiner Karte ist {}"),
    *("the vault's combo was 7354 last year, kim changed it, now it's {}", "cvv 123, gate code {}"),
]
NOTHING = [
    *("How do I reset a forgotten password on iOS17?", "Does SHA256 or bcrypt2 make sense for passwords?"),
    *("Use OAuth2 to log in to version 2.4.1 on ubuntu22.04", "The elevator needs 4000 kg of capacity"),
    *(
        "The safe temperature is 165",
        "It opens with a quote from 1984.",
        "the token count is 1500 for my login",
    ),
    *("The password is case sensitive.", "パスワードを忘れた場合の対処法", "スマホは1000円で買えますか"),
    *("password = hashlib.sha256(pw.encode()).hexdigest()", "Python3 login fails at tests/test_api.py:42"),
    *("sign in fails since COVID-19 with error E4041", "password in d41d8cd98f00b204e9800998ecf8427e?"),
]


def hidden(text: str, value: str) -> bool:
    start = text.rindex(value)
    spans = [*told_secrets(text), *codes(text), *passphrases(text), *secrets(text)]
    return any(f.kind is Kind.SECRET and f.start <= start and start + len(value) <= f.end for f in spans)


@pytest.mark.parametrize("talk", TALK)
@settings(deadline=None, max_examples=15)
@given(password=PASSWORDS)
def test_what_looks_like_a_password_is_one_where_somebody_gets_in(talk, password):
    assert hidden(talk.format(password), password)


@pytest.mark.parametrize("talk", CALLED)
def test_a_secret_is_told_by_calls_and_options_too(talk):
    assert hidden(talk.format("Tulip-77-oak"), "Tulip-77-oak")


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("I use Qu4rtz&Honey everywhere", "Qu4rtz&Honey"),
        ("yeah its velvet-walnut-6", "velvet-walnut-6"),
        ("pin changed from 4410 to 9923", "9923"),
        ("building entry #4402, third floor", "#4402"),
        ("the recovery codes are:\n9k2f-77ab\nb31c-00de", "b31c-00de"),
        ("security question: first pet? answer Biscuit", "Biscuit"),
        ("it says wrong PIN, but 6650 was right yesterday", "6650"),
        ("Safe: left 22, right 7, left 35", "left 22, right 7, left 35"),
        ("鍵の暗証番号は1190、裏口は2280", "2280"),
        ("届いたコードは730514でした", "730514"),
    ],
)
def test_what_stands_alone_or_follows_is_told_too(text, secret):
    assert hidden(text, secret)


@pytest.mark.parametrize("talk", CODES)
@settings(deadline=None, max_examples=10)
@given(code=st.integers(2100, 999_999).map(str))
def test_digits_that_open_something_are_a_code(talk, code):
    assert hidden(talk.format(code), code)


@pytest.mark.parametrize("text", NOTHING)
def test_talk_about_passwords_gives_nothing_away(text):
    found = [*told_secrets(text), *codes(text), *passphrases(text)]
    assert [text[f.start : f.end] for f in found] == []


@pytest.mark.parametrize(
    "text",
    [
        "My Ledger words, in order: {}. Is it safe?",
        "seed phrase:\n{}",
        "{}",
        "the recovery phrase on my paper says {}",
    ],
)
def test_words_of_a_wallet_are_found_with_and_without_a_word_for_it(text):
    words = "lunar orphan velvet margin cactus dune ripple gospel anchor shiver meadow trumpet"
    assert hidden(text.format(words), words)


def test_twelve_words_of_a_sentence_are_no_wallet():
    assert not list(
        passphrases("people often forget that their wallet holds more than just paper money alone")
    )


@given(st.text(max_size=80))
def test_any_token_may_be_asked_about(token):
    assert looks_like_password(token) in (True, False)
