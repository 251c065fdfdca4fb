"""One tokenizer that knows the tokens of several, of `tokenizer.json` files.

The base's tokens keep their ids; what others know beyond it follows, model by model, in the order of their
ids. Of byte-pair tokenizers the merges follow, too, after all of the base's: a text is first cut as the base
cuts it, and then joined further where another tokenizer would have. (mergekit makes such tokens "added" ones,
which cut a text before anything else does, and match bytes only by chance.) Only tokenizers of one kind, that
write bytes the same way, can be united.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from renga.errors import RengaError

Table = dict[str, Any]


def united(folders: Mapping[str, Path]) -> Table:
    """The `tokenizer.json` of all; `folders` by model, the base first. RengaError where it can't be had."""
    read = {model: _read(model, folder) for model, folder in folders.items()}
    (first, result), *others = read.items()
    for model, other in others:
        for what, told in (("a kind", _kind), ("a way of writing bytes", _writing)):
            if told(result) != told(other):
                raise RengaError(
                    f"the tokenizers of {first} and {model} have no union: they are not of {what}",
                    hint=f"--vocabulary {first} carries the rows of tokens over",
                )
    vocabulary = result["model"]["vocab"]
    added = {entry["content"]: entry for entry in result.setdefault("added_tokens", [])}
    last = max([*_ids(vocabulary).values(), *(entry["id"] for entry in added.values())], default=-1)
    merges = {_pair(merge): None for merge in result["model"].get("merges", ())}
    for model, other in others:
        theirs = {entry["content"]: entry for entry in other.get("added_tokens", ())}
        for token, _ in sorted(_ids(other["model"]["vocab"]).items(), key=lambda item: item[1]):
            if token in vocabulary or token in added or token in theirs:
                continue
            if not isinstance(vocabulary, dict):
                raise RengaError(
                    f"the tokenizers of {first} and {model} have no union: {_kind(result)} numbers its tokens"
                    f" by their place, and {first} lacks {token!r}",
                    hint=f"--vocabulary {first} carries the rows of tokens over",
                )
            last += 1
            vocabulary[token] = last
        for merge in other["model"].get("merges", ()):
            merges.setdefault(_pair(merge))
        for token, entry in sorted(theirs.items(), key=lambda item: item[1]["id"]):
            if token in added:
                continue
            known = _ids(vocabulary).get(token)
            last += known is None
            added[token] = {**entry, "id": last if known is None else known}
    if "merges" in result["model"]:
        result["model"]["merges"] = _as(result["model"]["merges"], list(merges))
    result["added_tokens"] = sorted(added.values(), key=lambda entry: entry["id"])
    return result


def _read(model: str, folder: Path) -> Table:
    try:
        found: Table = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        _ids(found["model"]["vocab"])
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise RengaError(f"{model} has no tokenizer.json that can be united: {error}") from error
    return found


def _ids(vocabulary: Any) -> Mapping[str, int]:
    if isinstance(vocabulary, dict):
        return vocabulary
    return {entry[0]: place for place, entry in enumerate(vocabulary)}


def _kind(tokenizer: Table) -> str:
    return str(tokenizer["model"].get("type", "BPE"))


def _writing(tokenizer: Table) -> Any:
    """What decides which bytes a token stands for."""
    decoder = tokenizer.get("decoder") or {}
    parts = [part.get("type") for part in decoder.get("decoders", [])] or [decoder.get("type")]
    return bool(tokenizer["model"].get("byte_fallback")), parts


def _pair(merge: Any) -> tuple[str, str]:
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def _as(like: Sequence[Any], merges: Sequence[tuple[str, str]]) -> list[Any]:
    """Merges, written as these are."""
    if like and isinstance(like[0], str):
        return [" ".join(merge) for merge in merges]
    return [list(merge) for merge in merges]
