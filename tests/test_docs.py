"""What the documentation says, held against the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from renga.models.text import normalised

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_it_names_exist(page: Path) -> None:
    folders = "renga|protocol|models|server|client|simulations|tests|docs"
    for name in re.findall(rf"`((?:{folders})/[\w/]+\.(?:py|md))`", page.read_text(encoding="utf-8")):
        assert (ROOT / name).is_file(), name


def test_what_counts_as_the_same_free_answer() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(.+)` \| `(.+)` \| (yes|no)", page, flags=re.MULTILINE)
    assert len(rows) >= 4
    for response, answer, verdict in rows:
        assert (normalised(response) == normalised(answer)) == (verdict == "yes"), (response, answer)
