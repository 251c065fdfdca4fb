"""Merging adapters: one call, and the table of its methods.

    merge([x, y, z], "ties", [1, 1, 2], density=0.3, rank=16)

No base model is needed and nothing is remembered between calls. What the laws are (each tested for every
method): weights are relative; one input comes back as it is; N copies count as one with the sum of their
weights, so they come back as it is, too; the order of the inputs changes no byte, but for `incremental`,
which is an order; `scale` scales the merged update; a module that an input lacks is an update of zero.

A new method is a function of `Parts` that gives a `Product` per module, its options as keyword arguments with
defaults, its paper, formula and cost in its docstring; put it into `METHODS`. A method on single elements
goes into `methods.METHODS`, and is then here, on adapters and on checkpoints alike.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from renga.errors import UsageError, did_you_mean
from renga.models.adapter import Adapter
from renga.server.merging import methods, subspaces
from renga.server.merging.elements import element_wise
from renga.server.merging.federated import averaged, by_size, factor_mean, residual, shared_factor
from renga.server.merging.incremental import incremental
from renga.server.merging.informed import fisher, regmean
from renga.server.merging.lowrank import Made, Merged, Product, fitted
from renga.server.merging.parts import Parts, gathered
from renga.server.merging.schedule import Schedule, Weight
from renga.server.merging.sketches import through_a_sketch

Products = Mapping[str, Product]


@dataclass(frozen=True)
class Method:
    """How a method merges, and what it is in a line. `alone`: it means something for a single input."""

    run: Callable[..., Products]
    about: str
    alone: bool = False
    sort: bool = True  # False: the order of the inputs is part of what is asked
    drawn: bool = False  # depends on `seed`
    needs: str = ""  # what else it must be given, beyond adapters
    settings: Mapping[str, Any] | None = None  # other defaults for `merge`'s own arguments

    @property
    def options(self) -> dict[str, Any]:
        """The options by name, with their defaults."""
        found = inspect.signature(self.run).parameters.values()
        return {p.name: p.default for p in found if p.kind is p.KEYWORD_ONLY}


def _element_wise(name: str, **defaults: Any) -> Method:
    """An element-wise method with its options, which `methods` knows."""
    run = partial(element_wise, method=name)
    signature = inspect.signature(element_wise)
    own = {"space": "core", "scope": "model"} | dict(methods.METHODS[name].defaults) | defaults
    kept = [p for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    told = [inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=v) for key, v in own.items()]
    bound = partial(run, **defaults)
    bound.__signature__ = inspect.Signature([*kept[:1], *told])  # type: ignore[attr-defined]
    drawn = "grow" in own
    return Method(bound, methods.METHODS[name].about, alone=name == "magnitude", drawn=drawn)


def _learned(name: str) -> Callable[..., Products]:
    """A method of `live`, which imports torch and is therefore imported when it is used."""
    every: dict[str, dict[str, Any]] = {
        "adamerging": {"learning": None, "by": "block", "prior": 0.0},
        "concrete": {"learning": None, "temperature": 0.5, "open_share": 0.9},
    }
    own = every[name]

    def run(parts: Parts, **options: Any) -> Products:
        from renga.server.merging import live

        products: Products = getattr(live, name)(parts, **options)
        return products

    told = [inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=v) for key, v in own.items()]
    run.__signature__ = inspect.Signature(told)  # type: ignore[attr-defined]
    return run


METHODS: Mapping[str, Method] = {
    "average": Method(averaged, "the exact weighted mean of the updates"),
    "linear": Method(averaged, "the same, by the name that it has for checkpoints"),
    "flora": Method(averaged, "the same, as FLoRA stacks it (arXiv:2409.05976)"),
    "flexlora": Method(averaged, "its best form of a rank, by default the highest given (arXiv:2402.11505)"),
    "florist": Method(
        averaged,
        "its best form that keeps a share of each module's energy (arXiv:2506.09199)",
        settings={"energy": 0.99},
    ),
    "factor_mean": Method(factor_mean, "the mean of the factors, which is not that of the updates (FedIT)"),
    "shared_factor": Method(shared_factor, "the exact mean of adapters that share A or B (FFA-LoRA, RoLoRA)"),
    "fedex": Method(
        factor_mean, "the mean of the factors, with what it misses as a residual (arXiv:2410.09432)"
    ),
    **{name: _element_wise(name) for name in methods.METHODS if name not in ("linear", "slerp")},
    "slerp": _element_wise("slerp"),
    "knots": _element_wise("ties", space="knots"),
    "core_space": _element_wise("ties", space="stacks"),
    "tsv": Method(subspaces.tsv, "singular vectors of all tasks, made orthogonal (arXiv:2412.00081)"),
    "iso_c": Method(subspaces.iso_c, "the mean's directions, all of the same size (arXiv:2502.04959)"),
    "iso_cts": Method(subspaces.iso_cts, "common and task-specific directions (arXiv:2502.04959)"),
    "by_size": Method(by_size, "the mean, each input weighed by how far it went (arXiv:2406.11385)"),
    "incremental": Method(
        incremental, "one after the other, what is there is guarded (after arXiv:2501.09522)", sort=False
    ),
    "sketch": Method(
        through_a_sketch, "the mean as secure sums of linear sketches give it (arXiv:1609.00048)", drawn=True
    ),
    "fisher": Method(
        fisher, "each coordinate by its Fisher information (arXiv:2111.09832)", needs="statistics"
    ),
    "regmean": Method(regmean, "least squares on each one's inputs (arXiv:2212.09849)", needs="statistics"),
    "adamerging": Method(
        _learned("adamerging"), "coefficients by the entropy of answers (arXiv:2310.02575)", needs="learning"
    ),
    "concrete": Method(
        _learned("concrete"), "a shared mask by the entropy of answers (arXiv:2312.06173)", needs="learning"
    ),
}


def merge(
    adapters: Sequence[Adapter],
    method: str = "average",
    weights: Sequence[Weight] | None = None,
    *,
    rank: int | None = None,
    alpha: float | None = None,
    energy: float | None = None,
    scale: float = 1.0,
    normalise: bool = True,
    rules: Mapping[str, Sequence[Weight]] | None = None,
    only: Sequence[str] = (),
    seed: int = 0,
    threads: int | None = None,
    **options: Any,
) -> Merged:
    """The adapters merged into one, and how far it is from what the method says.

    weights: one per adapter, relative; a sequence for one adapter is a gradient over the depth. `rules` gives
    other weights to modules by name, `only` says which modules are merged (see `schedule`). With `normalise`
    off weights are taken as they stand (negative ones forget); `scale` multiplies the result.
    rank, alpha, energy: what the result is brought to (see `fitted`); by default it is exact, at the rank
    that this takes. seed: of methods that draw. options: the method's own.

    Raises UsageError for an unknown method or option and weights that don't fit, RengaError for adapters that
    don't fit each other or are broken; both before any work.
    """
    entry = found_method(method)
    known = entry.options
    for option in options:
        if option not in known:
            raise UsageError(f"{method} has no option {option!r}", hint=did_you_mean(option, known))
    if not np.isfinite(scale):
        raise UsageError(f"scale is {scale}", hint="a finite number")
    settings = entry.settings or {}
    energy = settings.get("energy") if energy is None else energy
    if method == "flexlora" and rank is None:
        rank = max((adapter.rank for adapter in adapters), default=1)
    schedule = Schedule([1.0] * len(adapters) if weights is None else list(weights), dict(rules or {}), only)
    parts = gathered(adapters, schedule, normalise=normalise, sort=entry.sort, seed=seed, threads=threads)
    single = len(parts.adapters) == 1 and not entry.alone
    products = averaged(parts) if single else entry.run(parts, **options)
    told = {**parts.provenance(method)}
    finish = partial(fitted, base=parts.base, threads=threads)
    merged = finish(_scaled(products, scale), provenance=told, rank=rank, alpha=alpha, energy=energy)
    if method == "fedex" and not single:
        rest = finish(_scaled(residual(parts), scale), provenance={**told, "method": "fedex residual"})
        return Merged(merged.adapter, merged.error, merged.errors, rest.adapter)
    return merged


def found_method(name: str) -> Method:
    """The entry of a method; UsageError, with the nearest name, where there is none."""
    if name not in METHODS:
        raise UsageError(f"there is no merging method {name!r}", hint=did_you_mean(name, METHODS))
    return METHODS[name]


def _scaled(products: Products, scale: float) -> Products:
    if scale == 1:
        return products

    def scaled(name: str) -> Product:
        p = products[name]
        if p.core is None:
            return Product(scale * p.left, p.right, thin=p.thin)
        return Product(p.left, p.right, scale * p.core, p.thin)

    return Made(list(products), scaled)
