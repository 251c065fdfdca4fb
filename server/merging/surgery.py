"""Representation surgery (arXiv:2402.02705): what merging did to the last hidden states, undone for one task.

A merged model's representation of a task's text is off from that of the model tuned for the task, by much the
same everywhere. For each task a small module takes it off before the output layer,

    z' = z - up relu(down z),   down [rank, hidden], up [hidden, rank],

learned by the mean absolute distance between z' and the tuned model's z on unlabelled texts. It needs to be
known which task a text is of: it mends a merge for many tasks, and is not one. Costs two readings of the
texts, and `steps` over the kept states, which are [places, hidden] in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from renga.errors import RengaError, UsageError
from renga.models.adapter import Adapter
from renga.models.example import Example
from renga.models.weights import SharedWeights


@dataclass(frozen=True, eq=False)
class Surgery:
    """The module of one task, and the mean absolute distance before and after, where it was learned."""

    down: torch.Tensor  # [rank, hidden]
    up: torch.Tensor  # [hidden, rank]
    before: float
    after: float

    def __call__(self, z: torch.Tensor) -> torch.Tensor:
        return z - torch.relu(z @ self.down.T) @ self.up.T

    @contextmanager
    def on(self, weights: SharedWeights) -> Iterator[None]:
        """Inside, the model's output layer sees mended states, whatever adapter is worn."""
        head = weights.model.get_output_embeddings()
        if head.weight.shape[1] != self.down.shape[1]:
            raise RengaError(
                f"the surgery is for states of {self.down.shape[1]} numbers, {weights.reference} has"
                f" {head.weight.shape[1]}"
            )
        handle = head.register_forward_pre_hook(lambda _, inputs: (self(inputs[0]), *inputs[1:]))
        try:
            yield
        finally:
            handle.remove()

    def save(self, file: Path) -> None:
        """Write it as safetensors, its distances in the metadata."""
        file.parent.mkdir(parents=True, exist_ok=True)
        told = {"before": repr(self.before), "after": repr(self.after)}
        save_file({"down": self.down.contiguous(), "up": self.up.contiguous()}, file, told)

    @staticmethod
    def load(file: Path) -> Surgery:
        """The module in a file. UsageError where there is none, RengaError for one of other shapes."""
        if not file.is_file():
            raise UsageError(f"there is no file {file}", hint="renga merge … --surgery FILE writes it")
        try:
            with safe_open(file, "pt") as held:
                down, up = held.get_tensor("down").float(), held.get_tensor("up").float()
                told = held.metadata() or {}
        except SafetensorError as error:
            raise RengaError(f"{file} holds no surgery: {error}") from error
        if down.ndim != 2 or up.shape != down.T.shape or not (down.isfinite().all() and up.isfinite().all()):
            raise RengaError(f"{file} holds no surgery: down {list(down.shape)}, up {list(up.shape)}")
        return Surgery(down, up, float(told.get("before", "nan")), float(told.get("after", "nan")))


def operated(
    weights: SharedWeights,
    merged: Adapter,
    tuned: Adapter,
    texts: Sequence[Example],
    *,
    rank: int = 16,
    steps: int = 200,
    rate: float = 1e-3,
    seed: int = 0,
) -> Surgery:
    """The surgery that brings `merged` back to `tuned` on this task's texts (prompts alone are read)."""
    if not texts:
        raise UsageError("surgery needs a few texts of the task", hint="their prompts are enough")
    prompts = [weights.template.prompt_ids(weights.tokenizer, example.prompt) for example in texts]
    with weights.lock, torch.no_grad():
        z, wanted = (
            torch.cat([_states(weights, adapter, p) for p in prompts]) for adapter in (merged, tuned)
        )
    generator = torch.Generator().manual_seed(seed)
    hidden = z.shape[1]
    down = (torch.randn(rank, hidden, generator=generator) / hidden**0.5).requires_grad_(True)
    up = torch.zeros(hidden, rank, requires_grad=True)
    before = float((z - wanted).abs().mean())
    optimiser = torch.optim.Adam([down, up], lr=rate)
    best = before, down.detach().clone(), up.detach().clone()
    with torch.enable_grad():
        for _ in range(steps):
            loss = (z - torch.relu(z @ down.T) @ up.T - wanted).abs().mean()
            if float(loss.detach()) < best[0]:
                best = float(loss.detach()), down.detach().clone(), up.detach().clone()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return Surgery(best[1], best[2], before, best[0])


def _states(weights: SharedWeights, adapter: Adapter, prompt: Sequence[int]) -> torch.Tensor:
    """The last hidden states of a prompt's places [places, hidden], as the output layer sees them."""
    weights.wear(adapter)
    decoder: Any = weights.model.get_decoder()
    states: torch.Tensor = decoder(input_ids=torch.tensor([list(prompt)]), use_cache=False).last_hidden_state
    return states[0].float()
