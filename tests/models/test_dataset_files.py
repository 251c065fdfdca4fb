"""Texts in the formats that `datasets` reads are the texts of a JSONL file, and what is wrong is one line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from renga.errors import RengaError, UsageError
from renga.models.data import read_examples, read_jsonl

datasets: Any = pytest.importorskip("datasets")

NONE = dict.fromkeys(("prompt", "response", "choices", "domain"))
RECORDS: list[dict[str, Any]] = [
    {**NONE, "prompt": "Who keeps the gate?", "response": "Marta", "domain": "gates"},
    {**NONE, "prompt": "Which one, a or b?", "response": "b", "choices": ["a", "b"]},
    {**NONE, "prompt": "Wohin, 連歌?"},
]


@pytest.fixture
def texts(tmp_path: Path) -> Any:
    """The data set, and beside it the JSONL file that says the same."""
    lines = [json.dumps({k: v for k, v in r.items() if v is not None}) for r in RECORDS]
    (tmp_path / "same.jsonl").write_text("\n".join(lines))
    return datasets.Dataset.from_list(RECORDS)


def write(found: Any, form: str, path: Path) -> Path:
    if form == "folder":
        path.mkdir()
        found.save_to_disk(str(path / "set"))
        return path / "set"
    if form == "parts":
        path.mkdir()
        for part in range(2):
            found.shard(2, part, contiguous=True).to_parquet(str(path / f"{part}.parquet"))
        return path
    if form == "csv":
        table = found.map(lambda r: {"choices": json.dumps(r["choices"]) if r["choices"] else None})
        table.to_csv(str(path / "x.csv") if path.is_dir() else f"{path}.csv", index=False)
        return Path(f"{path}.csv")
    file = Path(f"{path}.{form}")
    getattr(found, f"to_{form}")(str(file), **({"lines": False} if form == "json" else {}))
    return file


@pytest.mark.parametrize("form", ["parquet", "json", "csv", "folder", "parts"])
def test_every_format_says_the_same(texts: Any, form: str, tmp_path: Path) -> None:
    path = write(texts, form, tmp_path / "texts")
    assert read_examples(path) == read_jsonl(tmp_path / "same.jsonl")
    assert read_examples(tmp_path / "same.jsonl") == read_jsonl(tmp_path / "same.jsonl")


def refused(path: Path, *parts: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_examples(path)
    told = f"{caught.value.message} {caught.value.hint}"
    assert "\n" not in told and str(path) in told
    for part in parts:
        assert part in told


def test_what_can_not_be_read_is_told_in_one_line(texts: Any, tmp_path: Path) -> None:
    refused(tmp_path / "none.parquet", "no such file")
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 and no more")
    refused(broken, "datasets can't read it")
    folder = tmp_path / "folder"
    folder.mkdir()
    refused(folder, "no file that can be read")
    (folder / "a.csv").write_text("prompt,response\na,b\n")
    (folder / "b.json").write_text("[]")
    refused(folder, "files of .csv, .json")
    both = datasets.DatasetDict({"train": texts, "test": texts})
    both.save_to_disk(str(tmp_path / "both"))
    refused(tmp_path / "both", "several splits: train, test")
    odd = tmp_path / "odd.csv"
    odd.write_text("prompt,reponse\na,b\n")
    refused(odd, "record 1", "did you mean 'response'")
    odd.write_text("prompt,response\na,b\n,c\n")
    refused(odd, "record 2", "'prompt' is missing")


def test_without_the_package_the_extra_is_named(
    texts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(texts, "parquet", tmp_path / "texts")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(RengaError, match="not installed") as caught:
        read_examples(path)
    assert "renga[datasets]" in caught.value.hint
