"""Recipes as people write them for mergekit, and the tiny models they are run on, the same on every
machine."""

import numpy as np

from renga.server.merging.draws import Draws
from tests.server.merging.checkpoints import tiny

RECIPES = {
    "linear": """
models:
  - model: m0
    parameters: {weight: 1.0}
  - model: m1
    parameters: {weight: 2.5}
merge_method: linear
dtype: float32
""",
    "linear not normalised, by depth and name": """
models:
  - model: m0
    parameters: {weight: [0.2, 0.9, 0.4]}
  - model: m1
    parameters:
      weight:
        - {filter: self_attn, value: 0.75}
        - value: [1.0, 0.0]
merge_method: linear
parameters: {normalize: false}
""",
    "slerp": """
slices:
  - sources:
      - {model: base, layer_range: [0, 3]}
      - {model: m1, layer_range: [0, 3]}
merge_method: slerp
base_model: base
parameters:
  t:
    - {filter: self_attn, value: [0, 0.5, 0.3]}
    - {filter: mlp, value: [1, 0.5, 0.7]}
    - value: 0.5
dtype: float32
""",
    "slerp of near models": """
models:
  - {model: base}
  - {model: near}
merge_method: slerp
base_model: base
parameters: {t: 0.3}
""",
    "task arithmetic": """
models:
  - model: m0
    parameters: {weight: 0.7}
  - model: m1
    parameters: {weight: -0.4}
merge_method: task_arithmetic
base_model: base
parameters: {lambda: 1.5}
""",
    "task arithmetic, normalised": """
models:
  - {model: m0, parameters: {weight: 0.7}}
  - {model: base}
  - {model: m1, parameters: {weight: 0.4}}
merge_method: task_arithmetic
base_model: base
parameters: {normalize: true}
""",
    "ties": """
models:
  - model: base
  - model: m0
    parameters: {density: 0.5, weight: 0.5}
  - model: m1
    parameters: {density: 0.3, weight: 0.3}
  - model: m2
    parameters: {density: [1, 0.7, 0.1], weight: [0, 0.3, 0.7, 1]}
merge_method: ties
base_model: base
parameters: {normalize: true, int8_mask: true}
dtype: float32
""",
    "ties, rescaled, not normalised": """
models:
  - model: m0
    parameters: {density: 0.4, weight: 0.5}
  - model: m1
    parameters: {density: 0.4, weight: 0.8}
merge_method: ties
base_model: base
parameters: {normalize: false, rescale: true, lambda: 0.8}
""",
    "dare ties": """
models:
  - model: m0
    parameters: {density: 0.53, weight: 0.4}
  - model: m1
    parameters: {density: 0.53, weight: 0.3}
  - model: m2
    parameters: {density: 1.0, weight: 0.2}
merge_method: dare_ties
base_model: base
""",
    "dare linear": """
models:
  - model: m0
    parameters: {density: 0.5, weight: 0.4}
  - model: m1
    parameters: {density: 0.6, weight: 0.3}
merge_method: dare_linear
base_model: base
parameters: {rescale: false}
""",
    "della": """
models:
  - model: m0
    parameters: {density: 0.5, weight: 0.6, epsilon: 0.2}
  - model: m1
    parameters: {density: 0.6, weight: 0.3}
merge_method: della
base_model: base
parameters: {lambda: 1.1}
""",
    "della linear": """
models:
  - model: m0
    parameters: {density: 0.5, weight: 0.6}
  - model: m1
    parameters: {density: 0.6, weight: 0.3}
merge_method: della_linear
base_model: base
""",
    "breadcrumbs": """
models:
  - model: m0
    parameters: {density: 0.6, weight: 0.6, gamma: 0.05}
  - model: m1
    parameters: {density: 0.9, weight: 0.3, gamma: 0.2}
merge_method: breadcrumbs
base_model: base
""",
    "breadcrumbs ties": """
models:
  - model: m0
    parameters: {density: 0.6, weight: 0.6}
  - model: m1
    parameters: {density: 0.9, weight: 0.3}
merge_method: breadcrumbs_ties
base_model: base
""",
    "model stock": """
models:
  - model: m0
  - model: m1
  - model: m2
merge_method: model_stock
base_model: base
""",
    "model stock by rows": """
models: [{model: m0}, {model: m1}]
merge_method: model_stock
base_model: base
parameters: {filter_wise: true}
""",
    "passthrough": """
slices:
  - sources: [{model: m0, layer_range: [0, 2]}]
  - sources:
      - model: m1
        layer_range: [1, 3]
        parameters:
          scale:
            - {filter: o_proj, value: 0.5}
            - {filter: down_proj, value: 0.25}
            - value: 1.0
merge_method: passthrough
dtype: float32
""",
    "in bfloat16": """
models:
  - model: m0
    parameters: {density: 0.5, weight: 0.5}
  - model: m1
    parameters: {density: 0.5, weight: 0.5}
merge_method: ties
base_model: base
dtype: bfloat16
""",
    "out in float16": """
models: [{model: m0, parameters: {weight: 1}}, {model: m1, parameters: {weight: 1}}]
merge_method: linear
dtype: float32
out_dtype: float16
""",
}  # fmt: skip

# Models whose tokenizers differ; results are kept with the rows in the order of their tokens.
BY_TOKEN = {
    "union": """
models: [{model: va, parameters: {weight: 1.0}}, {model: vb, parameters: {weight: 3.0}}]
merge_method: linear
tokenizer_source: union
""",
    "union of three": """
models:
  - {model: vbase, parameters: {weight: 1.0}}
  - {model: va, parameters: {weight: 1.0}}
  - {model: vb, parameters: {weight: 2.0}}
merge_method: linear
tokenizer_source: union
""",
    "union with a base": """
models: [{model: va, parameters: {weight: 0.5}}, {model: vb, parameters: {weight: 0.7}}]
merge_method: task_arithmetic
base_model: vbase
tokenizer_source: union
""",
    "the base's tokenizer": """
models:
  - {model: va, parameters: {weight: 0.5, density: 0.6}}
  - {model: vb, parameters: {weight: 0.7, density: 0.6}}
merge_method: ties
base_model: vbase
tokenizer_source: base
""",
    "a model's tokenizer": """
models: [{model: va, parameters: {weight: 1.0}}, {model: vb, parameters: {weight: 1.0}}]
merge_method: linear
tokenizer_source: vb
""",
}  # fmt: skip

SIZES = {"layers": 3, "hidden": 8, "words": 20}


def models(root):
    """base, three models tuned from it, and one that hardly differs."""
    base = _numbers("base", 1.0)
    tiny.save(root / "base", base)
    for name, step in (("m0", 0.2), ("m1", 0.3), ("m2", 0.25), ("near", 0.01)):
        change = _numbers(name, step)
        tiny.save(root / name, {tensor: base[tensor] + x for tensor, x in change.items()})
    for name, (size, *said) in VOCABULARIES.items():
        weights = _numbers(name, 1.0, words=size)
        tiny.tokenizer(tiny.save(root / name, weights, vocab_size=size, hidden_size=8), *said)


# Rows, tokens, merges, added tokens. vb has a row that no token has.
VOCABULARIES = {
    "vbase": (7, ["a", "b", "c", "d", "ab"], ["a b"], ["<s>", "<pad>"]),
    "va": (8, ["c", "b", "a", "d", "e", "ab", "abc"], ["a b", "ab c"], ["<im>"]),
    "vb": (9, ["a", "b", "c", "d", "e", "cd"], ["c d"], ["<s>", "<im>"]),
}


def _numbers(name, size, **sizes):
    """Sums of three uniform numbers by our own counter-based generator: no library's normal."""
    found = {}
    for tensor, shape in tiny.shapes(**{**SIZES, **sizes}).items():
        count = int(np.prod(shape))
        words = Draws(1, tensor, [name]).words(0, 0, 3 * count).reshape(3, count)
        found[tensor] = (size * ((words / 2**32).sum(axis=0) - 1.5)).reshape(shape).astype(np.float32)
    return found
