"""What comes along with the weights: the tokenizer and its kin, from the model that the stage names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from renga.errors import RengaError
from renga.server.merging.checkpoints.files import Checkpoint

# By name: code, weights in other formats and facts about the donor's own weights stay where they are.
_FILES = (
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "merges.txt", "vocab.txt", "spiece.model", "chat_template.jinja",
    "chat_template.json", "generation_config.json", "preprocessor_config.json", "processor_config.json",
    "LICENSE", "LICENSE.md",
)  # fmt: skip


def carry(donor: Checkpoint, folder: Path) -> list[str]:
    """Copy the tokenizer's files into `folder`; the names of what was copied."""
    copied = [name for name in _FILES if (donor.folder / name).is_file()]
    for name in copied:
        shutil.copyfile(donor.folder / name, folder / name)
    return copied


def token_ids(folder: Path) -> Mapping[str, int] | None:
    """The id of every token of a folder's tokenizer; None where no file that can be read lists them."""
    try:
        if (folder / "tokenizer.json").is_file():
            data = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
            listed = data["model"]["vocab"]
            pairs = listed.items() if isinstance(listed, dict) else [(e[0], k) for k, e in enumerate(listed)]
            return {
                **dict(pairs),
                **{entry["content"]: entry["id"] for entry in data.get("added_tokens", ())},
            }
        if (folder / "vocab.json").is_file():
            return dict(json.loads((folder / "vocab.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise RengaError(f"the tokenizer in {folder} can't be read: {error}") from error
    return None


def check_vocabularies(
    checkpoints: Mapping[str, Checkpoint], *, by_number: bool, tell: Callable[[str], None]
) -> None:
    """That all models mean the same token by an id; those without a tokenizer are taken at their word.

    With `by_number`, rows are to be merged by their number whatever they mean: a difference is told and is no
    error. Raises RengaError.
    """
    folders = {
        model: checkpoint.folder
        for model, checkpoint in checkpoints.items()
        if any((checkpoint.folder / name).is_file() for name in ("tokenizer.json", "vocab.json"))
    }
    if message := differing(folders):
        if not by_number:
            raise RengaError(message, hint="--tokenizer MODEL, or union, brings rows to one tokenizer")
        tell(f"{message}; rows of the embedding are merged by their number all the same")


def differing(folders: Mapping[str, Path]) -> str | None:
    """How the first tokenizers that differ do, of folders by model."""
    if not folders:
        return None
    (first, one), *others = folders.items()
    for model, other in others:
        if (difference := _difference(one, other)) is not None:
            return f"the tokenizers of {first} and {model} differ: {difference}"
    return None


def _difference(one: Path, other: Path) -> str | None:
    """Where two folders' tokenizers disagree on an id."""
    for name in ("tokenizer.json", "vocab.json"):
        if (one / name).is_file() and (other / name).is_file():
            if (one / name).read_bytes() == (other / name).read_bytes():
                return None
            break
    a, b = token_ids(one), token_ids(other)
    if a is None or b is None or a == b:
        return None
    token = min((t for t in {*a, *b} if a.get(t) != b.get(t)), key=lambda t: (a.get(t, b.get(t, 0)), t))
    return f"token {token!r} has the ids {a.get(token, 'none')} and {b.get(token, 'none')}"
