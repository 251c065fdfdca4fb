"""The element-wise methods by name: their options, defaults and kernels, and one call that merges a stack.

    merged("ties", stack, [1, 2], density=0.2)

`stack` [inputs, ...] holds updates of any one tensor (or coordinates of updates in any common basis),
`weights` are relative (see `shares`). `linear` and `slerp` serve for whole weights, too; all others mean
updates. Options that belong to an input (density, gamma, epsilon) take one number or one per input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from renga.errors import UsageError, did_you_mean
from renga.server.merging import sparsity
from renga.server.merging.balanced import Balanced
from renga.server.merging.blocks import Floats, Held, spans
from renga.server.merging.draws import Draws
from renga.server.merging.kernels import Agreed, Kernel, Slerp, Stock, Thinned
from renga.server.merging.shares import shares

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Method:
    """A method: what it is in a line, its options with their defaults, and how its kernel is made.

    `build` takes the number of inputs and all options, those of inputs as tuples.
    """

    about: str
    defaults: Options
    build: Callable[[int, Options], Kernel]
    of_updates: bool = True  # False: it means whole weights just as well, and needs no base
    least: int = 1
    most: int | None = None


# Options of every method: a factor on the merged update, and whether weights are shares (see `shares`).
COMMON: Options = {"scale": 1.0, "normalise": True}
PER_INPUT = ("density", "gamma", "epsilon")

_ELECTING: Options = {"even": "zero"}
_TRIMMING: Options = {"density": 0.2, "grow": "none"}
_DRAWING: Options = {"density": 0.5, "grow": "rule"}
_CHOICES = {"even": ("zero", "positive"), "grow": ("rule", "norm", "none")}


def _thinned(rule: Callable[[Options], sparsity.Rule], *, elect: bool) -> Callable[[int, Options], Kernel]:
    def build(inputs: int, options: Options) -> Kernel:
        return Thinned(
            rule(options),
            elect,
            options["scale"],
            even=options.get("even", "zero"),
            divide=options["normalise"],
            grow="norm" if options.get("grow") == "norm" else "rule",
        )

    return build


def _largest(options: Options) -> sparsity.Rule:
    return sparsity.Largest(options["density"])


def _middle(options: Options) -> sparsity.Rule:
    return sparsity.Middle(options["density"], options["gamma"])


def _drawn(options: Options) -> sparsity.Rule:
    return sparsity.Drawn(options["density"], grow=options["grow"] == "rule")


def _by_rank(options: Options) -> sparsity.Rule:
    return sparsity.DrawnByRank(options["density"], options["epsilon"], grow=options["grow"] == "rule")


def _everything(options: Options) -> sparsity.Rule:
    return sparsity.Everything()


METHODS: Mapping[str, Method] = {
    "linear": Method(
        "the weighted mean (model soups, arXiv:2203.05482)",
        {},
        _thinned(_everything, elect=False),
        of_updates=False,
    ),
    "slerp": Method(
        "on the great circle between two (Shoemake 1985)",
        {"straight": 1 - 1e-10},
        lambda n, o: Slerp(o["straight"], o["scale"]),
        of_updates=False,
        most=2,
    ),
    "task_arithmetic": Method(
        "mean of the updates times a scale (arXiv:2212.04089)", {}, _thinned(_everything, elect=False)
    ),
    "magnitude": Method(
        "each update's largest elements, averaged", _TRIMMING, _thinned(_largest, elect=False)
    ),
    "ties": Method(
        "trim, elect signs, mean of those that agree (arXiv:2306.01708)",
        {**_TRIMMING, **_ELECTING},
        _thinned(_largest, elect=True),
    ),
    "dare": Method(
        "dropped at random, the rest grown, averaged (arXiv:2311.03099)",
        _DRAWING,
        _thinned(_drawn, elect=False),
    ),
    "dare_ties": Method(
        "dropped at random, the rest grown, signs elected (arXiv:2311.03099)",
        {**_DRAWING, **_ELECTING},
        _thinned(_drawn, elect=True),
    ),
    "della": Method(
        "dropped at random by rank of magnitude, signs elected (arXiv:2406.11617)",
        {**_DRAWING, "epsilon": 0.15, **_ELECTING},
        _thinned(_by_rank, elect=True),
    ),
    "della_linear": Method(
        "dropped at random by rank of magnitude, averaged (arXiv:2406.11617)",
        {**_DRAWING, "epsilon": 0.15},
        _thinned(_by_rank, elect=False),
    ),
    "breadcrumbs": Method(
        "neither the smallest nor the largest elements, averaged (arXiv:2312.06795)",
        {**_TRIMMING, "gamma": 0.01},
        _thinned(_middle, elect=False),
    ),
    "breadcrumbs_ties": Method(
        "neither the smallest nor the largest elements, signs elected (arXiv:2312.06795)",
        {**_TRIMMING, "gamma": 0.01, **_ELECTING},
        _thinned(_middle, elect=True),
    ),
    "pcb": Method(
        "parameters compete inside a task and between tasks (arXiv:2410.02396)",
        {"density": 0.2},
        lambda n, o: Balanced(o["density"], o["scale"]),
    ),
    "consensus": Method(
        "the mean, where enough tasks need it (TALL masks, arXiv:2405.07813)",
        {"strictness": 1.0, "tasks": 2},
        lambda n, o: Agreed(o["strictness"], int(o["tasks"]), o["scale"]),
    ),
    "model_stock": Method(
        "the mean, drawn to the base by the angle between updates (arXiv:2403.19522)",
        {"filter_wise": False},
        lambda n, o: Stock(o["scale"], o["filter_wise"]),
    ),
}


def kernel(name: str, inputs: int, options: Options) -> Kernel:
    """The kernel of a method for so many inputs. UsageError on an unknown method or option, or a bad
    value."""
    if name not in METHODS:
        raise UsageError(f"unknown method {name!r}", hint=did_you_mean(name, METHODS))
    method = METHODS[name]
    if inputs < method.least or (method.most is not None and inputs > method.most):
        raise UsageError(f"{name} takes at most {method.most} inputs, not {inputs}")
    known = {**COMMON, **method.defaults}
    for option in options:
        if option not in known:
            raise UsageError(f"{name} has no option {option!r}", hint=did_you_mean(option, known))
    chosen = {**known, **options}
    return method.build(
        inputs, {key: _checked(key, value, known[key], inputs) for key, value in chosen.items()}
    )


def _checked(option: str, value: Any, default: Any, inputs: int) -> Any:
    """An option's value; those of inputs as a tuple."""
    if option in _CHOICES:
        if value not in _CHOICES[option]:
            raise UsageError(f"{option} can't be {value!r}", hint=f"one of {', '.join(_CHOICES[option])}")
        return value
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise UsageError(f"{option} must be true or false, not {value!r}")
        return value
    several = (
        value if option in PER_INPUT and isinstance(value, Sequence) and not isinstance(value, str) else None
    )
    numbers = tuple(several) if several is not None else (value,)
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int | float) or not np.isfinite(number):
            raise UsageError(f"{option} must be a number, not {number!r}")
        if option == "density" and not 0 < number <= 1:
            raise UsageError(f"density {number:g} is no share", hint="it must be above 0 and at most 1")
        if option in ("gamma", "epsilon") and not 0 <= number < 1:
            raise UsageError(f"{option} {number:g} must be from 0 to below 1")
    if option not in PER_INPUT:
        return value
    if len(numbers) not in (1, inputs):
        raise UsageError(f"{option} has {len(numbers)} values for {inputs} inputs")
    return tuple(float(n) for n in numbers) * (inputs if len(numbers) == 1 else 1)


def merged(
    name: str,
    stack: Floats,
    weights: Sequence[float],
    *,
    random: Draws | None = None,
    spent: bool = False,
    **options: Any,
) -> Floats:
    """The merged update [...] of a stack of updates [inputs, ...], in the stack's precision.

    With `spent` the stack may be overwritten, which saves a copy. Methods that draw need `random`, whose
    identities are those of the inputs, in their order. Inputs of weight zero are left out. UsageError as
    `kernel` and `shares` say.
    """
    kept = [number for number, weight in enumerate(weights) if weight != 0]
    share = shares(weights, len(stack), normalise=options.get("normalise", True) is not False)
    if len(kept) < len(stack):
        stack, share = stack[kept], share[kept]
        options = {key: _of(value, kept) if key in PER_INPUT else value for key, value in options.items()}
        random = random and Draws(random.seed, random.name, [random.inputs[number] for number in kept])
    chosen = kernel(name, len(stack), options)
    if random is None:
        if chosen.drawn:
            raise ValueError(f"{name} draws: give it `random`")
        random = Draws(0, "", [""] * len(stack))
    blocks = Held(stack)
    result = np.empty(blocks.size, stack.dtype)
    if not blocks.size:
        return result.reshape(stack.shape[1:])
    facts = chosen.measure(blocks, share, random)
    flat = stack.reshape(len(stack), -1) if spent else None
    for start, stop in spans(blocks.size, blocks.columns if chosen.by_rows else 1):
        block = blocks.read(start, stop) if flat is None else flat[:, start:stop]
        result[start:stop] = chosen.merge(block, share, facts, start, blocks.columns, random)
    return result.reshape(stack.shape[1:])


def _of(value: Any, kept: list[int]) -> Any:
    """Of an option's values those of the inputs that are kept."""
    several = isinstance(value, Sequence) and not isinstance(value, str)
    return [value[number] for number in kept] if several else value
