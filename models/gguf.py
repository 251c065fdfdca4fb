"""GGUF files: read once, dequantised once, kept as safetensors.

transformers can load a GGUF by itself, but takes ten to thirty seconds for it every time. So the first
load writes what it got (float32 safetensors, config, tokenizer) to the store, named by the file's
content, and every later load maps that into memory.

Some things a GGUF does not say, or transformers does not read; `_mend_config` and `_mend_tokenizer`
put them right, each with its reason.
"""

from __future__ import annotations

import logging
import mmap
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renga.errors import RengaError
from renga.models import store
from renga.models.fingerprints import base_fingerprint

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

Progress = Callable[[str], None]

# Part of a prepared folder's name: raise it whenever what we write for the same file changes.
PREPARATION = 1

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True)
class Header:
    """What a GGUF says of itself, weights left unread.

    facts: its metadata; of an array, only the length. parameters: numbers in all tensors.
    """

    facts: dict[str, Any]
    parameters: int
    tensors: frozenset[str]

    @property
    def architecture(self) -> str:
        return str(self.facts["general.architecture"])

    def fact(self, name: str) -> Any:
        """A fact about the architecture, e.g. "context_length"; None if the file doesn't state it."""
        return self.facts.get(f"{self.architecture}.{name}")


def read_header(path: Path) -> Header:
    """Read the metadata and check that every tensor it announces lies inside the file.

    Raises RengaError when the file can't be opened, is no GGUF, or is cut short.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size < 24:
                raise RengaError(f"{path} is not a GGUF file: {size} bytes", hint="download or copy it again")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as blob:
                return _parse(_Cursor(blob), path, size)
    except OSError as error:
        raise RengaError(
            f"can't read {path}: {error.strerror}", hint="check the path and its permissions"
        ) from error
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise RengaError(
            f"{path} is cut short or damaged: its header ends too early", hint="download or copy it again"
        ) from error


class _Cursor:
    """Reads GGUF's little-endian values one after the other."""

    def __init__(self, blob: mmap.mmap) -> None:
        self._blob = blob
        self.at = 0

    def number(self, code: str) -> Any:
        (value,) = struct.unpack_from("<" + code, self._blob, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def string(self) -> str:
        raw = self._blob[self.at + 8 : self.at + 8 + self._length()]
        self.at += 8 + len(raw)
        return raw.decode("utf-8")

    def skip_string(self) -> None:
        self.at += 8 + self._length()

    def _length(self) -> int:
        (length,) = struct.unpack_from("<Q", self._blob, self.at)
        if self.at + 8 + length > len(self._blob):
            raise IndexError(length)
        return int(length)

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            if kind not in _SCALARS:
                raise IndexError(kind)
            return self.number(_SCALARS[kind])
        inner, count = self.number("I"), self.number("Q")
        if inner == _STRING:
            for _ in range(count):
                self.skip_string()
        elif inner in _SCALARS:
            self.at += count * struct.calcsize("<" + _SCALARS[inner])
        else:
            raise IndexError(inner)
        if self.at > len(self._blob):
            raise IndexError(count)
        return count


def _parse(cursor: _Cursor, path: Path, size: int) -> Header:
    from gguf import GGML_QUANT_SIZES

    magic, version = cursor.number("I"), cursor.number("I")
    if magic != int.from_bytes(b"GGUF", "little") or version not in (2, 3):
        raise RengaError(f"{path} is not a GGUF file (version 2 or 3)", hint="give a folder or a .gguf file")
    tensors, facts_count = cursor.number("Q"), cursor.number("Q")
    facts = {}
    for _ in range(facts_count):
        key = cursor.string()
        facts[key] = cursor.value(cursor.number("I"))
    if "general.architecture" not in facts:
        raise RengaError(f"{path} does not say which architecture it holds", hint="get it from another source")

    quants = {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()}
    names, parameters, end = set(), 0, 0
    for _ in range(tensors):
        names.add(cursor.string())
        shape = [cursor.number("Q") for _ in range(cursor.number("I"))]
        kind, offset = cursor.number("I"), cursor.number("Q")
        if kind not in quants:
            raise RengaError(f"{path} holds weights of an unknown kind ({kind})", hint="upgrade the package gguf")
        block, block_bytes = quants[kind]
        parameters += prod(shape)
        end = max(end, offset + prod(shape) // block * block_bytes)
    alignment = int(facts.get("general.alignment", 32))
    needed = -(-cursor.at // alignment) * alignment + end
    if size < needed:
        raise RengaError(
            f"{path} is cut short: {size:,} of {needed:,} bytes", hint="download or copy it again"
        )
    return Header(facts, parameters, frozenset(names))


def prepared_folder(path: Path) -> Path:
    """Where the prepared form of this GGUF lies, or would lie."""
    return store.root() / "models" / f"{store.file_hash(path)[:40]}-{PREPARATION}"


def prepare(path: Path, *, name: str, licence: str = "", progress: Progress | None = None) -> Path:
    """The folder that holds this GGUF as safetensors; made when it isn't there yet.

    name: what the file is called in messages. Raises RengaError for a file that is not a whole GGUF of
    an architecture that transformers knows, and when the disk is full; nothing is left half-written.
    """
    header = read_header(path)
    folder = prepared_folder(path)
    if (folder / store.FACTS).is_file():
        return folder
    if progress:
        progress(f"preparing {name}: unpacking its quantised weights (once, about half a minute)")
    stated = licence or str(header.facts.get("general.license", ""))
    return store.publish_folder(folder, lambda draft: _convert(path, header, draft, name, stated))


def _convert(path: Path, header: Header, draft: Path, name: str, licence: str) -> None:
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, local_files_only=True)
            model = AutoModelForCausalLM.from_pretrained(
                path.parent, gguf_file=path.name, dtype=torch.float32, local_files_only=True
            )
    except (OSError, MemoryError):
        raise
    except Exception as error:  # whatever transformers stumbles on in a file it doesn't understand
        raise RengaError(
            f"{name}: transformers can't load this GGUF (architecture {header.architecture!r}): "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}",
            hint="use a safetensors folder of the model instead",
        ) from error

    _mend_config(model.config, header)
    _mend_tokenizer(tokenizer, header)
    weights = {key: tensor.contiguous() for key, tensor in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        weights.pop("lm_head.weight", None)  # the embedding itself, under its second name
    save_file(weights, draft / "model.safetensors", metadata={"format": "pt"})
    # By hand, not by save_pretrained, which refuses a model that came from a GGUF.
    config = model.config.to_dict()
    for passing in ("quantization_config", "_name_or_path", "transformers_version"):
        config.pop(passing, None)
    config["architectures"] = [type(model).__name__]
    store.write_json(draft / "config.json", config)
    tokenizer.save_pretrained(draft)
    facts = {
        "name": name,
        "licence": licence,
        "source": {"file": path.name, "sha256": store.file_hash(path), "bytes": path.stat().st_size},
        "parameters": sum(tensor.numel() for tensor in weights.values()),
        "fingerprint": base_fingerprint(model),
    }
    store.write_json(draft / store.FACTS, facts)


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' own bars and notices: our progress line stands in their place."""
    import transformers.modeling_gguf_pytorch_utils as reader
    from transformers.utils import logging as notices

    bar, level = getattr(reader, "tqdm", None), notices.get_verbosity()
    bars = notices.is_progress_bar_enabled()
    notices.set_verbosity(logging.ERROR)
    notices.disable_progress_bar()
    if bar is not None:
        reader.tqdm = lambda things, **_: things
    try:
        yield
    finally:
        notices.set_verbosity(level)
        if bars:
            notices.enable_progress_bar()
        if bar is not None:
            reader.tqdm = bar


def _mend_config(config: PreTrainedConfig, header: Header) -> None:
    # GGUF keeps floats in 32 bits, so 1e-5 comes back as 9.999999747378752e-06. The nearest short
    # decimal is what the model was published with.
    for key in ("rms_norm_eps", "layer_norm_epsilon", "norm_eps"):
        value = getattr(config, key, None)
        if isinstance(value, float):
            setattr(config, key, float(f"{value:.6g}"))


def _mend_tokenizer(tokenizer: PreTrainedTokenizerBase, header: Header) -> None:
    from tokenizers import pre_tokenizers

    # "smollm" splits off every digit before GPT-2's pattern; transformers knows only the pattern. The
    # ids differ wherever a number follows several spaces.
    if header.facts.get("tokenizer.ggml.pre") == "smollm":
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
