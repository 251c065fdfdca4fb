"""A whole federation in a folder: a config, data for two clients, and a model of a few thousand weights."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.models.tiny_models import chat_tokenizer, llama, save_folder

CONFIG = """\
name = "tiny"
rounds = 1
threads = 1

[host]
model = "{model}"
rank = 4
tokens = 400

[edge]
model = "{model}"
rank = 2
tokens = 200
transfer_tokens = 100

[[clients]]
name = "ada"
data = "ada.jsonl"
held_out = "ada_held_out.jsonl"

[[clients]]
name = "bo"
data = "bo.jsonl"
held_out = "bo_held_out.jsonl"

[transfer]
data = ["public.jsonl"]
validation = ["validation.jsonl"]
answer_tokens = 4
"""


def write_federation(folder: Path) -> Path:
    """Write everything that `folder/tiny.toml`, whose path is returned, names."""
    model = save_folder(folder / "model", llama(), chat_tokenizer())
    for name in ("ada", "bo"):
        write_texts(folder / f"{name}.jsonl", texts(name, 12))
        write_texts(folder / f"{name}_held_out.jsonl", texts(f"{name} later", 4))
    write_texts(folder / "public.jsonl", [*texts("all", 6), {"prompt": "Who is all 9?"}])
    write_texts(folder / "validation.jsonl", texts("valid", 4))
    path = folder / "tiny.toml"
    path.write_text(CONFIG.format(model=model), encoding="utf-8")
    return path


def write_mixed_federation(folder: Path) -> Path:
    """Three clients of two cohorts with unequal ranks, two rounds; the third drops out of the second.

    The quorum is all of them but one, and nobody is waited for in vain: no time limit binds.
    """
    path = write_federation(folder)
    other = save_folder(folder / "other", llama(intermediate_size=40), chat_tokenizer())
    write_texts(folder / "cy.jsonl", texts("cy", 12))
    write_texts(folder / "cy_held_out.jsonl", texts("cy later", 4))
    text = path.read_text(encoding="utf-8").replace("rounds = 1", "rounds = 2")
    text = text.replace('held_out = "bo_held_out.jsonl"', 'held_out = "bo_held_out.jsonl"\nrank = 3')
    text += f"""
[[clients]]
name = "cy"
data = "cy.jsonl"
held_out = "cy_held_out.jsonl"
model = "{other}"

[round]
quorum = 2
grace = 600.0

[[faults]]
client = "cy"
round = 2
kind = "fail"
"""
    path.write_text(text, encoding="utf-8")
    return path


def texts(of: str, count: int) -> list[dict[str, Any]]:
    return [{"prompt": f"Who is {of} {n}?", "response": f"the {n}th", "domain": of} for n in range(count)]


def write_texts(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
