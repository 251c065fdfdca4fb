"""Answers over the link: streamed, metered, within limits, and over when the caller goes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest

from renga.models.batching import BatchedModel
from renga.models.contract import Clearance, Prompt, Sampling
from renga.models.generate import respond
from renga.models.local import LocalModel
from renga.models.serving_sessions import SessionLimits
from renga.protocol import link_pb2 as wire
from renga.protocol.link_pb2_grpc import LinkStub
from renga.server.answering import Answering, AnswerLimits
from renga.server.host import Host
from renga.server.plans import HOST, Plans
from renga.server.sessions import HostSessions
from tests.models.tiny_weights import tiny
from tests.server.link_world import World, world

WEIGHTS = tiny("llama")
PUBLIC = Prompt("Who counts?", Clearance.PUBLIC)


class Slow:
    """A model whose feeds wait until they may go on; counts them, and the sessions that are open."""

    def __init__(self) -> None:
        self.inner = BatchedModel(WEIGHTS)
        self.vocabulary, self.offers = self.inner.vocabulary, self.inner.offers
        self.gate = threading.Semaphore(0)
        self.feeds, self.open_ones = 0, 0

    def open(self, prompt: Prompt) -> Any:
        self.open_ones += 1
        session, model = self.inner.open(prompt), self

        class Session:
            def feed(self, *arguments: Any) -> Any:
                model.gate.acquire()
                model.feeds += 1
                return session.feed(*arguments)

            def rewind(self, length: int) -> None:
                session.rewind(length)

            def close(self) -> None:
                session.close()
                model.open_ones -= 1

        return Session()


SLOW = Slow()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    host = cast(Host, SimpleNamespace(weights=WEIGHTS, adapter=None, turn=threading.Lock()))
    sessions = HostSessions(host, SessionLimits(patience=0.05))
    plans = Plans(lambda: {HOST: sessions.model, "slow": lambda: SLOW})
    answering = Answering(plans, AnswerLimits(answer_tokens=30))
    with world(tmp_path_factory.mktemp("answers"), sessions, answering) as made:
        made.host = host  # type: ignore[attr-defined]
        made.ada = made.enrolled("ada")  # type: ignore[attr-defined]
        yield made


def asked(**fields: Any) -> wire.RespondRequest:
    return wire.RespondRequest(**{"prompt": PUBLIC.text, "clearance": wire.CLEARANCE_PUBLIC, **fields})


def answered(here: World, request: wire.RespondRequest) -> tuple[str, wire.Usage, Any]:
    """The text, what it used, and (code, details, trailing metadata)."""

    async def ask() -> Any:
        async with here.ada.channel(here.address) as channel:  # type: ignore[attr-defined]
            call = LinkStub(channel).Respond(request)
            text, usage = "", wire.Usage()
            try:
                async for reply in call:
                    text, usage = text + reply.text, reply.usage
            except grpc.aio.AioRpcError:
                pass
            return text, usage, (await call.code(), await call.details(), await call.trailing_metadata())

    found: tuple[str, wire.Usage, Any] = here.loop.do(ask())
    return found


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_text_is_the_hosts_own_and_its_use_is_counted(here: World, temperature: float) -> None:
    sampling = Sampling(temperature=temperature, max_tokens=12, seed=5)
    own = "".join(piece.text for piece in respond(LocalModel(WEIGHTS), PUBLIC, sampling))
    asks = wire.Sampling(temperature=temperature, max_tokens=12, seed=5)
    text, usage, _ = answered(here, asked(sampling=asks))
    assert text == own and usage.plan == HOST
    assert 1 <= usage.tokens_written <= 12 and usage.passes >= usage.tokens_written
    prompt = len(WEIGHTS.template.prompt_ids(WEIGHTS.tokenizer, PUBLIC.text))
    assert prompt <= usage.tokens_read <= prompt + 2 * usage.tokens_written and usage.seconds > 0


def test_what_a_prompt_took_is_told_after_the_first_piece(here: World) -> None:
    async def ask() -> list[wire.RespondReply]:
        async with here.ada.channel(here.address) as channel:  # type: ignore[attr-defined]
            return [reply async for reply in LinkStub(channel).Respond(asked())]

    first, second, *_, last = here.loop.do(ask())
    assert first.text and second.usage.tokens_written >= 1
    assert last.usage.tokens_read >= second.usage.tokens_read > second.usage.tokens_written


def test_no_more_is_made_when_the_caller_goes(here: World) -> None:
    async def leave_early() -> None:
        async with here.ada.channel(here.address) as channel:  # type: ignore[attr-defined]
            call = LinkStub(channel).Respond(asked(plan="slow"))
            reading = asyncio.ensure_future(call.read())
            SLOW.gate.release(3)
            while SLOW.feeds < 3:
                await asyncio.sleep(0.01)
            call.cancel()
            reading.cancel()

    here.loop.do(leave_early())
    SLOW.gate.release(1)  # the one that was waited for
    here.wait_for(lambda: SLOW.open_ones == 0)
    SLOW.gate.release(100)
    made = SLOW.feeds
    assert made <= 5
    assert answered(here, asked(plan="slow"))[2][0] is grpc.StatusCode.OK  # and there is room for the next


def test_who_breaks_off_an_answer_may_ask_again_at_once(here: World) -> None:
    """The token that is being read ends the old answer; the new one waits for it, and is not turned away."""

    async def leave_and_come_back() -> grpc.StatusCode:
        async with here.ada.channel(here.address) as channel:  # type: ignore[attr-defined]
            made = SLOW.feeds
            call = LinkStub(channel).Respond(asked(plan="slow"))
            SLOW.gate.release(1)
            while SLOW.feeds == made:
                await asyncio.sleep(0.01)
            call.cancel()
            again = LinkStub(channel).Respond(asked(plan="slow"))
            asyncio.get_running_loop().call_later(0.3, SLOW.gate.release, 100)
            async for _ in again:
                pass
            code: grpc.StatusCode = await again.code()
            return code

    while SLOW.gate.acquire(blocking=False):
        pass
    assert here.loop.do(leave_and_come_back()) is grpc.StatusCode.OK


def test_a_host_that_learns_says_when_to_come_back(here: World) -> None:
    with here.host.turn:  # type: ignore[attr-defined]
        _, _, (code, details, metadata) = answered(here, asked())
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED and "retry in" in details
    assert int(dict(metadata)["grpc-retry-pushback-ms"]) >= 1000


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"clearance": wire.CLEARANCE_UNSPECIFIED}, grpc.StatusCode.INVALID_ARGUMENT, "cleared"),
        ({"plan": "magic"}, grpc.StatusCode.NOT_FOUND, "host, slow"),
        ({"prompt": "x" * 20_000}, grpc.StatusCode.INVALID_ARGUMENT, "bytes"),
        ({"prompt": ""}, grpc.StatusCode.INVALID_ARGUMENT, "empty"),
        ({"sampling": wire.Sampling(temperature=-1)}, grpc.StatusCode.INVALID_ARGUMENT, "temperature"),
    ],
)
def test_what_is_refused(here: World, fields: Any, code: grpc.StatusCode, said: str) -> None:
    _, _, (found, details, _) = answered(here, asked(**fields))
    assert found is code and said in details


def test_a_model_that_can_not_be_batched_answers_too(tmp_path: Path) -> None:
    weights = tiny("lfm2")
    host = cast(Host, SimpleNamespace(weights=weights, adapter=None, turn=threading.Lock()))
    model = HostSessions(host).model()
    ids = model.open(PUBLIC).feed([]).logp
    assert ids is not None and ids.shape == (1, weights.vocabulary.size)


def test_health_and_reflection_are_for_peers_that_are_known(here: World) -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

    from renga.client.enrolment import bootstrap_credentials

    async def look() -> tuple[Any, list[str], grpc.StatusCode]:
        async with here.ada.channel(here.address) as channel:  # type: ignore[attr-defined]
            checked = await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service="renga.link.v1.Link")
            )
            listing = reflection_pb2.ServerReflectionRequest(list_services="")
            call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([listing]))
            listed = [one.name async for reply in call for one in reply.list_services_response.service]
        async with bootstrap_credentials(here.invite("bo")).channel(here.address) as channel:
            call = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            return checked.status, listed, await call.code()

    status, listed, stranger = here.loop.do(look())
    assert status == health_pb2.HealthCheckResponse.SERVING
    assert "renga.link.v1.Link" in listed
    assert stranger is grpc.StatusCode.PERMISSION_DENIED
