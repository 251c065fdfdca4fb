"""`renga bench …` as a person meets it: tables on stdout, a file, a page; one line for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from renga.boundary import enter
from renga.cli import run
from tests.models.tiny_models import chat_tokenizer, llama, save_folder
from tests.tiny_federation import texts, write_texts

PAGE = "# Page\n<!-- bench wire: begin -->\n<!-- bench wire: end -->\nend\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_folder(tmp_path / "model", llama(hidden_size=64, head_dim=16), chat_tokenizer())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_texts(tmp_path / "texts.jsonl", [*texts("ada", 6), {"prompt": "a bare one"}])
    return tmp_path / "texts.jsonl"


def renga(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    status = enter(["bench", *map(str, arguments)], run)
    return status, *capsys.readouterr()


def test_wire_fills_a_page_and_a_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model: Path, data: Path
) -> None:
    page, out = tmp_path / "page.md", tmp_path / "new" / "wire.json"
    page.write_text(PAGE)
    few = ("--limit", 4, "--tokens", 300, "--rank", 2)
    status, shown, told = renga(
        capsys, "wire", "--data", data, "--model", model, *few, "--out", out, "--docs", page
    )
    assert status == 0, told
    assert "FATE 128" in shown and "loading" in told
    assert json.loads(out.read_text())["texts"] == 4
    written = page.read_text()
    assert written.startswith("# Page\n<!-- bench wire: begin -->\n**Targets**") and written.endswith("end\n")


def test_transfer_prints_json(capsys: pytest.CaptureFixture[str], model: Path, data: Path) -> None:
    models = ("--teacher", model, "--student", model)
    status, shown, told = renga(capsys, "transfer", "--data", data, *models, "--repeats", 1, "--json")
    assert status == 0, told
    result: dict[str, Any] = json.loads(shown)
    assert result["texts"] == 6 and result["repeats"] == 1
    status, shown, told = renga(capsys, "transfer", "--data", data, *models, "--repeats", 1)
    assert status == 0 and "times as fast" in " ".join(shown.split())


def test_what_cant_be_used(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model: Path, data: Path
) -> None:
    bare = tmp_path / "bare.jsonl"
    write_texts(bare, [{"prompt": "a bare one"}])
    page = tmp_path / "page.md"
    page.write_text("# Page\n")
    for arguments, said in (
        (("wire", "--data", tmp_path / "none.jsonl"), "no such file"),
        (("wire", "--data", bare), "no text has a response"),
        (("wire", "--data", data, "--docs", page), "has no block"),
        (("wire", "--data", data, "--model", "SmolLM2-135M-Instruc"), "SmolLM2-135M-Instruct"),
        (("wire", "--data", data, "--model", model, "--tokens", 3), "not one batch"),
        (("learning", "--data", tmp_path / "none"), "no such folder"),
        (("learning", "--data", tmp_path), "holds 0 domains"),
        (("learning",), "missing option '--data'"),
        (("memory", "--host", model), "--host needs --model"),
        (("memory", "--clients", 0), "--clients"),
        (("transfer", "--data", data, "--teacher", model), "missing option '--student'"),
    ):
        status, shown, told = renga(capsys, *arguments)
        assert status == 2 and shown == "", (arguments, told)
        problem = told[told.index("renga: ") :]
        assert problem.count("\n") <= 2 and said in problem, told
