"""What a merged model says about itself: `provenance.json` for programs, a model card for people.

Nothing in it depends on when or where the merge ran: the same merge gives the same files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PROVENANCE = "provenance.json"


def renga_version() -> str:
    """The version of this package; "unknown" in a checkout that isn't installed."""
    try:
        return version("renga")
    except PackageNotFoundError:
        return "unknown"


def write(folder: Path, record: Mapping[str, Any], recipe: str) -> None:
    """Write both into a folder. `record` has `stages`, as `checkpoints.merge` makes them."""
    text = json.dumps(record, indent=2, ensure_ascii=False)
    (folder / PROVENANCE).write_text(text + "\n", encoding="utf-8")
    (folder / "README.md").write_text(card(record, recipe), encoding="utf-8")


def card(record: Mapping[str, Any], recipe: str) -> str:
    """A model card in Markdown, with the header that hubs read."""
    stages: Sequence[Mapping[str, Any]] = record["stages"]
    made = {stage["name"] for stage in stages}
    models = dict.fromkeys(
        entry["model"]
        for stage in stages
        for entry in [*([stage["base"]] if stage["base"] else []), *stage["inputs"]]
        if entry["model"] not in made
    )
    lines = ["---", "library_name: transformers", "tags: [merge, renga]", "base_model:"]
    lines += [f"- {json.dumps(model, ensure_ascii=False)}" for model in models]
    lines += [
        "---",
        "",
        "# A merged model",
        "",
        f"Merged by Renga {record['renga']}, seed {record['seed']}.",
        "",
    ]
    for stage in stages:
        title = f"## {stage['method']}" + (f" ({stage['name']})" if len(stages) > 1 else "")
        lines += [title, ""]
        if stage["base"]:
            lines += [f"Changes of `{stage['base']['model']}` ({stage['base']['fingerprint'][:16]}).", ""]
        lines += ["| model | fingerprint | settings |", "|---|---|---|"]
        for entry in stage["inputs"]:
            layers = (
                f"layers {entry['layers'][0]} to {entry['layers'][1] - 1} " if entry.get("layers") else ""
            )
            lines.append(
                f"| `{entry['model']}` | {entry['fingerprint'][:16]} | {layers}{_said(entry['settings'])} |"
            )
        lines += ["", f"Options: {_said(stage['options']) or 'none'}.", ""]
    for model, done in record.get("prepared", {}).items():
        lines += [f"`{model}` was made ready first: {_said(done)}.", ""]
    if scores := record.get("scores"):
        if tried := record.get("tried"):
            lines += [
                f"`{record['chosen']}` was kept of {', '.join(tried)}, by the score on the same texts.",
                "",
            ]
        lines += ["## Scores", "", "| model | bits per byte | accuracy |", "|---|---|---|"]
        lines += [
            f"| `{name}` | {_score(s, 'bits_per_byte')} | {_score(s, 'accuracy')} |"
            for name, s in scores.items()
        ]
        lines.append("")
    lines += [f"`{PROVENANCE}` has the whole fingerprints: over each model's tensors.", ""]
    if recipe:
        lines += ["## Recipe", "", "```", recipe.strip(), "```", ""]
    return "\n".join(lines)


def _said(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {json.dumps(value, ensure_ascii=False)}" for key, value in settings.items())


def _score(scores: Mapping[str, Any], key: str) -> str:
    value = scores.get(key)
    return "–" if value is None else f"{value:.4f}"
