"""`renga check`: every problem at once, none of them late, and estimates that move the right way."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from renga.config import load
from renga.simulations.check import Report, check
from renga.simulations.check_table import render
from tests.tiny_federation import texts, write_federation, write_texts


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RENGA_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_federation(tmp_path)


def checked(config: Path, old: str = "", new: str = "") -> Report:
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new, 1) if old else text)
    return check(load(config))


def printed(report: Report) -> str:
    console = Console(width=80, record=True, file=StringIO())
    console.print(render(report))
    return console.export_text()


def test_a_good_config_has_estimates_and_no_problems(config: Path) -> None:
    report = checked(config)
    assert report.problems == ()
    assert report.notes == ()
    assert [one.name for one in report.participants] == ["ada", "bo", "host"]
    assert (report.transfer_texts, report.bare_prompts) == (7, 1)
    assert report.memory_bytes and report.seconds and report.disk_bytes and report.bytes_per_round
    table = printed(report)
    assert max(map(len, table.splitlines())) <= 80
    assert "6 labelled texts, 1 bare prompts" in table


def test_adapter_numbers_are_those_of_the_adapter(config: Path) -> None:
    from renga.models.weights import SharedWeights

    report = checked(config)
    weights = SharedWeights.load(str(config.parent / "model"))
    adapter = weights.fresh_adapter(2, 4.0, "all", 0)
    numbers = sum(factors.a.size + factors.b.size for factors in adapter.factors.values())
    assert report.participants[0].adapter_numbers == numbers
    assert report.participants[0].parameters == sum(p.numel() for p in weights.model.parameters())


def test_estimates_follow_what_is_asked(config: Path) -> None:
    before = checked(config)
    after = checked(config, "rank = 2", "rank = 4\ncoding = 'float32'")
    assert before.bytes_per_round and after.bytes_per_round and before.disk_bytes and after.disk_bytes
    assert after.bytes_per_round > 4 * before.bytes_per_round > 0
    assert after.disk_bytes > before.disk_bytes


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("rank = 4", "rank = 500", "host: rank 500 is more than the layers of"),
        ('"ada.jsonl"', '"adda.jsonl"', "adda.jsonl: no such file"),
        (
            '"ada_held_out.jsonl"',
            '"ada.jsonl"',
            "client ada: 12 held-out questions are in its training text too",
        ),
        (
            'validation = ["val',
            'validation = ["public.jsonl", "val',
            "transfer.validation: 1 texts have no response",
        ),
        ('"public.jsonl"', '"."', "no file that can be read, where files of one kind were expected"),
    ],
)
def test_problems_are_named(config: Path, old: str, new: str, problem: str) -> None:
    report = checked(config, old, new)
    assert any(problem in line for line in report.problems), report.problems
    assert report.memory_bytes is None
    assert "memory" not in printed(report)


def test_all_problems_are_told_at_once(config: Path) -> None:
    (config.parent / "bo.jsonl").write_text("")
    (config.parent / "bo_held_out.jsonl").write_text('{"prompt": "Q"}\n')
    (config.parent / "ada.jsonl").write_text('{"prompt": "Q"\n')
    report = checked(config, 'model = "', 'model = "no_such_model_here')
    assert len(report.problems) == 4
    assert not any("\n" in problem for problem in report.problems)


def test_a_domain_without_held_out_text_is_a_problem(config: Path) -> None:
    (config.parent / "ada_held_out.jsonl").write_text("\n")
    (problem,) = checked(config).problems
    assert "ada_held_out.jsonl: no texts in it" in problem


def test_more_clients_than_data(config: Path) -> None:
    write_texts(config.parent / "ada.jsonl", texts("ada", 1))
    (problem,) = checked(config, '"bo.jsonl"', '"ada.jsonl"').problems
    assert problem.startswith("more clients than data: 2 clients share ")


@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        ('"bo.jsonl"', '"ada.jsonl"', "2 clients learn from the same file: ada, bo"),
        (
            'validation = ["validation.jsonl"]',
            "",
            "some labelled public text is set apart for the host's gate",
        ),
        ('data = ["public.jsonl"]', "", "no transfer set"),
        (
            '["public.jsonl"]',
            '["public.jsonl", "validation.jsonl"]',
            "4 validation texts are also in the transfer",
        ),
        ("[transfer]", "[transfer]\nslice = 9", "transfer.slice = 9, but there are 6 texts with a response"),
    ],
)
def test_notes(config: Path, old: str, new: str, note: str) -> None:
    report = checked(config, old, new)
    assert report.problems == ()
    assert any(note in line for line in report.notes), report.notes


def test_a_run_that_is_there_already_is_noted(config: Path) -> None:
    (config.parent / "runs" / "tiny").mkdir(parents=True)
    (config.parent / "runs" / "tiny" / "config.toml").write_text("")
    assert any("holds a run" in note for note in checked(config).notes)


def test_a_disk_too_small_is_a_problem(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    usage = shutil.disk_usage(config.parent)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=1000))
    (problem,) = checked(config).problems
    assert problem.startswith("no space on ")
