"""What a table's head calls private is private in every row."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.tables import columns

CELL = st.text(alphabet="abcdefghjkmnpqrstuvwxyz0123456789#", min_size=4, max_size=12).filter(
    lambda cell: any(c.isdigit() for c in cell) and any(c.isalpha() for c in cell)
)


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=5),
    mark=st.sampled_from([",", "\t", ";", "|"]),
)
def test_every_cell_below_a_head_that_names_a_kind_is_found(rows, mark):
    lines = [mark.join(("service", "password", "member id")), *(mark.join(row) for row in rows)]
    text = "\n".join(lines)
    found = [(f.kind, text[f.start : f.end]) for f in columns(text)]
    assert found == [
        pair for _, pw, member in rows for pair in ((Kind.SECRET, pw), (Kind.ACCOUNT_ID, member))
    ]


def test_a_markdown_table_and_what_comes_after_it():
    text = "| Name | Team |\n|---|---|\n| Quirl Vemt | Red |\n\nred, blue\n1, 2\n"
    assert [text[f.start : f.end] for f in columns(text)] == []  # `Name` alone needs a name that people have
    text = "| Name | Phone |\n|---|---|\n| Imani Eze | 0170 55 |\n\nred, blue\n1, 2\n"
    assert [text[f.start : f.end] for f in columns(text)] == ["Imani Eze", "0170 55"]


@pytest.mark.parametrize(
    "text",
    [
        "Name,Type,Required\nid,int,yes\n",
        "name,price\napple,3\n",
        "user,role\n",
        "Hello, name\nand more, of it\n",
    ],
)
def test_other_tables_hold_nothing(text):
    assert list(columns(text)) == []
