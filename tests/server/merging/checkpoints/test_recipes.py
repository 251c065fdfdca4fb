import json
from pathlib import Path

import numpy as np
import pytest

from renga.errors import RengaError, UsageError
from renga.server.merging.checkpoints import recipe_toml
from renga.server.merging.checkpoints.draft import draft_of
from renga.server.merging.checkpoints.merge import How, merge
from renga.server.merging.checkpoints.recipe import value_of
from tests.server.merging.checkpoints import tiny

STAGES = """
[[stages]]
name = "both"
method = "task_arithmetic"
base = "base"
scale = 2.0
inputs = [{ model = "m0", weight = 1 }, { model = "m1", weight = 3 }]

[[stages]]
method = "slerp"
inputs = [{ model = "both", weight = 0.5 }, { model = "m0", weight = 0.5 }]
"""


@pytest.fixture
def family(tmp_path, monkeypatch):
    monkeypatch.setenv("RENGA_CACHE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    _, _, base, tuned = tiny.family(tmp_path, 2)
    return base, tuned


def run(text, out="out", how=None):
    return merge(recipe_toml.parse(text, "recipe.toml"), Path(out), Path, how)


def test_stages_build_on_each_other(family, tmp_path):
    from tests.server.merging import dense

    base, tuned = family
    record = run(STAGES)
    got = tiny.read(tmp_path / "out")
    for name, zero in base.items():
        zero = zero.astype(np.float64)
        both = zero + 2 * (0.25 * (tuned[0][name] - zero) + 0.75 * (tuned[1][name] - zero))
        want = dense.slerp(both.reshape(-1), tuned[0][name].astype(np.float64).reshape(-1), 0.5)
        np.testing.assert_allclose(got[name].reshape(-1), want, rtol=1e-4, atol=1e-5)
    assert [stage["method"] for stage in record["stages"]] == ["task_arithmetic", "slerp"]
    card = (tmp_path / "out" / "README.md").read_text()
    assert STAGES.strip() in card
    assert '- "both"' not in card  # what was made on the way is no base model
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_mistake_in_the_last_stage_shows_before_the_first_runs(family, tmp_path):
    with pytest.raises(UsageError, match="slerp has no option 'density'"):
        run(STAGES + "density = 0.5\n")
    tiny.save(tmp_path / "other", tiny.numbers(5, of=tiny.shapes(words=44)))
    with pytest.raises(RengaError, match=r"embed_tokens.weight is \[44, 16\] in other, \[40, 16\] in both"):
        run(STAGES.replace('"m0", weight = 0.5', '"other", weight = 0.5'))
    assert not [p for p in tmp_path.iterdir() if "out" in p.name]


def test_an_interrupted_stage_is_gone_on_with(family, tmp_path, monkeypatch):
    from renga.server.merging.checkpoints import streamed

    real = streamed._merge

    def stop(part, draft, *rest):
        if draft.folder == draft_of(Path("out")) and part.name == "model.norm.weight":
            raise KeyboardInterrupt
        real(part, draft, *rest)

    run(STAGES, "whole")
    with monkeypatch.context() as patch:
        patch.setattr(streamed, "_merge", stop)
        with pytest.raises(KeyboardInterrupt):
            run(STAGES, how=How(threads=1))
    assert not (tmp_path / "out").exists()
    run(STAGES, how=How(threads=1, resume=True))
    a, b = tiny.read(tmp_path / "out"), tiny.read(tmp_path / "whole")
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_layers_are_stacked_and_counted(family, tmp_path):
    _, tuned = family
    run("""
        method = "passthrough"
        [[slices]]
        inputs = [{ model = "m0", layers = [0, 2] }]
        [[slices]]
        inputs = [{ model = "m1", layers = [1, 3] }]
        """)
    got = tiny.read(tmp_path / "out")
    up = "model.layers.{}.mlp.up_proj.weight"
    for out, (model, layer) in enumerate([(0, 0), (0, 1), (1, 1), (1, 2)]):
        assert np.array_equal(got[up.format(out)], tuned[model][up.format(layer)])
    assert np.array_equal(got["model.embed_tokens.weight"], tuned[0]["model.embed_tokens.weight"])
    assert np.array_equal(got["model.norm.weight"], tuned[1]["model.norm.weight"])
    assert json.loads((tmp_path / "out" / "config.json").read_text())["num_hidden_layers"] == 4


def test_an_output_layer_tied_in_one_model_only(tmp_path, monkeypatch):
    monkeypatch.setenv("RENGA_CACHE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    tied, free = tiny.numbers(1), tiny.numbers(2)
    free["lm_head.weight"] = np.ones_like(free["model.embed_tokens.weight"])
    tiny.save(tmp_path / "tied", tied)
    tiny.save(tmp_path / "free", free, tie_word_embeddings=False)
    run('method = "linear"\ninputs = [{ model = "tied" }, { model = "free" }]')
    got = tiny.read(tmp_path / "out")
    want = (tied["model.embed_tokens.weight"] + 1) / 2
    np.testing.assert_allclose(got["lm_head.weight"], want, rtol=1e-6)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"] is False


@pytest.mark.parametrize(
    ("setting", "tensor", "depth", "value"),
    [
        (0.5, "x", 0.3, 0.5),
        ([0.0, 1.0], "x", 0.3, 0.3),
        ([0.0, 1.0, 0.0], "x", 0.75, 0.5),
        ([0.0, 1.0, 0.25], "x", 1.0, 0.25),
        ([True, False], "x", 0.9, True),
        ([{"filter": "mlp", "value": [1.0, 3.0]}, {"value": 7}], "a.mlp.b", 0.5, 2.0),
        ([{"filter": "mlp", "value": 1}, {"value": 7}], "a.attn.b", 0.5, 7),
        ([{"filter": "mlp", "value": 1}], "a.attn.b", 0.5, None),
        ({"filter": "attn", "value": 4}, "a.attn.b", 0.5, 4),
        ({"filter": "mlp", "value": 4}, "a.attn.b", 0.5, None),
    ],
)
def test_settings_vary_with_depth_and_name(setting, tensor, depth, value):
    assert value_of(setting, tensor, depth) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("inputs = [{model = 'a'}]", "names no method"),
        ("method = 'linear'", "either inputs or slices"),
        ("method = 'linear'\ninputs = []", "lists of tables"),
        ("method = 'linear'\ninputs = [{modle = 'a'}]", "input 1 names no model"),
        ("method = 1\ninputs = [{model = 'a'}]", "method must be a text"),
        ("x = 1\n[[stages]]\nmethod = 'linear'\ninputs = [{model = 'a'}]", "'x' stands beside stages"),
        ("method = ", "is not TOML"),
        ("method = 'linear'\nslices = [{inputs = [{model = 'a', layers = [2]}]}]", "layers are"),
    ],
)
def test_recipes_that_are_wrong(text, words):
    with pytest.raises(UsageError, match=words):
        recipe_toml.parse(text, "recipe.toml")


def test_a_stage_cannot_use_what_is_not_made_yet(family):
    turned = STAGES.replace('name = "both"', 'name = "later"').replace(
        'model = "m0", weight = 1', 'model = "later"'
    )
    with pytest.raises(UsageError, match="stage 'later' uses 'later'"):
        run(turned)
