import json
import math

import numpy as np
import peft
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from renga.errors import RefusedPayload, RengaError
from renga.models.adapter import (
    Adapter,
    Factors,
    checked,
    distance,
    module_norms,
    scaled_norm,
)
from renga.models.adapter_files import load_peft, save_peft

BASE = "b" * 64
SHAPES = {
    "model.layers.0.self_attn.q_proj": (32, 32),
    "model.layers.0.self_attn.v_proj": (16, 32),
    "model.layers.1.mlp.down_proj": (32, 48),
}


def adapter(seed=0, rank=3, alpha=8.0, shapes=SHAPES, size=0.3):
    rng = np.random.default_rng(seed)
    factors = {
        name: Factors(
            (size * rng.standard_normal((rank, into))).astype(np.float32),
            (size * rng.standard_normal((out, rank))).astype(np.float32),
        )
        for name, (out, into) in shapes.items()
    }
    return Adapter(factors, alpha, rank, BASE, {"who": f"client-{seed}", "round": "1"})


def dense(x, name):
    f = x.factors[name]
    return x.alpha / x.rank * f.b.astype(np.float64) @ f.a.astype(np.float64)


def tiny_llama():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def test_norm_and_distance_are_those_of_the_dense_updates():
    x, y = adapter(0), adapter(1, rank=5, alpha=2.0)
    for name, norm in module_norms(x).items():
        assert norm == pytest.approx(np.linalg.norm(dense(x, name)), rel=1e-12)
    whole = math.sqrt(sum(np.linalg.norm(dense(x, n)) ** 2 for n in SHAPES))
    assert scaled_norm(x) == pytest.approx(whole, rel=1e-12)
    apart = math.sqrt(sum(np.linalg.norm(dense(x, n) - dense(y, n)) ** 2 for n in SHAPES))
    assert distance(x, y) == pytest.approx(apart / scaled_norm(y), rel=1e-12)


def test_a_module_that_one_adapter_lacks_counts_as_zero():
    x = adapter()
    name = next(iter(SHAPES))
    less = Adapter({n: f for n, f in x.factors.items() if n != name}, x.alpha, x.rank, x.base)
    assert distance(less, x) == pytest.approx(np.linalg.norm(dense(x, name)) / scaled_norm(x))


@given(st.integers(0, 1000), st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_the_distance_sees_updates_and_not_their_factors(seed, rank):
    x = adapter(seed, rank)
    turn = np.random.default_rng(seed).standard_normal((rank, rank)) + 3 * np.eye(rank)
    turned = {
        n: Factors((np.linalg.inv(turn) @ f.a).astype(np.float32), (f.b @ turn * 0.5).astype(np.float32))
        for n, f in x.factors.items()
    }
    assert distance(x, Adapter(turned, 2 * x.alpha, rank, BASE)) < 1e-5
    assert distance(x, x) < 1e-14
    # The same factors with another alpha are another update: without alpha / r this would be 0.
    assert distance(x, Adapter(x.factors, 2 * x.alpha, rank, BASE)) == pytest.approx(0.5)


def test_distance_to_nothing():
    x = adapter()
    nothing = Adapter(
        {n: Factors(f.a, np.zeros_like(f.b)) for n, f in x.factors.items()}, x.alpha, x.rank, BASE
    )
    assert scaled_norm(nothing) == 0
    assert distance(nothing, x) == pytest.approx(1)
    assert distance(x, nothing) == math.inf
    assert distance(nothing, nothing) == 0
    with pytest.raises(RengaError, match="another shape"):
        distance(x, adapter(shapes={next(iter(SHAPES)): (32, 33)}))


def test_a_sound_adapter_passes_whole_or_in_part():
    x = adapter()
    assert checked(x, SHAPES, BASE, 8) is x
    part = Adapter(dict(list(x.factors.items())[:1]), x.alpha, x.rank, BASE)
    assert checked(part, SHAPES, BASE, 8) is part
    # Huge factors whose product is small are refused too: nothing can be trained from there.
    name = "model.layers.0.self_attn.v_proj"
    for grown, wrong in ((1e6, 1e-6), (1e3, 1e3)):
        f = x.factors[name]
        odd = Factors(f.a * np.float32(grown), f.b * np.float32(wrong))
        with pytest.raises(RefusedPayload, match=name):
            checked(Adapter({**x.factors, name: odd}, x.alpha, x.rank, BASE), SHAPES, BASE, 8)


def test_what_is_wrong_is_refused_by_name():
    x = adapter()
    name = "model.layers.0.self_attn.v_proj"
    f = x.factors[name]
    nan = f.a.copy()
    nan[1, 2] = np.nan
    infinite = f.b.copy()
    infinite[0, 0] = -np.inf

    def replaced(a=f.a, b=f.b):
        return Adapter({**x.factors, name: Factors(a, b)}, x.alpha, x.rank, BASE, x.provenance)

    for wrong in (
        replaced(a=nan),
        replaced(b=infinite),
        replaced(a=f.a[:, :-1]),
        replaced(a=f.a[:2], b=f.b[:, :2]),
        replaced(b=f.b.T),
        replaced(a=f.a.astype(np.float64)),
        replaced(a=f.a * 1e6, b=f.b),
        replaced(a=np.full_like(f.a, 3e38)),
    ):
        with pytest.raises(RefusedPayload, match=f"client-0 refused: {name}"):
            checked(wrong, SHAPES, BASE, 8)
    unknown = Adapter({**x.factors, "model.layers.9.q": f}, x.alpha, x.rank, BASE)
    with pytest.raises(RefusedPayload, match="model.layers.9.q"):
        checked(unknown, SHAPES, BASE, 8)
    with pytest.raises(RefusedPayload, match="made for base"):
        checked(x, SHAPES, "c" * 64, 8)
    with pytest.raises(RefusedPayload, match="rank 3"):
        checked(x, SHAPES, BASE, 2)
    for alpha in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(RefusedPayload, match="alpha"):
            checked(Adapter(x.factors, alpha, 3, BASE), SHAPES, BASE, 8)
    with pytest.raises(RefusedPayload, match="no module"):
        checked(Adapter({}, 1.0, 3, BASE), SHAPES, BASE, 8)


def test_peft_loads_what_is_saved_and_adds_the_dense_update(tmp_path):
    x = adapter(rank=3, alpha=7.5)
    save_peft(x, tmp_path / "adapter", "some/base")
    ids = torch.arange(20).reshape(2, 10)
    with torch.no_grad():
        plain = tiny_llama()(ids).logits
        loaded = peft.PeftModel.from_pretrained(tiny_llama(), tmp_path / "adapter").eval()
        with_peft = loaded(ids).logits
        by_hand = tiny_llama()
        for name in x.factors:
            by_hand.get_submodule(name).weight += torch.from_numpy(dense(x, name)).float()
        with_dense = by_hand(ids).logits
    assert (with_dense - plain).abs().max() > 1e-2
    assert (with_peft - with_dense).abs().max() < 1e-5
    adapted = {n.rsplit(".lora_A", 1)[0].removeprefix("base_model.model.")
               for n, _ in loaded.named_parameters() if ".lora_A" in n}  # fmt: skip
    assert adapted == set(x.factors), "no further module matches the names"


def test_what_is_saved_is_read_back(tmp_path):
    x = adapter()
    save_peft(x, tmp_path / "a", "some/base")
    y = load_peft(tmp_path / "a")
    assert (y.alpha, y.rank, y.base, dict(y.provenance)) == (x.alpha, x.rank, BASE, dict(x.provenance))
    for name, f in x.factors.items():
        assert np.array_equal(y.factors[name].a, f.a)
        assert np.array_equal(y.factors[name].b, f.b)
        assert y.factors[name].a.dtype == np.float32
    first = (tmp_path / "a" / "adapter_model.safetensors").read_bytes()
    save_peft(y, tmp_path / "b", "some/base")
    assert (tmp_path / "b" / "adapter_model.safetensors").read_bytes() == first


def test_saving_replaces_the_whole_folder_and_leaves_nothing_beside_it(tmp_path):
    save_peft(adapter(0), tmp_path / "a", "x")
    (tmp_path / "a" / "stale.txt").write_text("old")
    save_peft(adapter(1), tmp_path / "a", "x")
    assert load_peft(tmp_path / "a").provenance["who"] == "client-1"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a"]
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]


def test_a_save_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    save_peft(adapter(0), tmp_path / "a", "x")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("renga.models.adapter_files._write_safetensors", full)
    with pytest.raises(OSError, match="No space"):
        save_peft(adapter(1), tmp_path / "a", "x")
    assert load_peft(tmp_path / "a").provenance["who"] == "client-0"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("rslora", [False, True])
def test_adapters_that_peft_made_are_read_with_their_scale(tmp_path, dtype, rslora):
    config = peft.LoraConfig(
        r=4, lora_alpha=6, target_modules=["q_proj", "up_proj"], use_rslora=rslora,
        init_lora_weights=False, task_type="CAUSAL_LM",
    )  # fmt: skip
    model = peft.get_peft_model(tiny_llama(), config, autocast_adapter_dtype=False)
    model.to(dtype).save_pretrained(tmp_path)
    x = load_peft(tmp_path)
    assert len(x.factors) == 4
    assert x.base == ""
    for name in x.factors:
        theirs = (
            model.base_model.model.get_submodule(name).get_delta_weight("default").float().detach().numpy()
        )
        tolerance = 1e-5 if dtype == torch.float32 else 2e-2
        assert np.linalg.norm(dense(x, name) - theirs) < tolerance * np.linalg.norm(theirs)


@pytest.mark.parametrize("rslora", [False, True])
def test_ranks_and_alphas_of_single_modules_are_read_and_written_as_peft_does(tmp_path, rslora):
    config = peft.LoraConfig(
        r=4, lora_alpha=6, target_modules=["q_proj", "up_proj", "down_proj"], use_rslora=rslora,
        rank_pattern={"up_proj": 2, "layers.1.mlp.down_proj": 5},
        alpha_pattern={"q_proj": 3, "down_proj": 20},
        init_lora_weights=False, task_type="CAUSAL_LM",
    )  # fmt: skip
    model = peft.get_peft_model(tiny_llama(), config)
    model.save_pretrained(tmp_path / "theirs")
    x = load_peft(tmp_path / "theirs")
    save_peft(x, tmp_path / "ours", "x", trimmed=True)
    written = json.loads((tmp_path / "ours" / "adapter_config.json").read_text())
    assert x.rank == written["r"] == 5
    assert written["rank_pattern"]["model.layers.0.mlp.up_proj"] == 2
    back = peft.PeftModel.from_pretrained(tiny_llama(), tmp_path / "ours")
    for name in x.factors:
        theirs = model.base_model.model.get_submodule(name).get_delta_weight("default").detach().numpy()
        again = back.base_model.model.get_submodule(name).get_delta_weight("default").detach().numpy()
        size = np.linalg.norm(theirs)
        assert np.linalg.norm(dense(x, name) - theirs) < 1e-5 * size
        assert np.linalg.norm(again - theirs) < 1e-5 * size
    assert distance(load_peft(tmp_path / "ours"), x) < 1e-6


def test_a_pickle_is_refused_as_one(tmp_path):
    save_peft(adapter(), tmp_path / "a", "x")
    (tmp_path / "a" / "adapter_model.safetensors").rename(tmp_path / "a" / "adapter_model.bin")
    with pytest.raises(RengaError, match="adapter_model.bin is a pickle"):
        load_peft(tmp_path / "a")


def test_folders_that_hold_something_else_are_refused_with_a_reason(tmp_path):
    folder = tmp_path / "a"
    with pytest.raises(RengaError, match="adapter_config.json is missing"):
        load_peft(folder)
    save_peft(adapter(), folder, "x")
    weights, config = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    sound, settings_ = weights.read_bytes(), json.loads(config.read_text())
    for data in (sound[:-10], sound[:20], b"", b"\xff" * 64):
        weights.write_bytes(data)
        with pytest.raises(RengaError, match="can't be used: safetensors refused: "):
            load_peft(folder)
    weights.unlink()
    with pytest.raises(RengaError, match="adapter_model.safetensors is missing"):
        load_peft(folder)
    weights.write_bytes(sound)
    for change, words in (
        ({"use_dora": True}, "use_dora"),
        ({"rank_pattern": {"q_proj": 1}}, "no two factors of rank 1"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"init_lora_weights": "pissa_niter_4"}, "began with pissa_niter_4"),
        ({"bias": "all"}, "biases"),
        ({"peft_type": "IA3"}, "not a LoRA"),
        ({"r": 0}, "r is 0"),
        ({"r": 4}, "rank 4"),
        ({"lora_alpha": None}, "lora_alpha"),
    ):
        config.write_text(json.dumps({**settings_, **change}))
        with pytest.raises(RengaError, match=words):
            load_peft(folder)
    config.write_text("{")
    with pytest.raises(RengaError, match="truncated"):
        load_peft(folder)
