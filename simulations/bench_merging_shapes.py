"""`renga bench merging`, models of different shapes: where vocabularies in one space and matched neurons
help.

Vocabularies: a fifth of the tokens that two real models share is held out, the map between their embeddings
is fitted on the others, and the receiver's rows of the held-out tokens are replaced by what is carried over
from the donor; beside it by the mean row, and by the mean of the rows of the token's pieces, which needs no
donor.

Neurons: llamas of some ten thousand weights that predict bytes, trained on the spot; bits per byte of each,
and of the average with and without matching.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renga.models.example import Example
from renga.server.merging.shapes.vocabularies import MAPS, bridge, explained, shared
from renga.simulations.bench_tables import Tell

F32 = NDArray[np.float32]


RECEIVER, DONOR = "SmolLM2-135M-Instruct", "gemma-3-270m"
_TEXTS = 24  # that bits per byte are measured on


def measure(examples: Sequence[Example], work: Path, *, tell: Tell = lambda line: None) -> dict[str, Any]:
    """Both parts; what is done already is read from the work folder."""
    text = "\n".join(f"{example.prompt} {example.response}" for example in examples).encode()

    def once(name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        place = work / "shapes" / f"{name}.json"
        if not place.is_file():
            found = compute()
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(json.dumps(found))
        kept: dict[str, Any] = json.loads(place.read_text())
        return kept

    return {
        "vocabularies": once(
            "vocabularies", lambda: vocabularies(RECEIVER, DONOR, examples[:_TEXTS], tell=tell)
        ),
        "neurons": once("neurons", lambda: neurons(text, tell=tell)),
    }


def vocabularies(
    receiver: str, donor: str, examples: Sequence[Example], *, seed: int = 0, tell: Tell = lambda line: None
) -> dict[str, Any]:
    """How much of the receiver's rows the donor's explain, and the receiver's bits per byte with them."""
    import torch

    from renga.models.evaluation import evaluate
    from renga.models.local import LocalModel

    tell(f"loading {receiver} and the embedding of {donor}")
    model = LocalModel.load(receiver)
    own, tokens = _rows(model.weights.model.get_input_embeddings().weight), _tokens(model.weights.vocabulary)
    foreign, others = _embedding(donor)
    pairs = shared(tokens, others)
    held = np.random.default_rng(seed).random(len(pairs)) < 0.2
    fit, out = pairs[~held], pairs[held]
    rows: dict[str, F32] = {"mean row": np.tile(own[fit[:, 0]].mean(axis=0), (len(out), 1))}
    places = {token: number for number, token in enumerate(tokens) if token}
    rows["pieces"] = np.stack([_pieces(tokens[number], places, own) for number in out[:, 0]])
    for kind in MAPS:
        fitted = bridge(foreign[fit[:, 1]], own[fit[:, 0]], kind)
        rows[kind] = fitted.carry(foreign[out[:, 1]]).astype(np.float32)
    scores = {
        "own rows": {
            "explained": 1.0,
            "bits_per_byte": evaluate(model, examples, accuracy=False).bits_per_byte,
        }
    }
    weight = model.weights.model.get_input_embeddings().weight
    for name, replaced in rows.items():
        tell(f"bits per byte with {name}")
        with torch.no_grad():
            weight[torch.tensor(out[:, 0])] = torch.tensor(replaced)
        found = evaluate(model, examples, accuracy=False).bits_per_byte
        scores[name] = {"explained": explained(replaced, own[out[:, 0]]), "bits_per_byte": found}
    used = _used(model, examples, set(out[:, 0].tolist()))
    return {
        "receiver": receiver,
        "donor": donor,
        "tokens": [len(tokens), len(others)],
        "shared": len(pairs),
        "held_out": len(out),
        "share_of_tokens_in_texts": used,
        "texts": len(examples),
        "scores": scores,
    }


def _rows(weight: Any) -> F32:
    rows: F32 = weight.detach().float().numpy().copy()
    return rows


def _tokens(vocabulary: Any) -> list[bytes]:
    """The bytes of every token; none for special ones."""
    special = vocabulary.special_names
    return [b"" if number in special else vocabulary.token_bytes(number) for number in range(vocabulary.size)]


def _embedding(reference: str) -> tuple[F32, list[bytes]]:
    """A model's embedding and tokens, without loading the model."""
    from renga.models.locate import locate, ready_folder
    from renga.models.references import load_tokenizer
    from renga.models.vocabulary import Vocabulary
    from renga.server.merging.checkpoints.files import open_checkpoint
    from renga.server.merging.checkpoints.opened import EMBEDDINGS
    from renga.server.merging.checkpoints.parts import Source

    checkpoint = open_checkpoint(ready_folder(locate(reference)), reference)
    name = next(name for name in checkpoint.tensors if name.endswith(EMBEDDINGS))
    rows = Source(checkpoint, name).numbers(slice(None), np.float32).reshape(checkpoint.tensors[name].shape)
    tokenizer = load_tokenizer(reference)
    vocabulary = Vocabulary(tokenizer, tokenizer.eos_token_id)
    return np.asarray(rows, np.float32), _tokens(vocabulary)[: len(rows)]


def _pieces(token: bytes, places: dict[bytes, int], rows: F32) -> F32:
    """The mean row of the longest shorter tokens that spell a token, from its beginning."""
    found, start = [], 0
    while start < len(token):
        longest = len(token) - start - (start == 0)
        stop = next((start + n for n in range(longest, 0, -1) if token[start : start + n] in places), None)
        if stop is None:
            start += 1
            continue
        found.append(places[token[start:stop]])
        start = stop
    mean: F32 = (rows[found] if found else rows).mean(axis=0)
    return mean


def _used(model: Any, examples: Sequence[Example], held: set[int]) -> float:
    """The share of the texts' tokens that were replaced."""
    from renga.models.scoring import encode_texts

    texts = encode_texts(model.weights, examples)
    ids = [number for text in texts for number in (*text.prompt, *text.response)]
    return sum(number in held for number in ids) / max(1, len(ids))


def neurons(
    text: bytes, *, steps: int = 150, seed: int = 0, tell: Tell = lambda line: None
) -> dict[str, Any]:
    """Averages of pairs of small models, with and without matching: bits per byte of held-out text."""
    import torch

    from renga.server.merging.shapes.activations import activations, matched
    from renga.server.merging.shapes.bringing import brought

    cut = len(text) * 9 // 10
    train, test = text[:cut], text[cut:]
    ids = [torch.tensor([list(test[k : k + 128])]) for k in range(0, min(len(test) - 128, 128 * 24), 128)]

    def trained(name: str, model: Any, batches: int, part: slice = slice(None)) -> Any:
        tell(f"training {name}")
        return _trained(model, train[part], batches, seed)

    first = trained("a model", _small(seed), steps)
    half = cut // 2
    twin = trained("its twin from the same start", _small(seed, first), steps // 3, slice(half, None))
    grown = trained("a wider copy", _widened(first), steps // 3, slice(half, None))
    other = trained("one from another start", _small(seed + 1), steps)
    wide = trained("a wider one", _small(seed + 2, hidden=48, inner=128), steps)
    deep = trained("a deeper one", _small(seed + 3, layers=3), steps)
    others = {
        "tuned from it": twin,
        "tuned from it, neurons shuffled": _shuffled(_small(seed, twin), seed),
        "its copy with split neurons, tuned": grown,
        "from another start": other,
        "from another start, wider": wide,
        "from another start, deeper": deep,
    }
    rows = []
    for name, model in others.items():
        matches, layers = matched(activations(first, ids[:12]), activations(model, ids[:12]))
        carried = brought(_weights(model), matches, layers)
        own, theirs = _weights(first), _weights(model)
        plain = {key: x.shape for key, x in own.items()} == {key: x.shape for key, x in theirs.items()}
        likeness = [match.likeness for space, match in matches.items() if not space.startswith("keys")]
        rows.append(
            {
                "with": name,
                "likeness": float(np.mean(likeness)),
                "alone": _bits(model, ids),
                "carried": _bits(_holding(first, carried), ids),
                "matched": _bits(_holding(first, _average(own, carried)), ids),
                "unmatched": _bits(_holding(first, _average(own, theirs)), ids) if plain else None,
            }
        )
    return {"first": _bits(first, ids), "steps": steps, "bytes": len(train), "pairs": rows}


def _small(seed: int, like: Any = None, hidden: int = 32, inner: int = 96, layers: int = 2) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=256,
            hidden_size=hidden,
            intermediate_size=inner,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            max_position_embeddings=256,
            tie_word_embeddings=True,
        )
    )
    if like is not None:
        model.load_state_dict(like.state_dict())
    return model


def _trained(model: Any, text: bytes, steps: int, seed: int) -> Any:
    import torch

    data = torch.tensor(list(text))
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=0.0)
    draw = torch.Generator().manual_seed(seed)
    model.train()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * min(1.0, (steps - step) / (steps / 2))
        starts = torch.randint(len(data) - 96, (16,), generator=draw)
        batch = torch.stack([data[k : k + 96] for k in starts.tolist()])
        loss = model(input_ids=batch, labels=batch).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


def _bits(model: Any, ids: Sequence[Any]) -> float:
    import torch

    with torch.no_grad():
        losses = [float(model(input_ids=x, labels=x).loss) for x in ids]
    return float(np.mean(losses)) / math.log(2)


def _weights(model: Any) -> dict[str, F32]:
    return {name: _rows(x) for name, x in model.state_dict().items() if name != "lm_head.weight"}


def _holding(like: Any, weights: dict[str, F32]) -> Any:
    import torch

    model = _small(0, like)
    held = {name: torch.tensor(x) for name, x in weights.items()}
    model.load_state_dict(held | {"lm_head.weight": held["model.embed_tokens.weight"]})
    return model.eval()


def _average(one: dict[str, F32], other: dict[str, F32]) -> dict[str, F32]:
    return {name: (x + other[name]) / np.float32(2) for name, x in one.items()}


def _widened(model: Any) -> Any:
    """Every neuron of the MLPs twice, each with half of the say (and a little noise, so that they can
    part)."""
    import torch

    wide = _small(0, inner=2 * model.config.intermediate_size)
    held = {}
    for name, x in model.state_dict().items():
        if "gate_proj" in name or "up_proj" in name:
            x = x.repeat_interleave(2, dim=0)
        elif "down_proj" in name:
            x = x.repeat_interleave(2, dim=1) / 2
        held[name] = x + 1e-3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(len(name)))
    held["lm_head.weight"] = held["model.embed_tokens.weight"]
    wide.load_state_dict(held)
    return wide


def _shuffled(model: Any, seed: int) -> Any:
    """The same function with the neurons of hidden and of the MLPs in another order."""
    from renga.server.merging.shapes.bringing import brought
    from renga.server.merging.shapes.neurons import Match

    draw, matches = np.random.default_rng(seed), {}
    layers = model.config.num_hidden_layers
    for space, n in [
        ("hidden", model.config.hidden_size),
        *((f"inner.{k}", model.config.intermediate_size) for k in range(layers)),
    ]:
        gather = np.eye(n)[draw.permutation(n)]
        matches[space] = Match(gather, gather.T.copy(), 1.0)
    return _holding(model, brought(_weights(model), matches, np.arange(layers)))
