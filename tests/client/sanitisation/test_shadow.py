from hypothesis import given
from hypothesis import strategies as st

from renga.client.sanitisation import shadow as module
from renga.client.sanitisation.shadow import base64_runs, decoded, shadow

ANY = st.text(alphabet=st.characters(exclude_categories=()), max_size=60)
TRICKY = st.text(alphabet="aé０９〇九ー-%4１0&#x;\\u\u200b\u0301ﾞｶА@.\ud800 \n", max_size=60)


def test_the_table_of_lookalikes_pairs_every_letter():
    assert all(len(chr(value)) == 1 for value in module._LOOKALIKES.values())


@given(ANY | TRICKY)
def test_every_place_of_every_reading_points_into_the_text_in_order(text):
    view = shadow(text)
    for reading in (view, decoded(view)):
        if reading is None or not reading.text:
            continue
        assert len(reading.text) == len(reading.digits)
        spans = [reading.span(i, i + 1) for i in range(len(reading.text))]
        assert all(0 <= start < end <= len(text) for start, end in spans)
        assert [start for start, _ in spans] == sorted(start for start, _ in spans)


@given(ANY | TRICKY)
def test_what_follows_from_base64_lies_inside(text):
    view = shadow(text)
    assert all(0 <= start < end <= len(view.text) for start, end, _ in base64_runs(view))


def test_disguises_are_gone():
    assert shadow("ＡＢＣ１２３").text == "ABC123"
    assert shadow("jo\u200bhn").text == "john"
    assert shadow("jоhn@gmail.com").text == "john@gmail.com"  # a Cyrillic о
    assert shadow("ﾔﾏﾀﾞ").text == "ヤマダ"
    assert shadow("cafe\u0301").text == "café"
    assert shadow("〇九〇ー一二三四ー五六七八").digits == "090-1234-5678"
    assert shadow("三田と一橋").digits == "三田と一橋"


def test_escapes_are_decoded_place_by_place():
    text = "a%40b &#64; \\u7530"
    reading = decoded(shadow(text))
    assert reading is not None and reading.text == "a@b @ 田"
    at = reading.text.index("田")
    assert text[slice(*reading.span(at, at + 1))] == "\\u7530"
