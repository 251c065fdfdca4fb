"""The base fingerprint: which weights an adapter belongs to, whatever file they came in."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

# What changes the function that the weights compute. Names vary between architectures; a config has
# some of them. Defaults that a release of transformers adds must not change a fingerprint, hence a list.
_ESSENTIALS = (
    "model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "vocab_size", "hidden_act", "hidden_activation",
    "activation_function", "rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "sliding_window",
    "layer_types", "tie_word_embeddings", "query_pre_attn_scalar", "final_logit_softcapping",
    "attn_logit_softcapping", "n_embd", "n_head", "n_layer", "n_inner",
)  # fmt: skip


def essentials(config: PreTrainedConfig) -> dict[str, Any]:
    """The part of a config that the function depends on, as plain JSON values."""
    held = config.to_dict()
    chosen = {key: held[key] for key in _ESSENTIALS if held.get(key) is not None}
    rope = held.get("rope_parameters") or held.get("rope_scaling")
    return chosen | ({"rope": rope} if rope else {})


def base_fingerprint(model: PreTrainedModel) -> str:
    """sha256 (hex) over the architecture, the config's essentials, and every weight in float32.

    The same weights have the same fingerprint whether they came as float32, as bfloat16 (which float32
    holds exactly), or out of a GGUF that unpacks to them. A tied output layer counts once.
    Takes about a second per gigabyte.
    """
    import torch

    digest = hashlib.sha256()
    head = json.dumps([type(model).__name__, essentials(model.config)], sort_keys=True)
    digest.update(head.encode())
    seen: set[int] = set()
    for name, tensor in sorted(model.state_dict().items()):
        if tensor.data_ptr() in seen and tensor.numel():
            continue
        seen.add(tensor.data_ptr())
        digest.update(f"\n{name} {list(tensor.shape)}\n".encode())
        flat = tensor.detach().to(torch.float32).contiguous().reshape(-1)
        for part in flat.split(1 << 22):
            digest.update(memoryview(part.numpy()).cast("B"))
    return digest.hexdigest()
