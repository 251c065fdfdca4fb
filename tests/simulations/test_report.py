"""The report: one page that holds together, whatever a run wrote down and however its clients are called."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.errors import RengaError
from renga.simulations.metrics import metrics_of
from renga.simulations.report import page, write_report

Synthetic = Callable[..., list[dict[str, Any]]]

SECTIONS = (
    "Results",
    "Round by round",
    "Learning curves",
    "Who learned from whom",
    "What was merged",
    "What was adopted",
    "What travelled",
    "Who was left out",
    "Configuration",
    "What the measures mean",
)
VOID = {"meta", "link", "br", "hr"}


class Page(HTMLParser):
    """Tags that must balance, and what the page says and refers to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.ids += [v or "" for k, v in attrs if k == "id"]
        self.links += [v or "" for k, v in attrs if k in ("href", "src", "xlink:href", "action", "srcset")]
        assert not [k for k, _ in attrs if k.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)


def rename(value: Any, old: str, new: str) -> Any:
    """The records with one name exchanged for another, as key and as value."""
    if isinstance(value, dict):
        return {new if k == old else k: rename(v, old, new) for k, v in value.items()}
    if isinstance(value, list):
        return [rename(v, old, new) for v in value]
    return new if value == old else value


def test_a_whole_run_makes_one_self_contained_page(run_folder: Path) -> None:
    path = write_report(run_folder)
    html = path.read_text(encoding="utf-8")
    read = Page(html)
    text = " ".join(read.text)
    assert path == run_folder / "report.html"
    assert html.startswith("<!doctype html>")
    assert all(title in text for title in SECTIONS)
    assert "http://" not in html
    assert "https://" not in html
    assert "url(" not in html
    assert not read.tags & {"script", "img", "iframe", "object", "form"}
    assert all(link.startswith(("#", "data:")) for link in read.links)
    assert {link[1:] for link in read.links if link.startswith("#")} <= set(read.ids)
    assert len(read.ids) == len(set(read.ids))
    assert sorted(p.name for p in run_folder.iterdir()) == ["config.toml", "metrics.jsonl", "report.html"]


def test_the_page_says_what_happened(run_folder: Path) -> None:
    text = " ".join(Page(write_report(run_folder).read_text(encoding="utf-8")).text)
    for said in (
        "no reply within 90 s",  # who was left out
        "validation got worse for foundry & clinic",  # what the gate said
        "✕ not adopted",
        "a3f19c02",
        "clinic 40% · foundry 35% · harbour 25%",  # weights of the merge
        "mapped mass 93%",
        "# <never leaves>",  # the config
        "all text in one place",
    ):
        assert said in text


@pytest.mark.parametrize("name", ['<script>alert("x")</script>', "a&b", "'\" onload=x", "\x1b[31mred\x00"])
def test_names_and_reasons_are_escaped(records: list[dict[str, Any]], name: str) -> None:
    changed = rename(rename(records, "clinic", name), "no reply within 90 s", name)
    html = page(metrics_of(changed), name)
    read = Page(html)
    assert "script" not in read.tags
    assert not any(ord(c) < 32 and c != "\n" for c in html)
    assert any("".join(c if c.isprintable() else " " for c in name) in text for text in read.text)


def test_a_run_killed_anywhere_still_gives_a_page(run_folder: Path) -> None:
    lines = (run_folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    (run_folder / "config.toml").unlink()
    for kept in range(len(lines) + 1):
        torn = lines[kept][:50] if kept < len(lines) else ""
        (run_folder / "metrics.jsonl").write_text("\n".join([*lines[:kept], torn]), encoding="utf-8")
        text = " ".join(Page(write_report(run_folder).read_text(encoding="utf-8")).text)
        assert all(title in text for title in SECTIONS)
        assert ("did not end" in text) == (kept < len(lines))
        assert ("1 line of metrics.jsonl could not be read" in text) == (kept < len(lines))


def spoil(records: Any, draw: Callable[[], object]) -> Any:
    """Records in which some values were exchanged for anything."""
    other = draw()
    if other is not None:
        return other
    if isinstance(records, dict):
        return {k: v if k == "kind" else spoil(v, draw) for k, v in records.items()}
    return [spoil(v, draw) for v in records] if isinstance(records, list) else records


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_nonsense_in_the_metrics_breaks_nothing(synthetic: Synthetic, data: st.DataObject) -> None:
    rest = st.sampled_from(
        ["", "x", -1, 0, 1e308, -1e308, 10**400, float("nan"), float("inf"), [], {}, [[]], True]
    )
    chance = data.draw(st.randoms(use_true_random=False))
    pool = [data.draw(rest) for _ in range(4)]
    spoiled = [spoil(r, lambda: chance.choice(pool) if chance.random() < 0.04 else None) for r in synthetic()]
    Page(page(metrics_of(r for r in spoiled if isinstance(r, dict)), "x = 1"))


def test_many_clients_and_rounds_stay_bounded(synthetic: Synthetic) -> None:
    names = tuple(f"client-{i:03d}" for i in range(60))
    html = page(metrics_of(synthetic(8, names)), "")
    text = " ".join(Page(html).text)
    assert "Earlier rounds" in text
    assert "others" in text
    assert len(html) < 3_000_000


def test_writing_twice_gives_the_same_bytes(run_folder: Path) -> None:
    assert write_report(run_folder).read_bytes() == write_report(run_folder).read_bytes()


def test_a_folder_without_metrics_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RengaError, match=r"can't read .*metrics\.jsonl") as caught:
        write_report(tmp_path)
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_deeply_nested_lines_are_counted_not_followed(tmp_path: Path) -> None:
    deep = (
        json.dumps({"kind": "run", "name": "ok"})
        + "\n"
        + "[" * 100_000
        + "\n"
        + '{"a":' * 500
        + "1"
        + "}" * 500
    )
    (tmp_path / "metrics.jsonl").write_text(deep, encoding="utf-8")
    assert "1 line of metrics.jsonl" in write_report(tmp_path).read_text(encoding="utf-8")
