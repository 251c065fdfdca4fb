"""Every bad input: one error that names the file or the tensor, and nothing written."""

import json
import pickle
import struct

import numpy as np
import pytest

from renga.errors import RengaError, UsageError
from renga.server.merging.checkpoints.draft import draft_of
from renga.server.merging.checkpoints.merge import merge
from renga.server.merging.checkpoints.recipe import Recipe, of_models
from tests.server.merging.checkpoints import tiny


@pytest.fixture
def try_to_merge(tmp_path, monkeypatch):
    monkeypatch.setenv("RENGA_CACHE", str(tmp_path / "store"))

    def run(bad, words, method="linear", **said):
        from pathlib import Path

        good = tiny.save(tmp_path / "good", tiny.numbers(1))
        stage = of_models([str(good), str(bad)], method, **said)
        with pytest.raises(RengaError, match=words) as caught:
            merge(Recipe((stage,), ""), tmp_path / "out", Path)
        assert "\n" not in caught.value.message
        assert not (tmp_path / "out").exists()
        assert not draft_of(tmp_path / "out").exists()

    return run


def without(weights, name):
    return {n: x for n, x in weights.items() if n != name}


UP = "model.layers.1.mlp.up_proj.weight"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_values_that_are_not_finite(tmp_path, try_to_merge, value, dtype):
    weights = tiny.numbers(2)
    weights[UP][3, 4] = value
    try_to_merge(tiny.save(tmp_path / "bad", weights, dtype), rf"model.safetensors: tensor {UP} .*NaN or inf")


def test_missing_and_extra_tensors(tmp_path, try_to_merge):
    try_to_merge(
        tiny.save(tmp_path / "bad", without(tiny.numbers(2), UP)), rf"bad lacks tensor {UP}, which .*good"
    )


def test_an_extra_tensor(tmp_path, try_to_merge):
    weights = tiny.numbers(2) | {"model.extra.weight": np.ones(3, np.float32)}
    try_to_merge(tiny.save(tmp_path / "bad", weights), r"good lacks tensor model.extra.weight, which .*bad")


def test_another_depth(tmp_path, try_to_merge):
    try_to_merge(
        tiny.save(tmp_path / "bad", tiny.numbers(2, of=tiny.shapes(layers=2))), "different depth .*good has 3"
    )


def test_another_width(tmp_path, try_to_merge):
    try_to_merge(
        tiny.save(tmp_path / "bad", tiny.numbers(2, of=tiny.shapes(hidden=12))),
        r"tensor \S+ is \[\d+(, \d+)?\] in .*bad",
    )


def test_another_architecture(tmp_path, try_to_merge):
    try_to_merge(tiny.save(tmp_path / "bad", tiny.numbers(2), model_type="gpt2"), "different architectures")


def test_another_vocabulary_of_the_same_size(tmp_path, try_to_merge):
    bad = tiny.save(tmp_path / "bad", tiny.numbers(2))
    (bad / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"b": 0, "a": 1, "c": 2}}}))
    try_to_merge(bad, "tokenizers of .*good and .*bad differ: token 'a' has the ids 0 and 1")


def test_pickled_weights(tmp_path, try_to_merge):
    bad = tiny.save(tmp_path / "bad", tiny.numbers(2))
    (bad / "model.safetensors").unlink()
    (bad / "pytorch_model.bin").write_bytes(pickle.dumps({"a": 1}))
    try_to_merge(bad, "pytorch_model.bin is pickled")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b[:-10], "model.safetensors has .* bytes, its header speaks of"),
        (lambda b: b + b"more", "model.safetensors has .* bytes, its header speaks of"),
        (lambda b: b"", "not safetensors, or is cut off"),
        (lambda b: struct.pack("<Q", 1 << 60) + b[8:], "not safetensors, or is cut off"),
        (lambda b: b[:8] + b"x" + b[9:], "header can't be read"),
        (lambda b: struct.pack("<Q", 4) + b"null", "header is no table"),
        (lambda b: b.replace(b'"F32"', b'"F8 "', 1), "is in F8"),
        (lambda b: b.replace(b"[0,", b"[4,", 1), "wrong number of bytes"),
        (lambda b: b.replace(b"[16,24]", b"[16,25]", 1), "wrong number of bytes"),
        (lambda b: b.replace(b'"shape"', b'"shabe"', 1), "entry of tensor .* can't be read"),
    ],
)
def test_files_that_are_damaged(tmp_path, try_to_merge, change, words):
    bad = tiny.save(tmp_path / "bad", tiny.numbers(2))
    file = bad / "model.safetensors"
    before = file.read_bytes()
    file.write_bytes(change(before))
    assert file.read_bytes() != before
    try_to_merge(bad, words)


def test_tensors_that_overlap(tmp_path, try_to_merge):
    bad = tiny.save(tmp_path / "bad", {"a": np.ones(4, np.float32), "b": np.ones(4, np.float32)})
    file = bad / "model.safetensors"
    file.write_bytes(file.read_bytes().replace(b"[16,32]", b"[0,16]  "[:7]))
    try_to_merge(bad, "tensor . begins at byte")


def test_an_index_that_says_otherwise(tmp_path, try_to_merge):
    bad = tiny.save(tmp_path / "bad", tiny.numbers(2), shards=2)
    (bad / "model-00002-of-00002.safetensors").unlink()
    try_to_merge(bad, r"model-00002-of-00002.safetensors lacks tensor")


def test_folders_that_are_no_models(tmp_path, try_to_merge):
    try_to_merge(tmp_path / "nowhere", "there is no folder")


def test_an_adapter_among_models(tmp_path, try_to_merge):
    bad = tiny.save(tmp_path / "bad", tiny.numbers(2))
    (bad / "adapter_config.json").write_text("{}")
    try_to_merge(bad, "is an adapter, not a model")


def test_a_quantised_model(tmp_path, try_to_merge):
    try_to_merge(
        tiny.save(tmp_path / "bad", tiny.numbers(2), quantization_config={"bits": 4}), "is quantised"
    )


def test_a_config_that_is_no_json(tmp_path, try_to_merge):
    bad = tiny.save(tmp_path / "bad", tiny.numbers(2))
    (bad / "config.json").write_text("{")
    try_to_merge(bad, r"config.json can't be read")


def test_integers_that_differ(tmp_path, try_to_merge):
    import torch
    from safetensors.torch import load_file, save_file

    for name, value in (("good", 1), ("bad", 2)):
        folder = tiny.save(tmp_path / f"{name}-int", tiny.numbers(1))
        held = load_file(folder / "model.safetensors") | {"model.places": torch.full((3,), value)}
        save_file(held, folder / "model.safetensors")
    from pathlib import Path

    stage = of_models([str(tmp_path / "good-int"), str(tmp_path / "bad-int")], "linear")
    with pytest.raises(RengaError, match=r"model.places is in I64 and differs"):
        merge(Recipe((stage,), ""), tmp_path / "out", Path)
    alike = of_models([str(tmp_path / "good-int")] * 2, "linear")
    merge(Recipe((alike,), ""), tmp_path / "alike", Path)
    assert load_file(tmp_path / "alike" / "model.safetensors")["model.places"].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"method": "tis"}, "unknown method 'tis'"),
        ({"method": "ties"}, "needs the model they are changes of"),
        ({"weights": [1.0]}, "2 models but 1 weights"),
        ({"weights": [0.0, 0.0]}, "no input has a share"),
        ({"dtype": "float8"}, "unknown dtype 'float8'"),
        ({"options": {"density": 0.5}}, "linear has no option 'density'"),
        ({"method": "ties", "base": "good", "options": {"density": "x"}}, "density must be a number"),
        ({"method": "ties", "base": "good", "scope": "galaxy"}, "scope can't be 'galaxy'"),
        ({"method": "della", "base": "good", "scope": "model"}, "measures nothing over the whole model"),
    ],
)
def test_what_is_asked_wrongly(tmp_path, monkeypatch, said, words):
    from pathlib import Path

    monkeypatch.setenv("RENGA_CACHE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    for name, seed in (("good", 0), ("a", 1), ("b", 2)):
        tiny.save(tmp_path / name, tiny.numbers(seed))

    def run():
        stage = of_models(["a", "b"], **{"method": "linear", **said})
        merge(Recipe((stage,), ""), tmp_path / "out", Path)

    with pytest.raises(UsageError, match=words):
        run()
    assert not (tmp_path / "out").exists()
