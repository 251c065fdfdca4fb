"""Models of a few kilobytes, of llama's shape, written and read by the safetensors library itself."""

import json

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from renga.server.merging.checkpoints.carried import token_ids

HIDDEN, INNER, LAYERS, WORDS = 16, 24, 3, 40
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def shapes(layers=LAYERS, hidden=HIDDEN, words=WORDS):
    found = {"model.embed_tokens.weight": (words, hidden), "model.norm.weight": (hidden,)}
    for layer in range(layers):
        at = f"model.layers.{layer}."
        found |= {at + f"{norm}_layernorm.weight": (hidden,) for norm in ("input", "post_attention")}
        found |= {at + f"self_attn.{name}_proj.weight": (hidden, hidden) for name in "qo"}
        found |= {at + f"self_attn.{name}_proj.weight": (hidden // 2, hidden) for name in "kv"}
        found |= {at + f"mlp.{name}_proj.weight": (INNER, hidden) for name in ("gate", "up")}
        found[at + "mlp.down_proj.weight"] = (hidden, INNER)
    return found


def numbers(seed, like=None, of=None):
    """Weights by name; near those of `like` where it is given."""
    rng = np.random.default_rng(seed)
    drawn = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in (of or shapes()).items()}
    return drawn if like is None else {name: like[name] + 0.1 * x for name, x in drawn.items()}


def save(folder, weights, dtype="float32", shards=1, **config):
    """A model's folder."""
    folder.mkdir(parents=True)
    tensors = {name: torch.tensor(x).to(DTYPES[dtype]) for name, x in weights.items()}
    names = sorted(tensors)
    files = ["model.safetensors"]
    if shards > 1:
        files = [f"model-{k + 1:05}-of-{shards:05}.safetensors" for k in range(shards)]
        where = {name: files[k * shards // len(names)] for k, name in enumerate(names)}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    else:
        where = dict.fromkeys(names, files[0])
    for file in files:
        save_file({n: tensors[n] for n in names if where[n] == file}, folder / file, {"format": "pt"})
    depth = 1 + max((int(n.split(".")[2]) for n in names if ".layers." in n), default=0)
    facts = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "num_hidden_layers": depth,
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": WORDS,
        "tie_word_embeddings": True,
        "dtype": dtype,
    }
    (folder / "config.json").write_text(json.dumps(facts | config))
    tokens = {"a": 0, "b": 1, "c": 2}
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": tokens}, "added_tokens": []}))
    return folder


def tokenizer(folder, tokens, merges, added):
    """A byte-pair tokenizer that libraries load, instead of the stub that `save` wrote."""
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    said = {
        "version": "1.0",
        "added_tokens": [{"id": len(tokens) + k, "content": t, **special} for k, t in enumerate(added)],
        "decoder": {"type": "Fuse"},
        "model": {"type": "BPE", "vocab": {t: k for k, t in enumerate(tokens)}, "merges": merges},
    }
    (folder / "tokenizer.json").write_text(json.dumps(said))
    kind = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(kind))
    return folder


def by_token(folder):
    """All tensors of a folder, the embedding's rows in the order of their tokens, and these tokens."""
    found, ids = read(folder), token_ids(folder) or {}
    name = "model.embed_tokens.weight"
    assert len(ids) == len(found[name])
    found[name] = found[name][[ids[token] for token in sorted(ids)]]
    return found, sorted(ids)


def read(folder):
    """All tensors of a folder, as float32 arrays."""
    found: dict[str, np.ndarray] = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= {name: x.to(torch.float32).numpy() for name, x in load_file(file).items()}
    return found


def family(root, count, **how):
    """A base and models tuned from it: their folders, and their weights."""
    base = numbers(0)
    tuned = [numbers(k + 1, base) for k in range(count)]
    folders = [save(root / f"m{k}", x, **how) for k, x in enumerate(tuned)]
    return save(root / "base", base, **how), folders, base, tuned
