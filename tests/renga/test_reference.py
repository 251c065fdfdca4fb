"""Pages made from code are the pages in docs/."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from renga.config import Config, Section, load, sections
from renga.reference import EXAMPLE, PAGES

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize(("name", "page"), PAGES.items())
def test_page_is_current(name: str, page: Callable[[], str]) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == page(), "run `make docs`"


def test_the_example_loads(tmp_path: Path) -> None:
    path = tmp_path / "example.toml"
    path.write_text(EXAMPLE, encoding="utf-8")
    assert [client.edge.rank for client in load(path).clients] == [8, 4]


def test_every_key_is_described() -> None:
    plain: list[type[Section]] = [Config, *sections().values()]
    for section in plain:
        for name, field in section.model_fields.items():
            assert field.description or name in sections(), f"{section.__name__}.{name}"
