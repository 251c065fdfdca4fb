"""Plans that the server runs: the text is the plan's, what it took is told, and nobody asks for too much."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest

from renga.client.lending import Lender
from renga.client.policy import Policy
from renga.errors import UsageError
from renga.models.batching import BatchedModel
from renga.models.contract import Clearance, LanguageModel, Prompt, Sampling
from renga.models.ensemble.cascade import cascade
from renga.models.ensemble.fuse import fuse
from renga.models.ensemble.selection import select
from renga.models.local import LocalModel
from renga.models.responders import answer_by
from renga.protocol import link_pb2 as wire
from renga.protocol.link_pb2_grpc import LinkStub
from renga.server.answering import Answering, AnswerLimits
from renga.server.host import Host
from renga.server.plans import HOST, Bounds, Plans
from renga.server.sessions import HostSessions
from tests.models.tiny_weights import random_adapter, tiny
from tests.server.link_world import World, world
from tests.server.test_link import doubling

PUBLIC = Prompt("Who counts?", Clearance.PUBLIC)
WEIGHTS, THEIRS = tiny("llama"), tiny("llama")
TUNED = random_adapter(THEIRS, seed=3)
SAID = Sampling(max_tokens=10)


class Counted:
    """A host whose feeds are counted, and wait at the gate while it is shut."""

    def __init__(self) -> None:
        self.inner = LocalModel(WEIGHTS)
        self.vocabulary, self.offers = self.inner.vocabulary, self.inner.offers
        self.feeds = 0
        self.gate = threading.Event()

    def open(self, prompt: Prompt) -> Any:
        session, model = self.inner.open(prompt), self

        class Session:
            def feed(self, *arguments: Any) -> Any:
                model.gate.wait(20)
                model.feeds += 1
                return session.feed(*arguments)

            rewind = session.rewind

        return Session()


COUNTED = Counted()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    host = cast(Host, SimpleNamespace(weights=WEIGHTS, adapter=None, turn=threading.Lock()))
    sessions = HostSessions(host)
    made: World

    def models() -> dict[str, Any]:
        lent = {
            told.name: (lambda name=told.name: made.lending.model(name, THEIRS.vocabulary))
            for told in made.lending.described()
        }
        return {HOST: sessions.model, "counted": lambda: COUNTED, **lent}

    named = {"careful": "select(host, ada, by='loglik')"}
    answering = Answering(Plans(models, named), AnswerLimits(answer_tokens=30))
    with world(tmp_path_factory.mktemp("plans"), sessions, answering) as made:
        lend(made, "ada")
        made.asking = made.enrolled("asking")  # type: ignore[attr-defined]
        yield made


def lend(here: World, name: str) -> None:
    link = here.link(name, doubling(), policy=Policy(lend=True))
    batched = BatchedModel(THEIRS, TUNED)
    link.lender = Lender(name, lambda: batched, link.outbox)
    link.lent = (link.lender.described("tiny", THEIRS.fingerprint),)
    here.attach(link)


def asked(here: World, plan: str, tokens: int = 10, leave: Any = None) -> tuple[str, wire.Usage, Any]:
    """The text, what it used, and (code, details); `leave` is awaited, and then the caller goes."""

    async def ask() -> Any:
        async with here.asking.channel(here.address) as channel:  # type: ignore[attr-defined]
            call = LinkStub(channel).Respond(
                wire.RespondRequest(
                    prompt=PUBLIC.text, clearance=wire.CLEARANCE_PUBLIC, plan=plan,
                    sampling=wire.Sampling(max_tokens=tokens),
                )
            )  # fmt: skip
            if leave is not None:
                reading = asyncio.ensure_future(call.read())
                await leave()
                call.cancel()
                reading.cancel()
                return "", wire.Usage(), (None, "")
            text, usage = "", wire.Usage()
            try:
                async for reply in call:
                    text, usage = text + reply.text, reply.usage
            except grpc.aio.AioRpcError:
                pass
            return text, usage, (await call.code(), await call.details())

    found: tuple[str, wire.Usage, Any] = here.loop.do(ask())
    return found


MINE: LanguageModel = LocalModel(WEIGHTS)
HERS: LanguageModel = LocalModel(THEIRS, TUNED)


@pytest.mark.parametrize(
    ("plan", "same"),
    [
        ("fuse(host, ada, weights=[.3, .7], rows=0)", lambda: fuse(MINE, HERS, weights=[0.3, 0.7])),
        ("speculate(lookup(), fuse(host, ada, rows=0))", lambda: fuse(MINE, HERS)),
        ("ada", lambda: HERS),
        ("careful", lambda: select(MINE, HERS, by="loglik")),
        ("cascade(ada, host, judge='loglik')", lambda: cascade(HERS, MINE, judge="loglik")),
    ],
)  # fmt: skip
def test_the_text_is_the_plans_own_and_what_it_took_is_told(here: World, plan: str, same: Any) -> None:
    text, usage, (code, details) = asked(here, plan)
    assert code is grpc.StatusCode.OK, details
    assert text == answer_by(same(), PUBLIC, SAID)
    assert usage.plan == plan and usage.passes > 0 and usage.tokens_read > 10 and usage.seconds > 0
    assert usage.tokens_written >= 1 and not usage.left_out


def test_a_lender_that_goes_is_left_out_and_the_answer_says_so(here: World) -> None:
    lend(here, "bo")
    model = here.lending.model("bo", THEIRS.vocabulary)
    plans = Plans(lambda: {HOST: lambda: MINE, "bo": lambda: model})
    made = plans.made("fuse(host, bo)", threading.Event())
    pieces = made.respond(PUBLIC, Sampling(max_tokens=12))
    said = [next(pieces).text for _ in range(2)]
    here.detach("bo")
    said += [piece.text for piece in pieces]
    assert len("".join(said)) > 2
    assert len(made.left_out) == 1 and made.left_out[0].startswith("bo was left out from token")
    assert asked(here, "fuse(host, bo)")[2][0] is grpc.StatusCode.INVALID_ARGUMENT  # it lends nothing now


def test_no_more_is_read_when_the_caller_goes_between_whole_answers(here: World) -> None:
    before = COUNTED.feeds

    async def under_way() -> None:
        COUNTED.gate.set()
        while COUNTED.feeds < before + 3:
            await asyncio.sleep(0.005)

    asked(here, "select(counted, n=8)", 30, under_way)
    here.wait_for(lambda: here.answering is not None and not any(here.answering._busy.values()))
    made = COUNTED.feeds
    assert made < before + 60  # of 240
    assert asked(here, "counted", 4)[2][0] is grpc.StatusCode.OK
    assert COUNTED.feeds <= made + 6


@pytest.mark.parametrize(
    ("plan", "code", "said"),
    [
        ("hots", grpc.StatusCode.NOT_FOUND, "did you mean 'host'"),
        ("fuze(host, ada)", grpc.StatusCode.INVALID_ARGUMENT, "did you mean 'fuse'"),
        ("fuse(host, adda)", grpc.StatusCode.INVALID_ARGUMENT, "did you mean 'ada'"),
        ("fuse(host", grpc.StatusCode.INVALID_ARGUMENT, "can't be read"),
        ("fuse(host, ada, weights=[1])", grpc.StatusCode.INVALID_ARGUMENT, "2 models and 1 weights"),
        ("route(host, ada, router='/etc/passwd')", grpc.StatusCode.INVALID_ARGUMENT, "does not run route"),
        ("select(host, judge=reward('/etc/passwd', host), n=2)", grpc.StatusCode.INVALID_ARGUMENT,
         "does not run reward"),
        ("fuse(host, ada, align='relative')", grpc.StatusCode.INVALID_ARGUMENT, "does not run fuse"),
        ("select(host, n=1000)", grpc.StatusCode.INVALID_ARGUMENT, "n is 1000; this server goes up to 8"),
        ("select(" + "host, " * 20 + "n=1)", grpc.StatusCode.INVALID_ARGUMENT, "21 parts"),
        ("fuse(" * 9 + "host" + ")" * 9, grpc.StatusCode.INVALID_ARGUMENT, "nested deeper"),
    ],
)  # fmt: skip
def test_what_a_server_does_not_run(here: World, plan: str, code: Any, said: str) -> None:
    _, _, (found, details) = asked(here, plan)
    assert found is code and said in details


def test_a_server_may_run_its_own_plans_alone() -> None:
    models: Any = {HOST: lambda: MINE}
    plans = Plans(lambda: models, {"twice": "select(host, n=2)"}, Bounds(written=False))
    assert plans.names == [HOST, "twice"]
    plans.made("twice", threading.Event())
    with pytest.raises(UsageError, match="no plans of others"):
        plans.made("select(host, n=2)", threading.Event())


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"bad": "fuze(host)"}, "plans.bad: there is no strategy 'fuze'"),
        ({"bad": "select(host, n='two')"}, "plans.bad: select: n="),
        ({HOST: "ada"}, "plans.host"),
        ({"two words": "host"}, "needs another name"),
    ],
)
def test_an_operators_plan_is_read_when_the_server_starts(named: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Plans(dict, named)
