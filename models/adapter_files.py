"""Adapters on disk, in the files of peft: adapter_config.json and adapter_model.safetensors."""

from __future__ import annotations

import json
import math
import os
import re
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
    "use_dora", "fan_in_fan_out", "modules_to_save", "lora_bias", "use_qalora", "trainable_token_indices",
    "target_parameters", "layer_replication", "megatron_config", "use_bdlora", "kasa_config", "arrow_config",
)  # fmt: skip

# Ways to start that change the base weights: without these changed weights the factors mean nothing.
_STARTS_REFUSED = ("pissa", "olora", "corda", "loftq", "lora_ga")


def save_peft(
    adapter: Adapter,
    folder: Path,
    base_model_name: str,
    *,
    trimmed: bool = False,
    beside: Mapping[str, str] | None = None,
) -> None:
    """Write `folder` so that peft.PeftModel.from_pretrained(model, folder) loads the adapter.

    The files are written and synced under a temporary name beside it, then renamed; what stood at
    `folder` is replaced as a whole. Base fingerprint and provenance stand in the safetensors metadata.
    Equal adapters give equal bytes. `trimmed` leaves out what a module was padded with, and writes each
    module's own rank (PEFT's rank_pattern). `beside`: texts of further files, by name.
    """
    tensors: dict[str, F32] = {}
    ranks: dict[str, int] = {}
    for name in sorted(adapter.factors):
        f = adapter.factors[name]
        used = np.atleast_1d(f.a.any(axis=1) & f.b.any(axis=0))
        if trimmed and used.sum() < adapter.rank:
            ranks[name] = max(1, int(used.sum()))
            used[0] |= not used.any()
            f = Factors(f.a[used], f.b[:, used])
        tensors[f"{_PREFIX}{name}.lora_A.weight"] = f.a
        tensors[f"{_PREFIX}{name}.lora_B.weight"] = f.b
    patterns = {
        "alpha_pattern": {name: adapter.scale * rank for name, rank in ranks.items()},
        "rank_pattern": ranks,
    }
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
        **(patterns if ranks else {}),
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
        for name, text in (beside or {}).items():
            (fresh / name).write_text(text, encoding="utf-8")
        for path in (fresh / _WEIGHTS, fresh / _CONFIG, *(fresh / name for name in beside or {}), fresh):
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
    changed so that alpha / rank is the same scale. Where modules have ranks or alphas of their own
    (rank_pattern, alpha_pattern) all are padded with zeros to the highest rank, and another scale than the
    first module's goes into b: the update is the same. Raises RengaError when a file is missing or
    unreadable, and for what a pair of factors can't express: DoRA, biases, transposed weights, further
    trained modules, adapted embeddings, bases that were changed by the way of starting.
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
        pickled = folder / "adapter_model.bin"
        if pickled.is_file() and not (folder / _WEIGHTS).is_file():
            raise _unusable(folder, f"{pickled.name} is a pickle, which can run code") from error
        raise _unusable(folder, f"{Path(error.filename).name} is missing") from error
    except RefusedPayload as error:
        raise _unusable(folder, f"{error.message}, in {_WEIGHTS}") from error
    except (OSError, ValueError, SafetensorError) as error:
        raise _unusable(folder, "its files are truncated or not what they should be") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise _unusable(folder, "it is not a LoRA adapter")
    for option in _OPTIONS_REFUSED:
        if config.get(option):
            raise _unusable(folder, f"it uses {option}, which Renga doesn't read")
    if config.get("bias", "none") != "none":
        raise _unusable(folder, "it trains biases, which Renga doesn't read")
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_STARTS_REFUSED):
        raise _unusable(folder, f"it began with {start}, which changes the base weights")

    halves: dict[str, dict[str, F32]] = {}
    for name, tensor in stored:
        module, _, which = name.removeprefix(_PREFIX).rpartition(".lora_")
        if not name.startswith(_PREFIX) or which not in ("A.weight", "B.weight"):
            raise _unusable(folder, f"tensor {name} is not a LoRA factor of a linear module")
        halves.setdefault(module, {})[which[0]] = _float32(folder, name, tensor)
    factors: dict[str, Factors] = {}
    scales: dict[str, float] = {}
    for module in sorted(halves):
        rank, scales[module] = _rank_and_scale(folder, config, module)
        a, b = halves[module].get("A"), halves[module].get("B")
        if a is None or b is None or a.ndim != 2 or b.ndim != 2 or a.shape[0] != rank or b.shape[1] != rank:
            raise _unusable(folder, f"module {module} has no two factors of rank {rank}")
        factors[module] = Factors(a, b)
    return _of_one_rank(factors, scales, config, metadata.get("renga.base", ""), provenance)


def base_name(folder: Path) -> str:
    """What a folder's config calls its base model; "" where it says nothing."""
    try:
        config = json.loads((Path(folder) / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(config.get("base_model_name_or_path") or "") if isinstance(config, dict) else ""


def _rank_and_scale(folder: Path, config: Mapping[str, Any], module: str) -> tuple[int, float]:
    """A module's rank and alpha / rank, as peft finds them: by the first pattern that matches its end."""
    found: dict[str, Any] = {"r": config.get("r"), "lora_alpha": config.get("lora_alpha")}
    for key, patterns in (("r", "rank_pattern"), ("lora_alpha", "alpha_pattern")):
        for pattern, value in (config.get(patterns) or {}).items():
            if re.match(rf"(.*\.)?({pattern})$", module):
                found[key] = value
                break
    rank, alpha = found["r"], found["lora_alpha"]
    if type(rank) is not int or rank < 1 or not isinstance(alpha, int | float) or not alpha > 0:
        raise _unusable(folder, f"r is {rank!r} and lora_alpha is {alpha!r} in {module}")
    return rank, float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _of_one_rank(
    factors: Mapping[str, Factors],
    scales: Mapping[str, float],
    config: Mapping[str, Any],
    base: str,
    provenance: Mapping[str, str],
) -> Adapter:
    """One rank and scale for all modules: zeros are added, and other scales go into b."""
    ranks = {len(f.a) for f in factors.values()}
    rank = max(ranks, default=config.get("r") or 1)
    scale = next(iter(scales.values()), 1.0)
    if len(ranks) <= 1 and len(set(scales.values())) <= 1:
        return Adapter(factors, scale * rank, rank, base, provenance)
    padded = {}
    for name, f in factors.items():
        a, b = np.zeros((rank, f.a.shape[1]), np.float32), np.zeros((f.b.shape[0], rank), np.float32)
        a[: len(f.a)] = f.a
        b[:, : len(f.a)] = (scales[name] / scale) * f.b.astype(np.float64)
        padded[name] = Factors(a, b)
    return Adapter(padded, scale * rank, rank, base, provenance)


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
