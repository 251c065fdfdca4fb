"""What a federation takes, before it runs: memory, time, bytes. Rough on purpose, and said to be.

Shapes are exact (the models are built without weights); the rest are a few constants that were fitted to real
runs, and a matrix product that is timed on this machine.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from renga.errors import RengaError
from renga.models import gguf
from renga.models.example import Example
from renga.models.locate import locate, ready_folder, stay_offline

# What Python, torch, transformers and Flower take before any model is loaded, in bytes.
PROCESS_BYTES = 700_000_000
# Bytes of text per token, for the estimate only: English under either embedded vocabulary.
BYTES_PER_TOKEN = 4.0
# Tokens that a template puts around a prompt.
TEMPLATE_TOKENS = 12
# Floating-point operations per weight and token: forward 2; backward 2 more, since frozen weights get no
# gradient of their own.
LEARN_FLOPS, READ_FLOPS = 4, 2
# Share of a matrix product's speed that learning and reading reach (fitted to both embedded models).
EFFICIENCY = 0.45
# Bytes of one adapter number under each coding (8-bit blocks: a float32 scale for 64 numbers).
CODING_BYTES = {"float32": 4.0, "bf16": 2.0, "blocks8": 1 + 4 / 64}


@dataclass(frozen=True)
class Shape:
    """A model without its weights. `linear`: [out, in] of each layer that an adapter may change."""

    parameters: int
    embedding: int  # parameters of the output layer, or of the input's if both are one
    vocabulary: int
    layers: int
    hidden: int
    intermediate: int
    linear: Mapping[str, tuple[int, int]]

    @cached_property
    def body(self) -> int:
        """Parameters that every token passes through, whether or not its row is wanted."""
        return sum(out * inside for out, inside in self.linear.values())

    def adapter_numbers(self, rank: int, modules: Iterable[str]) -> int:
        """Numbers in a LoRA adapter of this rank on these modules."""
        return rank * sum(sum(self.linear[path]) for path in modules)


@dataclass(frozen=True)
class Texts:
    """How much text there is. Tokens are estimated from bytes."""

    count: int
    prompt_tokens: float
    response_tokens: float
    longest: float  # tokens of the longest text, its response included

    @property
    def tokens(self) -> float:
        return self.prompt_tokens + self.response_tokens


def measure(examples: Sequence[Example]) -> Texts:
    """Count texts and estimate their tokens."""
    prompts = [len(e.prompt.encode()) / BYTES_PER_TOKEN + TEMPLATE_TOKENS for e in examples]
    responses = [len((e.response or "").encode()) / BYTES_PER_TOKEN + 1 for e in examples]
    longest = max((p + r for p, r in zip(prompts, responses, strict=True)), default=0.0)
    return Texts(len(examples), sum(prompts), sum(responses), longest)


def learning_bytes(shape: Shape, adapter: int, batch: int, texts: Texts) -> float:
    """Memory of one training step: activations, logits with what their loss keeps, the optimiser's state."""
    tokens = batch * texts.longest
    responses = batch * texts.response_tokens / max(1, texts.count)
    activations = tokens * shape.layers * (18 * shape.hidden + 9 * shape.intermediate) * 4
    logits = 3 * responses * shape.vocabulary * 4
    return activations + logits + 4 * adapter * 4


def reading_bytes(shape: Shape, batch: int, texts: Texts) -> float:
    """Memory of one forward pass over a batch: what one layer holds, and the logits with their softmax."""
    tokens = batch * texts.longest
    responses = batch * texts.response_tokens / max(1, texts.count)
    return tokens * (4 * shape.hidden + 3 * shape.intermediate) * 4 + 2 * responses * shape.vocabulary * 4


def seconds(shape: Shape, tokens: float, responses: float, flops: int, speed: float) -> float:
    """Time for `tokens`, of which `responses` need a row of logits, at `speed` operations a second."""
    return flops * (tokens * shape.body + responses * shape.embedding) / (speed * EFFICIENCY)


def row_bytes(top_k: int, vocabulary: int) -> float:
    """Bytes of one knowledge row on the wire, at most."""
    return 6 + top_k * (1 + (2 if vocabulary <= 1 << 16 else 3))


def matrix_speed(threads: int) -> float:
    """Floating-point operations per second of a matrix product on `threads` cores (0: all) of this machine.

    One core is timed, for a fifth of a second of its own, at its best: what else runs now should not decide.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        a, b = torch.randn(512, 1024), torch.randn(1024, 1024)
        best, until = float("inf"), time.thread_time() + 0.2
        while time.thread_time() < until:
            start = time.thread_time()
            a @ b
            best = min(best, time.thread_time() - start)
    finally:
        torch.set_num_threads(before)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(threads or cores, cores) * 2 * a.shape[0] * a.shape[1] * b.shape[1] / best


def shape_of(reference: str) -> Shape:
    """Build the model that `reference` names, without weights. A GGUF is prepared first, if it never was.

    Raises RengaError or UsageError for a reference that leads nowhere or to something that can't be loaded.
    """
    folder = ready_folder(locate(reference), lambda line: print(line, file=sys.stderr))
    stay_offline()
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        with gguf.quiet(), torch.device("meta"):
            config = AutoConfig.from_pretrained(folder, local_files_only=True)
            model = AutoModelForCausalLM.from_config(config)
    except (ValueError, KeyError, OSError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise RengaError(f"can't load {reference}: {first}", hint=f"check the files in {folder}") from error
    head = model.get_output_embeddings()
    text = config.get_text_config()
    return Shape(
        parameters=sum(p.numel() for p in model.parameters()),
        embedding=head.weight.numel(),
        vocabulary=head.weight.shape[0],
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        intermediate=getattr(text, "intermediate_size", None) or 4 * text.hidden_size,
        linear={
            path: (int(module.weight.shape[0]), int(module.weight.shape[1]))
            for path, module in model.named_modules()
            if type(module) is torch.nn.Linear and module is not head
        },
    )
