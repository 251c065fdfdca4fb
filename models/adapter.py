"""One LoRA adapter as data: NumPy factors, what they belong to, and the files that peft loads.

The update of a module's weight is dW = (alpha / rank) b a, with a [rank, in] and b [out, rank] (Hu et
al. 2021, arXiv:2106.09685). alpha / rank is part of the update: two adapters with equal factors and
another alpha are two updates. Nothing here makes dW itself, which is as large as the weight.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renga.errors import RefusedPayload, RengaError, did_you_mean
from renga.protocol.coding import from_bf16

F32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Factors:
    """The two factors of one module's update."""

    a: F32  # [rank, in]
    b: F32  # [out, rank]


@dataclass(frozen=True, eq=False)
class Adapter:
    """A LoRA adapter. Modules that it doesn't name are not changed by it."""

    factors: Mapping[str, Factors]  # by module path, such as "model.layers.0.self_attn.q_proj"
    alpha: float
    rank: int  # of every module
    base: str  # fingerprint of the base weights; "" when not known
    provenance: Mapping[str, str] = field(default_factory=dict)  # who, round, method

    @property
    def scale(self) -> float:
        return self.alpha / self.rank


def zero_like(adapter: Adapter) -> Adapter:
    """The same modules, rank and alpha with an update of zero: b is zero and a is kept.

    With both factors at zero no gradient would ever reach either; this one can be trained.
    """
    factors = {name: Factors(f.a, np.zeros_like(f.b)) for name, f in adapter.factors.items()}
    return Adapter(factors, adapter.alpha, adapter.rank, adapter.base)


def module_norms(adapter: Adapter) -> dict[str, float]:
    """The Frobenius norm of every module's dW, by QR of the factors in float64: O((m + n) r^2)."""
    return {name: _product_norm(adapter.scale * _wide(f.b), f.a) for name, f in adapter.factors.items()}


def scaled_norm(adapter: Adapter) -> float:
    """The Frobenius norm of the whole update, alpha / rank included."""
    return math.hypot(*module_norms(adapter).values())


def distance(x: Adapter, y: Adapter) -> float:
    """|dW_x - dW_y| / |dW_y| in Frobenius norm over all modules; a module that one lacks is zero there.

    Computed on the stacked factors [b_x, -b_y] [a_x; a_y] by QR in float64, so ranks may differ and
    equal updates are at 0 to about 1e-15 however their factors differ. 0 when both are zero,
    infinite when only y is. Raises RengaError when a module's shapes differ.
    """
    parts = []
    for name in sorted({*x.factors, *y.factors}):
        sides = [(s, t.factors[name]) for s, t in ((x.scale, x), (-y.scale, y)) if name in t.factors]
        if len({(f.b.shape[0], f.a.shape[1]) for _, f in sides}) > 1:
            raise RengaError(
                f"adapters can't be compared: module {name} has another shape in each",
                hint="compare adapters of the same base model",
            )
        b = np.concatenate([s * _wide(f.b) for s, f in sides], axis=1)
        parts.append(_product_norm(b, np.concatenate([f.a for _, f in sides])))
    size = scaled_norm(y)
    apart = math.hypot(*parts)
    if size == 0:
        return 0.0 if apart == 0 else math.inf
    return apart / size


def checked(
    adapter: Adapter,
    expected: Mapping[str, tuple[int, int]],
    base: str,
    max_rank: int,
    *,
    max_norm: float = 1e3,
) -> Adapter:
    """The adapter itself, if it can be added to the model whose modules are `expected`.

    `expected` gives (out, in) of every module that may be adapted; an adapter may leave modules out.
    Raises RefusedPayload, naming the module, on: another base, a rank above `max_rank`, no module or
    an unknown one, factors that are not float32 of the right shape, values that are not finite, and
    a module whose dW, or one of whose factors, has a Frobenius norm above `max_norm` (a weight of a
    small model has 20 to 200, and the update of an honest training run is far below that).
    """
    who = adapter.provenance.get("who", "")
    whose = f"adapter of {who}" if who else "adapter"

    def refused(why: str, hint: str = "") -> RefusedPayload:
        hint = hint or "it was left out; the sender must train it anew"
        return RefusedPayload(f"{whose} refused: {why}", hint=hint)

    if adapter.base != base:
        raise refused(
            f"made for base {adapter.base[:12] or 'unknown'}, not {base[:12]}",
            "adapters merge only between models with the same base weights",
        )
    if not 1 <= adapter.rank <= max_rank:
        raise refused(f"rank {adapter.rank}, allowed are 1 to {max_rank}")
    if not (math.isfinite(adapter.alpha) and adapter.alpha > 0):
        raise refused(f"alpha {adapter.alpha} is not a positive number")
    if not adapter.factors:
        raise refused("it names no module")
    for name, f in adapter.factors.items():
        if name not in expected:
            hint = did_you_mean(name, expected)
            raise refused(f"unknown module {name}", hint if len(hint) < 200 else "")
        out, into = expected[name]
        if f.a.dtype != np.float32 or f.b.dtype != np.float32:
            raise refused(f"{name} has factors of {f.a.dtype} and {f.b.dtype}, not float32")
        if f.a.shape != (adapter.rank, into) or f.b.shape != (out, adapter.rank):
            right = f"{(adapter.rank, into)} and {(out, adapter.rank)}"
            raise refused(f"{name} has a {f.a.shape} and b {f.b.shape}, not {right}")
        if not (np.isfinite(f.a).all() and np.isfinite(f.b).all()):
            raise refused(f"{name} has values that are not finite")
        norms = [float(np.linalg.norm(part.astype(np.float64))) for part in (f.a, f.b)]
        # The product is at most this large: most adapters need no QR.
        bound = adapter.scale * norms[0] * norms[1]
        if bound > max_norm:
            bound = _product_norm(adapter.scale * _wide(f.b), f.a)
        if max(*norms, bound) > max_norm:
            raise refused(f"{name} has a norm of {max(*norms, bound):.3g}, allowed is {max_norm:.3g}")
    return adapter


# --- files of peft --------------------------------------------------------------------------------

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
    """
    from safetensors.numpy import save_file

    tensors: dict[str, NDArray[Any]] = {}
    for name in sorted(adapter.factors):
        tensors[f"{_PREFIX}{name}.lora_A.weight"] = np.ascontiguousarray(adapter.factors[name].a)
        tensors[f"{_PREFIX}{name}.lora_B.weight"] = np.ascontiguousarray(adapter.factors[name].b)
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
        save_file(tensors, fresh / _WEIGHTS, metadata=metadata)
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
        stored: list[tuple[str, dict[str, Any]]]
        stored = deserialize((folder / _WEIGHTS).read_bytes())  # type: ignore[no-untyped-call]
        with safe_open(folder / _WEIGHTS, framework="numpy") as opened:
            metadata = opened.metadata() or {}
        provenance = json.loads(metadata.get("renga.provenance", "{}"))
    except FileNotFoundError as error:
        raise _unusable(folder, f"{Path(error.filename).name} is missing") from error
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


def _float32(folder: Path, name: str, tensor: Mapping[str, Any]) -> F32:
    kinds = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "F64": "<f8"}
    if tensor["dtype"] not in kinds:
        raise _unusable(folder, f"tensor {name} has dtype {tensor['dtype']}")
    values = np.frombuffer(tensor["data"], dtype=kinds[tensor["dtype"]]).reshape(tensor["shape"])
    return from_bf16(values) if tensor["dtype"] == "BF16" else values.astype(np.float32)


def _unusable(folder: Path, why: str) -> RengaError:
    return RengaError(f"adapter {folder} can't be used: {why}", hint="give a folder that peft or Renga wrote")


def _product_norm(b: NDArray[Any], a: NDArray[Any]) -> float:
    """|b a| in Frobenius norm without the product: |R_b R_a^T| of the two triangular factors."""
    # NumPy's annotations give mode="r" the type of the other modes; it is one array.
    left = np.asarray(np.linalg.qr(_wide(b), mode="r"))
    right = np.asarray(np.linalg.qr(_wide(a).T, mode="r"))
    return float(np.linalg.norm(left @ right.T))


def _wide(x: NDArray[Any]) -> NDArray[np.float64]:
    return x.astype(np.float64)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
