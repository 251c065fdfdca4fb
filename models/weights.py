"""One copy of the base weights, worn by any number of adapters in turn.

A federation of a hundred simulated clients has one base model in memory; a client *is* an adapter and its
data. PEFT provides the adapted layers. One slot of layers is made per shape of adapter (rank and modules);
putting on an adapter copies its factors into the slot, which takes milliseconds, and putting on the one that
is already worn takes nothing.
"""

from __future__ import annotations

import math
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import DynamicCache

from renga.errors import RengaError, UsageError
from renga.models.adapter import Adapter, Factors
from renga.models.caching import handed
from renga.models.context import TooLong, check_prompt, context_of
from renga.models.contract import Prompt
from renga.models.meter import Meter
from renga.models.references import Loaded, end_id, load
from renga.models.template import Template
from renga.models.vocabulary import Vocabulary

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj", "c_attn", "query_key_value", "out_proj", "dense")


def chosen(shapes: dict[str, tuple[int, int]], modules: str) -> dict[str, tuple[int, int]]:
    """Those of `shapes` that `modules` names: "all", "attention", or "upper", the upper half of the blocks.

    Learning stops at the lowest adapted block on its way back, so "upper" spares half of the backward pass,
    and half of the adapter's bytes.
    """
    if modules == "attention":
        return {path: shape for path, shape in shapes.items() if path.rsplit(".", 1)[-1] in ATTENTION}
    if modules == "upper":
        blocks = {path: int(found[1]) for path in shapes if (found := re.search(r"\.(\d+)\.", path))}
        middle = (max(blocks.values(), default=0) + 1) // 2
        return {path: shape for path, shape in shapes.items() if blocks.get(path, -1) >= middle}
    return dict(shapes)


# Layers, as configurations name them, that keep nothing but keys and values.
KEYED = frozenset({"full_attention", "sliding_attention", "chunked_attention"})

# Reading a prefix apart costs a pass of its own; below this it saves nothing.
WORTH_SHARING = 4

_UNKNOWN = object()


@dataclass(frozen=True)
class Read:
    """Prompts that were read together, with the logits of what follows each: [prompts, vocabulary].

    `mask` says which places of the cache are a prompt's own, and not padding: [prompts, places], 1 or 0.
    """

    cache: DynamicCache
    mask: torch.Tensor
    logits: torch.Tensor


class SharedWeights:
    """Base weights in memory, with what is needed to read and write text with them."""

    def __init__(self, loaded: Loaded) -> None:
        self.model = loaded.model
        self.tokenizer = loaded.tokenizer
        self.reference = loaded.reference
        self.fingerprint = loaded.fingerprint
        self.template = Template.of(loaded)
        self.vocabulary = Vocabulary(loaded.tokenizer, end_id(loaded))
        self.meter = Meter()
        # Held while learning, and by whoever answers from another thread: one adapter is worn at a time.
        self.lock = threading.RLock()
        self._worn: object = None  # the adapter, None for the bare base, _UNKNOWN when it is neither
        self._slots: dict[tuple[int, tuple[str, ...]], str] = {}
        self._found: tuple[int, dict[str, Any]] = (
            0,
            {},
        )  # how many slots there were, and the layers they change
        self._slot: str | None = None

    @classmethod
    def load(cls, reference: str) -> SharedWeights:
        """Load the weights that `reference` names (see `renga.models.references`)."""
        return cls(load(reference))

    @cached_property
    def keeps_keys(self) -> bool:
        """Whether what was read is kept as keys and values alone, which can be cut back and handed on.

        Recurrent and convolutional states can't: such models read everything again.
        """
        layers = getattr(self.model.config.get_text_config(), "layer_types", None) or ()
        # transformers' own word for it is not enough: LFM2, with convolutions, does not say it.
        return not getattr(self.model, "_is_stateful", False) and KEYED.issuperset(layers)

    @property
    def name(self) -> str:
        """The last part of its reference: what others may be told, who need know of no folders."""
        return self.reference.rstrip("/").rsplit("/", 1)[-1]

    @cached_property
    def context(self) -> int | None:
        """Tokens that it reads at most, prompt and answer together; None if that is not known."""
        return context_of(self.model.config.get_text_config())

    def prompt_ids(self, prompt: Prompt | str) -> list[int]:
        """Everything that is read before the answer to `prompt`, in the model's own template. Raises TooLong
        for more than it reads."""
        prompt = Prompt(prompt) if isinstance(prompt, str) else prompt
        ids = self.template.ids_of(self.tokenizer, prompt)
        check_prompt(len(ids), self.context, self.name)
        return ids

    def reads(self, prompt: str) -> bool:
        """Whether a prompt is short enough for it."""
        try:
            return bool(self.prompt_ids(prompt))
        except TooLong:
            return False

    @cached_property
    def linear_shapes(self) -> dict[str, tuple[int, int]]:
        """[out, in] of the linear layers that adapters may change, by path; the output layer is not one."""
        head = self.model.get_output_embeddings()
        return {
            path: (int(module.weight.shape[0]), int(module.weight.shape[1]))
            for path, module in self.model.named_modules()
            if type(module) is nn.Linear and module is not head
        }

    def adapted_shapes(self, modules: str) -> dict[str, tuple[int, int]]:
        """The layers that `modules` names (see `chosen`), with their shapes; UsageError if there is none."""
        shapes = chosen(self.linear_shapes, modules)
        if not shapes:
            raise UsageError(f"{self.reference} has no linear layers for modules = {modules!r}")
        return shapes

    def fresh_adapter(self, rank: int, alpha: float, modules: str, seed: int) -> Adapter:
        """An adapter that changes nothing yet: A drawn uniformly (Kaiming, as PEFT does), B zero.

        Members of a cohort start from the same seed, so that their first adapters lie close together; a
        lower rank takes the first rows of what a higher rank would draw.
        """
        factors = {}
        shapes = self.adapted_shapes(modules)
        narrowest = min(shapes, key=lambda path: min(shapes[path]))
        most = min(shapes[narrowest])
        if not 1 <= rank <= most:
            out, inside = shapes[narrowest]
            raise UsageError(
                f"rank {rank} does not fit layer {narrowest} of {self.reference} ({out} x {inside})",
                hint=f"choose a rank between 1 and {most}",
            )
        for path, (out, inside) in sorted(shapes.items()):
            generator = np.random.default_rng([seed, *path.encode()])
            a = generator.uniform(-1.0, 1.0, size=(rank, inside)).astype(np.float32) / np.float32(inside**0.5)
            factors[path] = Factors(a=a, b=np.zeros((out, rank), np.float32))
        return Adapter(factors=factors, alpha=alpha, rank=rank, base=self.fingerprint)

    def wear(self, adapter: Adapter | None) -> None:
        """Put `adapter` on (None: the bare base). Raises RengaError if it was made for another base."""
        if adapter is self._worn:
            return
        if adapter is None:
            for layer in self._layers().values():
                layer.enable_adapters(False)
            self._worn = None
            return
        if adapter.base != self.fingerprint:
            raise RengaError(
                f"the adapter was made for another base model than {self.reference}",
                hint=f"its base is {adapter.base[:12]}, this one {self.fingerprint[:12]}",
            )
        slot = self._fitting_slot(adapter)
        self._worn = _UNKNOWN  # until all of it is on
        self._select(slot, adapter)
        with torch.no_grad():
            for path, (a, b) in self._factors().items():
                a.copy_(torch.tensor(adapter.factors[path].a))  # arrays off the wire are read-only
                b.copy_(torch.tensor(adapter.factors[path].b))
        self._worn = adapter

    @contextmanager
    def learning(self, adapter: Adapter) -> Iterator[list[nn.Parameter]]:
        """Wear `adapter` with its factors open to change; read the result with `taken_off`, inside."""
        with self.lock:
            yield from self._learning(adapter)

    def _learning(self, adapter: Adapter) -> Iterator[list[nn.Parameter]]:
        self.wear(adapter)
        self._worn = _UNKNOWN  # what is worn from here on is no longer what was put on
        parameters = [p for pair in self._factors().values() for p in pair]
        for parameter in parameters:
            parameter.requires_grad_(True)
        try:
            yield parameters
        finally:
            for parameter in parameters:
                parameter.requires_grad_(False)
                parameter.grad = None

    def taken_off(self, like: Adapter) -> Adapter:
        """The factors now in the slot, as an adapter of the shape of `like`."""
        factors = {
            path: Factors(a=a.detach().numpy().copy(), b=b.detach().numpy().copy())
            for path, (a, b) in self._factors().items()
        }
        return Adapter(factors=factors, alpha=like.alpha, rank=like.rank, base=self.fingerprint)

    def logits(self, sequences: Sequence[Sequence[int]], keep: Sequence[int]) -> torch.Tensor:
        """Logits of the last places of several sequences, read in one batch.

        Sequences are padded on the right, where nothing that is wanted sees it: no mask is needed, and
        distances stay what sliding windows take them for. Of sequence i the last `keep[i]` rows are given,
        stacked in order: [sum keep, vocabulary]. What all sequences begin with (a template, an instruction)
        is read once for all of them; gradients flow through it as if each had read it for itself.
        """
        return self._at_the_ends(sequences, keep, self.logits_at)

    def states(self, sequences: Sequence[Sequence[int]]) -> torch.Tensor:
        """The last hidden state at the end of each of several sequences, read as `logits` reads them:
        [sequences, width]."""

        def seen(wanted: torch.Tensor, **inputs: Any) -> torch.Tensor:
            hidden: torch.Tensor = self.model.get_decoder()(**inputs).last_hidden_state
            return hidden[wanted]

        return self._at_the_ends(sequences, [1] * len(sequences), seen)

    def _at_the_ends(
        self, sequences: Sequence[Sequence[int]], keep: Sequence[int], look: Callable[..., torch.Tensor]
    ) -> torch.Tensor:
        """What `look` makes of the last `keep[i]` places of each sequence."""
        shared = self._common_prefix(sequences, keep)
        rest = [sequence[shared:] for sequence in sequences]
        lengths = torch.tensor([len(sequence) for sequence in rest]).unsqueeze(1)
        ids = torch.zeros((len(rest), int(lengths.max())), dtype=torch.long)
        for row, sequence in enumerate(rest):
            ids[row, : len(sequence)] = torch.tensor(sequence)
        place = torch.arange(ids.shape[1])
        wanted = (place >= lengths - torch.tensor(list(keep)).unsqueeze(1)) & (place < lengths)
        with self.meter.reading(shared + int(lengths.sum())):
            if not shared:
                return look(wanted, input_ids=ids, use_cache=False)
            cache = DynamicCache()
            first = torch.tensor([sequences[0][:shared]])
            self.model.get_decoder()(input_ids=first, **handed(cache, self.model), use_cache=True)
            cache.batch_repeat_interleave(len(rest))
            return look(wanted, input_ids=ids, **handed(cache, self.model), use_cache=True)

    def read(self, prompts: Sequence[Sequence[int]], room: int) -> Read:
        """Read prompts of any lengths in one batch, to go on after each by up to `room` ids (see `Read`).

        For models that keep keys only. What all prompts begin with is read once; the rest is padded on its
        left. Where a window is too narrow for all of it, padding in the middle would push the beginning out
        of sight, so nothing is shared there.
        """
        shared = self._common_prefix(prompts, [1] * len(prompts))
        if max(map(len, prompts)) + room > self._window:
            shared = 0
        rest = [prompt[shared:] for prompt in prompts]
        longest = max(map(len, rest))
        ids = torch.zeros((len(rest), longest), dtype=torch.long)
        mask = torch.ones((len(rest), shared + longest), dtype=torch.long)
        for row, prompt in enumerate(rest):
            ids[row, longest - len(prompt) :] = torch.tensor(list(prompt))
            mask[row, shared : shared + longest - len(prompt)] = 0
        cache = DynamicCache()
        positions = (mask.cumsum(1) - 1)[:, shared:]
        with self.meter.reading(shared + sum(map(len, rest))):
            if shared:
                first = torch.tensor([list(prompts[0][:shared])])
                self.model.get_decoder()(input_ids=first, **handed(cache, self.model), use_cache=True)
                cache.batch_repeat_interleave(len(rest))
            output = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions.clamp(min=0),
                **handed(cache, self.model),
                use_cache=True,
                logits_to_keep=1,
            )
        return Read(cache, mask, output.logits[:, -1, : self.vocabulary.size])

    def logits_at(self, wanted: torch.Tensor, **inputs: Any) -> torch.Tensor:
        """Logits of the `wanted` places [batch, length] alone, stacked row by row: [wanted, vocabulary].

        The output layer of a small model with a large vocabulary costs more than all others together
        (Gemma 3 270M: 168 of 268 million parameters), so it is spared the places nobody asked about.
        """
        if not self.head_is_plain:
            logits: torch.Tensor = self.model(**inputs).logits
            return logits[wanted][:, : self.vocabulary.size]
        hidden = self.model.get_decoder()(**inputs).last_hidden_state
        rows: torch.Tensor = self.model.get_output_embeddings()(hidden[wanted])
        return rows[:, : self.vocabulary.size]

    @cached_property
    def _window(self) -> float:
        """How many places the narrowest layer looks back."""
        config = self.model.config.get_text_config()
        widths = [getattr(config, key, None) for key in ("sliding_window", "attention_chunk_size")]
        return min((width for width in widths if width), default=math.inf)

    @cached_property
    def head_is_plain(self) -> bool:
        """Whether logits are nothing but the output layer over the decoder's last state: some models scale
        or cap them. Found out by trying."""
        ids = torch.arange(4).unsqueeze(0)
        with torch.inference_mode():
            try:
                hidden = self.model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
                mine = self.model.get_output_embeddings()(hidden)
            except (AttributeError, TypeError):
                return False
            return bool(torch.allclose(mine, self.model(input_ids=ids, use_cache=False).logits, atol=1e-5))

    def _common_prefix(self, sequences: Sequence[Sequence[int]], keep: Sequence[int]) -> int:
        """How many leading ids all sequences share, short of what is wanted; 0 if not worth a pass."""
        if len(sequences) == 1 or not self.keeps_keys:
            return 0
        limit = min(len(sequence) - kept for sequence, kept in zip(sequences, keep, strict=True))
        first = sequences[0]
        differ = (i for i in range(limit) if any(sequence[i] != first[i] for sequence in sequences))
        shared = next(differ, max(0, limit))
        return shared if shared >= WORTH_SHARING else 0

    def _factors(self) -> dict[str, tuple[nn.Parameter, nn.Parameter]]:
        assert self._slot is not None
        return {
            path: (layer.lora_A[self._slot].weight, layer.lora_B[self._slot].weight)
            for path, layer in self._layers().items()
            if self._slot in layer.lora_A
        }

    def _layers(self) -> dict[str, Any]:
        """The layers that some adapter changes; looked for once for every slot."""
        from peft.tuners.lora import LoraLayer

        if self._found[0] != len(self._slots):
            modules = self.model.named_modules()
            self._found = len(self._slots), {path: m for path, m in modules if isinstance(m, LoraLayer)}
        return self._found[1]

    def _fitting_slot(self, adapter: Adapter) -> str:
        """The slot for adapters of this shape, made if there is none. RengaError if it fits no layers."""
        from peft import LoraConfig, inject_adapter_in_model

        for path, f in sorted(adapter.factors.items()):
            out, inside = self.linear_shapes.get(path, (0, 0))
            if f.a.shape != (adapter.rank, inside) or f.b.shape != (out, adapter.rank):
                raise RengaError(f"the adapter's layer {path} does not fit {self.reference}")
        shape = (adapter.rank, tuple(sorted(adapter.factors)))
        if shape not in self._slots:
            slot = f"slot{len(self._slots)}"
            config = LoraConfig(r=adapter.rank, lora_alpha=1, lora_dropout=0.0, target_modules=list(shape[1]))
            # The first to wear a shape may only want to read; what is made then must still be able to learn.
            with warnings.catch_warnings(), torch.inference_mode(False):
                warnings.simplefilter("ignore")
                inject_adapter_in_model(config, self.model, adapter_name=slot)
            self._slots[shape] = slot
        return self._slots[shape]

    def _select(self, slot: str, adapter: Adapter) -> None:
        self._slot = slot
        for layer in self._layers().values():
            layer.enable_adapters(True)
            layer.set_adapter(slot if slot in layer.lora_A else [])
            layer.requires_grad_(False)  # after both of the above, which make factors trainable
            if slot in layer.lora_A:
                layer.scaling[slot] = adapter.scale
