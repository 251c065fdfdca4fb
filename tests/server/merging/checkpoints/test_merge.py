import hashlib
import json
import os

import numpy as np
import pytest

from renga.errors import RengaError, UsageError
from renga.server.merging import blocks, methods, selection
from renga.server.merging.checkpoints import streamed
from renga.server.merging.checkpoints.draft import draft_of
from renga.server.merging.checkpoints.merge import How, merge
from renga.server.merging.checkpoints.recipe import Recipe, of_models
from tests.server.merging import dense
from tests.server.merging.checkpoints import tiny


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("RENGA_CACHE", str(tmp_path / "store"))


def merged(folders, method, out, how=None, **said):
    stage = of_models([str(f) for f in folders], method, **said)
    return merge(Recipe((stage,), ""), out, locate, how)


def locate(reference):
    from pathlib import Path

    return Path(reference)


def digests(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


@pytest.mark.parametrize(
    ("method", "dtype"),
    [
        *((method, "float32") for method in sorted(methods.METHODS)),
        ("ties", "bfloat16"),
        ("linear", "float16"),
    ],
)
def test_every_method_does_tensor_by_tensor_what_its_kernel_does_in_memory(tmp_path, method, dtype):
    from renga.server.merging.draws import Draws

    count = 2 if method == "slerp" else 3
    base, folders, _, _ = tiny.family(tmp_path, count, dtype=dtype)
    weights = [1.0, 2.0, 0.5][:count]
    updates = methods.METHODS[method].of_updates
    said = {"base": str(base)} if updates else {}
    record = merged(folders, method, tmp_path / "out", weights=weights, scope="tensor", **said)
    zero, held = tiny.read(base), [tiny.read(folder) for folder in folders]
    got = tiny.read(tmp_path / "out")
    names = [entry["fingerprint"] for entry in record["stages"][0]["inputs"]]
    turned = sorted(range(count), key=lambda k: names[k])  # the order that sums are taken in
    held, weights, names = ([x[k] for k in turned] for x in (held, weights, names))
    assert set(got) == set(zero)
    for name, tensor in got.items():
        stack = np.stack([x[name] - (zero[name] if updates else 0) for x in held])
        want = methods.merged(method, stack, weights, random=Draws(0, name, names))
        want = want + (zero[name] if updates else 0)
        loss = {"float32": 1e-6, "bfloat16": 2**-8, "float16": 2**-11}[dtype]
        np.testing.assert_allclose(tensor, want, rtol=loss, atol=2e-6)


def test_the_trim_of_ties_is_over_the_whole_model_as_in_the_paper(tmp_path):
    base, folders, zero, tuned = tiny.family(tmp_path, 2)
    merged(folders, "ties", tmp_path / "out", base=str(base), options={"density": 0.3})
    names = sorted(zero)

    def flat(weights):
        return np.concatenate([(weights[n].astype(np.float64) - zero[n]).reshape(-1) for n in names])

    want = dense.ties([flat(x) for x in tuned], [1, 1], 0.3)
    got = tiny.read(tmp_path / "out")
    np.testing.assert_allclose(flat(got), want, atol=1e-6)
    merged(folders, "ties", tmp_path / "other", base=str(base), options={"density": 0.3}, scope="tensor")
    assert not np.allclose(flat(tiny.read(tmp_path / "other")), want, atol=1e-3)


@pytest.mark.parametrize("method", ["linear", "ties", "dare_ties", "della", "model_stock"])
def test_threads_shards_and_order_change_no_byte(tmp_path, method, monkeypatch):
    monkeypatch.setattr(selection, "_WHOLE", 50)
    monkeypatch.setattr(blocks, "BLOCK", 128)
    base, folders, zero, tuned = tiny.family(tmp_path, 3)
    said = {} if method == "linear" else {"base": str(base)}
    one = tmp_path / "one"
    merged(folders, method, one, How(threads=1), weights=[1, 2, 3], **said)
    cut = [tiny.save(tmp_path / f"cut{k}", x, shards=k + 2) for k, x in enumerate(tuned)]
    order = [2, 0, 1]
    two = tmp_path / "two"
    how = How(threads=4, largest=2000)
    merged([cut[k] for k in order], method, two, how, weights=[[1, 2, 3][k] for k in order], **said)
    assert len(list(two.glob("*.safetensors"))) > 3
    a, b = tiny.read(one), tiny.read(two)
    assert set(a) == set(b) == set(zero)
    assert all(a[name].tobytes() == b[name].tobytes() for name in a)


def test_the_result_is_a_model_that_transformers_loads(tmp_path):
    from transformers import AutoModelForCausalLM

    _, folders, _, tuned = tiny.family(tmp_path, 2)
    merged(folders, "linear", tmp_path / "out", How(largest=3000))
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(x.nbytes for x in tuned[0].values())
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    got = model.state_dict()["model.layers.1.mlp.up_proj.weight"].numpy()
    want = np.mean([x["model.layers.1.mlp.up_proj.weight"] for x in tuned], axis=0)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)
    assert (tmp_path / "out" / "tokenizer.json").is_file()


def test_it_says_where_it_comes_from(tmp_path):
    base, folders, _, _ = tiny.family(tmp_path, 2)
    record = merged(folders, "ties", tmp_path / "out", base=str(base), options={"density": 0.5})
    assert json.loads((tmp_path / "out" / "provenance.json").read_text()) == record
    stage = record["stages"][0]
    assert [entry["model"] for entry in stage["inputs"]] == [str(f) for f in folders]
    assert len({stage["base"]["fingerprint"], *(e["fingerprint"] for e in stage["inputs"])}) == 3
    card = (tmp_path / "out" / "README.md").read_text()
    assert "## ties" in card
    assert stage["base"]["fingerprint"][:16] in card
    again = merged(folders, "ties", tmp_path / "again", base=str(base), options={"density": 0.5})
    assert again == record
    assert digests(tmp_path / "again") == digests(tmp_path / "out")


def test_fingerprints_are_of_the_weights_and_not_of_the_files(tmp_path):
    weights = tiny.numbers(3)
    whole = tiny.save(tmp_path / "whole", weights)
    cut = tiny.save(tmp_path / "cut", weights, shards=3)
    weights["model.norm.weight"][2] += 1e-6
    other = tiny.save(tmp_path / "other", weights)
    record = merged([whole, cut, other], "linear", tmp_path / "out")
    a, b, c = [entry["fingerprint"] for entry in record["stages"][0]["inputs"]]
    assert a == b != c


def test_weights_and_identical_inputs(tmp_path):
    _, folders, _, tuned = tiny.family(tmp_path, 2)
    merged([folders[0], folders[0]], "linear", tmp_path / "same", weights=[1, 5])
    merged([folders[0], folders[1]], "linear", tmp_path / "one", weights=[3, 0])
    for name, x in tuned[0].items():
        np.testing.assert_allclose(tiny.read(tmp_path / "same")[name], x, rtol=1e-6)
        assert np.array_equal(tiny.read(tmp_path / "one")[name], x)


def stopped(monkeypatch, after):
    """Makes the merge fail when it has finished so many tensors."""
    real = streamed._merge
    done: list[str] = []

    def merge_or_stop(part, *rest):
        if len(done) >= after:
            raise KeyboardInterrupt
        real(part, *rest)
        done.append(part.name)

    monkeypatch.setattr(streamed, "_merge", merge_or_stop)
    return done


def test_an_interrupted_merge_leaves_no_model_and_is_gone_on_with(tmp_path, monkeypatch):
    base, folders, _, _ = tiny.family(tmp_path, 2)
    out, said = tmp_path / "out", {"base": str(base), "options": {"density": 0.5}}
    merged(folders, "dare_ties", tmp_path / "whole", **said)
    with monkeypatch.context() as patch:
        first = stopped(patch, 7)
        with pytest.raises(KeyboardInterrupt):
            merged(folders, "dare_ties", out, How(threads=1), **said)
    assert not out.exists()
    assert draft_of(out).is_dir()
    with pytest.raises(UsageError, match="was interrupted"):
        merged(folders, "dare_ties", out, **said)
    with pytest.raises(UsageError, match="left by another merge"):
        merged(folders, "ties", out, How(resume=True), **said)
    with monkeypatch.context() as patch:
        second = stopped(patch, 10**9)
        merged(folders, "dare_ties", out, How(resume=True, threads=1), **said)
    assert not set(first) & set(second)
    assert set(first) | set(second) == set(tiny.read(out))
    assert digests(out) == digests(tmp_path / "whole")
    assert not draft_of(out).exists()


def test_a_process_that_is_killed_loses_at_most_what_was_not_on_the_disk(tmp_path):
    """SIGKILL at a random moment, again and again, until it is through."""
    import subprocess
    import sys
    import time

    base, folders, _, _ = tiny.family(tmp_path, 2)
    merged(folders, "ties", tmp_path / "whole", base=str(base))
    out = tmp_path / "out"
    script = (
        "import sys, time, pathlib\n"
        "from renga.server.merging.checkpoints import draft, streamed\n"
        "from renga.server.merging.checkpoints.merge import How, merge\n"
        "from renga.server.merging.checkpoints.recipe import Recipe, of_models\n"
        "draft._SYNC_EVERY = 1\n"
        "real = streamed._merge\n"
        "def slow(*a):\n    real(*a)\n    time.sleep(0.02)\n"
        "streamed._merge = slow\n"
        "stage = of_models(sys.argv[2:4], 'ties', base=sys.argv[4])\n"
        "print('ready', flush=True)\n"
        "merge(Recipe((stage,), ''), pathlib.Path(sys.argv[1]), pathlib.Path, How(resume=True, threads=1))\n"
    )
    arguments = [sys.executable, "-c", script, str(out), *map(str, folders), str(base)]
    kills = 0
    while not out.exists():
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.25)
        if not out.exists() and process.poll() is None:
            process.kill()
            kills += 1
        process.wait()
        process.stdout.close()
        assert kills < 60
    assert kills > 0
    assert digests(out) == digests(tmp_path / "whole")


def test_nothing_is_overwritten(tmp_path):
    _, folders, _, _ = tiny.family(tmp_path, 2)
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="out exists"):
        merged(folders, "linear", tmp_path / "out")


def test_a_full_disk_is_told_before_anything_is_written(tmp_path, monkeypatch):
    import shutil

    _, folders, _, _ = tiny.family(tmp_path, 2)
    usage = shutil._ntuple_diskusage(10**9, 10**9, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(RengaError, match="no space left"):
        merged(folders, "linear", tmp_path / "out")
    assert not draft_of(tmp_path / "out").exists()


def test_an_error_of_the_disk_on_the_way_names_the_folder_and_keeps_what_is_done(tmp_path, monkeypatch):
    import errno

    _, folders, _, _ = tiny.family(tmp_path, 2)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(RengaError, match="no space left"):
            merged(folders, "linear", tmp_path / "out")
    merged(folders, "linear", tmp_path / "out", How(resume=True))


def test_values_that_a_format_cannot_hold_are_told_by_tensor(tmp_path):
    weights = tiny.numbers(0)
    weights["model.layers.1.mlp.up_proj.weight"][0, 0] = 1e6
    folder = tiny.save(tmp_path / "m", weights)
    with pytest.raises(RengaError, match=r"layers.1.mlp.up_proj.weight .*F16 can't hold"):
        merged([folder, folder], "linear", tmp_path / "out", dtype="float16")
    assert not (tmp_path / "out").exists()


def test_memory_stays_far_below_a_model(tmp_path):
    """Private memory of the whole process over that before the merge: a model of 64 MB, 3 of them open."""
    import subprocess
    import sys

    shapes = {f"model.layers.{k}.mlp.up_proj.weight": (4096, 1024) for k in range(4)}
    for k in range(3):
        tiny.save(tmp_path / f"m{k}", tiny.numbers(k, of=shapes))
    script = (
        "import sys, pathlib, threading, time\n"
        "from renga.server.merging.checkpoints.merge import How, merge\n"
        "from renga.server.merging.checkpoints.recipe import Recipe, of_models\n"
        "def private():\n"
        "    lines = open('/proc/self/status').read().splitlines()\n"
        "    return int(next(line for line in lines if line.startswith('RssAnon')).split()[1]) / 1024\n"
        "root = pathlib.Path(sys.argv[1])\n"
        "before, most, going = private(), 0, True\n"
        "def watch():\n"
        "    global most\n"
        "    while going:\n        most = max(most, private())\n        time.sleep(0.002)\n"
        "watcher = threading.Thread(target=watch)\nwatcher.start()\n"
        "names = [str(root / name) for name in ('m0', 'm1', 'm2')]\n"
        "stage = of_models(names[1:], 'ties', base=names[0], scope='tensor')\n"
        "merge(Recipe((stage,), ''), root / 'out', pathlib.Path, How(threads=2))\n"
        "going = False\nwatcher.join()\nprint(most - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 20


@pytest.mark.parametrize("method", ["linear", "ties", "dare_ties", "della", "pcb", "model_stock"])
def test_a_device_merges_as_the_cpu_does(tmp_path, monkeypatch, method):
    """torch's CPU stands for a GPU: the files differ by float32's rounding, whatever is drawn."""
    import torch

    from renga.server.merging import device_kernels
    from renga.server.merging.checkpoints import merge as module

    base, folders, _, _ = tiny.family(tmp_path, 3)
    said = {} if method == "linear" else {"base": str(base)}
    merged(folders, method, tmp_path / "cpu", weights=[1.0, 2.0, 0.5], **said)
    monkeypatch.setattr(module, "chosen_device", lambda name: torch.device("cpu"))
    monkeypatch.setattr(device_kernels, "STRETCH", 64)
    merged(folders, method, tmp_path / "there", weights=[1.0, 2.0, 0.5], **said)
    here, there = tiny.read(tmp_path / "cpu"), tiny.read(tmp_path / "there")
    for name, x in here.items():
        assert np.allclose(x, there[name], rtol=1e-6, atol=1e-6)


def test_a_gpu_that_is_not_here_is_told_before_anything_is_written(tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    _, folders, _, _ = tiny.family(tmp_path, 2)
    with pytest.raises(UsageError, match="no CUDA device here"):
        merged(folders, "linear", tmp_path / "out", How(device="cuda:0"))
    assert not draft_of(tmp_path / "out").exists()
