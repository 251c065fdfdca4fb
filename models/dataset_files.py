"""Records of texts in the formats that the package `datasets` reads: tables, JSON, Arrow, saved data sets.

Only local files: nothing is fetched, and no code that lies beside the data is run.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from renga.errors import RengaError, UsageError

# By suffix: which of the builders of `datasets` reads it, and with what.
FORMATS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    ".parquet": ("parquet", {}),
    ".csv": ("csv", {}),
    ".tsv": ("csv", {"sep": "\t"}),
    ".json": ("json", {}),
    ".arrow": ("arrow", {}),
}
SAVED = ("dataset_info.json", "dataset_dict.json")  # what `save_to_disk` leaves in a folder


def records(path: Path) -> list[tuple[dict[str, Any], str]]:
    """Every record of a file or folder, without the columns it leaves empty, and where it stands.

    Raises UsageError for what `datasets` can't read, RengaError where `datasets` is not installed.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        import datasets
    except ImportError:
        raise RengaError(
            f"{path}: the package datasets reads this, and it is not installed",
            hint="pip install 'renga[datasets]', or save the texts as JSONL",
        ) from None
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory(prefix="renga-") as cache:
        try:
            found = _loaded(datasets, path, cache)
        except UsageError:
            raise
        except Exception as error:
            told = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
            raise UsageError(f"{path}: datasets can't read it: {told[0][:160]}") from error
        if isinstance(found, Mapping):
            if len(found) > 1:
                raise UsageError(
                    f"{path} holds several splits: {', '.join(map(str, found))}",
                    hint="give the folder or the file of one of them",
                )
            (found,) = found.values()
        return [(_given(record), f"{path}: record {number}") for number, record in enumerate(found, start=1)]


def _loaded(datasets: Any, path: Path, cache: str) -> Any:
    options: dict[str, Any] = {"cache_dir": cache, "keep_in_memory": True}
    if path.is_dir():
        if any((path / name).is_file() for name in SAVED):
            return datasets.load_from_disk(str(path), keep_in_memory=True)
        files = [file for file in sorted(path.iterdir()) if file.suffix in FORMATS]
        suffixes = sorted({file.suffix for file in files})
        if len(suffixes) != 1:
            told = f"files of {', '.join(suffixes)}" if suffixes else "no file that can be read"
            raise UsageError(
                f"{path}: {told}, where files of one kind were expected",
                hint=f"a folder saved by datasets, or one of {', '.join(FORMATS)}; JSONL as a file",
            )
        builder, more = FORMATS[suffixes[0]]
        return datasets.load_dataset(builder, data_files=[str(file) for file in files], **more, **options)
    builder, more = FORMATS[path.suffix]
    return datasets.load_dataset(builder, data_files=str(path), **more, **options)


def _given(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a record holds. A table has no lists: there choices are one, written as JSON."""
    record = {key: value for key, value in record.items() if value is not None}
    choices = record.get("choices")
    if isinstance(choices, str) and choices.startswith("["):
        try:
            return {**record, "choices": json.loads(choices)}
        except json.JSONDecodeError:
            return record
    return record
