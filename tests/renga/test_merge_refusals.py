"""What can't be merged, at the command line: one line that names what is wrong, and nothing written."""

import json
import pickle
import re

import numpy as np
import pytest

from renga.cli import run
from renga.errors import RengaError
from renga.models.adapter import Adapter, Factors
from renga.models.adapter_files import save_peft
from tests.server.merging.adapters_made import made
from tests.server.merging.checkpoints import tiny

Q = "model.layers.0.self_attn.q_proj"


def saved(folder, adapter, base="org/model", **changes):
    save_peft(adapter, folder, base)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


def broken(value=None, shape=None, rank=3):
    """An adapter with a value, a shape or a rank in one module that doesn't fit."""
    x = made(2, rank)
    f = x.factors[Q]
    if value is not None:
        f.a[1, 2] = value
    if shape is not None:
        f = Factors(f.a, np.ones((shape, rank), np.float32))
    return Adapter({**x.factors, Q: f}, 6.0, rank, "")


def pickled(folder):
    saved(folder, made(2, base=""))
    (folder / "adapter_model.safetensors").unlink()
    (folder / "adapter_model.bin").write_bytes(pickle.dumps({"a": 1}))


def cut(folder):
    saved(folder, made(2, base=""))
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


ADAPTERS = {
    "another base": (lambda f: saved(f, made(2, base=""), "org/other"), [], "different bases"),
    "another fingerprint": (lambda f: saved(f, made(2, base="0f" * 32)), [], "bases"),
    "a quantised base": (lambda f: saved(f, made(2, base=""), "org/model-bnb-4bit"), [], "quantised base"),
    "not a number": (lambda f: saved(f, broken(value=np.nan)), [], rf"{Q}.*not finite"),
    "infinity": (lambda f: saved(f, broken(value=np.inf)), [], rf"{Q}.*not finite"),
    "another shape": (lambda f: saved(f, broken(shape=20)), [], rf"module {Q} has the shapes"),
    "too high a rank": (lambda f: saved(f, broken(rank=30)), [], "rank 30"),
    "pickled": (pickled, [], "adapter_model.bin"),
    "cut off": (cut, [], "adapter_model.safetensors"),
    "no folder": (lambda f: None, [], "bad"),
    "too few weights": (lambda f: saved(f, made(2, base="")), ["--weights", "1"], "2 adapters but 1 weights"),
    "no sum": (lambda f: saved(f, made(2, base="")), ["--weights", "1,-1"], "weights"),
    "no weight": (lambda f: saved(f, made(2, base="")), ["--weights", "0,0"], "weights"),
    "no method": (lambda f: saved(f, made(2, base="")), ["--method", "tis"], "did you mean 'ties'"),
    "no option": (lambda f: saved(f, made(2, base="")), ["--set", "densty=1"], "no option 'densty'"),
    "no module": (lambda f: saved(f, made(2, base="")), ["--only", "nothing"], "no module"),
}


@pytest.mark.parametrize("case", sorted(ADAPTERS))
def test_adapters(tmp_path, monkeypatch, case):
    make, more, said = ADAPTERS[case]
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "good", made(1, base="1e" * 32 if case == "another fingerprint" else ""))
    make(tmp_path / "bad")
    refused(["good", "bad", *more], said, tmp_path)


def test_an_output_that_exists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RENGA_CACHE", str(tmp_path / "store"))
    saved(tmp_path / "a", made(1, base=""))
    tiny.save(tmp_path / "m", tiny.numbers(1))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("precious")
    for inputs in (["a", "a"], ["m", "m"]):
        with pytest.raises(RengaError, match="out exists"):
            run(["merge", *inputs, "-o", "out"])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


MODELS = {
    "no base": (["--method", "ties"], "base"),
    "no method": (["--method", "lineer"], "did you mean 'linear'"),
    "too few weights": (["--weights", "1"], "2 models but 1 weights"),
    "no sum": (["--weights", "1,-1"], "weights"),
    "no option": (["--set", "densty=1"], "no option 'densty'"),
}


@pytest.mark.parametrize("case", sorted(MODELS))
def test_models(tmp_path, monkeypatch, case):
    """What is asked wrongly; files that are wrong stand in test_refusals of the checkpoints."""
    more, said = MODELS[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RENGA_CACHE", str(tmp_path / "store"))
    for name in ("good", "bad"):
        tiny.save(tmp_path / name, tiny.numbers(1))
    refused(["good", "bad", *more], said, tmp_path)


def refused(words, said, folder):
    before = sorted(path.name for path in folder.iterdir() if path.name != "store")
    with pytest.raises(RengaError) as caught:
        run(["merge", *words, "-o", "out"])
    told = f"{caught.value.message} {caught.value.hint or ''}"
    assert "\n" not in told
    assert re.search(said, told), told
    assert sorted(path.name for path in folder.iterdir() if path.name != "store") == before
