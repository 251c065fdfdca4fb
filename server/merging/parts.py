"""What goes into a merge of adapters: checked, with weights that mean one thing, in an order of their own.

Weights are relative: an input counts with its share w_k / sum w. Inputs of weight zero are left out, and
equal inputs count as one with the sum of their weights. Then adapters are put into an order that the
arguments' order doesn't influence, so that the bytes of a result depend on neither.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from renga.errors import RengaError, UsageError
from renga.models.adapter import Adapter, Factors
from renga.server.merging.parallel import side_by_side
from renga.server.merging.schedule import Schedule, block
from renga.server.merging.shares import shares

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Y = TypeVar("Y")

_GMAC = AESGCM(bytes(16))


@dataclass(frozen=True, eq=False)
class Module:
    """One module of every input that has it.

    b[k] is [out, r_k] with the scale alpha / rank in it, a[k] is [r_k, in]: the update of input k is b[k]
    a[k]. An input without the module has r_k = 0, an update of zero. All are float64.
    """

    name: str
    b: tuple[F64, ...]
    a: tuple[F64, ...]
    weights: tuple[float, ...]  # sum 1, unless weights were to be taken as they stand
    identities: tuple[str, ...]  # that stay with an input whatever the order

    @property
    def shape(self) -> tuple[int, int]:
        return self.b[0].shape[0], self.a[0].shape[1]

    def stacks(self) -> tuple[F64, F64]:
        """B [out, R] and A [R, in], without weights: the updates side by side."""
        return np.concatenate(self.b, axis=1), np.concatenate(self.a)

    def weighted(self) -> tuple[F64, F64]:
        """B with the weights in it, and A: B A is the weighted sum of the updates."""
        b = np.concatenate([w * part for w, part in zip(self.weights, self.b, strict=True)], axis=1)
        return b, np.concatenate(self.a)

    def dense(self, k: int) -> F64:
        """The update of input k itself [out, in]."""
        product: F64 = self.b[k] @ self.a[k]
        return product


@dataclass(frozen=True, eq=False)
class Parts:
    """The inputs of a merge in their order, and what each weighs in a module."""

    adapters: tuple[Adapter, ...]
    identities: tuple[str, ...]
    schedule: Schedule
    places: tuple[tuple[int, ...], ...]  # which of the schedule's weights are this input's
    normalise: bool = True
    seed: int = 0
    threads: int | None = None

    @property
    def base(self) -> str:
        return next((adapter.base for adapter in self.adapters if adapter.base), "")

    @cached_property
    def names(self) -> list[str]:
        """The modules that are merged, in order."""
        every = {name for adapter in self.adapters for name in adapter.factors}
        return sorted(filter(self.schedule.merges, every))

    @cached_property
    def weights(self) -> Mapping[str, tuple[float, ...]]:
        """Of each module the weight of each input."""
        last = max((b for name in self.names if (b := block(name)) is not None), default=0)
        result = {}
        for name in self.names:
            given = self.schedule.at(name, _depth(name, last))
            mine = [math.fsum(given[i] for i in places) for places in self.places]
            try:
                found = shares(mine, len(mine), normalise=self.normalise)
            except UsageError as error:
                raise UsageError(f"in {name}: {error.message}", hint=error.hint) from error
            result[name] = tuple(float(w) for w in found)
        return result

    def module(self, name: str) -> Module:
        out, into = module_shape(self.adapters, name)
        b, a = [], []
        for adapter in self.adapters:
            if (f := adapter.factors.get(name)) is None:
                b.append(np.zeros((out, 0)))
                a.append(np.zeros((0, into)))
                continue
            used = carrying(f)
            b.append(adapter.scale * f.b[:, used].astype(np.float64))
            a.append(f.a[used].astype(np.float64))
        return Module(name, tuple(b), tuple(a), self.weights[name], self.identities)

    def weighted(self, name: str) -> tuple[F32, F32]:
        """`Module.weighted` of a module in the factors' own float32: the bulk of a plain average."""
        out, into = module_shape(self.adapters, name)
        have = [
            (w * x.scale, f, carrying(f))
            for w, x in zip(self.weights[name], self.adapters, strict=True)
            if (f := x.factors.get(name)) is not None
        ]
        if not have:
            return np.zeros((out, 0), np.float32), np.zeros((0, into), np.float32)
        b = np.concatenate([f.b[:, used] for _, f, used in have], axis=1)
        a = np.concatenate([f.a[used] for _, f, used in have])
        wide = np.repeat([w for w, *_ in have], [len(f.a[used]) for _, f, used in have])
        np.multiply(b, wide, out=b, casting="same_kind")  # in float64, rounded once
        return b, a

    def provenance(self, method: str) -> dict[str, str]:
        return provenance([(adapter, 1.0) for adapter in self.adapters], method)

    def each(self, f: Callable[[Module], Y]) -> dict[str, Y]:
        """f of every module, side by side."""
        found = side_by_side(lambda name: f(self.module(name)), self.names, self.threads)
        return dict(zip(self.names, found, strict=True))


def gathered(
    adapters: Sequence[Adapter],
    schedule: Schedule,
    *,
    normalise: bool = True,
    sort: bool = True,
    seed: int = 0,
    threads: int | None = None,
) -> Parts:
    """Inputs that fit each other, equal ones as one, sorted (or as they came).

    Raises UsageError for weights that don't match or have no sum; RengaError, naming the module, for
    different bases, shapes that differ, values that are not finite, and a rank above a module's size.
    """
    if not adapters:
        raise UsageError("there is nothing to merge", hint="give adapters")
    if len(schedule.weights) != len(adapters):
        raise UsageError(
            f"{len(adapters)} adapters but {len(schedule.weights)} weights",
            hint="give one weight for each adapter, in their order",
        )
    for k, adapter in enumerate(adapters):
        check_values(adapter, adapter.provenance.get("who") or f"adapter {k + 1}")
    same_base(adapters)
    for name in sorted({name for adapter in adapters for name in adapter.factors}):
        module_shape(adapters, name)
    places: dict[str, list[int]] = {}
    for place, adapter in enumerate(adapters):
        if schedule.ever(place):
            places.setdefault(identity(adapter), []).append(place)
    if not places:
        shares(schedule.at("", 0.5), len(adapters), normalise=normalise)  # says what is wrong with them
    found = []
    for key, mine in places.items():
        first = min((adapters[i] for i in mine), key=_told)
        found.append((_told(first), key, first, tuple(mine)))
    if sort:
        found.sort(key=lambda item: item[:2])
    parts = Parts(
        tuple(item[2] for item in found),
        tuple(item[1] for item in found),
        schedule,
        tuple(item[3] for item in found),
        normalise,
        seed,
        threads,
    )
    if not parts.names:
        raise UsageError("no module is left to merge", hint="`only` names modules that some adapter has")
    _ = parts.weights  # what is wrong with them shows before the work begins
    return parts


def check_values(adapter: Adapter, whose: str) -> None:
    """Refuse values that are not finite and ranks above the matrix."""
    for name, f in adapter.factors.items():
        for letter, part in (("A", f.a), ("B", f.b)):
            if not np.isfinite(part).all():
                raise RengaError(
                    f"{whose}: {name}.lora_{letter} has values that are not finite",
                    hint="train or copy that adapter again",
                )
        if len(f.a) <= min(f.a.shape[1], f.b.shape[0]):
            continue
        used = len(f.a[carrying(f)])  # padding to a common rank is not rank
        if used > min(f.a.shape[1], f.b.shape[0]):
            raise RengaError(
                f"{whose}: {name} has rank {used}, its weight is only {f.b.shape[0]} by {f.a.shape[1]}",
                hint="an adapter of that rank is larger than the weight itself; truncate it",
            )


def carrying(f: Factors) -> slice | NDArray[np.bool_]:
    """Which of the rank's directions carry something: padding is zero in A or in B.

    A zero in the first column of A or row of B is rare in what was trained; only then all is looked through.
    """
    if f.a[:, 0].all() and f.b[0].all():
        return slice(None)
    return np.asarray(f.a.any(axis=1) & f.b.any(axis=0))


def same_base(adapters: Sequence[Adapter]) -> None:
    bases = sorted({adapter.base for adapter in adapters} - {""})
    if len(bases) > 1:
        raise RengaError(
            f"adapters of {len(bases)} bases can't be merged ({', '.join(b[:12] for b in bases)})",
            hint="adapters merge only when they were trained on the same base weights",
        )


def module_shape(adapters: Sequence[Adapter], name: str) -> tuple[int, int]:
    """[out, in] of a module, which all that have it must share."""
    shapes = {(x.factors[name].b.shape[0], x.factors[name].a.shape[1]) for x in adapters if name in x.factors}
    if len(shapes) > 1:
        raise RengaError(
            f"module {name} has the shapes {sorted(shapes)}", hint="adapters merge only inside a cohort"
        )
    return shapes.pop()


def ordered(adapters: Sequence[Adapter], weights: Sequence[float]) -> list[tuple[Adapter, float]]:
    """Adapters with weights brought to sum 1, as the server's rounds average them (see `average`)."""
    if len(adapters) != len(weights):
        raise ValueError(f"{len(adapters)} adapters, {len(weights)} weights")
    total = math.fsum(weights)
    if not all(math.isfinite(w) and w >= 0 for w in weights) or not total > 0:
        raise RengaError(
            f"{len(adapters)} adapters can't be averaged with weights {list(weights)}",
            hint="weights are not negative, and one at least is above zero",
        )
    parts = [(x, w / total) for x, w in zip(adapters, weights, strict=True) if w > 0]
    bases = sorted({x.base for x, _ in parts})
    if len(bases) > 1:
        raise RengaError(
            f"adapters of {len(bases)} bases can't be averaged ({', '.join(b[:12] for b in bases)})",
            hint="adapters merge only inside a cohort",
        )
    told = [(_told(x), w) for x, w in parts]
    twins = len(set(told)) < len(told)  # only then is every byte read for the order
    keys = {id(x): digest(x) if twins else b"" for x, _ in parts}
    return sorted(parts, key=lambda part: (_told(part[0]), part[1], keys[id(part[0])]))


def identity(adapter: Adapter) -> str:
    """Tells adapters apart by their values: GMAC tags under a key that is no secret, quicker than a hash.

    It guards against nobody; what is received from others is checked by its signed digest.
    """
    found = hashlib.sha256(f"{adapter.rank} {adapter.alpha!r}".encode())
    for name in sorted(adapter.factors):
        found.update(name.encode())
        for number, part in enumerate((adapter.factors[name].a, adapter.factors[name].b)):
            raw = np.ascontiguousarray(part, np.float32).reshape(-1).view(np.uint8)
            found.update(repr(part.shape).encode())
            found.update(_GMAC.encrypt(number.to_bytes(12, "little"), b"", raw.data))
    return found.hexdigest()


def digest(adapter: Adapter) -> bytes:
    """Tells apart adapters of one provenance, byte by byte."""
    found = hashlib.sha256(f"{adapter.rank} {adapter.alpha!r}".encode())
    for name in sorted(adapter.factors):
        found.update(name.encode())
        found.update(np.ascontiguousarray(adapter.factors[name].a).data)
        found.update(np.ascontiguousarray(adapter.factors[name].b).data)
    return found.digest()


def provenance(parts: Sequence[tuple[Adapter, float]], method: str) -> dict[str, str]:
    """Who took part, in which round if in one, and how they were merged."""
    result = {"method": method}
    whos = sorted({who for x, _ in parts if (who := x.provenance.get("who"))})
    rounds = {x.provenance.get("round") for x, _ in parts}
    if whos:
        result["who"] = ", ".join(whos)
    if len(rounds) == 1 and (number := rounds.pop()) is not None:
        result["round"] = number
    return result


def _depth(name: str, last: int) -> float:
    """Where in the model a module stands: 0 in the first block, 1 in the last, 0.5 outside of blocks."""
    mine = block(name)
    return 0.5 if mine is None or last == 0 else mine / last


def _told(adapter: Adapter) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(adapter.provenance.items()))
