"""A remote model answers as the local one, over a real socket, and through broken connections."""

import time
from functools import partial

import grpc
import pytest
import torch

from renga.errors import RefusedPayload, RengaError, UsageError
from renga.models.batching import BatchedModel
from renga.models.contract import Clearance, Prompt, Sampling, Scores, TopK, Verify
from renga.models.cooperation.speculate import speculate
from renga.models.local import LocalModel
from renga.models.remote import ConnectionLost, RemoteModel
from renga.models.serving_sessions import SessionLimits
from renga.models.session_codec import read_answer, read_ids, read_want
from renga.protocol import link_pb2 as wire
from renga.protocol.link_pb2_grpc import LinkServicer, add_LinkServicer_to_server
from renga.protocol.session_stream import SessionStream
from renga.server.sessions import Sessions
from tests.models.tiny_weights import some_ids, tiny
from tests.server.link_world import Loop

PUBLIC = Prompt("Who counts?", Clearance.PUBLIC)


class Service(LinkServicer):
    def __init__(self, answering):
        self.answering = answering

    async def Session(self, moves, context):
        async for reply in self.answering.session("someone", moves, context):
            yield reply


class Breaking:
    """A channel that breaks now and then, before or after the other end has read it."""

    asked = 0

    def __init__(self, inner):
        self.inner = inner

    def ask(self, request):
        Breaking.asked += 1
        if Breaking.asked % 22 == 0:
            raise ConnectionLost("before")
        reply = self.inner.ask(request)
        if Breaking.asked % 22 == 11:
            raise ConnectionLost("after")
        return reply

    def close(self):
        self.inner.close()


@pytest.fixture(scope="module")
def world():
    weights = tiny("llama")
    batched = BatchedModel(weights, sessions=8, tokens=240)
    loop = Loop()

    async def start():
        server = grpc.aio.server()
        add_LinkServicer_to_server(Service(Sessions(batched, SessionLimits(sessions=3))), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, grpc.aio.insecure_channel(f"127.0.0.1:{port}")

    server, channel = loop.do(start())

    def dial():
        return SessionStream(loop.loop, channel, ConnectionLost)

    yield weights, dial
    loop.do(channel.close())
    loop.do(server.stop(0))
    loop.stop()
    batched.close()


@pytest.mark.parametrize("broken", [False, True])
def test_the_same_answers_as_locally(world, broken):
    weights, dial = world
    remote = RemoteModel((lambda: Breaking(dial())) if broken else dial, "host", weights.vocabulary, chunk=16)
    here, there = LocalModel(weights).open(PUBLIC), remote.open(PUBLIC)
    for turn in range(5):
        ids = some_ids(weights, turn * 2, seed=turn)
        for want in (Scores(), TopK(7), Verify(Sampling(temperature=1.0, seed=turn), 4, 1)):
            mine, theirs = here.feed(ids, want), there.feed(ids, want)
            for name in ("logp", "ids", "tail", "scores"):
                a, b = getattr(mine, name), getattr(theirs, name)
                assert (a is None) == (b is None)
                assert a is None or torch.allclose(a, b, rtol=0, atol=1e-4), (want, name)
            assert here.length == there.length
        one, other = here.feed(ids).logp, there.feed(ids).logp
        assert one is not None and other is not None
        assert torch.allclose(one, other, rtol=0, atol=1e-4)
        here.rewind(here.length - len(ids))
        there.rewind(there.length - len(ids))
    there.close()


def test_what_is_too_long_there_is_said_here(world):
    weights, dial = world
    remote = RemoteModel(dial, "host", weights.vocabulary)
    for draft in (remote, speculate(LocalModel(weights), remote)):
        with pytest.raises(RengaError, match="tokens long; tiny reads at most 240: retrieve"):
            draft.open(Prompt("word " * 300, Clearance.PUBLIC))
    with pytest.raises(RengaError, match="20,000 bytes; at most 16,384 are read here: retrieve"):
        remote.open(Prompt("word " * 4_000, Clearance.PUBLIC))
    session = _opened(remote)
    ids = some_ids(weights, 241 - session.prompt_ids, seed=5)
    session.feed(ids[:-2], Scores())
    said = session.feed(ids[-2:], Verify(Sampling())).ids  # of two drafts one fits
    assert said is not None and 1 <= len(said) <= 2
    session.rewind(len(ids) - 2)
    session.feed(ids[-2:-1], Scores())
    with pytest.raises(RengaError, match="fill all 240 tokens that tiny reads: the answer ends here"):
        session.feed(ids[-1:], Scores())
    session.close()


def test_a_feed_whose_rows_fill_several_replies(world, monkeypatch):
    weights, dial = world
    monkeypatch.setattr("renga.models.remote.ANSWER_BYTES", 4 * weights.vocabulary.size * 4)
    session = RemoteModel(dial, "host", weights.vocabulary).open(PUBLIC)
    ids = some_ids(weights, 11)
    one, other = session.feed(ids).logp, LocalModel(weights).open(PUBLIC).feed(ids).logp
    assert one is not None and other is not None
    assert torch.allclose(one, other, atol=1e-4)
    session.close()


def test_what_is_refused(world):
    weights, dial = world
    with pytest.raises(UsageError, match="raw"):
        RemoteModel(dial, "host", weights.vocabulary).open(Prompt("mine"))
    with pytest.raises(RengaError, match="no model"):
        RemoteModel(dial, "guest", weights.vocabulary).open(PUBLIC)
    with pytest.raises(RengaError, match="vocabulary"):
        RemoteModel(dial, "host", tiny("gemma3").vocabulary).open(PUBLIC)
    with pytest.raises(RengaError, match="bytes"):
        RemoteModel(dial, "host", weights.vocabulary).open(Prompt("x" * 20_000, Clearance.PUBLIC))
    model = RemoteModel(dial, "host", weights.vocabulary)
    open_ones = [_opened(model) for _ in range(3)]
    for _ in range(5):  # who was refused while it wrote once heard of an "Internal error" instead
        with pytest.raises(RengaError, match="too many"):
            RemoteModel(dial, "host", weights.vocabulary).open(PUBLIC)
    for session in open_ones:
        session.close()


def _opened(model):
    """A session; the server counts one that was refused or closed for a moment longer than its caller."""
    for _ in range(200):
        try:
            return model.open(PUBLIC)
        except RengaError as error:
            if "too many" not in error.message:
                raise
        time.sleep(0.05)
    raise AssertionError("the places were never free again")


def test_a_session_that_does_not_open_holds_no_place(world):
    weights, _ = world
    closed = []

    class Channel:
        def __init__(self, error):
            self.error = error

        def ask(self, request):
            if self.error is not None:
                raise self.error
            return wire.SessionReply(opened=wire.Opened(vocabulary="another"))

        def close(self):
            closed.append(self.error)

    for error in (None, RengaError("refused"), KeyboardInterrupt()):
        with pytest.raises((RengaError, KeyboardInterrupt)):
            RemoteModel(partial(Channel, error), "host", weights.vocabulary).open(PUBLIC)
        assert closed[-1] is error


def test_what_comes_off_the_wire_is_checked():
    for data in (b"abc", b"\0" * 12, b"\xff" * 4):
        with pytest.raises(RefusedPayload):
            read_ids(data, 100, 2)
    for message in (wire.Want(), wire.Want(topk=wire.TopK(k=101)), wire.Want(verify=wire.Verify())):
        with pytest.raises(RefusedPayload):
            read_want(message, 100)
    nan = torch.full((3,), torch.nan).numpy().tobytes()
    for fed in (wire.Fed(logp=b"1234"), wire.Fed(logp=nan)):
        with pytest.raises(RefusedPayload):
            read_answer(fed, Scores(), 3, 100)
