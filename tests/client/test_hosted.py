"""Models at the other end as a client's plans see them: described, opened by name, released and noted."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from renga.boundary import enter
from renga.cli import run
from renga.client.enrolment import enrol
from renga.client.federation import Federation, ServerPlan
from renga.client.hosted import HostedModels, is_client
from renga.client.lending import Lender
from renga.client.policy import Policy
from renga.errors import RengaError, UsageError
from renga.models.batching import BatchedModel
from renga.models.contract import Clearance, Prompt, Sampling, TopK
from renga.models.cooperation.soft import SoftModel, train_soft
from renga.models.ensemble import measuring
from renga.models.local import LocalModel
from renga.models.responders import answer_by
from renga.models.session_codec import NAMES
from renga.models.weights import SharedWeights
from renga.protocol import link_pb2 as wire
from renga.server.answering import Answering, AnswerLimits
from renga.server.host import Host
from renga.server.plans import HOST, Plans
from renga.server.sessions import HostSessions
from tests.models.tiny_models import chat_tokenizer, llama, save_folder
from tests.models.tiny_weights import random_adapter
from tests.server.link_world import World, world
from tests.server.test_link import doubling

PUBLIC = Prompt("Who counts?", Clearance.PUBLIC)
SAID = Sampling(max_tokens=6)


class There:
    """A server with a host and a lender, and the state folder of a client of it."""

    def __init__(self, made: World, state: Path, weights: SharedWeights, reference: str) -> None:
        self.world, self.state, self.weights, self.reference = made, state, weights, reference


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[There]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HF_HUB_OFFLINE", "1")  # as loading a model does
        folder = tmp_path_factory.mktemp("hosted")
        reference = str(save_folder(folder / "model", llama(), chat_tokenizer()))
        weights = SharedWeights.load(reference)
        host = cast(Host, SimpleNamespace(weights=weights, adapter=None, turn=threading.Lock()))
        sessions = HostSessions(host)
        made: World

        def models() -> dict[str, Any]:
            lent = [told.name for told in made.lending.described()]
            return {HOST: sessions.model} | {
                name: lambda name=name: made.lending.model(name, weights.vocabulary) for name in lent
            }

        answering = Answering(Plans(models, {"twice": "select(host, n=2)"}), AnswerLimits())
        described = wire.Model(
            name="host", reference=reference, base=weights.fingerprint,
            vocabulary=weights.vocabulary.fingerprint, vocabulary_size=weights.vocabulary.size,
            wants=sorted(NAMES),
        )  # fmt: skip
        with world(folder / "world", sessions, answering, [described]) as made:
            lent = made.link("ada", doubling(), policy=Policy(lend=True))
            tuned = BatchedModel(weights, random_adapter(weights, seed=3))
            lent.lender = Lender("ada", lambda: tuned, lent.outbox)
            lent.lent = (lent.lender.described(reference, weights.fingerprint),)
            made.attach(lent)
            state = folder / "state"
            made.loop.do(enrol(made.invite("cy"), state / "keys"))
            (state / "server.json").write_text(json.dumps({"address": made.address}))
            yield There(made, state, weights, reference)


def test_what_a_server_has_is_a_model_here(there: There) -> None:
    assert is_client(there.state) and not is_client(there.state / "nowhere")
    hosted = HostedModels(there.state)
    assert set(hosted.described) == {"host", "ada"} and hosted.plans == ["twice"]
    model = hosted.model("host")
    assert answer_by(model, PUBLIC, SAID) == answer_by(LocalModel(there.weights), PUBLIC, SAID)
    session = hosted.model("ada").open(PUBLIC)
    rows = session.feed([], TopK(4)).logp
    own = LocalModel(there.weights, random_adapter(there.weights, seed=3)).open(PUBLIC).feed([], TopK(4)).logp
    assert rows is not None and own is not None and torch.allclose(rows, own, atol=1e-4)
    session.close()
    ledger = [json.loads(line) for line in (there.state / "ledger.jsonl").read_text().splitlines()]
    assert [entry["kind"] for entry in ledger] == ["session", "session"]


def test_a_raw_prompt_is_not_released(there: There) -> None:
    before = (there.state / "ledger.jsonl").read_bytes() if (there.state / "ledger.jsonl").exists() else b""
    with pytest.raises(RengaError, match="raw"):
        HostedModels(there.state).model("host").open(Prompt("mine"))
    after = (there.state / "ledger.jsonl").read_bytes() if (there.state / "ledger.jsonl").exists() else b""
    assert before == after


def test_who_is_no_client_and_a_server_that_counts_otherwise(there: There, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not the state of a client"):
        HostedModels(tmp_path)
    hosted = HostedModels(there.state)
    hosted.described["host"].vocabulary = "f" * 64
    with pytest.raises(RengaError, match="other tokens"):
        hosted.model("host")


def test_a_plan_by_its_name_is_a_responder(there: There) -> None:
    plan = ServerPlan(lambda: Federation(there.state), "twice")
    assert answer_by(plan, PUBLIC, SAID) == answer_by(LocalModel(there.weights), PUBLIC, SAID)
    assert plan.meter.passes > 6 and plan.meter.bytes_up > 10 and plan.meter.bytes_down > 4


# --------------------------------------------------------------------------------------- by command


Renga = Any


@pytest.fixture
def renga(there: There, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any) -> Renga:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def renga(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = enter([str(argument) for argument in arguments], run)
        return (status, *capsys.readouterr())

    return renga


def test_plans_are_run_where_their_models_are(there: There, renga: Renga) -> None:
    here = ("--state", there.state, "--model", there.reference)
    own = answer_by(LocalModel(there.weights), PUBLIC, SAID)
    for plan in ("host", "twice", "speculate(lookup(), host)", "speculate(edge, host)"):
        status, out, err = renga("ask", PUBLIC.text, "--public", "--plan", plan, "--max-tokens", 6, *here)
        assert status == 0, err
        assert out == own + "\n", plan
        assert ("at the server:" in err) == ("edge" not in plan)
    status, out, _ = renga("plan", "check", "fuse(host, ada)", *here)
    assert status == 0 and "model, at the server" in out
    assert "crosses: the plan (server): the prompt, and the text of the answer, one per answer" in out
    status, out, _ = renga("plan", "check", "select(edge, twice)", *here)
    assert status == 0 and "twice  responder, at the server (a plan that it has)" in out
    status, out, err = renga("ask", PUBLIC.text, "--public", "--plan", "select(edge, twice)", *here)
    assert status == 0, err


def test_slots_are_released_and_read_there(there: There, renga: Renga, tmp_path: Path) -> None:
    edge = LocalModel(there.weights)
    made = train_soft(edge, edge, [("a", "b?", "c")], slots=2, epochs=1)
    made.save(tmp_path / "s.safetensors")
    text = "The ferry leaves at nine.\n\nWhen?"
    own = answer_by(SoftModel(edge, edge, made), Prompt(text), SAID)
    plan = ("--plan", "soft(host, edge, 's.safetensors')", "--max-tokens", 6, "--state", there.state)
    status, out, err = renga("ask", text, "--public", *plan, "--model", there.reference)
    assert status == 0 and out == own + "\n", err
    noted = json.loads((there.state / "ledger.jsonl").read_text().splitlines()[-1])
    assert noted["bytes"] == len("When?") + 2 * made.bytes_per_slot


def test_evaluating_by_a_plan(there: There, renga: Renga, tmp_path: Path) -> None:
    lines = [{"prompt": f"q{i}?", "response": "the fox"} for i in range(2)]
    (tmp_path / "few.jsonl").write_text("\n".join(map(json.dumps, lines)))
    here = ("--data", "few.jsonl", "--state", there.state, "--model", there.reference, "--json")
    status, out, err = renga("eval", "--plan", "fuse(edge, host, rows=0)", "--public", *here)
    assert status == 0, err
    fused = json.loads(out)
    status, out, _ = renga("eval", "--plan", "edge", *here)
    alone = json.loads(out)
    assert fused["bits_per_byte"] == pytest.approx(alone["bits_per_byte"], abs=1e-3)  # the same model twice
    assert fused["bytes_up"] > 0 and fused["bytes_down"] > 0 == alone["bytes_down"]
    assert fused["passes"] > alone["passes"] > 0 and fused["texts"] == 2 and fused["seconds"] >= 0
    status, out, _ = renga("eval", "--plan", "select(edge, host)", "--public", *here)
    assert status == 0 and json.loads(out)["bits_per_byte"] is None  # a responder has no rows
    status, out, err = renga("eval", "--plan", "fuse(edge, host)", *here)
    assert status == 2 and "--public" in err and not out


def test_judges_and_routers_are_trained_and_used(
    there: There, renga: Renga, tmp_path: Path, monkeypatch: Any
) -> None:
    own = answer_by(LocalModel(there.weights), Prompt("q0?"), Sampling(max_tokens=8))
    monkeypatch.setattr(measuring, "SPARE_TOKENS", 8 - len(own.encode()))  # it would go on for ever
    lines: list[dict[str, Any]] = [
        {"prompt": "q0?", "response": own, "choices": [own, "the fox", "over"]},
        {"prompt": "q1?", "response": "the fox", "choices": ["the fox", own]},
        {"prompt": "q2?", "response": "over", "choices": [own, "over"]},
    ]
    (tmp_path / "few.jsonl").write_text("\n".join(map(json.dumps, lines)))
    data, model = ("--data", "few.jsonl"), ("--model", there.reference)
    here = (*data, *model, "--state", there.state)
    for command, told in (
        (("train-ranker", *data, *model), "4 pairs"),
        (("train-reward", *data, *model, "--heads", 2), "2 heads on 4 pairs"),
        (("train-scorer", "edge", *here), "1 of 3 answers were right"),
        (("train-router", "edge", "host", "--samples", 2, *here), "on these texts: edge"),
    ):
        status, out, err = renga(*command)
        assert status == 0 and told in out, err
    status, out, err = renga("plan", "fit", "cascade(edge, host, judge='sure')", *here, "--limit", 2)
    assert status == 0 and out.startswith("cascade(edge, host, judge='sure', accept=["), err
    for plan in (
        "select(edge, host, judge=ranked('ranker.safetensors', edge))",
        "select(edge, host, judge=mbr('embedding', edge), n=2)",
        "cascade(edge, host, judge=scored('scorer.safetensors', edge), accept=.5)",
        "route(edge, host, router='router.safetensors')",
        "fuse(route(edge, host, router='router.safetensors', top=2))",
        "fuse(edge, host, when='boundary')",
    ):
        status, out, err = renga(
            "ask", "q0?", "--public", "--plan", plan, "--max-tokens", 4, *model, "--state", there.state
        )
        assert status == 0 and out.strip(), err
        assert ("fused at 0 of" in err) == ("boundary" in plan)  # the same model twice never disagrees


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ask", "x", "--plan", "fuze(edge, host)"], "did you mean 'fuse'"),
        (["ask", "x", "--plan", "fuse(edge, hots)"], "did you mean 'host'"),
        (["ask", "x", "--plan", "fuse(edge, host, weights=[1, 2, 3])"], "2 models and 3 weights"),
        (["ask", "x", "--plan", "fuse(edge, host, weights=[-1, 2])"], "from 0 up"),
        (["ask", "x", "--plan", "fuse(" * 9 + "edge" + ")" * 9], "nested deeper than 8"),
        (["ask", "x", "--plan", "select(edge, host, by='judge')"], "needs a judge"),
        (["ask", "x", "--plan", "select(edge, host, judge=reward('none', edge))"], "renga train-reward"),
        (["ask", "x", "--plan", "select(edge, host, judge=ranked('none', edge))"], "renga train-ranker"),
        (["ask", "x", "--plan", "cascade(edge, host, judge=scored('none', edge))"], "renga train-scorer"),
        (["ask", "x", "--plan", "route(edge, host, router='none')"], "renga train-router"),
        (["ask", "x", "--plan", "fuse(edge, host, align='relative')"], None),
        (["ask", "x", "--plan", "no.toml"], "can't read no.toml"),
        (["eval", "--plan", "fuse(edge", "--data", "few.jsonl"], "can't be read"),
        (["plan", "check", "lambda: edge"], "no place in a plan"),
        (["plan", "fit", "select(edge, host)", "--data", "few.jsonl"], "a fuse or a cascade"),
        (["plan", "feedback", "none", "--good"], "no bandit"),
        (["train-router", "edge", "--data", "few.jsonl"], "at least two"),
        (["train-router", "edge", "host", "ada", "--samples", "2", "--data", "few.jsonl"], "two models"),
        (["train-ranker", "--data", "few.jsonl"], "no texts with choices"),
        (["train-scorer", "edge", "--data", "few.jsonl"], "are wrong"),
        (["train-scorer", "edgy", "--data", "few.jsonl"], "did you mean 'edge'"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_one_line_before_anything_runs(
    there: There, renga: Renga, tmp_path: Path, arguments: list[str], said: str | None
) -> None:
    (tmp_path / "few.jsonl").write_text('{"prompt": "q?", "response": "the fox"}\n' * 2)
    public = ["--public"] if arguments[0] in ("ask", "eval") else []
    if arguments[0] not in ("plan",) or arguments[1] != "feedback":
        public += ["--model", there.reference]
        if arguments[0] != "train-ranker":
            public += ["--state", str(there.state)]
    status, out, err = renga(*arguments, *public)
    if said is None:  # the host shares the edge's tokens here: nothing to relate
        assert status == 0
        return
    assert status == 2 and not out and said in err, err
    assert err.splitlines()[-2 if "\n  " in err else -1].startswith("renga: ") or "renga: " in err


def test_a_lender_that_goes_in_the_middle_of_an_answer(there: There) -> None:
    """The fused answer goes on without it, and says so; a raw prompt goes to nobody."""
    from renga.models.composed import absences
    from renga.models.ensemble.fuse import fuse
    from renga.models.generate import respond

    model = fuse(LocalModel(there.weights), HostedModels(there.state).model("ada"))
    pieces = respond(model, PUBLIC, Sampling(max_tokens=10))
    said = next(pieces).text
    there.world.detach("ada")
    said += "".join(piece.text for piece in pieces)
    assert len(said) > 1 and "ada was left out" in str(absences(model)[0])
    with pytest.raises(RengaError):
        answer_by(HostedModels(there.state).model("host"), Prompt("q"), SAID)
