"""What transformers gets wrong or leaves out when it loads a GGUF, each with its reason.

Every entry was found by comparing with the config and tokenizer that the model was published with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from renga.errors import RengaError
from renga.models.gguf_header import Header

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase


def mend_config(config: PreTrainedConfig, header: Header) -> None:
    """Change `config` in place. Raises RengaError for positions scaled in a way that is not known here."""
    # GGUF keeps floats in 32 bits, so 1e-5 comes back as 9.999999747378752e-06. The nearest short
    # decimal is what the model was published with.
    for key in ("rms_norm_eps", "layer_norm_epsilon", "layer_norm_eps", "norm_eps"):
        value = getattr(config, key, None)
        if isinstance(value, float):
            setattr(config, key, float(f"{value:.6g}"))
    if header.architecture == "gemma3":
        _mend_gemma3(config, header)
    else:
        _mend_rope(config, header)


def _mend_gemma3(config: Any, header: Header) -> None:
    # The file states one rope base, that of the full layers. That five layers of six see a window and
    # turn with base 10,000 is known to llama.cpp by the architecture's name. Said here and not left to
    # the defaults of transformers' class, which are another checkpoint's.
    layers = config.num_hidden_layers
    config.layer_types = ["full_attention" if i % 6 == 5 else "sliding_attention" for i in range(layers)]
    full: dict[str, Any] = {"rope_type": "default", "rope_theta": float(header.fact("rope.freq_base") or 1e6)}
    factor = header.fact("rope.scaling.factor")
    if factor and float(factor) != 1.0:  # the 4B and larger: positions of the full layers are divided by 8
        full |= {"rope_type": "linear", "factor": float(factor)}
    config.rope_parameters = {
        "full_attention": full,
        "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
    }
    # Queries are scaled by 1/sqrt(head_dim), except in the 27B (62 layers): 1/sqrt(hidden/heads).
    config.query_pre_attn_scalar = (
        config.hidden_size // config.num_attention_heads if layers == 62 else config.head_dim
    )
    config.tie_word_embeddings = "output.weight" not in header.tensors


def _mend_rope(config: Any, header: Header) -> None:
    # Scaled positions are stated under names that transformers doesn't read: without these lines it
    # would answer with unscaled ones and not say a word.
    held = getattr(config, "rope_parameters", None)
    if not isinstance(held, dict):
        return
    if "rope_freqs.weight" in header.tensors:
        config.rope_parameters = held | _llama3_rope(header, float(held["rope_theta"]))
        return
    kind, factor = header.fact("rope.scaling.type"), header.fact("rope.scaling.factor")
    if kind in (None, "none") or not factor or float(factor) == 1.0:
        return
    if kind not in ("linear", "yarn"):
        raise _unknown_scaling(header, str(kind))
    scaled = {**held, "rope_type": kind, "factor": float(factor)}
    if original := header.fact("rope.scaling.original_context_length"):
        scaled["original_max_position_embeddings"] = int(original)
    config.rope_parameters = scaled


def _llama3_rope(header: Header, theta: float) -> dict[str, Any]:
    """Llama 3.1 and later: a table of divisors, one per frequency, in place of the four numbers that it
    was made from. Three of these are the same in every release; the largest divisor is the fourth."""
    (count,), at = header.tensors["rope_freqs.weight"]
    table = np.fromfile(header.path, dtype="<f4", count=count, offset=at).astype(np.float64)
    factor, low, high, original = round(float(table.max()), 3), 1.0, 4.0, 8192
    wavelengths = 2 * np.pi * theta ** (np.arange(count) / count)
    smooth = np.clip((original / wavelengths - low) / (high - low), 0.0, 1.0)
    if not np.allclose(table, 1 / ((1 - smooth) / factor + smooth), rtol=1e-3):
        raise _unknown_scaling(header, "a table of its own")
    return {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": low,
        "high_freq_factor": high,
        "original_max_position_embeddings": original,
    }


def _unknown_scaling(header: Header, kind: str) -> RengaError:
    return RengaError(
        f"{header.path} scales its positions in a way that is not known here ({kind})",
        hint="use a safetensors folder of the model instead",
    )


def mend_tokenizer(tokenizer: PreTrainedTokenizerBase, header: Header) -> None:
    """Change `tokenizer` in place."""
    from tokenizers import pre_tokenizers

    # "smollm" splits off every digit before GPT-2's pattern is applied; transformers applies the pattern
    # alone. The ids differ wherever a number follows several spaces.
    if header.facts.get("tokenizer.ggml.pre") == "smollm":
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
