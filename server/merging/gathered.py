"""What a few texts say of an adapter, in coordinates of the common space: Fisher information, input Grams.

For each module with bases U and V (see `coordinates`), with the adapter on, on each text:

* Fisher, diagonal: the square of the gradient of log p(y | x) in each coordinate, U^T (dL/dW) V, with y drawn
  from the model itself (Matena and Raffel, arXiv:2111.09832). [p, q], averaged over texts.
* Gram: V^T X X^T V of the inputs X of the module (RegMean, arXiv:2212.09849). [q, q], averaged over tokens.

In coordinates both are small, and don't depend on how an update was split into factors, as the Fisher
information of single factors would. One pass forth and back per text, and O(tokens (out p + in q)) a module
beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from renga.errors import UsageError
from renga.models.adapter import Adapter
from renga.models.example import Example
from renga.models.scoring import Encoded, encode_texts
from renga.models.seeds import derived
from renga.models.weights import SharedWeights
from renga.server.merging.coordinates import SPACES, Coordinates
from renga.server.merging.parts import Parts, gathered, identity
from renga.server.merging.schedule import Schedule

F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Statistics:
    """Bases of every module, and by an adapter's identity its Fisher information and Grams in them."""

    space: str
    bases: Mapping[str, Coordinates]  # their stacks are empty
    fisher: Mapping[str, Mapping[str, F64]]
    gram: Mapping[str, Mapping[str, F64]]
    texts: int

    def of(self, what: Mapping[str, Mapping[str, F64]], parts: Parts, name: str) -> list[F64]:
        """One kind of a module, in the order of the inputs. UsageError where an input wasn't measured."""
        try:
            return [what[key][name] for key in parts.identities]
        except KeyError as error:
            raise UsageError(
                f"the statistics hold nothing on an input's {name}",
                hint="they must be taken of the same adapters that are merged",
            ) from error


def measured(
    weights: SharedWeights,
    adapters: Sequence[Adapter],
    texts: Sequence[Sequence[Example]],
    *,
    space: str = "core",
    fisher: bool = True,
    seed: int = 0,
    tell: Callable[[str], None] = lambda line: None,
) -> Statistics:
    """Statistics of each adapter on its own texts (responses are read, not learned from).

    space: "core", or "knots" for Grams of whole inputs [in, in], which is RegMean's own form.
    """
    if len(texts) != len(adapters):
        raise UsageError(f"{len(adapters)} adapters, but texts for {len(texts)}")
    parts = gathered(adapters, Schedule([1.0] * len(adapters)))
    found = parts.each(SPACES[space])
    bases = {n: Coordinates(np.zeros(0), c.left, c.right) for n, c in found.items()}
    fishers: dict[str, dict[str, F64]] = {}
    grams: dict[str, dict[str, F64]] = {}
    for place, (adapter, own) in enumerate(zip(adapters, texts, strict=True)):
        key = identity(adapter)
        if key in grams:
            continue
        tell(f"statistics of adapter {place + 1} on {len(own)} texts")
        encoded = encode_texts(weights, own)
        fishers[key], grams[key] = _of_one(weights, adapter, encoded, bases, fisher, derived(seed, key))
    return Statistics(space, bases, fishers, grams, sum(map(len, texts)))


def _of_one(
    weights: SharedWeights,
    adapter: Adapter,
    texts: Sequence[Encoded],
    bases: Mapping[str, Coordinates],
    fisher: bool,
    seed: int,
) -> tuple[dict[str, F64], dict[str, F64]]:
    generator = torch.Generator().manual_seed(seed)
    sums = {name: _Sums(base) for name, base in bases.items()}
    with weights.learning(adapter), _watched(weights, sums), torch.enable_grad():
        for text in texts:
            sequence = (*text.prompt, *text.response[:-1])
            logits = weights.logits([sequence], [len(text.response)]).float()
            if fisher:
                drawn = torch.multinomial(logits.detach().softmax(-1), 1, generator=generator)
                loss = torch.nn.functional.cross_entropy(logits, drawn[:, 0], reduction="sum")
                loss.backward()  # type: ignore[no-untyped-call]
            for one in sums.values():
                one.close(fisher)
    count = max(1, len(texts))
    return (
        {name: one.fisher / count for name, one in sums.items()} if fisher else {},
        {name: one.gram / max(1, one.tokens) for name, one in sums.items()},
    )


class _Sums:
    """Of one module: what has been added up, and the inputs and gradients of the text that is being read."""

    def __init__(self, base: Coordinates) -> None:
        self._u = None if base.left is None else torch.from_numpy(base.left).float()
        self._v = None if base.right is None else torch.from_numpy(base.right.T.copy()).float()
        self.fisher: F64 = np.zeros(())
        self.gram: F64 = np.zeros(())
        self.tokens = 0
        self._inputs: torch.Tensor | None = None
        self._gradients: torch.Tensor | None = None

    def see(self, inputs: torch.Tensor, output: torch.Tensor) -> None:
        x = inputs.detach().reshape(-1, inputs.shape[-1])
        self._inputs = x if self._v is None else x @ self._v
        if output.requires_grad:
            output.register_hook(self._see_gradient)  # type: ignore[no-untyped-call]

    def _see_gradient(self, gradient: torch.Tensor) -> None:
        g = gradient.detach().reshape(-1, gradient.shape[-1])
        self._gradients = g if self._u is None else g @ self._u

    def close(self, fisher: bool) -> None:
        """The text has been read: add it up."""
        assert self._inputs is not None
        self.gram = self.gram + (self._inputs.T @ self._inputs).double().numpy()
        self.tokens += len(self._inputs)
        if fisher and self._gradients is not None:
            self.fisher = self.fisher + (self._gradients.T @ self._inputs).double().numpy() ** 2
        self._inputs = self._gradients = None


@contextmanager
def _watched(weights: SharedWeights, sums: Mapping[str, _Sums]) -> Iterator[None]:
    handles = []
    try:
        for name, one in sums.items():

            def hook(_: Any, inputs: Any, output: torch.Tensor, one: _Sums = one) -> None:
                one.see(inputs[0], output)

            handles.append(weights.model.get_submodule(name).register_forward_hook(hook))
        yield
    finally:
        for handle in handles:
            handle.remove()
