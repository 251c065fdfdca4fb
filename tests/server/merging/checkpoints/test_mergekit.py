"""mergekit as oracle: its recipes run unchanged, and give what it gives (`make_mergekit_results.py` kept
it)."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from renga.errors import UsageError
from renga.merging_checkpoints import read_recipe
from renga.server.merging.checkpoints import recipe_mergekit
from renga.server.merging.checkpoints.merge import merge
from tests.server.merging.checkpoints import mergekit_recipes, tiny

RESULTS = load_file(Path(__file__).with_name("mergekit_results.safetensors"))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    mergekit_recipes.models(root)
    return root


def recipe_of(folder, text):
    file = folder / "recipe.yml"
    file.write_text(text)
    return read_recipe(file)


@pytest.mark.parametrize("name", list(mergekit_recipes.RECIPES))
def test_a_recipe_of_mergekit_gives_its_result(models, tmp_path, monkeypatch, name):
    monkeypatch.setenv("RENGA_CACHE", str(tmp_path / "store"))
    monkeypatch.chdir(models)
    merge(recipe_of(tmp_path, mergekit_recipes.RECIPES[name]), tmp_path / "out", Path)
    got = tiny.read(tmp_path / "out")
    want = {n.removeprefix(name + "/"): x for n, x in RESULTS.items() if n.startswith(name + "/")}
    assert set(got) == set(want)
    for tensor, x in want.items():
        if name == "in bfloat16":
            # mergekit rounds models and updates to bfloat16 before it trims them: other elements fall to the
            # trim at the threshold. The rest agrees to bfloat16's precision.
            off = np.abs(got[tensor] - x) > 2**-7 * np.abs(x) + 1e-3
            assert off.mean() < 0.05
        else:
            loss = 2e-3 if "float16" in name else 2e-6
            np.testing.assert_allclose(got[tensor], x, rtol=loss, atol=loss, err_msg=tensor)


@pytest.mark.parametrize("name", list(mergekit_recipes.BY_TOKEN))
def test_rows_follow_their_tokens_as_mergekits_do(models, tmp_path, monkeypatch, name):
    monkeypatch.setenv("RENGA_CACHE", str(tmp_path / "store"))
    monkeypatch.chdir(models)
    merge(recipe_of(tmp_path, mergekit_recipes.BY_TOKEN[name]), tmp_path / "out", Path)
    got, tokens = tiny.by_token(tmp_path / "out")
    want = {n.removeprefix(name + "/"): x for n, x in RESULTS.items() if n.startswith(name + "/")}
    assert tokens == want.pop("tokens").tobytes().decode().split(" ")
    assert set(got) == set(want)
    for tensor, x in want.items():
        np.testing.assert_allclose(got[tensor], x, rtol=2e-6, atol=2e-6, err_msg=tensor)


def test_frankenmerges_say_their_depth(models, tmp_path, monkeypatch):
    import json

    monkeypatch.setenv("RENGA_CACHE", str(tmp_path / "store"))
    monkeypatch.chdir(models)
    recipe = recipe_mergekit.parse(mergekit_recipes.RECIPES["passthrough"], "r")
    merge(recipe, tmp_path / "out", Path)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["num_hidden_layers"] == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("merge_method: sce\nmodels: [{model: a}]", "merge_method 'sce' is not supported"),
        ("merge_method: linear\nmodels: [{model: a+b}]", "adapters inside a recipe"),
        ("merge_method: linear\nmodules: {}", "modules is not supported"),
        ("merge_method: linear", "needs either models or slices"),
        ("merge_method: linear\nmodels: [{model: a, parameters: {wieght: 1}}]", "parameter wieght"),
        ("merge_method: linear\nmodels: [{modle: a}]", "an input has a model"),
        ("a: [", "is not YAML"),
        ("- 1", "no mergekit recipe"),
        ("", "is empty"),
        ("merge_method: linear\nslices: [{sources: [{model: a, layer_range: [3, 1]}]}]", "layers are"),
    ],
)
def test_what_is_not_supported_is_named(text, words):
    with pytest.raises(UsageError, match=words):
        recipe_mergekit.parse(text, "recipe.yml")
