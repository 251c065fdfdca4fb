"""GGUF files: read once, dequantised once, kept as safetensors.

transformers can load a GGUF by itself, but takes ten to a hundred seconds for it every time. So the first
load writes what it got (float32 safetensors, config, tokenizer) to the store, named by the file's content,
and every later load maps that into memory.

What a GGUF doesn't say, or transformers doesn't read, is put right in `gguf_mending`.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from renga.errors import RengaError
from renga.models import store
from renga.models.fingerprints import base_fingerprint
from renga.models.gguf_header import Header, read_header
from renga.models.gguf_mending import mend_config, mend_tokenizer

if TYPE_CHECKING:
    from gguf import GGUFReader
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["Header", "Progress", "folder_for", "is_whole", "prepare", "quiet", "read_header"]

Progress = Callable[[str], None]

# Part of a prepared folder's name: raise it whenever what we write for the same file changes.
PREPARATION = 2


def folder_for(content_hash: str) -> Path:
    """Where the prepared form of the GGUF with this sha256 lies, or would lie."""
    return store.root() / "models" / f"{content_hash[:40]}-{PREPARATION}"


def is_whole(folder: Path) -> bool:
    """A prepared folder gets its name when all is written; this notices when somebody cleared it since."""
    return all((folder / name).is_file() for name in (store.FACTS, "config.json", "model.safetensors"))


def prepare(path: Path, *, name: str, licence: str = "", progress: Progress | None = None) -> Path:
    """The folder that holds this GGUF as safetensors; made when it isn't there yet.

    name: what the model is called in messages. licence: where the file doesn't state it well. Raises
    RengaError for a file that is not a whole GGUF of an architecture that transformers knows, and when
    the disk is full; nothing is left half-written.
    """
    tell = progress or (lambda line: None)
    folder = folder_for(store.file_hash(path))
    if is_whole(folder):
        return folder
    header = read_header(path)
    with store.alone(folder, lambda: tell(f"waiting for another process that prepares {name}")):
        if is_whole(folder):
            return folder
        store.room_for(4 * header.parameters + (1 << 26), f"preparing {name}")
        store.clear(folder)
        tell(f"preparing {name}: unpacking its quantised weights (once, about half a minute)")
        stated = licence or str(header.facts.get("general.license", ""))
        return store.publish_folder(folder, lambda draft: _convert(path, header, draft, name, stated))


def _convert(path: Path, header: Header, draft: Path, name: str, licence: str) -> None:
    model, tokenizer = _unpack(path, header, name)
    mend_config(model.config, header)
    mend_tokenizer(tokenizer, header)
    weights = {key: tensor.contiguous() for key, tensor in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        weights.pop("lm_head.weight", None)  # the embedding itself, under its second name
    _save(weights, draft / "model.safetensors")
    # By hand, not by save_pretrained, which refuses a model that came from a GGUF.
    config = {
        key: value
        for key, value in model.config.to_dict().items()
        if key not in ("quantization_config", "transformers_version") and not key.endswith("_name_or_path")
    }
    store.write_json(draft / "config.json", config | {"architectures": [type(model).__name__]})
    tokenizer.backend_tokenizer.save(str(draft / "tokenizer.json"), pretty=False)
    store.write_json(draft / "tokenizer_config.json", _tokenizer_config(tokenizer, header))
    if tokenizer.chat_template:
        (draft / "chat_template.jinja").write_text(str(tokenizer.chat_template), encoding="utf-8")
    facts = {
        "name": name,
        "licence": licence,
        "source": {"file": path.name, "sha256": store.file_hash(path), "bytes": path.stat().st_size},
        "fingerprint": base_fingerprint(model),
    }
    store.write_json(draft / store.FACTS, facts)


def _tokenizer_config(tokenizer: PreTrainedTokenizerBase, header: Header) -> dict[str, Any]:
    names = {key: str(token) for key, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
    context = header.fact("context_length")
    length = {"model_max_length": int(context)} if context else {}
    return {"tokenizer_class": "PreTrainedTokenizerFast", **names, **length}


def _unpack(path: Path, header: Header, name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        with quiet(), _read_once():
            tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, local_files_only=True)
            model, info = AutoModelForCausalLM.from_pretrained(
                path.parent,
                gguf_file=path.name,
                dtype=torch.float32,
                local_files_only=True,
                ignore_mismatched_sizes=True,  # refused below, by name
                output_loading_info=True,
                **_dense(),
            )
        if lack := lacking(info):
            raise ValueError(lack)
    except MemoryError:
        raise
    except Exception as error:  # whatever transformers stumbles on in a file from elsewhere
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise RengaError(
            f"transformers can't load {name} (GGUF of architecture {header.architecture!r}): {first}",
            hint="use a safetensors folder of the model instead",
        ) from error
    return model, tokenizer


def lacking(info: Mapping[str, Any]) -> str:
    """What transformers' loading info says is not in the files, in words; "" if all is there.

    transformers goes on with random numbers in such places, and says so only in its notices.
    """
    names = sorted(map(str, info.get("missing_keys") or ()))
    wrong = sorted(
        str(key[0] if isinstance(key, tuple) else key) for key in info.get("mismatched_keys") or ()
    )
    if names:
        return f"its weights lack {names[0]}" + (f" and {len(names) - 1} more" if names[1:] else "")
    return f"the shape of {wrong[0]} is not what its config says" if wrong else ""


def _dense() -> dict[str, Any]:
    """Newer releases of transformers would keep some architectures quantised in memory."""
    try:
        from transformers import GgufConfig
    except ImportError:
        return {}
    return {"quantization_config": GgufConfig(dequantize=True)}


def _save(weights: dict[str, Any], path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(weights, path, metadata={"format": "pt"})
    except SafetensorError as error:
        full = f"os error {errno.ENOSPC}" in str(error)
        code = errno.ENOSPC if full else errno.EIO
        raise OSError(code, os.strerror(code) if full else str(error)) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' own bars and notices: our progress line stands in their place."""
    from transformers.utils import logging as notices

    level, bars = notices.get_verbosity(), notices.is_progress_bar_enabled()
    notices.set_verbosity(logging.ERROR)
    notices.disable_progress_bar()
    try:
        yield
    finally:
        notices.set_verbosity(level)
        if bars:
            notices.enable_progress_bar()


@contextmanager
def _read_once() -> Iterator[None]:
    """Lets transformers read the metadata of one file once, and at array speed.

    It opens the file three times, and the package's reader spends 30 s on Gemma's 262,144 tokens each
    time, because every number it takes becomes an `np.memmap`. The same reader on a plain array takes
    4 s. A release of transformers that reads in another way passes by this, and is only slower.
    """
    import gguf
    import transformers.modeling_gguf_pytorch_utils as legacy

    class PlainReader(gguf.GGUFReader):  # type: ignore[misc]
        def __init__(self, path: os.PathLike[str] | str, mode: Any = "r") -> None:
            self._plain = np.memmap(path, mode=mode).view(np.ndarray)
            super().__init__(path, mode)

        def _get(self, offset: int, dtype: Any, count: int = 1, override_order: Any = None) -> Any:
            kind = np.dtype(dtype).newbyteorder("<")  # big-endian files were refused by `read_header`
            return self._plain[int(offset) : int(offset) + kind.itemsize * int(count)].view(kind)

    opened: dict[str, GGUFReader] = {}

    def open_once(path: os.PathLike[str] | str, mode: Any = "r") -> GGUFReader:
        if str(path) not in opened:
            opened[str(path)] = PlainReader(path, mode)
        return opened[str(path)]

    reader, bar = gguf.GGUFReader, getattr(legacy, "tqdm", None)
    gguf.GGUFReader = open_once
    if bar is not None:
        legacy.tqdm = lambda things, **_: things
    try:
        yield
    finally:
        gguf.GGUFReader = reader
        if bar is not None:
            legacy.tqdm = bar
