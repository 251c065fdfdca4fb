"""Models of a few thousand weights, as folders and as GGUF files; random, but the same every time."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import gguf
import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from tests.models.tiny_tokenizers import byte_level, metaspace

CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<s>system\nYou are a teapot named Tea.<end>\n' }}{% endif %}"
    "{{ '<s>' + message['role'] + '\n' + message['content'] + '<end>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<s>assistant\n' }}{% endif %}"
)


def llama(**changes: Any) -> LlamaForCausalLM:
    settings = {
        "vocab_size": 320,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "rms_norm_eps": 1e-5,
    }
    return _made(LlamaForCausalLM, LlamaConfig(**settings | changes))


def gemma3(**changes: Any) -> Gemma3ForCausalLM:
    settings = {
        "vocab_size": 400,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 7,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "max_position_embeddings": 2048,
        "sliding_window": 8,
        "query_pre_attn_scalar": 8,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 0,
    }
    return _made(Gemma3ForCausalLM, Gemma3TextConfig(**settings | changes))


def _made(kind: Any, config: Any) -> Any:
    torch.manual_seed(7)
    model = kind(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Large enough that a wrong scale, mask or position shows in the logits.
            parameter.normal_(0.0, 0.3 if "norm" in name else 0.25)
            if "norm" in name and isinstance(model, LlamaForCausalLM):
                parameter.add_(1.0)
    return model


def chat_tokenizer() -> Any:
    """A byte-level tokenizer that asks in turns, and says something of its own when nobody else does."""
    tokenizer = deepcopy(byte_level(320))  # the plain one is shared
    tokenizer.chat_template = CHATML
    return tokenizer


def save_folder(folder: Path, model: PreTrainedModel, tokenizer: Any) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


_LEAVES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
}


def _gguf_name(name: str, gemma: bool) -> str:
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    if name == "lm_head.weight":
        return "output.weight"
    _, _, layer, leaf = name.removesuffix(".weight").split(".", 3)
    norms = {"post_attention_layernorm": "post_attention_norm" if gemma else "ffn_norm"}
    norms |= {"pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm"}
    return f"blk.{layer}.{_LEAVES.get(leaf) or norms[leaf]}.weight"


def write_gguf(path: Path, model: PreTrainedModel, **facts: Any) -> Path:
    """Write the model as llama.cpp's converter does: rotary halves interleaved for Llama, norms + 1 for
    Gemma, and no word on what llama.cpp knows by the architecture's name. facts: further metadata, under
    the architecture's prefix; `table`: Llama 3's divisors."""
    config, gemma = model.config, isinstance(model, Gemma3ForCausalLM)
    writer = gguf.GGUFWriter(path, "gemma3" if gemma else "llama")
    prefix = "gemma3" if gemma else "llama"
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_key_length(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    writer.add_string("general.license", "apache-2.0")
    rope = config.rope_parameters
    writer.add_rope_freq_base(float(rope["full_attention"]["rope_theta"] if gemma else rope["rope_theta"]))
    if gemma:
        writer.add_sliding_window(config.sliding_window)
        _describe_tokenizer(writer, metaspace(400), "llama")
    else:
        writer.add_rope_dimension_count(config.head_dim)
        _describe_tokenizer(writer, byte_level(320), "gpt2")
        writer.add_chat_template(CHATML)
    table = facts.pop("table", None)
    for key, value in facts.items():
        add = writer.add_string if isinstance(value, str) else writer.add_float32
        add(f"{prefix}.{key}", value)
    if table is not None:
        writer.add_tensor("rope_freqs.weight", table)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        values = tensor.float().numpy()
        if gemma and "norm" in name:
            values = values + 1
        if not gemma and (".q_proj." in name or ".k_proj." in name):
            halves = values.reshape(-1, 2, config.head_dim // 2, values.shape[1])
            values = halves.swapaxes(1, 2).reshape(values.shape)
        writer.add_tensor(_gguf_name(name, gemma), values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _describe_tokenizer(writer: Any, tokenizer: Any, kind: str) -> None:
    import json

    held = json.loads(tokenizer.backend_tokenizer.to_str())
    names = {id: token for token, id in tokenizer.get_vocab().items()}
    tokens = [names.get(id, f"<unused{id}>") for id in range(400 if kind == "llama" else 320)]
    control = {token["id"] for token in held["added_tokens"] if token["special"]}
    bytes_ = {id for id, token in enumerate(tokens) if token.startswith("<0x")}
    writer.add_tokenizer_model(kind)
    writer.add_token_list(tokens)
    writer.add_token_types([3 if i in control else 6 if i in bytes_ else 1 for i in range(len(tokens))])
    if kind == "gpt2":
        writer.add_tokenizer_pre("smollm")
        writer.add_token_merges([" ".join(merge) for merge in held["model"]["merges"]])
    else:
        writer.add_token_scores([-float(i) for i in range(len(tokens))])
        writer.add_add_space_prefix(False)
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_add_bos_token(kind == "llama")
