"""Models whose tokenizers differ: rows by token (mergekit is the oracle in `test_mergekit`), and what has no
union."""

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from renga.errors import RengaError, UsageError
from renga.server.merging.checkpoints import recipe_toml
from renga.server.merging.checkpoints.carried import token_ids
from renga.server.merging.checkpoints.merge import How, merge
from renga.server.merging.checkpoints.recipe import Recipe, of_models
from tests.server.merging.checkpoints import mergekit_recipes, tiny

ROWS = "model.embed_tokens.weight"


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("RENGA_CACHE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    mergekit_recipes.models(tmp_path)


def run(names, tokenizer=None, out="out", how=None, **said):
    stage = of_models(names, said.pop("method", "linear"), tokenizer=tokenizer, **said)
    merge(Recipe((stage,), ""), Path(out), Path, how)
    return tiny.read(Path(out)), token_ids(Path(out)) or {}


def test_a_union_cuts_a_text_as_the_first_does_and_then_joins_what_others_would():
    _, ids = run(["vbase", "va", "vb"], "union")
    base = token_ids(Path("vbase")) or {}
    assert {token: ids[token] for token in base} == base
    assert sorted(ids, key=ids.get)[len(base) :] == ["e", "abc", "<im>", "cd"]
    united = Tokenizer.from_file("out/tokenizer.json")
    assert united.encode("abcd").tokens == ["abc", "d"]
    assert united.encode("<im>dcde<s>").tokens == ["<im>", "d", "cd", "e", "<s>"]
    assert json.loads(Path("out/config.json").read_text())["vocab_size"] == len(ids) == 11
    assert not list(Path().glob(".out*"))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_tokens_row_is_merged_with_that_tokens_row(dtype):
    for name in ("va", "vb"):  # an output layer of its own, in other formats
        weights = tiny.read(Path(name))
        weights["lm_head.weight"] = -weights[ROWS]
        sizes = {"tie_word_embeddings": False, "vocab_size": len(weights[ROWS]), "bos_token_id": ord(name[1])}
        folder = tiny.save(Path(f"{name}-{dtype}"), weights, dtype if name == "va" else "float32", **sizes)
        _, *said = mergekit_recipes.VOCABULARIES[name]
        tiny.tokenizer(folder, *said)
    names = [f"va-{dtype}", f"vb-{dtype}"]
    one, other = (tiny.read(Path(name)) for name in names)
    first, second = (token_ids(Path(name)) or {} for name in names)
    got, ids = run(names, names[1], weights=[1.0, 3.0])
    assert ids == second
    assert json.loads(Path("out/config.json").read_text())["bos_token_id"] == ord("b")
    loss = 1e-6 if dtype == "float32" else 2**-7
    for tensor, sign in ((ROWS, 1), ("lm_head.weight", -1)):
        assert len(got[tensor]) == len(second)
        for token, row in ids.items():
            mine = one[ROWS][first[token]] if token in first else other[ROWS][second[token]]
            want = sign * (0.25 * mine + 0.75 * other[ROWS][second[token]])
            np.testing.assert_allclose(got[tensor][row], want, rtol=loss, atol=loss)
    shared = "model.layers.0.mlp.up_proj.weight"
    np.testing.assert_allclose(got[shared], 0.25 * one[shared] + 0.75 * other[shared], rtol=loss, atol=loss)


def test_equal_tokenizers_change_nothing():
    plain, _ = run(["m0", "m1"], out="plain")
    for tokenizer in ("union", "m1"):
        again, _ = run(["m0", "m1"], tokenizer, out=f"by-{tokenizer}")
        assert all(np.array_equal(plain[name], again[name]) for name in plain)


def test_an_interrupted_union_is_gone_on_with(monkeypatch):
    from renga.server.merging.checkpoints import streamed

    whole, _ = run(["va", "vb"], "union", out="whole")
    real, left = streamed._merge, iter(range(5))

    def stopping(*given):
        if next(left, None) is None:
            raise RengaError("the power went")
        real(*given)

    monkeypatch.setattr(streamed, "_merge", stopping)
    with pytest.raises(RengaError, match="the power went"):
        run(["va", "vb"], "union", how=How(threads=1))
    monkeypatch.setattr(streamed, "_merge", real)
    again, _ = run(["va", "vb"], "union", how=How(threads=1, resume=True))
    assert all(np.array_equal(whole[name], again[name]) for name in whole)
    with pytest.raises(RengaError, match="the tokenizers of va and vb differ: token 'c'"):
        run(["va", "vb"], out="other")


def _changed(name, change):
    file = Path(name) / "tokenizer.json"
    said = json.loads(file.read_text())
    change(said)
    file.write_text(json.dumps(said))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda said: said["model"].update(type="WordPiece"), "va and vb have no union: .* not of a kind"),
        (lambda said: said.update(decoder={"type": "ByteLevel"}), "not of a way of writing bytes"),
        (lambda said: said["model"].pop("vocab"), "vb can't be read|vb has no tokenizer.json"),
    ],
)
def test_what_has_no_union_is_refused(change, words):
    _changed("vb", change)
    with pytest.raises(RengaError, match=words):
        run(["va", "vb"], "union")
    assert not list(Path().glob(".out*"))


def test_what_else_cannot_be_followed_is_refused():
    weights = tiny.read(Path("vb"))
    weights["lm_head.bias"] = np.zeros(9, np.float32)
    _, *said = mergekit_recipes.VOCABULARIES["vb"]
    tiny.tokenizer(tiny.save(Path("vc"), weights, vocab_size=9), *said)
    with pytest.raises(RengaError, match=r"vc: tensor lm_head.bias goes by token, too"):
        run(["va", "vc"], "va")
    text = """
    [[stages]]
    name = "one"
    method = "linear"
    tokenizer = "union"
    inputs = [{ model = "va" }, { model = "vb" }]
    [[stages]]
    method = "linear"
    inputs = [{ model = "one" }]
    """
    with pytest.raises(UsageError, match="must be the last stage"):
        merge(recipe_toml.parse(text, "r.toml"), Path("out"), Path)
    assert not list(Path().glob(".out*"))
