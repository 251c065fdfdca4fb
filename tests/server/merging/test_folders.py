"""Adapter folders in, one out: as PEFT reads and writes them, with where it came from beside it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import peft
import pytest
import torch

from renga import merging_adapters
from renga.errors import RengaError
from renga.models.adapter import Adapter, distance
from renga.models.adapter_files import load_peft, save_peft
from renga.models.weights import SharedWeights
from renga.server.merging import merge
from tests.models.tiny_models import chat_tokenizer, llama, save_folder

ASKED: dict[str, Any] = {
    "method": "average", "weights": None, "options": {}, "rank": None, "energy": None, "only": (),
    "rules": {},
    "seed": 0, "threads": 1, "data": None, "model": None, "limit": 0, "tell": lambda line: None,
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A model in a folder, and three adapters of it that PEFT wrote: unequal ranks and alphas, one rslora."""
    root = tmp_path_factory.mktemp("merging")
    model = save_folder(root / "model", llama(), chat_tokenizer())
    kinds = [
        {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "up_proj"]},
        {"r": 4, "lora_alpha": 4, "target_modules": ["q_proj", "down_proj"], "use_rslora": True},
        {"r": 3, "lora_alpha": 8, "target_modules": ["q_proj"], "rank_pattern": {"1.self_attn.q_proj": 1}},
    ]
    for place, kind in enumerate(kinds):
        torch.manual_seed(place)
        config = peft.LoraConfig(**kind, init_lora_weights=False, task_type="CAUSAL_LM")
        loaded = type(llama()).from_pretrained(model)
        peft.get_peft_model(loaded, config).save_pretrained(root / f"adapter{place}")
    texts = [{"prompt": f"{n} and {n}?", "response": str(2 * n)} for n in range(4)]
    (root / "texts.jsonl").write_text("\n".join(map(json.dumps, texts)))
    return root


def update_of(model, folder):
    """What an adapter adds to the weights of a model, by merge_and_unload."""
    plain = type(llama()).from_pretrained(model)
    before = {name: p.detach().clone().double() for name, p in plain.named_parameters()}
    after = peft.PeftModel.from_pretrained(plain, folder).merge_and_unload()
    return {name: p.detach().double() - before[name] for name, p in after.named_parameters()}


@pytest.mark.parametrize("method", ["average", "ties", "tsv"])
def test_the_result_loads_in_peft_and_adds_what_we_say(world, tmp_path, method):
    inputs = [str(world / f"adapter{k}") for k in range(3)]
    record = merging_adapters.run(
        inputs, tmp_path / "out", **ASKED | {"method": method, "weights": [1, 2, 1]}
    )
    ours = load_peft(tmp_path / "out")
    expected = merge([load_peft(world / f"adapter{k}") for k in range(3)], method, [1, 2, 1]).adapter
    if method == "average":
        theirs = [update_of(world / "model", name) for name in inputs]
        whole = {n: theirs[0][n] / 4 + theirs[1][n] / 2 + theirs[2][n] / 4 for n in theirs[0]}
        assert distance(ours, expected) < 1e-6
    else:
        whole = {}
    for name, change in update_of(world / "model", tmp_path / "out").items():
        module = name.removesuffix(".weight")
        mine = np.zeros(change.shape)
        if module in ours.factors:
            mine = ours.scale * ours.factors[module].b.astype(float) @ ours.factors[module].a
        assert np.abs(change.numpy() - mine).max() < 1e-6
        if whole:
            assert (change - whole[name]).abs().max() < 1e-6
    assert record["inputs"][1]["weight"] == 2
    written = json.loads((tmp_path / "out" / "renga_merge.json").read_text())
    assert written == json.loads(json.dumps(record))
    assert len(written["inputs"][0]["sha256"]) == 64
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: peft") and f"# {method} of 3 adapters" in card
    assert str(world) not in card


def test_equal_merges_write_equal_bytes_and_no_path_is_remembered(world, tmp_path):
    inputs = [str(world / f"adapter{k}") for k in range(2)]
    for name in ("one", "two"):
        merging_adapters.run(inputs, tmp_path / name, **ASKED)
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    changed = load_peft(world / "adapter0")
    save_peft(changed, tmp_path / "moving", "model")
    first = merging_adapters.run([str(tmp_path / "moving"), inputs[1]], tmp_path / "three", **ASKED)
    factors = {n: type(f)(2 * f.a, f.b) for n, f in changed.factors.items()}
    save_peft(Adapter(factors, changed.alpha, changed.rank, ""), tmp_path / "moving", "model")
    second = merging_adapters.run([str(tmp_path / "moving"), inputs[1]], tmp_path / "four", **ASKED)
    assert first["inputs"][0]["sha256"] != second["inputs"][0]["sha256"]
    assert first["result"]["size"] != second["result"]["size"]


def test_a_merge_is_judged_and_auto_keeps_the_best(world, tmp_path):
    inputs = [str(world / f"adapter{k}") for k in range(2)]
    asked = {**ASKED, "method": "auto", "data": world / "texts.jsonl", "model": str(world / "model")}
    record = merging_adapters.run(inputs, tmp_path / "out", **asked)
    tried = {name: s["bits_per_byte"] for name, s in record["scores"]["tried"].items()}
    assert record["scores"]["models"]["merged"]["bits_per_byte"] == pytest.approx(min(tried.values()))
    assert set(record["scores"]["models"]) == {"base", "adapter0", "adapter1", "merged"}
    assert "tried" not in record["options"]
    weights = SharedWeights.load(str(world / "model"))
    assert weights.linear_shapes  # the base itself is as it was


def test_adapters_are_folded_one_by_one(world, tmp_path):
    inputs = [str(world / f"adapter{k}") for k in range(3)]
    asked = {**ASKED, "method": "fold", "weights": [1, 2, 1]}
    record = merging_adapters.run(inputs, tmp_path / "out", **asked)
    exact = merge([load_peft(world / f"adapter{k}") for k in range(3)], "average", [1, 2, 1]).adapter
    assert distance(load_peft(tmp_path / "out"), exact) < 1e-6
    assert [entry["rank"] for entry in record["inputs"]] == [2, 4, 3]
    tight = merging_adapters.run(inputs, tmp_path / "tight", **{**asked, "options": {"room": 3}})
    away = distance(load_peft(tmp_path / "tight"), exact)
    assert 0 < away <= tight["result"]["error"] * 1.1
    with pytest.raises(RengaError, match="has the option room"):
        merging_adapters.run(inputs, tmp_path / "no", **{**asked, "options": {"density": 1}})


def test_fedex_writes_its_residual(world, tmp_path):
    asked = {**ASKED, "method": "fedex"}
    inputs = [str(world / "adapter0"), str(tmp_path / "other")]
    x = load_peft(world / "adapter0")
    save_peft(Adapter({n: type(f)(f.a[::-1].copy(), f.b) for n, f in x.factors.items()}, 6.0, 2, ""),
              tmp_path / "other", str(world / "model"))  # fmt: skip
    merging_adapters.run(inputs, tmp_path / "out", **asked)
    assert load_peft(tmp_path / "out" / "residual").rank > 0


def _copy(world, tmp_path, **changes):
    folder = tmp_path / "bad"
    save_peft(load_peft(world / "adapter0"), folder, str(world / "model"))
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, **changes}))
    return folder


def test_bad_folders_are_refused_by_name_before_anything_is_written(world, tmp_path):
    good, out = str(world / "adapter1"), tmp_path / "out"

    def refused(folder, words, **asked):
        with pytest.raises(RengaError) as error:
            merging_adapters.run([good, str(folder)], out, **{**ASKED, **asked})
        assert words in f"{error.value.message} {error.value.hint}"
        assert not out.exists()

    refused(_copy(world, tmp_path, base_model_name_or_path="org/base-bnb-4bit"), "bad was trained on")
    refused(_copy(world, tmp_path, base_model_name_or_path="org/other"), "different bases")
    refused(_copy(world, tmp_path, use_dora=True), "use_dora")
    refused(_copy(world, tmp_path, modules_to_save=["lm_head"]), "modules_to_save")
    folder = _copy(world, tmp_path)
    refused(folder, "did you mean 'ties'", method="tie")
    refused(folder, "auto needs texts", method="auto")
    refused(tmp_path / "nowhere", "is not a folder")
    x = load_peft(folder)
    next(iter(x.factors.values())).a[0, 0] = np.inf
    save_peft(x, folder, str(world / "model"))
    refused(folder, "lora_A has values that are not finite")
    out.mkdir()
    with pytest.raises(RengaError, match="exists already"):
        merging_adapters.run([good, good], out, **ASKED)


def test_the_command_merges_adapters(world, tmp_path, capsys):
    from renga.cli import run

    inputs = [str(world / f"adapter{k}") for k in range(2)]
    texts, model = str(world / "texts.jsonl"), str(world / "model")
    run(
        [
            "merge",
            *inputs,
            "--method",
            "ties",
            "--weights",
            "1,1:0",
            "--set",
            "density=0.5",
            "-o",
            str(tmp_path / "a"),
        ]
    )
    told = capsys.readouterr().out
    assert "ties of 2 adapters" in told and told.strip().endswith(str(tmp_path / "a"))
    record = json.loads((tmp_path / "a" / "renga_merge.json").read_text())
    assert record["options"]["density"] == 0.5
    assert [entry["weight"] for entry in record["inputs"]] == [1.0, [1.0, 0.0]]
    asked = ["--base", model, "--texts", texts, "--json"]
    for method, more in (("regmean", []), ("greedy", []), ("cmaes", ["--set", "tries=3"]),
                         ("adamerging", ["--set", "steps=2"])):  # fmt: skip
        run(["merge", *inputs, "--method", method, "-o", str(tmp_path / method), *asked, *more])
        assert json.loads(capsys.readouterr().out)["method"] == method
        assert load_peft(tmp_path / method).rank > 0
    with pytest.raises(RengaError, match="needs texts"):
        run(["merge", *inputs, "--method", "fisher", "-o", str(tmp_path / "b")])
    with pytest.raises(RengaError, match="not for adapters"):
        run(["merge", *inputs, "--dtype", "float16", "-o", str(tmp_path / "b")])
    with pytest.raises(RengaError, match="is no adapter"):
        run(["merge", *inputs, model, "-o", str(tmp_path / "b")])


def test_a_merge_is_mended_for_each_task(world, tmp_path, capsys):
    """`--surgery`: a module for each adapter, nearer to it than the merge was, and it scores by itself."""
    from renga.cli import run
    from renga.server.merging.surgery import Surgery

    inputs = [str(world / f"adapter{k}") for k in range(2)]
    texts, model = str(world / "texts.jsonl"), str(world / "model")
    words = ["--surgery", texts, "--surgery", texts, "--eval", texts, "--base", model, "--json"]
    run(["merge", *inputs, *words, "-o", str(tmp_path / "out")])
    record = json.loads(capsys.readouterr().out)
    mended = record["scores"]["models"]["merged, mended for adapter1"]
    assert set(record["surgery"]) == {"adapter0", "adapter1"}
    assert all(each["after"] < each["before"] for each in record["surgery"].values())
    file = tmp_path / "out" / "surgery" / "adapter1.safetensors"
    run(["eval", "--model", model, "--adapter", str(tmp_path / "out"), "--surgery", str(file),
         "--data", texts, "--json"])  # fmt: skip
    assert json.loads(capsys.readouterr().out)["bits_per_byte"] == pytest.approx(mended["bits_per_byte"])
    assert mended["bits_per_byte"] != pytest.approx(record["scores"]["models"]["merged"]["bits_per_byte"])
    file.write_bytes(b"no tensors")
    with pytest.raises(RengaError, match="holds no surgery"):
        Surgery.load(file)
    with pytest.raises(RengaError, match="2 adapters but 1 files"):
        merging_adapters.run(inputs, tmp_path / "other", **ASKED | {"surgery": [world / "texts.jsonl"]})
