"""Coefficients and masks learned from a little unlabelled text, with the merge worn while it is learned.

The base model is frozen; beside each adapted layer its merged update is added in the common coordinates,
y + U M V^T x, where M is made anew in every step from what is learned. Nothing is materialised. What is
minimised is the entropy of the model's next-token distribution where its answer to a prompt would begin, over
prompts of all tasks: a model that was merged well is sure of itself (AdaMerging, arXiv:2310.02575). No
answers are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from renga.errors import UsageError
from renga.models.example import Example
from renga.models.weights import SharedWeights
from renga.server.merging.coordinates import SPACES, Coordinates
from renga.server.merging.lowrank import Product
from renga.server.merging.parts import Parts
from renga.server.merging.schedule import block

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Learning:
    """The model that wears the merge, prompts (their responses aren't read), and how to learn."""

    weights: SharedWeights
    texts: Sequence[Example]
    steps: int = 30
    rate: float = 0.02
    batch: int = 8
    seed: int = 0
    tell: Tell = lambda line: None


def adamerging(
    parts: Parts, *, learning: Learning | None = None, by: str = "block", prior: float = 0.0
) -> dict[str, Product]:
    """AdaMerging (arXiv:2310.02575): coefficients w_kl per input and layer that minimise the entropy of
    answers.

    The update of layer l is sum_k w_kl dW_k, w_kl in [0, 1] and starting at the shares; `by` says what has
    its own coefficients: "model" (task-wise), "block" (layer-wise), "module". `prior` times the mean square
    of the change from the start is added to the loss. Costs `steps` passes forth and back of a batch of
    prompts. Entropy is a stand-in: a model can be sure and wrong.
    """
    how = _needed(learning)
    if by not in ("model", "block", "module"):
        raise UsageError(f"no coefficients by {by!r}", hint="by model, block or module")
    groups = {n: "" if by == "model" else str(block(n)) if by == "block" else n for n in parts.names}
    index = {group: place for place, group in enumerate(dict.fromkeys(groups.values()))}
    first = {group: parts.weights[name] for name, group in reversed(groups.items())}
    start = torch.tensor([first[group] for group in index], dtype=torch.float32)
    learned = start.clone().requires_grad_(True)
    live = _Live.of(parts, "core")

    def core(name: str) -> torch.Tensor:
        return torch.einsum("k,kpq->pq", learned[index[groups[name]]].clamp(0, 1), live.stacks[name])

    _minimise(how, live, core, [learned], lambda: prior * ((learned - start) ** 2).mean())
    with torch.no_grad():
        final = learned.clamp(0, 1).double().numpy()
    placed = replace(parts)
    placed.__dict__["weights"] = {n: tuple(final[index[group]]) for n, group in groups.items()}
    return placed.each(lambda module: Product(*module.weighted()))


def concrete(
    parts: Parts, *, learning: Learning | None = None, temperature: float = 0.5, open_share: float = 0.9
) -> dict[str, Product]:
    """Concrete subspace learning (arXiv:2312.06173): a mask over parameters, shared by all tasks.

    In the common coordinates M = (m / mean m) * sum_k w_k M_k, m = sigmoid((x + log u - log(1 - u)) /
    temperature) with u drawn anew in every step (a relaxed coin toss) and x learned by the entropy of
    answers; the result takes sigmoid(x), whose mean is `open_share` in the beginning. The paper learns the
    mask in an outer loop around AdaMerging's coefficients; here the coefficients stay. Costs as `adamerging`.
    """
    how = _needed(learning)
    live = _Live.of(parts, "core")
    means = {
        name: torch.einsum("k,kpq->pq", torch.tensor(parts.weights[name], dtype=torch.float32), stack)
        for name, stack in live.stacks.items()
    }
    begin = float(np.log(open_share / (1 - open_share)))
    logits = {name: torch.full_like(mean, begin).requires_grad_(True) for name, mean in means.items()}
    generator = torch.Generator().manual_seed(how.seed)
    noise: dict[str, torch.Tensor] = {}

    def redraw() -> torch.Tensor:
        for name, x in logits.items():
            u = torch.rand(x.shape, generator=generator).clamp(1e-6, 1 - 1e-6)
            noise[name] = u.log() - (1 - u).log()
        return torch.zeros(())

    def core(name: str) -> torch.Tensor:
        mask = torch.sigmoid((logits[name] + noise[name]) / temperature)
        return mask / mask.mean() * means[name]

    _minimise(how, live, core, list(logits.values()), redraw)
    products = {}
    for name, x in logits.items():
        mask = torch.sigmoid(x.detach())
        merged = (mask / mask.mean() * means[name]).double().numpy()
        products[name] = live.ways[name].product(merged)
    return products


@dataclass(frozen=True, eq=False)
class _Live:
    """The coordinates of every module as tensors, and the ways back."""

    ways: Mapping[str, Coordinates]
    stacks: Mapping[str, torch.Tensor]  # [inputs, p, q]
    sides: Mapping[str, tuple[torch.Tensor, torch.Tensor]]  # U [out, p], V^T [q, in]

    @classmethod
    def of(cls, parts: Parts, space: str) -> _Live:
        ways = parts.each(SPACES[space])
        stacks = {n: torch.from_numpy(c.stack).float() for n, c in ways.items()}
        sides = {}
        for name, c in ways.items():
            assert c.left is not None and c.right is not None
            sides[name] = torch.from_numpy(c.left.copy()).float(), torch.from_numpy(c.right.copy()).float()
        return cls(ways, stacks, sides)

    @contextmanager
    def worn(self, weights: SharedWeights, core: Callable[[str], torch.Tensor]) -> Iterator[None]:
        """The bare base with U core V^T beside each layer."""
        handles = []
        weights.wear(None)
        try:
            for name, (left, right) in self.sides.items():

                def hook(
                    _: Any,
                    inputs: Any,
                    output: torch.Tensor,
                    name: str = name,
                    left: torch.Tensor = left,
                    right: torch.Tensor = right,
                ) -> torch.Tensor:
                    more: torch.Tensor = ((inputs[0] @ right.T) @ core(name).T) @ left.T
                    return output + more

                handles.append(weights.model.get_submodule(name).register_forward_hook(hook))
            yield
        finally:
            for handle in handles:
                handle.remove()


def entropy(weights: SharedWeights, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
    """The mean entropy, in nats, of what follows each prompt."""
    logits = weights.logits([list(prompt) for prompt in prompts], [1] * len(prompts)).float()
    logs = logits.log_softmax(-1)
    return -(logs.exp() * logs).sum(-1).mean()


def _minimise(
    how: Learning,
    live: _Live,
    core: Callable[[str], torch.Tensor],
    learned: list[torch.Tensor],
    extra: Callable[[], torch.Tensor],
) -> None:
    """Adam on the entropy of what follows the prompts, in seeded batches, plus `extra`."""
    template = how.weights.template
    prompts = [template.prompt_ids(how.weights.tokenizer, example.prompt) for example in how.texts]
    rng = np.random.default_rng(how.seed)
    optimiser = torch.optim.Adam(learned, lr=how.rate)
    with how.weights.lock, live.worn(how.weights, core), torch.enable_grad():
        for step in range(how.steps):
            chosen = rng.choice(len(prompts), min(how.batch, len(prompts)), replace=False)
            more = extra()
            loss = entropy(how.weights, [prompts[i] for i in sorted(chosen)]) + more
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            how.tell(f"step {step + 1} of {how.steps}: {float(loss.detach()):.4f}")


def _needed(learning: Learning | None) -> Learning:
    if learning is None or not learning.texts:
        raise UsageError(
            "this method learns from a few unlabelled texts", hint="`learning` gives it a model and texts"
        )
    return learning
