"""Adapters on disk, in the files of peft: adapter_config.json and adapter_model.safetensors."""

from __future__ import annotations

import json
import math
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renga.errors import RefusedPayload, RengaError
from renga.models.adapter import Adapter, Factors
from renga.models.strict_safetensors import read_header
from renga.protocol.coding import from_bf16

F32 = NDArray[np.float32]

_WEIGHTS = "adapter_model.safetensors"
_CONFIG = "adapter_config.json"
_PREFIX = "base_model.model."

# Each changes what the factors mean.
_OPTIONS_REFUSED = (
    "use_dora", "fan_in_fan_out", "rank_pattern", "alpha_pattern", "modules_to_save", "lora_bias"
)  # fmt: skip


def save_peft(adapter: Adapter, folder: Path, base_model_name: str) -> None:
    """Write `folder` so that peft.PeftModel.from_pretrained(model, folder) loads the adapter.

    The files are written and synced under a temporary name beside it, then renamed; what stood at
    `folder` is replaced as a whole. Base fingerprint and provenance stand in the safetensors metadata.
    Equal adapters give equal bytes.
    """
    tensors: dict[str, F32] = {}
    for name in sorted(adapter.factors):
        tensors[f"{_PREFIX}{name}.lora_A.weight"] = adapter.factors[name].a
        tensors[f"{_PREFIX}{name}.lora_B.weight"] = adapter.factors[name].b
    config = {
        "base_model_name_or_path": base_model_name,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "lora_alpha": adapter.alpha,
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "r": adapter.rank,
        "target_modules": sorted(adapter.factors),
        "task_type": "CAUSAL_LM",
        "use_dora": False,
        "use_rslora": False,
    }
    provenance = json.dumps(dict(adapter.provenance), sort_keys=True)
    metadata = {"format": "pt", "renga.base": adapter.base, "renga.provenance": provenance}

    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unique = uuid.uuid4().hex
    fresh, aside = (folder.parent / f".{folder.name}.{what}-{unique}" for what in ("new", "old"))
    try:
        fresh.mkdir()
        _write_safetensors(fresh / _WEIGHTS, tensors, metadata)
        (fresh / _CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        for path in (fresh / _WEIGHTS, fresh / _CONFIG, fresh):
            _sync(path)
        if folder.exists():
            os.rename(folder, aside)
        os.rename(fresh, folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)


def load_peft(folder: Path) -> Adapter:
    """The adapter in a folder that `save_peft` or peft wrote; float16 and bfloat16 become float32.

    An adapter from elsewhere has base "". With rank-stabilised LoRA (alpha / sqrt(r)) alpha is
    changed so that alpha / rank is the same scale. Raises RengaError when a file is missing or
    unreadable, and for what one pair of factors can't express: DoRA, biases, ranks or alphas by
    module, transposed weights, further trained modules, adapted embeddings.
    """
    from safetensors import SafetensorError, deserialize, safe_open

    folder = Path(folder)
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        read_header(folder / _WEIGHTS)
        stored: list[tuple[str, dict[str, Any]]]
        stored = deserialize((folder / _WEIGHTS).read_bytes())  # type: ignore[no-untyped-call]
        with safe_open(folder / _WEIGHTS, framework="numpy") as opened:
            metadata = opened.metadata() or {}
        provenance = json.loads(metadata.get("renga.provenance", "{}"))
    except FileNotFoundError as error:
        raise _unusable(folder, f"{Path(error.filename).name} is missing") from error
    except RefusedPayload as error:
        raise _unusable(folder, error.message) from error
    except (OSError, ValueError, SafetensorError) as error:
        raise _unusable(folder, "its files are truncated or not what they should be") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise _unusable(folder, "it is not a LoRA adapter")
    for option in _OPTIONS_REFUSED:
        if config.get(option):
            raise _unusable(folder, f"it uses {option}, which Renga doesn't read")
    if config.get("bias", "none") != "none":
        raise _unusable(folder, "it trains biases, which Renga doesn't read")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if type(rank) is not int or rank < 1 or not isinstance(alpha, int | float) or not alpha > 0:
        raise _unusable(folder, f"r is {rank!r} and lora_alpha is {alpha!r}")
    if config.get("use_rslora"):
        alpha = alpha * math.sqrt(rank)

    halves: dict[str, dict[str, F32]] = {}
    for name, tensor in stored:
        module, _, which = name.removeprefix(_PREFIX).rpartition(".lora_")
        if not name.startswith(_PREFIX) or which not in ("A.weight", "B.weight"):
            raise _unusable(folder, f"tensor {name} is not a LoRA factor of a linear module")
        halves.setdefault(module, {})[which[0]] = _float32(folder, name, tensor)
    factors: dict[str, Factors] = {}
    for module in sorted(halves):
        a, b = halves[module].get("A"), halves[module].get("B")
        if a is None or b is None or a.ndim != 2 or b.ndim != 2 or a.shape[0] != rank or b.shape[1] != rank:
            raise _unusable(folder, f"module {module} has no two factors of rank {rank}")
        factors[module] = Factors(a, b)
    return Adapter(factors, float(alpha), rank, metadata.get("renga.base", ""), provenance)


def _write_safetensors(path: Path, tensors: Mapping[str, F32], metadata: Mapping[str, str]) -> None:
    """A safetensors file. (The library's own writer orders metadata by a hash seeded anew each time.)"""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    start = 0
    for name, tensor in tensors.items():
        header[name] = {
            "dtype": "F32",
            "shape": list(tensor.shape),
            "data_offsets": [start, start + tensor.nbytes],
        }
        start += tensor.nbytes
    text = json.dumps(header, separators=(",", ":"), sort_keys=True).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            file.write(np.ascontiguousarray(tensor, dtype="<f4").tobytes())


def _float32(folder: Path, name: str, tensor: Mapping[str, Any]) -> F32:
    kinds = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "F64": "<f8"}
    if tensor["dtype"] not in kinds:
        raise _unusable(folder, f"tensor {name} has dtype {tensor['dtype']}")
    values = np.frombuffer(tensor["data"], dtype=kinds[tensor["dtype"]]).reshape(tensor["shape"])
    return from_bf16(values) if tensor["dtype"] == "BF16" else values.astype(np.float32)


def _unusable(folder: Path, why: str) -> RengaError:
    return RengaError(f"adapter {folder} can't be used: {why}", hint="give a folder that peft or Renga wrote")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
