"""What was replaced comes back: for any text, any spans, any cut of any stream."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from renga.client.sanitisation.conversation import Conversation
from renga.client.sanitisation.entities import Deadline, Entity, Kind
from renga.client.sanitisation.matching import Matcher
from renga.client.sanitisation.restoring import Restorer
from renga.client.sanitisation.rules import Rule, Rules, Style
from renga.client.sanitisation.sanitiser import Sanitiser
from renga.client.sanitisation.tags import folded

# What surrogates, links and mark-up are made of, so that chance meets what is dangerous.
FRAGMENTS = [
    "<", ">", "\\", "&lt;", "&gt;", "&amp;lt;", "\\u003c", "\\u003e", "%3c", "%3e", "PERSON", "person_1",
    "_", "1", "_k7q", "k7q", "K7Q", "<PERSON_1_k7q>", "PERSON_1_k7q", "<PERSON_2_k7q>", "PERSON_1b_k7q",
    "＜ＰＥＲＳＯＮ＿１＿ｋ７ｑ＞", "<人物_1_k7q>", "**", "`", "'s", "s", " ", "\n", "https://", "http://a.b/",
    "www.", "/", "?q=", "#", "@", ".com", "](", "![x](", ")", "(", "]: ", "[x]: ", "url(", "<a href=\"",
    "<img src=", "=", "\"", "'", "javascript:", "data:", "Jane", "Jane Doe", "佐藤", "さん", "Ünal", "é",
    "😀",    "\u200b", "\ud800", "a", "LITERAL_1_k7q", "0", "{", "}",
]  # fmt: skip
TEXTS = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=4)), max_size=14).map("".join)
KINDS = st.sampled_from([Kind.PERSON, Kind.EMAIL, Kind.CREDIT_CARD, Kind.ORG])


@dataclass
class Given:
    """A detector that finds what it was told to."""

    spans: list[Entity]
    name: str = "given"

    def detect(self, text: str, known: object, deadline: Deadline) -> list[Entity]:
        return self.spans


@st.composite
def prompts(draw: st.DrawFn) -> tuple[str, list[Entity]]:
    text = draw(TEXTS)
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=6)))
    entities = []
    for start, end in zip(cuts[::2], cuts[1::2], strict=False):
        subject = draw(st.sampled_from([None, "a", "b"]))
        entities.append(Entity(start, end, draw(KINDS), text[start:end], subject))
    return text, entities


def sanitiser(style: Style = Style.TAG) -> Sanitiser:
    return Sanitiser([], Rules(style=style, kinds={Kind.ORG: Rule.ALLOW}), Conversation("k7q"))


def pieces(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[start:end] for start, end in pairwise(places)]


@settings(max_examples=150, deadline=None)
@given(st.lists(prompts(), min_size=1, max_size=3), st.sampled_from(list(Style)))
def test_restoring_undoes_sanitising(turns: list[tuple[str, list[Entity]]], style: Style) -> None:
    with_this = sanitiser(style)
    left = []
    for text, spans in turns:
        left.append(with_this.replace(text, spans).text)
    for (text, _), out in zip(turns, left, strict=True):  # and what came later changes nothing
        assert "".join(with_this.restore([out])) == text


# A family name that is a surrogate by itself begins the whole name, and no letter ends it.
BEGINS_A_LONGER_ONE = ("佐藤 花子 です", [Entity(0, 6, Kind.PERSON, "佐藤 花子 ")])


@settings(max_examples=60, deadline=None)
@example(BEGINS_A_LONGER_ONE, [], Style.REALISTIC)
@given(prompts(), st.lists(st.integers(0, 60), max_size=8), st.sampled_from(list(Style)))
def test_a_stream_may_be_cut_anywhere(
    prompt: tuple[str, list[Entity]], cuts: list[int], style: Style
) -> None:
    text, spans = prompt
    with_this = sanitiser(style)
    out = with_this.replace(text, spans).text
    assert "".join(with_this.restore(pieces(out, cuts))) == text
    assert "".join(with_this.restore(list(out))) == text
    data = out.encode("utf-8", "surrogateescape" if "\ud800" not in out else "surrogatepass")
    if "\ud800" not in out:
        assert "".join(with_this.restore([data[i : i + 1] for i in range(len(data))])) == text


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.lists(st.integers(0, 80), max_size=10), st.sampled_from(list(Style)))
def test_any_answer_is_restored_alike_however_it_is_cut(answer: str, cuts: list[int], style: Style) -> None:
    with_this = sanitiser(style)
    with_this.replace("Jane Doe", [Entity(0, 8, Kind.PERSON, "jane doe")])
    name = with_this.conversation.pairs[0].surrogate
    answer = answer.replace("Jane", name)
    whole = "".join(with_this.restore([answer]))
    assert "".join(with_this.restore(pieces(answer, cuts))) == whole
    assert "".join(with_this.restore(list(answer))) == whole


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_no_more_is_held_back_than_may_become_a_surrogate(answer: str) -> None:
    with_this = sanitiser()
    with_this.replace("Jane", [Entity(0, 4, Kind.PERSON, "jane")])
    restorer = Restorer(with_this.conversation)
    matcher = Matcher(with_this.conversation)
    for character in answer:
        restorer.feed(character)
        assert restorer.held <= matcher.longest
    restorer.feed(" and on it goes.\n\n")
    assert restorer.held == 0


def test_plain_prose_flows_through_at_once() -> None:
    with_this = sanitiser()
    with_this.replace("Jane", [Entity(0, 4, Kind.PERSON, "jane")])
    restorer = with_this.restorer()
    said = [restorer.feed(word) for word in ("Well, ", "this ", "is ", "3 < 4, ", "no ", "name.")]
    assert said == ["Well, ", "this ", "is ", "3 < 4, ", "no ", "name."]


def test_what_is_not_replaced_is_what_it_was() -> None:
    with_this = sanitiser()
    for text in ("", "\x00\xff", "a\ud800b", "<PERSON_1_k7r>", "ＡＢＣ\u200b"):
        assert with_this.replace(text, []).text == text


def test_later_look_alikes_of_what_was_issued_are_hidden_and_return() -> None:
    with_this = sanitiser()
    first = with_this.replace("Jane", [Entity(0, 4, Kind.PERSON, "jane")])
    assert first.text == "<PERSON_1_k7q>"
    text = "I typed <PERSON_1_k7q>, person_1_K7Q and <PERSON_7_k7q>."
    out = with_this.replace(text, [])
    assert out.counts == {} and len(out.entities) == 3
    assert "PERSON" not in out.text.upper()
    assert "".join(with_this.restore([out.text])) == text


def test_folding_keeps_every_place() -> None:
    for text in ("ＰＥＲＳＯＮ＿１", "a\u3000b", "ß", "İ", "〈x〉"):
        assert len(folded(text)) == len(text)
