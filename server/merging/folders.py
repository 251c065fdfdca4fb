"""Adapter folders in, one adapter folder out, with where it came from written beside it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from renga.errors import RengaError, UsageError
from renga.models.adapter import Adapter, scaled_norm
from renga.models.adapter_files import base_name, load_peft, save_peft
from renga.server.merging.lowrank import Merged
from renga.server.merging.parts import check_values

RECORD = "renga_merge.json"

_QUANTISED = re.compile(r"(?i)(^|[-_/.])(bnb|4bit|8bit|int4|int8|gptq|awq|aqlm|hqq|nf4|fp4)([-_/.]|$)")


@dataclass(frozen=True)
class Source:
    """An adapter that was read from a folder."""

    folder: Path
    adapter: Adapter
    base_name: str  # as its config calls it
    fingerprint: str  # sha256 of its weights file, hex
    size: float  # the Frobenius norm of its update

    @property
    def name(self) -> str:
        return self.folder.name or str(self.folder)


def read(folders: Sequence[Path]) -> list[Source]:
    """The adapters in folders, which can be merged as far as the folders tell.

    Raises RengaError, naming the folder and the tensor: for what `load_peft` refuses, values that are not
    finite, quantised bases, and adapters whose bases have different names where no fingerprint decides.
    """
    found = [read_one(folder) for folder in folders]
    check_bases(found)
    return found


def read_one(folder: Path) -> Source:
    """The adapter in a folder. Raises RengaError as `read`, but for what shows beside others only."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", hint="name the folders of adapters")
    name = base_name(folder)
    if _quantised(name):
        raise RengaError(
            f"adapter {folder} was trained on the quantised base {name}",
            hint="its update fits the rounded weights; train it on the full ones",
        )
    adapter = load_peft(folder)
    check_values(adapter, str(folder))
    if not adapter.provenance.get("who"):
        adapter = replace(adapter, provenance={**adapter.provenance, "who": folder.name})
    weights = (folder / "adapter_model.safetensors").read_bytes()
    return Source(folder, adapter, name, hashlib.sha256(weights).hexdigest(), scaled_norm(adapter))


def check_bases(found: Sequence[Source]) -> None:
    """That adapters without a base's fingerprint name one base. RengaError."""
    names = sorted({source.base_name for source in found if not source.adapter.base} - {""})
    if len({Path(name).name.lower() for name in names}) > 1:  # a hub's name, or a folder of that name
        raise RengaError(
            f"adapters of different bases can't be merged: {', '.join(names)}",
            hint="all must have been trained on the same base weights",
        )


def write(
    merged: Merged,
    out: Path,
    sources: Sequence[Source],
    asked: Mapping[str, Any],
    scores: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the result as PEFT loads it, its record and its model card; give the record.

    `asked` is what the merge was called with (method, weights, options). Everything is written before the
    folder gets its name. A residual goes into a folder `residual` of the same kind.
    """
    if out.exists():
        raise UsageError(f"{out} exists already", hint="name a new folder")
    called = next((source.base_name for source in sources if source.base_name), "")
    record = _record(merged, sources, asked, scores, called)
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    save_peft(
        merged.adapter, out, called, trimmed=True, beside={RECORD: text, "README.md": _card(record, called)}
    )
    if merged.residual is not None:
        save_peft(merged.residual, out / "residual", called, trimmed=True)
    return record


def _record(
    merged: Merged,
    sources: Sequence[Source],
    asked: Mapping[str, Any],
    scores: Mapping[str, Any] | None,
    called: str,
) -> dict[str, Any]:
    """What the result came from. Equal merges give equal records: no time, no path."""
    weights = asked.get("weights") or [1.0] * len(sources)
    return {
        "renga": version("renga"),
        **asked,
        "base": {"name": called, "fingerprint": merged.adapter.base},
        "inputs": [
            {
                "name": source.name,
                "sha256": source.fingerprint,
                "weight": weight,
                "rank": source.adapter.rank,
                "size": source.size,
            }
            for source, weight in zip(sources, weights, strict=True)
        ],
        "result": {
            "rank": merged.adapter.rank,
            "alpha": merged.adapter.alpha,
            "size": scaled_norm(merged.adapter),
            "error": merged.error,
        },
        **({"scores": scores} if scores else {}),
    }


def _card(record: Mapping[str, Any], called: str) -> str:
    """A model card that says how the adapter came to be."""
    head = ["---", "library_name: peft", "tags: [lora, merge, renga]"]
    if called and not Path(called).is_absolute():
        head.append(f"base_model: {json.dumps(called)}")
    options = record["options"]
    rows = "\n".join(
        f"| {i['name']} | {i['weight']} | {i['rank']} | {i['size']:.4g} | `{i['sha256'][:16]}` |"
        for i in record["inputs"]
    )
    result = record["result"]
    text = f"""
# {record["method"]} of {len(record["inputs"])} adapters

Merged by Renga {record["renga"]}: {record["about"]}.

| adapter | weight | rank | size of the update | sha256 |
| --- | --: | --: | --: | --- |
{rows}

Options: {json.dumps(options) if options else "none"}. Rank {result["rank"]}; |ΔW| {result["size"]:.4g};
bringing it to this rank cost {100 * result["error"]:.3g} % of it. Everything stands in `{RECORD}`.
"""
    if scores := record.get("scores"):
        heads = "| model | bits per byte | accuracy |\n| --- | --: | --: |"
        lines = [
            f"| {name} | {s['bits_per_byte']:.4f} | {_share(s['accuracy'])} |"
            for name, s in scores["models"].items()
        ]
        text += f"\nOn {scores['texts']} texts of {scores['data']}:\n\n{heads}\n" + "\n".join(lines) + "\n"
    return "\n".join([*head, "---"]) + "\n" + text


def _share(accuracy: float | None) -> str:
    return "–" if accuracy is None else f"{accuracy:.1%}"


def _quantised(name: str) -> bool:
    if _QUANTISED.search(name):
        return True
    try:
        config = json.loads((Path(name) / "config.json").read_text(encoding="utf-8")) if name else {}
    except (OSError, ValueError):
        return False
    return bool(config.get("quantization_config"))
