"""`renga index`, `review`, `train-attribute`, and cooperation written as plans."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from renga.boundary import enter
from renga.cli import run
from renga.errors import UsageError
from renga.models.contract import Prompt, Sampling
from renga.models.cooperation.detect import Mark
from renga.models.cooperation.guard import Checked, Finding
from renga.models.cooperation.retrieve import Cited
from renga.models.cooperation.review import ReviewQueue
from renga.models.cooperation.soft import SoftCompressor, train_soft
from renga.models.cooperation.spans import Span
from renga.models.cooperation.verdicts import Weights
from renga.models.local import LocalModel
from renga.models.plans.build import Leaf, build
from renga.models.plans.language import parse
from renga.models.responders import respond_by
from tests.models.tiny_models import chat_tokenizer, llama, save_folder
from tests.models.tiny_weights import random_adapter, tiny

Renga = Callable[..., tuple[int, str, str]]


@pytest.fixture
def renga(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Renga:
    monkeypatch.chdir(tmp_path)

    def renga(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = enter([str(argument) for argument in arguments], run)
        return (status, *capsys.readouterr())

    return renga


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "ferry.md").write_text("The ferry leaves at nine. Tickets cost 40 crowns.")
    (tmp_path / "notes" / "mine.html").write_text("<p>The mine at Lund closed in 1926.</p>")
    return tmp_path / "notes"


def test_an_index_is_made_updated_and_asked(renga: Renga, notes: Path) -> None:
    status, _, err = renga("index", notes, "--out", "n.db")
    assert status == 0 and "2 documents added" in err
    (notes / "ferry.md").unlink()
    status, out, _ = renga(
        "index", notes, "--out", "n.db", "--complete", "--ask", "When did the mine close?", "--json"
    )
    said = json.loads(out)
    assert status == 0 and (said["removed"], said["kept"], said["passages"]) == (1, 1, 1)
    assert said["found"][0]["citation"] == "mine.html, characters 0–32"


def test_an_index_of_nothing_and_a_broken_one(renga: Renga, notes: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.db").write_bytes(b"nonsense" * 99)
    for arguments, status in (
        (["index", "none.md", "--out", "n.db"], 2),
        (["index", notes, "--out", "bad.db"], 1),
    ):
        found, out, err = renga(*arguments)
        assert (found, out) == (status, "") and err.startswith("renga: ") and err.count("\n") <= 2


def test_a_person_judges_and_the_detectors_learn(
    renga: Renga, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = ReviewQueue(tmp_path / "r.db")
    for score in (0.5, 0.6, 0.7, 0.8):
        finding = Finding((Mark(Span(0, 2), score, "doubtful", "exact"),), (), score)
        queue.ask(f"q\x1b[31m {score}", "an answer", finding, seconds=600)
    queue.close()
    status, out, _ = renga("review", "r.db", "--list")
    assert status == 0 and out.index("doubt 0.50") < out.index("doubt 0.80") and "\x1b" not in out
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\nc\nbetter\ns\nn\n"))
    status, _, err = renga("review", "r.db")
    assert status == 0 and "nothing waits" in err
    assert [v.right for v in ReviewQueue(tmp_path / "r.db").verdicts()] == [True, False, False]
    assert len(json.loads(renga("review", "r.db", "--json")[1])) == 1
    assert renga("review", "r.db", "--export", "e.jsonl")[0] == 0
    assert [json.loads(line)["response"] for line in (tmp_path / "e.jsonl").read_text().splitlines()] == [
        "an answer",
        "better",
    ]
    assert renga("review", "r.db", "--train", "w.json")[0] == 0
    assert 0 < Weights.load(tmp_path / "w.json").score({}) < 1
    assert renga("review", "missing.db")[0] == 2


def test_verdicts_teach_a_router(renga: Renga, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # a located model sets it
    folder = save_folder(tmp_path / "model", llama(), chat_tokenizer())
    queue = ReviewQueue(tmp_path / "r.db")
    for number, right in enumerate((True, False, False)):
        item = queue.ask(f"q {number}", "an answer", Finding(), seconds=600)
        queue.judge(item, right, "better" if number == 1 else None)
    queue.close()
    how = ("--model", folder, "--out", "router.safetensors")
    status, out, err = renga("train-router", "edge", "edge", "--verdicts", "r.db", *how)
    assert status == 0 and "2 texts" in err and out.startswith("router.safetensors")  # one holds no answer
    for given in (("--verdicts", "none.db"), ()):
        status, _, err = renga("train-router", "edge", "edge", *given, *how)
        assert status == 2 and err.count("\n") <= 2


def test_a_predictor_is_trained_and_measured(renga: Renga, tmp_path: Path) -> None:
    for name, words in (("sea", ("ship", "sail")), ("bread", ("oven", "dough"))):
        lines = [
            json.dumps({"prompt": f"{i}", "response": f"the {words[i % 2]} number {i}"}) for i in range(30)
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    status, out, _ = renga(
        "train-attribute", "sea.jsonl", "bread.jsonl", "--out", "sea.safetensors", "--json"
    )
    said = json.loads(out)
    assert status == 0 and said["auroc"] == 1.0 and said["held_out"] == 12
    assert (tmp_path / "sea.safetensors").is_file()
    assert renga("train-attribute", "sea.jsonl", "none.jsonl", "--out", "x")[0] == 2


def test_a_soft_compressor_is_trained(renga: Renga, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # a located model sets it
    folder = save_folder(tmp_path / "model", llama(), chat_tokenizer())
    lines = (
        {"prompt": "The mine closed.\nWhen?", "response": "1926"},
        {"prompt": "no passage", "response": "x"},
    )
    (tmp_path / "p.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    how = ("--model", folder, "--host", folder, "--slots", 3, "--epochs", 1)
    status, out, _ = renga("train-soft", "p.jsonl", "--out", "s.safetensors", *how, "--json")
    said = json.loads(out)
    assert status == 0 and (said["texts"], said["slots"]) == (1, 3)
    assert SoftCompressor.load(tmp_path / "s.safetensors").bytes_per_slot == said["bytes_per_slot"]
    (tmp_path / "p.jsonl").write_text('{"prompt": "no passage", "response": "x"}\n')
    assert renga("train-soft", "p.jsonl", "--out", "x", *how)[0] == 2


@pytest.fixture(scope="module")
def names() -> dict[str, Leaf]:
    weights = tiny("llama")
    models = {"edge": LocalModel(weights), "clinic": LocalModel(weights, random_adapter(weights))}
    return {name: Leaf(name, partial(models.get, name)) for name in models}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "plan",
    [
        "contrast(clinic, edge, strength=0.5)",
        "contrast(edge, view(edge, 1))",
        "dola(edge, layers='high')",
        "steer(edge, clinic, edge, strength=1.5)",
        "steer(edge, offsets(clinic, edge))",
        "dexperts(edge, clinic, edge)",
        "speculate(clinic, steer(edge, clinic, edge))",
        "gedi(edge, clinic, conditioned(edge, 'Say it plainly.'), top=20)",
        "search(edge, loglik(clinic), k=2, steps=1)",
        "search(edge, likelihood(clinic), k=2, steps=1)",
        "compress(edge, 60, method='truncate')",
        "speculate(edge, soft(clinic, edge, 's.safetensors'))",
        "guard(edge, likelihood(clinic), crosscheck(clinic, max_tokens=4), then='correct')",
        "guard(edge, exact(passages('n.db')), facts('facts.tsv'), then='escalate', escalate=clinic)",
        "retrieve(edge, passages('n.db'), graph('facts.tsv', clinic), k=2, room=40)",
        "retrieve(edge, relay(passages('n.db'), graph('facts.tsv')), k=2, room=40)",
        "retrieve(speculate(edge, clinic), database('facts.db'), room=40)",
    ],
)
def test_cooperation_as_plans(
    renga: Renga, notes: Path, tmp_path: Path, names: dict[str, Leaf], plan: str
) -> None:
    import sqlite3

    renga("index", notes, "--out", "n.db")
    (tmp_path / "facts.tsv").write_text("mine\tlies_in\tLund\n")
    db = sqlite3.connect(tmp_path / "facts.db")
    db.executescript("CREATE TABLE mine (name TEXT, closed INTEGER); INSERT INTO mine VALUES ('Lund', 1926)")
    db.close()
    if "soft" in plan:
        edge = names["edge"].open()
        train_soft(edge, edge, [("The mine closed.", "When?", "1926")], slots=2, epochs=1).save(  # type: ignore[arg-type]
            tmp_path / "s.safetensors"
        )
    model = build(parse(plan), names)
    pieces = list(respond_by(model, Prompt("When did the mine close?"), Sampling(max_tokens=6)))
    if plan.startswith("retrieve"):
        assert isinstance(pieces[-1], Cited) and pieces[-1].citations
    if plan.startswith("guard"):
        assert isinstance(pieces[-1], Checked)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ("retrieve(edge, passages('none.db'))", "no such index"),
        ("retrieve(edge, edge)", "source"),
        ("guard(edge, edge)", "detector"),
        ("guard(edge, likelihood(clinic), then='cry')", "then"),
        ("guard(edge, likelihood(clinic), then='escalate')", "nobody is there"),
        ("compress(edge, 60, method='word')", "word"),
        ("contrast(edge, compress(edge, 60))", "model"),
        ("steer(edge, clinic, strength='much')", "strength"),
        ("guide(edge, 'none.safetensors')", "no attribute"),
        ("soft(edge, edge, 'none.safetensors')", "no soft compressor"),
    ],
)
def test_plans_of_cooperation_that_can_not_be(
    renga: Renga, names: dict[str, Leaf], plan: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        build(parse(plan), names)
