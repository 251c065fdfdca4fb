"""Soft prompts: a passage as a few vectors that the host reads in the place of its tokens.

In the manner of ICAE (arXiv:2307.06945) and gist tokens (arXiv:2304.08467), small enough to be trained on a
device: the edge model reads the passage, its last states are averaged over as many stretches as there are
slots, and a linear map, all that is trained, brings them to the host's width. Host and edge stay frozen.

What it saves is the host's prefill and context, not bytes: a slot in 8 bits is as wide as the host, some
hundred times a token's id. Slots are made for one host, and mean nothing to another; a host elsewhere reads
them off the link.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch

from renga.errors import RengaError, UsageError
from renga.models.composed import name_of
from renga.models.contract import LanguageModel, Prompt, Session, Want
from renga.models.local import LocalModel
from renga.models.scoring import Tick
from renga.models.slot_session import around, embedded_around, open_with
from renga.models.slots import Slots
from renga.models.vocabulary import Vocabulary

FORMAT = "renga soft prompt 1"


@dataclass(frozen=True)
class SoftCompressor:
    """Passages to slots. weight: float32 [host width, edge width], bias: [slots, host width]; edge, host: the
    fingerprints of the models it is for."""

    weight: torch.Tensor
    bias: torch.Tensor
    edge: str
    host: str

    @property
    def slots(self) -> int:
        return int(self.bias.shape[0])

    @property
    def bytes_per_slot(self) -> int:
        """Of a slot as it travels: 8 bits a number, and a scale."""
        return int(self.bias.shape[1]) + 4

    def read(self, edge: LocalModel, passage: str) -> torch.Tensor:
        """The slots of a passage: float32 [slots, host width]. Raises RengaError with another edge model."""
        if edge.weights.fingerprint != self.edge:
            raise RengaError("the soft prompt was trained with another edge model")
        return self.mapped(stretches(edge, passage, self.slots))

    def mapped(self, states: torch.Tensor) -> torch.Tensor:
        return states @ self.weight.T + self.bias

    def save(self, path: Path) -> None:
        """As safetensors."""
        from safetensors.torch import save_file

        facts = json.dumps({"format": FORMAT, "edge": self.edge, "host": self.host})
        tensors = {"weight": self.weight.contiguous(), "bias": self.bias.contiguous()}
        try:
            save_file(tensors, path, metadata={"renga": facts})
        except OSError as error:
            raise RengaError(f"can't write {path}: {error.strerror}") from error

    @classmethod
    def load(cls, path: Path) -> SoftCompressor:
        """Raises UsageError for a file that holds none."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                facts = json.loads((file.metadata() or {})["renga"])
                weight, bias = file.get_tensor("weight"), file.get_tensor("bias")
            shaped = weight.ndim == bias.ndim == 2 and weight.shape[0] == bias.shape[1]
            if facts["format"] != FORMAT or not shaped or not all(t.isfinite().all() for t in (weight, bias)):
                raise ValueError
            return cls(weight.float(), bias.float(), str(facts["edge"]), str(facts["host"]))
        except (OSError, SafetensorError, KeyError, ValueError, TypeError):
            raise UsageError(f"{path}: no soft compressor in it") from None


class SoftModel:
    """The host, whose prompts' contexts come as slots: what stands before the last empty line of a prompt is
    read by the edge model, the rest by the host itself. The slots are those that travel, wherever the host
    is."""

    def __init__(self, host: LanguageModel, edge: LocalModel, compressor: SoftCompressor) -> None:
        """Raises RengaError for a host the slots were not made for, as far as that is known here, or one
        that keeps more than keys."""
        if isinstance(host, LocalModel):
            if host.weights.fingerprint != compressor.host:
                raise RengaError("the soft prompt was trained for another host model")
            if not host.weights.keeps_keys:
                raise RengaError("a model with states that are no keys can't read slots")
        elif not hasattr(host, "open_slots"):
            raise RengaError(f"{name_of(host)} reads no slots", hint="a host here, or one over the link")
        self.members = (host, edge)
        self.compressor = compressor
        self.offers: frozenset[type[Want]] = host.offers

    @property
    def vocabulary(self) -> Vocabulary:
        return self.members[0].vocabulary

    def open(self, prompt: Prompt) -> Session:
        """A session that has read the prompt, its context as slots; one with turns before it as it is, for
        slots were trained to stand at the beginning."""
        host, edge = self.members
        context, _, question = prompt.text.rpartition("\n\n")
        if not context.strip() or prompt.before:
            return host.open(prompt)
        slots = Slots.of(self.compressor.read(edge, context), self.compressor.host)
        return open_with(host, prompt.asking(question), slots)


def train_soft(
    edge: LocalModel,
    host: LocalModel,
    lessons: Sequence[tuple[str, str, str]],
    *,
    slots: int,
    epochs: int = 4,
    rate: float = 3e-3,
    seed: int = 0,
    tick: Tick | None = None,
) -> SoftCompressor:
    """Fit a compressor on (passage, question, answer): the host's likelihood of the answer behind the slots.

    Raises UsageError without lessons or slots.
    """
    if slots < 1 or not lessons:
        raise UsageError("a soft compressor needs lessons, and a slot at least")
    width = int(host.weights.model.get_input_embeddings().weight.shape[1])
    states = [stretches(edge, passage, slots) for passage, _, _ in lessons]
    generator = torch.Generator().manual_seed(seed)
    inside = states[0].shape[1]
    weight = torch.empty(width, inside).normal_(0, inside**-0.5, generator=generator)
    typical = _typical(host)
    compressor = SoftCompressor(
        (weight * typical).requires_grad_(True),
        torch.zeros(slots, width, requires_grad=True),
        edge.weights.fingerprint,
        host.weights.fingerprint,
    )
    optimiser = torch.optim.Adam([compressor.weight, compressor.bias], lr=rate * typical)
    done, total = 0, epochs * len(lessons)
    for _ in range(epochs):
        for i in torch.randperm(len(lessons), generator=generator).tolist():
            _, question, answer = lessons[i]
            loss = answer_loss(host, compressor.mapped(states[i].clone()), question, answer)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            done += 1
            if tick:
                tick(done, total)
    return SoftCompressor(
        compressor.weight.detach(), compressor.bias.detach(), compressor.edge, compressor.host
    )


def answer_loss(host: LocalModel, slots: torch.Tensor, question: str, answer: str) -> torch.Tensor:
    """Mean nats per token of the answer, its end included, behind slots and question."""
    before, after = around(host, question)
    target = [*host.vocabulary.encode(answer), host.vocabulary.end]
    embedded = embedded_around(host, before, slots, [*after, *target[:-1]])
    weights = host.weights
    with weights.lock:
        weights.wear(host.adapter)
        output = weights.model(inputs_embeds=embedded, use_cache=False, logits_to_keep=len(target))
    return torch.nn.functional.cross_entropy(output.logits[0].float(), torch.tensor(target))


@torch.inference_mode()
def stretches(edge: LocalModel, passage: str, slots: int) -> torch.Tensor:
    """The edge model's last states over a passage, averaged over `slots` stretches of it and brought to
    length 1 times the root of their width: [slots, width]. A passage of fewer tokens repeats some."""
    weights = edge.weights
    ids = weights.vocabulary.encode(passage) or [weights.vocabulary.end]
    with weights.lock, weights.meter.reading(len(ids)):
        weights.wear(edge.adapter)
        states = weights.model.get_decoder()(input_ids=torch.tensor([ids]), use_cache=False)
    found = states.last_hidden_state[0].float()
    cuts = [round(i * len(ids) / slots) for i in range(slots + 1)]
    means = torch.stack([found[min(a, len(ids) - 1) : max(b, a + 1)].mean(0) for a, b in pairwise(cuts)])
    scaled: torch.Tensor = torch.nn.functional.normalize(means, dim=-1) * means.shape[1] ** 0.5
    return scaled


def _typical(host: LocalModel) -> float:
    """The size of a number in the host's input embeddings, so that slots begin where tokens lie."""
    table = host.weights.model.get_input_embeddings()
    ids = torch.arange(0, host.vocabulary.size, max(1, host.vocabulary.size // 256))
    with torch.no_grad():
        return float(table(ids).float().std())
