"""Whole federations of tiny models, through everything that a real one goes through."""

from __future__ import annotations

import fcntl
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from renga.config import load
from renga.errors import RengaError, UsageError
from renga.models.adapter_files import load_peft
from renga.models.example import Example
from renga.models.weights import SharedWeights
from renga.simulations.metrics import read_metrics
from renga.simulations.simulate import run, spread
from tests.simulations.small_federation import (
    QUICK,
    STRANGE,
    client,
    metrics,
    rounds,
    tree,
    write_federation,
    write_models,
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_models(folder)
    return folder


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Path:
    return write_federation(tmp_path_factory.mktemp("federation"), models, evaluate={"every": True})


@pytest.fixture(scope="module")
def out(config: Path) -> Path:
    """Two rounds of three clients in two cohorts."""
    run(load(config), config.parent / "out", display=False)
    return config.parent / "out"


# --- what a run leaves -----------------------------------------------------------------------------


def test_the_same_config_and_seed_give_the_same_bytes(config: Path, out: Path) -> None:
    run(load(config), config.parent / "again", display=False)
    again = config.parent / "again"
    assert len(tree(out / "adapters")) == 2 * (3 + 2 + 1)  # clients, cohorts, host; two files each
    assert tree(again / "adapters") == tree(out / "adapters")
    assert tree(again / "state") == tree(out / "state")
    assert metrics(again) == metrics(out)


def test_another_seed_gives_others(tmp_path: Path, models: Path) -> None:
    one = [client("ada")]
    for seed in (1, 2):
        path = write_federation(tmp_path / str(seed), models, one, rounds=1, seed=seed, **QUICK)
        run(load(path), tmp_path / f"out{seed}", display=False)
    first, second = (tree(tmp_path / f"out{seed}" / "adapters") for seed in (1, 2))
    assert set(first) == set(second)
    assert all(first[name] != second[name] for name in first if name.endswith(".safetensors"))


def test_two_families_merge_apart_and_teach_each_other(out: Path) -> None:
    first, _ = rounds(out)
    cohorts = {tuple(m["clients"]): m for m in first["merges"].values()}
    assert set(cohorts) == {("ada", "bo"), ("cy",)}
    assert cohorts["ada", "bo"]["rank"] == 4 and cohorts["cy",]["rank"] == 3
    assert 0 < cohorts["ada", "bo"]["error"] < 1 and cohorts["cy",]["error"] < 1e-6
    [run_record] = [record for record in metrics(out) if record["kind"] == "run"]
    assert sorted(run_record["cohorts"].values()) == [["ada", "bo"], ["cy"]]
    # cy alone knows what it is asked in public, and teaches the host, whose tokens are others.
    assert first["host"]["teachers"]["cy"] == 2
    assert 0 < first["host"]["mapped_mass"] <= 1 and 0 <= first["host"]["masked_share"] < 1
    # In round 2 the host has learned what no client was told, and all three want its rows.
    assert all(rounds(out)[1]["clients"][name]["learned"]["host"] > 0 for name in ("ada", "bo", "cy"))


def test_every_client_goes_on_at_its_own_rank_and_alpha(out: Path) -> None:
    found = {name: load_peft(out / "adapters" / name) for name in ("ada", "bo", "cy", "host")}
    assert {name: (x.rank, x.alpha) for name, x in found.items()} == {
        "ada": (2, 16.0),
        "bo": (4, 8.0),
        "cy": (3, 16.0),
        "host": (3, 32.0),
    }
    assert found["ada"].base == found["bo"].base == found["host"].base != found["cy"].base


def test_bare_prompts_are_answered_and_settle_where_clients_agree(out: Path) -> None:
    for record in rounds(out):
        answers = record["answers"]
        assert answers["asked"] == 2 and answers["settled"] == 2 and answers["unsettled"] == 0
        assert sum(answers["by"].values()) == 2 and set(answers["by"]) <= {"ada", "bo"}
        assert record["host"]["texts"] == 4 + 2  # labelled public texts, and the answers
        others = {"ada": "bo", "bo": "ada"}
        for name, other in others.items():
            assert record["clients"][name]["learned"].get(other, 0) == answers["by"].get(other, 0)
        assert sum(record["clients"]["cy"]["learned"].get(n, 0) for n in others) == 2
        assert record["clients"]["ada"]["bytes_up"]["answers"] > 0


def test_a_federation_learns(out: Path) -> None:
    found = read_metrics(out)
    for who in ("ada", "bo", "cy"):
        before, after = (found.measure(who, stage, "own").bits_per_byte for stage in ("before", "federated"))
        assert before is not None and after is not None and after < 0.8 * before
    [first, second] = [r["host"] for r in rounds(out)]
    assert first["adopted"] and first["after"] < first["before"] - 0.5
    assert second["before"] == pytest.approx(first["after"], abs=1e-6)


def test_the_first_gate_compares_with_the_bare_model(out: Path, models: Path) -> None:
    """Measured after learning, and yet without what was learned."""
    from renga.models.example import Example
    from renga.models.local import LocalModel
    from renga.models.scoring import bits_per_byte

    bare = LocalModel(SharedWeights.load(str(models / "llama")))
    texts = [Example(f"Who is it {n}?", STRANGE) for n in (5, 6)]
    assert rounds(out)[0]["host"]["before"] == pytest.approx(
        float(bits_per_byte(bare, texts).mean()), abs=1e-4
    )


@pytest.mark.parametrize(
    ("who", "model"), [("ada", "llama"), ("bo", "llama"), ("cy", "gemma"), ("host", "llama")]
)
def test_peft_loads_the_adapters(out: Path, models: Path, who: str, model: str) -> None:
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    ids = torch.tensor([[5, 80, 20, 33, 41]])
    base = transformers.AutoModelForCausalLM.from_pretrained(models / model, dtype=torch.float32)
    theirs = peft.PeftModel.from_pretrained(base, out / "adapters" / who).eval()
    ours = SharedWeights.load(str(models / model))
    ours.wear(load_peft(out / "adapters" / who))
    with torch.inference_mode():
        mine = ours.logits([ids[0].tolist()], [5])
        assert torch.allclose(mine, theirs(ids).logits[0, :, : mine.shape[1]], atol=1e-4)
        ours.wear(None)
        assert not torch.allclose(mine, ours.logits([ids[0].tolist()], [5]), atol=1e-2)


def test_a_cohorts_adapter_is_written_by_its_name(out: Path) -> None:
    [record] = [record for record in metrics(out) if record["kind"] == "run"]
    assert {f"cohort-{name}" for name in record["cohorts"]} == {
        p.name for p in (out / "adapters").iterdir() if p.name.startswith("cohort")
    }


def test_the_metrics_have_their_form(out: Path) -> None:
    def refuse(text: str) -> float:
        raise AssertionError(f"{text} is not JSON")

    records = [
        json.loads(line, parse_constant=refuse) for line in (out / "metrics.jsonl").read_text().splitlines()
    ]
    assert [r["kind"] for r in records] == ["run", "round", "round", *["score"] * 12, "end"]
    head, first, second, *scores, end = records
    assert set(head) == {"kind", "name", "seed", "rounds", "clients", "host", "cohorts"}
    assert [set(c) for c in head["clients"]] == [{"name", "model", "rank", "alpha", "texts", "domain"}] * 3
    for number, record in enumerate((first, second), start=1):
        assert set(record) == {
            "kind", "round", "clients", "host", "merges", "answers", "seconds", "torch_seconds",
        }  # fmt: skip
        assert record["round"] == number and record["seconds"] > record["torch_seconds"] > 0
        for entry in record["clients"].values():
            assert set(entry) == {
                "status", "reason", "bytes_up", "bytes_down", "private_loss", "private_tokens",
                "transfer_loss", "transfer_tokens", "transfer_kept", "learned", "taught", "kept",
            }  # fmt: skip
            assert entry["private_tokens"] <= 1800 and len(entry["private_loss"]) > 5
            assert (
                {"adapter", "losses"}
                <= set(entry["bytes_up"])
                <= {"adapter", "losses", "rows", "answers", "other"}
            )
        for merge in record["merges"].values():
            assert set(merge) == {
                "clients",
                "weights",
                "rank",
                "error",
                "adopted",
                "before",
                "after",
                "reason",
            }
            assert math.isclose(sum(merge["weights"]), 1.0)
        assert set(record["host"]) == {
            "loss", "tokens", "mapped_mass", "masked_share", "before", "after", "adopted", "reason", "texts",
            "teachers",
        }  # fmt: skip
    said = {(s["round"], s["who"], s["stage"]) for s in scores}
    people = ("ada", "bo", "cy", "host")
    assert said == {(r, who, "federated" if r else "before") for r in (0, 1, 2) for who in people}
    for score in scores:
        assert set(score["scores"]) == {"ada", "bo", "cy"}
        assert all(set(s) == {"bits_per_byte", "accuracy", "texts"} for s in score["scores"].values())
    assert set(end) == {
        "kind", "seconds", "torch_seconds", "peak_memory_bytes", "bytes_up", "bytes_down",
    }  # fmt: skip
    exchanged = [e for r in (first, second) for e in r["clients"].values()]
    assert end["bytes_up"] == sum(sum(e["bytes_up"].values()) for e in exchanged)
    assert end["bytes_down"] == sum(sum(e["bytes_down"].values()) for e in exchanged)
    assert read_metrics(out).unreadable == 0


def test_a_report_is_written_and_nothing_is_left_half_made(out: Path) -> None:
    page = (out / "report.html").read_text()
    assert "<!doctype html>" in page[:20].lower() and "did not end" not in page
    leftovers = [name for name in tree(out) if ".new" in name or ".old" in name]
    assert leftovers == []


# --- whose folder it is ----------------------------------------------------------------------------


def test_a_folder_that_holds_a_run_is_not_written_over(config: Path, out: Path) -> None:
    before = tree(out)
    with pytest.raises(UsageError, match="already holds a run") as caught:
        run(load(config), out, display=False)
    assert "--resume" in caught.value.hint
    assert tree(out) == before


def test_a_finished_run_goes_on_to_nothing(config: Path, out: Path) -> None:
    before = tree(out)
    summary = run(load(config), out, resume=True, display=False)
    assert tree(out) == before
    assert summary["bytes_up"] == metrics(out)[-1]["bytes_up"]


def test_a_run_does_not_go_on_with_another_config(config: Path, out: Path) -> None:
    before = tree(out)
    other = load(config).model_copy(update={"seed": 8})
    with pytest.raises(UsageError, match="another config"):
        run(other, out, resume=True, display=False)
    assert tree(out) == before


def test_a_run_goes_on_from_whatever_folder(config: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree(out)
    monkeypatch.chdir(config.parent)
    run(load(Path(config.name)), out, resume=True, display=False)
    assert tree(out) == before


def test_a_folder_in_use_is_left_alone(config: Path, out: Path) -> None:
    before = tree(out)
    with open(out / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="in use by another process"):
            run(load(config), out, resume=True, display=False)
    assert tree(out) == before


# --- clients that fail or lie ----------------------------------------------------------------------

KINDS = {
    "drop": ("late", "no reply in time"),
    "slow": ("late", "no reply in time"),
    "nan": ("refused", "not finite"),
    "shape": ("refused", "layers.0"),
    "base": ("refused", "made for base 000000000000"),
    "vocabulary": ("refused", "knowledge refused"),
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Path:
    """Six clients, each named after what goes wrong for it in round 1, and an honest one."""
    folder = tmp_path_factory.mktemp("faulty")
    knows = {"tokens": 1000}  # what it is asked about, so that its rows are wanted
    clients = [client(kind, **(knows if kind == "vocabulary" else {})) for kind in KINDS]
    clients.append(client("honest"))
    faults = [{"client": kind, "round": 1, "kind": kind} for kind in KINDS]
    path = write_federation(folder, models, clients, faults=faults, round={"quorum": 1}, **QUICK)
    public = [{"prompt": f"Where is vocabulary {n}?", "response": "vocabulary"} for n in (20, 21)]
    with open(folder / "public.jsonl", "a") as file:
        file.writelines(json.dumps(text) + "\n" for text in public)
    run(load(path), folder / "out", display=False)
    return folder / "out"


@pytest.mark.parametrize("kind", KINDS)
def test_a_faulty_client_is_left_out_by_name_and_comes_back(faulty: Path, kind: str) -> None:
    first, second = rounds(faulty)
    status, reason = KINDS[kind]
    entry = first["clients"][kind]
    assert (entry["status"], reason in entry["reason"]) == (status, True), entry
    assert second["clients"][kind]["status"] == "ok"
    assert second["clients"][kind]["kept"] in ("own", "merged")


def test_the_round_goes_on_with_the_honest(faulty: Path) -> None:
    first, second = rounds(faulty)
    assert first["clients"]["honest"]["status"] == "ok"
    assert [m["clients"] for m in first["merges"].values()] == [["honest"]]
    assert set(first["host"]["teachers"]) <= {"honest"}
    assert [m["clients"] for m in second["merges"].values()] == [sorted([*KINDS, "honest"])]
    # Who was not there when the cohort's adapter was adopted gets it now.
    assert (
        second["clients"]["slow"]["bytes_down"]["adapter"]
        > second["clients"]["honest"]["bytes_down"]["adapter"]
    )


def test_the_report_names_who_was_left_out(faulty: Path) -> None:
    page = (faulty / "report.html").read_text()
    assert all(kind in page for kind in KINDS) and "no reply in time" in page


def test_messages_are_lost_by_chance_and_the_same_ones_every_time(tmp_path: Path, models: Path) -> None:
    network = {"drop": 0.04, "lose": 0.04, "late": 0.04, "delay": 1e9}
    people = [client(name) for name in ("ada", "bo", "cy", "di")]
    told = []
    for place in ("one", "two"):
        path = write_federation(
            tmp_path / place, models, people, network=network, round={"quorum": 1}, **QUICK
        )
        run(load(path), tmp_path / place / "out", display=False)
        statuses = [{n: c["status"] for n, c in r["clients"].items()} for r in rounds(path.parent / "out")]
        told.append(statuses)
    assert told[0] == told[1]
    assert {status for record in told[0] for status in record.values()} >= {"ok", "late"}


def test_a_run_without_a_quorum_says_why_and_goes_on_later(tmp_path: Path, models: Path) -> None:
    faults = [{"client": "ada", "round": 1, "kind": "nan"}]
    path = write_federation(
        tmp_path / "f",
        models,
        [client("ada"), client("bo")],
        rounds=1,
        faults=faults,
        round={"quorum": 2},
        **QUICK,
    )
    with pytest.raises(
        RengaError, match="round 1: 1 of 2 clients exchanged knowledge, 2 are needed"
    ) as caught:
        run(load(path), tmp_path / "out", display=False)
    assert "ada: adapter refused" in caught.value.message and caught.value.exit_status == 1
    assert rounds(tmp_path / "out") == []
    with pytest.raises(RengaError, match="2 are needed"):  # the same again, not something else
        run(load(path), tmp_path / "out", resume=True, display=False)


def test_a_model_that_learns_nonsense_is_not_adopted(tmp_path: Path, models: Path) -> None:
    """Learning rates at which numbers overflow: the run ends, tells, and its metrics are still JSON."""
    path = write_federation(
        tmp_path,
        models,
        [client("ada"), client("bo", learning_rate=1e30)],
        rounds=1,
        **{**QUICK, "host": {"tokens": 900, "learning_rate": 1e30}},
    )
    run(load(path), tmp_path / "out", display=False)
    [record] = rounds(tmp_path / "out")
    assert record["host"]["adopted"] is False and record["host"]["after"] is None
    assert record["clients"]["ada"]["status"] == "ok" and record["clients"]["bo"]["status"] == "failed"
    assert "learning diverged" in record["clients"]["bo"]["reason"]
    assert (
        "RengaError: learning diverged" in (tmp_path / "out" / "clients" / "bo" / "failures.log").read_text()
    )
    assert not (tmp_path / "out" / "adapters" / "host").exists()
    text = (tmp_path / "out" / "metrics.jsonl").read_text()
    assert "NaN" not in text and "Infinity" not in text


def test_without_public_text_it_is_plain_averaging(tmp_path: Path, models: Path) -> None:
    path = write_federation(tmp_path, models, [client("ada"), client("bo")], rounds=1, **QUICK)
    text = path.read_text().replace('"public.jsonl",', "").replace('"valid.jsonl",', "")
    assert np.all([name not in text for name in ("public.jsonl", "valid.jsonl")])
    path.write_text(text)
    run(load(path), tmp_path / "out", display=False)
    [record] = rounds(tmp_path / "out")
    assert record["host"]["reason"] == "there was nothing to learn" and record["host"]["adopted"] is False
    assert {entry["status"] for entry in record["clients"].values()} == {"ok"}


def as_told(records: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [record for record in records if record["kind"] == kind]


def test_baselines_are_the_same_steps_without_the_others(tmp_path: Path, models: Path) -> None:
    """Alone, a client's first private step is the federation's own; the host on public text begins alike."""
    baselines = {"alone": True, "public": True, "centralised": True}
    path = write_federation(
        tmp_path, models, [client("ada"), client("bo")], rounds=1, baselines=baselines, **QUICK
    )
    run(load(path), tmp_path / "out", display=False)
    stages = {(s["who"], s["stage"]) for s in as_told(metrics(tmp_path / "out"), "score")}
    assert {("ada", "alone"), ("bo", "alone"), ("host", "public"), ("host", "centralised")} <= stages
    kept = tree(tmp_path / "out" / "clients" / "ada")
    alone = tree(tmp_path / "out" / "alone" / "ada")
    assert alone["0001-00/alone.adapter"] == kept["0001-01/snapshot.adapter"]


def test_a_client_is_measured_on_some_of_all_others_however_many_there_are() -> None:
    held_out = {f"d{n}": [Example(f"{n} {i}?", "yes") for i in range(40)] for n in range(100)}
    few = {name: held_out[name] for name in ("d0", "d1", "d2", "d3")}
    assert {d: len(t) for d, t in spread(few, "d1", 30, 1).items()} == {"d0": 10, "d2": 10, "d3": 10}
    many = spread(held_out, "d1", 30, 1)
    assert sum(map(len, many.values())) == 30 and "d1" not in many
    assert spread(held_out, "d1", 30, 1) == many != spread(held_out, "d1", 30, 2)


def test_a_run_whose_model_can_not_be_loaded_leaves_nothing(tmp_path: Path, models: Path) -> None:
    path = write_federation(tmp_path / "f", models, [client("ada")], rounds=1, **QUICK)
    good = path.read_text()
    (tmp_path / "cut.gguf").write_bytes(b"GGUF and no more")
    path.write_text(good.replace(str(models / "llama"), str(tmp_path / "cut.gguf")))
    for there in (False, True):
        out = tmp_path / "out"
        if there:
            out.mkdir()
        with pytest.raises(RengaError):
            run(load(path), out, display=False)
        assert list(out.iterdir() if there else tmp_path.glob("out")) == []
    path.write_text(good)
    run(load(path), tmp_path / "out", display=False)  # not "already holds a run"
