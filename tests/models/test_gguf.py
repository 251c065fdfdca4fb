"""A GGUF says what its model said, position scaling and all; what is damaged is told in one line."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from renga.errors import RengaError
from renga.models import gguf
from renga.models.references import describe, load
from tests.models import tiny_models as tiny

LONG = torch.tensor([[(7 * i) % 311 for i in range(60)]])


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RENGA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def logits(model):
    with torch.inference_mode():
        return model(LONG).logits


def llama3_table(theta, dims, factor):
    wavelengths = 2 * np.pi * theta ** (np.arange(dims // 2) / (dims // 2))
    smooth = np.clip((8192 / wavelengths - 1) / 3, 0, 1)
    return (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)


LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
LINEAR = {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0}
GEMMA_LINEAR = {
    "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
}
KINDS = {
    "llama": (lambda: tiny.llama(), {}),
    "llama, output layer of its own": (lambda: tiny.llama(tie_word_embeddings=False), {}),
    "llama, positions by table": (
        lambda: tiny.llama(rope_parameters=LLAMA3),
        {"table": llama3_table(500_000.0, 8, 32.0)},
    ),
    "llama, positions divided": (
        lambda: tiny.llama(rope_parameters=LINEAR),
        {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0},
    ),
    "gemma3": (lambda: tiny.gemma3(), {}),
    "gemma3, positions divided": (
        lambda: tiny.gemma3(rope_parameters=GEMMA_LINEAR),
        {"rope.scaling.type": "linear", "rope.scaling.factor": 8.0},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_unpacked_model_is_the_model_that_was_written(kind, tmp_path):
    make, facts = KINDS[kind]
    model = make()
    loaded = load(str(tiny.write_gguf(tmp_path / "m.gguf", model, **facts)))
    # Gemma's norms lose their last bits by the + 1.
    torch.testing.assert_close(logits(loaded.model), logits(model), rtol=1e-4, atol=2e-4)
    assert loaded.model.dtype == torch.float32
    assert not any(p.requires_grad for p in loaded.model.parameters())
    assert loaded.model.config.use_cache
    assert loaded.licence == "apache-2.0"


def test_an_unknown_table_of_positions_is_refused_and_leaves_nothing(tmp_path, cache):
    table = llama3_table(500_000.0, 8, 32.0)[::-1].copy()
    path = tiny.write_gguf(tmp_path / "m.gguf", tiny.llama(), table=table)
    with pytest.raises(RengaError, match="scales its positions"):
        load(str(path))
    assert not list((cache / "models").iterdir())


def test_the_same_weights_have_one_fingerprint_in_every_format(tmp_path):
    model = tiny.llama()
    model.to(torch.bfloat16)
    folder = tiny.save_folder(tmp_path / "narrow", model, tiny.chat_tokenizer())
    model.float()
    wide = tiny.save_folder(tmp_path / "wide", model, tiny.chat_tokenizer())
    file = tiny.write_gguf(tmp_path / "m.gguf", model)
    prints = {load(str(ref)).fingerprint for ref in (folder, wide, file)}
    assert len(prints) == 1
    with torch.no_grad():
        model.model.norm.weight[3] += 1e-3
    assert (
        load(str(tiny.save_folder(tmp_path / "other", model, tiny.chat_tokenizer()))).fingerprint
        not in prints
    )


def test_the_tokenizer_splits_digits_as_smollm_does(tmp_path):
    tokenizer = load(str(tiny.write_gguf(tmp_path / "m.gguf", tiny.llama()))).tokenizer
    pieces = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("a  51")
    assert [piece for piece, _ in pieces] == ["a", "ĠĠ", "5", "1"]
    assert tokenizer.decode(tokenizer.encode("a  51, 連歌")) == "a  51, 連歌"


def test_a_second_load_reads_what_the_first_one_wrote(tmp_path, monkeypatch):
    path = tiny.write_gguf(tmp_path / "m.gguf", tiny.llama())
    first = load(str(path))
    monkeypatch.setattr(gguf, "_convert", lambda *_: pytest.fail("prepared twice"))
    again = load(str(path))
    assert torch.equal(logits(first.model), logits(again.model))
    assert (again.fingerprint, again.chat, again.licence) == (first.fingerprint, first.chat, first.licence)
    assert describe(str(path)).prepared


def test_changing_a_mapped_weight_does_not_change_the_store(tmp_path):
    path = tiny.write_gguf(tmp_path / "m.gguf", tiny.llama())
    first = load(str(path)).model
    before = logits(first)
    first.model.norm.weight.zero_()
    assert torch.equal(logits(load(str(path)).model), before)


def test_a_prepared_folder_that_lost_a_file_is_made_again(tmp_path):
    path = tiny.write_gguf(tmp_path / "m.gguf", tiny.llama())
    folder = gguf.prepare(path, name="m")
    (folder / "model.safetensors").unlink()
    assert gguf.prepare(path, name="m") == folder
    assert gguf.is_whole(folder)


def test_dying_halfway_leaves_no_folder_under_its_name(tmp_path, cache, monkeypatch):
    path = tiny.write_gguf(tmp_path / "m.gguf", tiny.llama())

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(gguf, "base_fingerprint", die)
        with pytest.raises(KeyboardInterrupt):
            gguf.prepare(path, name="m")
    assert not list((cache / "models").iterdir())
    assert gguf.is_whole(gguf.prepare(path, name="m"))


def another_process(path, before="pass"):
    """Another process that prepares `path`, and tells what it is told."""
    code = f"""
import os, sys
from pathlib import Path
from renga.models import gguf
{before}
gguf.prepare(Path(sys.argv[1]), name="m", progress=print)
"""
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", code, str(path)], cwd=root, stdout=subprocess.PIPE, text=True
    )


def test_being_killed_halfway_leaves_nothing_that_stays(tmp_path, cache):
    path = tiny.write_gguf(tmp_path / "m.gguf", tiny.llama())
    child = another_process(path, "gguf.base_fingerprint = lambda _: os.kill(os.getpid(), 9)")
    child.communicate(timeout=120)
    assert child.returncode == -9
    (draft,) = (cache / "models").iterdir()
    assert draft.name.startswith(".")
    assert gguf.is_whole(gguf.prepare(path, name="m"))
    assert not draft.exists()


def test_many_at_once_prepare_it_once(tmp_path, cache):
    path = tiny.write_gguf(tmp_path / "m.gguf", tiny.llama())
    told = [child.communicate(timeout=240)[0] for child in [another_process(path) for _ in range(2)]]
    assert sum("preparing m:" in lines for lines in told) == 1
    assert gguf.is_whole(gguf.prepare(path, name="m"))


def test_no_room_is_said_before_anything_is_written(tmp_path, cache, monkeypatch):
    path = tiny.write_gguf(tmp_path / "m.gguf", tiny.llama())
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10_000}))
    with pytest.raises(RengaError, match="no space left") as error:
        gguf.prepare(path, name="m")
    assert "RENGA_CACHE" in error.value.hint
    assert not (cache / "models").exists()


def test_a_file_cut_anywhere_is_told_in_one_line(tmp_path):
    whole = tiny.write_gguf(tmp_path / "m.gguf", tiny.llama()).read_bytes()
    cut = tmp_path / "cut.gguf"
    for length in [0, 3, 23, 24, 100, 1000, 5000, len(whole) // 2, len(whole) - 1]:
        cut.write_bytes(whole[:length])
        for act in (load, describe):
            with pytest.raises(RengaError, match=r"cut short|not a GGUF") as error:
                act(str(cut))
            assert "\n" not in error.value.message
            assert error.value.hint


def test_a_header_that_promises_too_much_is_not_believed(tmp_path):
    whole = bytearray(tiny.write_gguf(tmp_path / "m.gguf", tiny.llama()).read_bytes())
    for at, huge in ((8, 2**40), (16, 2**60), (24, 2**63)):  # tensors, facts, the first name's length
        bad = bytes(whole[:at]) + huge.to_bytes(8, "little") + bytes(whole[at + 8 :])
        (tmp_path / "bad.gguf").write_bytes(bad)
        with pytest.raises(RengaError):
            describe(str(tmp_path / "bad.gguf"))


def test_weights_that_are_not_there_are_told_and_not_made_up(tmp_path):
    whole = tiny.write_gguf(tmp_path / "m.gguf", tiny.llama()).read_bytes()
    (tmp_path / "odd.gguf").write_bytes(whole.replace(b"blk.1.ffn_up", b"blk.1.ffn_oo"))
    with pytest.raises(RengaError, match=r"lack model\.layers\.1\.mlp\.up_proj\.weight"):
        load(str(tmp_path / "odd.gguf"))


def test_an_architecture_that_transformers_does_not_know(tmp_path):
    whole = tiny.write_gguf(tmp_path / "m.gguf", tiny.llama()).read_bytes()
    (tmp_path / "odd.gguf").write_bytes(whole.replace(b"llama", b"lamas"))
    with pytest.raises(RengaError, match="'lamas'"):
        load(str(tmp_path / "odd.gguf"))


def test_a_description_reads_no_weights(tmp_path):
    model = tiny.gemma3()
    facts = describe(str(tiny.write_gguf(tmp_path / "m.gguf", model)))
    assert facts.parameters == sum(p.numel() for p in model.parameters())
    assert (facts.architecture, facts.vocabulary, facts.context) == ("gemma3", 400, 2048)
    assert facts.bytes_in_memory == 4 * sum(p.numel() for p in model.parameters())
    assert facts.chat is False
    assert not facts.prepared
