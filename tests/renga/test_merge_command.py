import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from renga.cli import run
from renga.errors import RengaError, UsageError
from renga.server.merging.checkpoints import judging
from tests.models.tiny_models import chat_tokenizer, gemma3, llama, save_folder
from tests.models.tiny_tokenizers import metaspace
from tests.server.merging.checkpoints import tiny


@pytest.fixture
def family(tmp_path, monkeypatch):
    monkeypatch.setenv("RENGA_CACHE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    _, _, base, tuned = tiny.family(tmp_path, 2)
    return base, tuned


def test_models_are_merged_by_one_command(family, tmp_path, capsys):
    base, tuned = family
    words = ["m0", "m1", "--method", "task_arithmetic", "--weights", "1,3", "--base", "base"]
    run(["merge", *words, "--set", "scale=0.5", "--shard-size", "3KB", "-o", "out", "--json"])
    record = json.loads(capsys.readouterr().out)
    assert record["stages"][0]["options"] == {"scale": 0.5}
    got = tiny.read(tmp_path / "out")
    name = "model.layers.2.mlp.down_proj.weight"
    want = base[name] + 0.5 * (0.25 * (tuned[0][name] - base[name]) + 0.75 * (tuned[1][name] - base[name]))
    np.testing.assert_allclose(got[name], want, rtol=1e-5, atol=1e-6)
    assert len(list((tmp_path / "out").glob("*.safetensors"))) > 1


def test_recipes_run_as_they_are(family, tmp_path, capsys):
    (tmp_path / "r.yml").write_text("merge_method: linear\nmodels: [{model: m0, parameters: {weight: 1}}]\n")
    (tmp_path / "r.toml").write_text('method = "linear"\ninputs = [{ model = "m0" }]\n')
    run(["merge", "r.yml", "-o", "a"])
    run(["merge", "r.toml", "-o", "b"])
    assert capsys.readouterr().out.split() == ["a", "b"]
    a, b = tiny.read(tmp_path / "a"), tiny.read(tmp_path / "b")
    assert all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["m0", "m1", "--weights", "1,x"], "weights '1,x' are not numbers"),
        (["m0", "m1", "--set", "density"], "is no KEY=VALUE"),
        (["m0", "m1", "--shard-size", "big"], "'big' is no size"),
        (["m0", "r.toml"], "a recipe stands alone"),
        (["r.toml", "--weights", "1"], "--weights can't be given beside a recipe"),
        (["r.toml"], "the recipe r.toml can't be read: No such file"),
        (["m0", "nowhere"], "no model 'nowhere'"),
    ],
)
def test_what_is_asked_wrongly(family, words, said):
    with pytest.raises(UsageError, match=said):
        run(["merge", *words, "-o", "out"])


def test_merging_models_imports_no_torch(family):
    """What makes a merge of small models quick: whole processes are compared in docs/benchmarks.md."""
    script = (
        "import sys\nfrom renga.cli import run\nrun(['merge', 'm0', 'm1', '-o', 'out'])\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    here = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", script], check=True, env=here)


@pytest.fixture
def talking(tmp_path, monkeypatch):
    """A base and two models near it that can read texts, and texts."""
    monkeypatch.setenv("RENGA_CACHE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    model, tokenizer = llama(), chat_tokenizer()
    save_folder(tmp_path / "base", model, tokenizer)
    for number in range(2):
        torch.manual_seed(number)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.02 * torch.randn_like(parameter)
        save_folder(tmp_path / f"m{number}", model, tokenizer)
    lines = [json.dumps({"prompt": f"{n} and {n}?", "response": str(2 * n)}) for n in range(3)]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines))
    gc.freeze()  # every model that is scored is collected: not the libraries, each time anew
    yield
    gc.unfreeze()


def test_a_merge_of_models_is_judged(talking, tmp_path, capsys):
    run(["merge", "m0", "m1", "--eval", "texts.jsonl", "-o", "out"])
    *scored, last = capsys.readouterr().out.splitlines()
    assert last == "out"
    assert [line.split()[0] for line in scored] == ["m0", "m1", "merged"]
    told = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert set(told["scores"]) == {"m0", "m1", "merged"}
    assert "## Scores" in (tmp_path / "out" / "README.md").read_text()


def test_auto_keeps_the_best_model_and_says_so(talking, tmp_path, capsys, monkeypatch):
    words = ["merge", "m0", "m1", "--base", "base", "--method", "auto", "--eval", "texts.jsonl"]

    left, real = iter(range(2)), judging.score

    def stopping(*given, **settings):
        if next(left, None) is None:
            raise RengaError("the power went")
        return real(*given, **settings)

    with monkeypatch.context() as patch:  # it is stopped after two merges
        patch.setattr(judging, "score", stopping)
        with pytest.raises(RengaError, match="the power went"):
            run([*words, "-o", "out"])
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="was interrupted"):
        run([*words, "-o", "out"])
    with pytest.raises(UsageError, match="left by another merge"):
        run([*words, "--seed", "5", "-o", "out", "--resume"])
    capsys.readouterr()
    run([*words, "-o", "out", "--resume", "--json"])
    record = json.loads(capsys.readouterr().out)
    tried = {name: s["bits_per_byte"] for name, s in record["tried"].items()}
    assert {"linear", "slerp", "ties", "model_stock", "sum of changes"} < set(tried)
    assert record["chosen"] == min(tried, key=tried.__getitem__)
    assert record["scores"]["merged"]["bits_per_byte"] == pytest.approx(min(tried.values()))
    assert not list(tmp_path.glob(".out*"))
    with pytest.raises(UsageError, match="auto needs texts"):
        run(["merge", "m0", "m1", "--method", "auto", "-o", "other"])


def test_models_of_other_shapes_are_made_ready(talking, tmp_path, capsys):
    """A deeper model with wider MLPs is matched to the first; another tokenizer is taken over."""
    save_folder(tmp_path / "deep", llama(num_hidden_layers=3, intermediate_size=64), chat_tokenizer())
    run(["merge", "m0", "deep", "--match", "texts.jsonl", "-o", "matched", "--json"])
    record = json.loads(capsys.readouterr().out)
    assert record["prepared"]["deep"]["matched to"] == "m0"
    first, result = tiny.read(tmp_path / "m0"), tiny.read(tmp_path / "matched")
    assert {n: x.shape for n, x in result.items()} == {n: x.shape for n, x in first.items()}
    with pytest.raises(RengaError, match="differ"):
        run(["merge", "m0", "deep", "-o", "out"])

    save_folder(tmp_path / "other", gemma3(vocab_size=512), metaspace(400))
    run(["merge", "m0", "--vocabulary", "other", "-o", "spoken", "--eval", "texts.jsonl", "--json"])
    record = json.loads(capsys.readouterr().out)
    assert record["prepared"]["m0"]["vocabulary"] == "other"
    assert record["scores"]["merged"]["bits_per_byte"] > 0
    assert tiny.read(tmp_path / "spoken")["model.embed_tokens.weight"].shape == (512, 32)
    assert not list(tmp_path.glob(".*.shapes"))
    with pytest.raises(RengaError, match="different vocabularies"):
        run(["merge", "m0", "spoken", "--match", "texts.jsonl", "-o", "out"])
    assert not (tmp_path / "out").exists()
