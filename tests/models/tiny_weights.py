"""Tiny models with everything around them, as `SharedWeights` in memory: no folder, made in milliseconds."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    Lfm2Config,
    Lfm2ForCausalLM,
    Starcoder2Config,
    Starcoder2ForCausalLM,
)

from renga.models.adapter import Adapter, Factors
from renga.models.example import Example
from renga.models.references import Loaded
from renga.models.weights import SharedWeights
from tests.models.tiny_models import chat_tokenizer, gemma3, llama
from tests.models.tiny_tokenizers import byte_level, metaspace

SHAPE: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 2048,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 0,
}


def shared(model: Any, tokenizer: Any, fingerprint: str = "f" * 64) -> SharedWeights:
    model.eval().requires_grad_(False)
    return SharedWeights(Loaded(model, tokenizer, "tiny", fingerprint, bool(tokenizer.chat_template), ""))


def tiny(kind: str) -> SharedWeights:
    """One of KINDS, made anew: an adapter that one test puts on is no other's."""
    return KINDS[kind]()


def _filled(model: Any, size: float = 0.25) -> Any:
    torch.manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(0.0, size)
            if any(part in name for part in ("norm", "ln_")) and name.endswith("weight"):
                parameter.add_(1.0)
    return model


def _gpt2() -> Any:
    config = GPT2Config(vocab_size=320, n_positions=256, n_embd=32, n_layer=2, n_head=4, eos_token_id=1)
    return _filled(GPT2LMHeadModel(config))


def _starcoder2() -> Any:
    return _filled(Starcoder2ForCausalLM(Starcoder2Config(**SHAPE | {"sliding_window": 8})))


def _gemma2() -> Any:
    config = Gemma2Config(**SHAPE | {"sliding_window": 8, "final_logit_softcapping": 3.0})
    return _filled(Gemma2ForCausalLM(config))


def _granite() -> Any:
    return _filled(GraniteForCausalLM(GraniteConfig(**SHAPE | {"logits_scaling": 4.0})))


def _lfm2() -> Any:
    shape = {key: value for key, value in SHAPE.items() if key != "head_dim"}
    return _filled(Lfm2ForCausalLM(Lfm2Config(**shape, layer_types=["conv", "full_attention"])))


KINDS = {
    "llama": lambda: shared(llama(), chat_tokenizer()),
    "gemma3": lambda: shared(gemma3(), metaspace(120)),
    "gemma2": lambda: shared(_gemma2(), byte_level(320)),  # caps its logits
    "granite": lambda: shared(_granite(), byte_level(320)),  # scales them
    "lfm2": lambda: shared(_lfm2(), byte_level(320)),  # has states that are no keys
    # Layer norms that stay in float64, where Llama's and Gemma's go through float32.
    "gpt2 in float64": lambda: shared(_gpt2().double(), byte_level(320)),
    "starcoder2 in float64": lambda: shared(_starcoder2().double(), byte_level(320)),  # a window of 8
}


def plain_rows(weights: SharedWeights, ids: Any, last: int = 0) -> torch.Tensor:
    """Log-probabilities after each of `ids` (the `last` of them), by one forward without cache or padding."""
    with torch.inference_mode():
        inputs = {"input_ids": torch.tensor([list(ids)]), "logits_to_keep": last}
        logits = weights.model(**inputs, use_cache=False).logits[0]
    rows: torch.Tensor = logits[:, : weights.vocabulary.size].log_softmax(-1)
    return rows


def some_ids(weights: SharedWeights, count: int, seed: int = 0) -> list[int]:
    """Ids that stand for bytes."""
    usable = [id for id in range(weights.vocabulary.size) if id not in weights.vocabulary.specials]
    return [usable[i] for i in np.random.default_rng(seed).integers(len(usable), size=count)]


def random_adapter(
    weights: SharedWeights, seed: int = 0, rank: int = 2, modules: str = "all", size: float = 0.2
) -> Adapter:
    """An adapter that changes a lot."""
    fresh = weights.fresh_adapter(rank, 2.0 * rank + 1, modules, seed)
    rng = np.random.default_rng(seed)
    factors = {
        path: Factors(f.a, (size * rng.standard_normal(f.b.shape)).astype(np.float32))
        for path, f in fresh.factors.items()
    }
    return Adapter(factors, fresh.alpha, rank, fresh.base)


def some_examples() -> list[Example]:
    """Unequal lengths, a response without bytes, and one beyond ASCII."""
    pairs = [
        ("Who counts?", "the client"),
        ("What does the quick brown fox jump over, and when?", "over the dog"),
        ("a", "b"),
        ("連歌?", "季語 🎋"),
        ("Say nothing.", ""),
        ("Merged?", "The server merges what the clients have learned, and every byte of them."),
    ]
    return [Example(prompt, response) for prompt, response in pairs]
