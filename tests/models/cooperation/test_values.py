"""Numbers, dates and names are met in whatever way they are written, and are not taken for others."""

import pytest

from renga.models.cooperation.values import held, values


def found(text):
    return [(value.kind, value.form) for value in values(text)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("It cost 1,200 crowns.", [("number", "1200")]),
        (
            "It cost 1.2 thousand crowns, -3 and 40%.",
            [("number", "1200"), ("number", "-3"), ("number", "40")],
        ),
        ("On 4 May 1926, on May 4th, 1926 and 1926-05-04.", [("date", "1926-05-04")] * 3),
        ("Twelve ships and three hundred men.", [("number", "12"), ("number", "300")]),
        ("The mill of Norna Lake was Eva Berg's.", [("name", "norna lake"), ("name", "eva berg")]),
        ("One never knows. It is so.", []),
        ("", []),
        ("Version 3.11.7 of x86", []),
    ],
)
def test_forms(text, wanted):
    assert found(text) == wanted


@pytest.mark.parametrize(
    ("claim", "passage", "holds"),
    [
        ("It has 1,200 rooms.", "There are 1200 rooms.", True),
        ("It has 1,200 rooms.", "There are 12000 rooms.", False),
        ("It has two rooms.", "There are 2 rooms.", True),
        ("In 1926 it closed.", "It closed on 4 May 1926.", True),
        ("It closed on May 4, 1926.", "It closed on 5 May 1926.", False),
        ("He met Eva Berg.", "It was eva berg who came.", True),
        ("He met Eva Berg.", "It was Eva Berger who came.", False),
    ],
)
def test_what_holds(claim, passage, holds):
    (value,) = values(claim)
    assert held(value, passage) is holds


def test_a_value_stands_at_its_span():
    text = "In 1926 Per Dahl sold 3 million tons on 1 June 1927."
    assert [v.span.of(text) for v in values(text)] == ["1926", "Per Dahl", "3 million", "1 June 1927"]
