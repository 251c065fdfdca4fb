"""Federations of models of a few thousand weights that do learn something, in a second or two.

Two families with different tokenizers, so two cohorts; clients of unequal rank and alpha. Every client's
private texts have one answer, so a few steps make it sure of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from tests.models.tiny_models import chat_tokenizer, gemma3, llama, save_folder
from tests.models.tiny_tokenizers import metaspace
from tests.tiny_federation import write_texts

ANSWERS = {"ada": "no", "bo": "no", "cy": "by the sea"}
STRANGE = "fox fox fox"  # what no client is told, and the host learns from the public texts


def write_models(folder: Path) -> None:
    """`folder`/llama and `folder`/gemma."""
    tokenizer = metaspace(100)
    save_folder(folder / "llama", llama(), chat_tokenizer())
    save_folder(
        folder / "gemma", gemma3(vocab_size=len(tokenizer.get_vocab()), num_hidden_layers=2), tokenizer
    )


def client(name: str, **keys: Any) -> dict[str, Any]:
    return {"name": name, "data": f"{name}.jsonl", "held_out": f"{name}_later.jsonl", **keys}


THREE = (client("ada"), client("bo", rank=4, alpha=8.0), client("cy", model="gemma", rank=3))


def write_federation(
    folder: Path,
    models: Path,
    clients: Sequence[Mapping[str, Any]] = THREE,
    **tables: Mapping[str, Any] | Any,
) -> Path:
    """Write config and texts in `folder`; the config's path. `tables`: what differs from the config below."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in clients:
        name = one["name"]
        answer = ANSWERS.get(name, name)
        write_texts(folder / f"{name}.jsonl", _texts("Where", name, answer, 6))
        write_texts(folder / f"{name}_later.jsonl", _texts("And where", name, answer, 2))
    public = [*_texts("Where", "cy", ANSWERS["cy"], 2, 10), *_texts("Who", "it", STRANGE, 2)]
    questions = [{"prompt": "Where is bo 7?"}, {"prompt": "Where is ada 8?"}]
    write_texts(folder / "public.jsonl", [*public, *questions])
    write_texts(folder / "valid.jsonl", _texts("Who", "it", STRANGE, 2, 5))
    config: dict[str, Any] = {
        "name": "small",
        "rounds": 2,
        "threads": 1,
        "host": {"model": "llama", "rank": 3, "tokens": 1200, "learning_rate": 2e-2, "batch": 4},
        "edge": {
            "model": "llama",
            "rank": 2,
            "tokens": 1800,
            "transfer_tokens": 400,
            "learning_rate": 3e-2,
            "batch": 4,
        },
        "transfer": {
            "data": ["public.jsonl"],
            "validation": ["valid.jsonl"],
            "answer_tokens": 8,
            "agreement": 0.2,
        },
        "evaluate": {"accuracy": False},
        "baselines": {"alone": False},
        "clients": [dict(one) for one in clients],
    }
    for key, value in tables.items():
        config[key] = {**config.get(key, {}), **value} if isinstance(value, Mapping) else value
    for table in (config["host"], config["edge"], *config["clients"]):
        if "model" in table:
            table["model"] = str(models / table["model"])
    path = folder / "federation.toml"
    path.write_text(tomli_w.dumps(config), encoding="utf-8")
    return path


def _texts(word: str, of: str, answer: str, count: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"prompt": f"{word} is {of} {n}?", "response": answer} for n in range(start, start + count)]


# What one client costs when it is not the quality that is tested: a step or two.
QUICK: dict[str, Any] = {
    "edge": {"tokens": 500, "transfer_tokens": 200},
    "host": {"tokens": 500},
    "transfer": {"answer_tokens": 2},
}

UNEQUAL = ("seconds", "torch_seconds", "peak_memory_bytes")


def metrics(out: Path, *, timed: bool = False) -> list[dict[str, Any]]:
    """Every record of metrics.jsonl, by default without what a clock or a meter of memory said."""
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [r if timed else {k: v for k, v in r.items() if k not in UNEQUAL} for r in records]


def rounds(out: Path) -> list[dict[str, Any]]:
    return [record for record in metrics(out) if record["kind"] == "round"]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` with its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
