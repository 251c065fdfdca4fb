"""What a session's stream says when the other end is gone, whichever way gRPC puts it."""

import asyncio
import threading
from typing import Any

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from renga.errors import RengaError
from renga.models.remote import ConnectionLost
from renga.protocol import link_pb2 as wire
from renga.protocol.session_stream import SessionStream


class Call:
    """A call that raises when it is written to, or ends with a status."""

    def __init__(self, raises=None, code=grpc.StatusCode.OK, details=""):
        self.raises, self.status, self.said = raises, code, details

    async def write(self, request):
        if self.raises is not None:
            raise self.raises

    async def read(self):
        return grpc.aio.EOF

    async def code(self):
        return self.status

    async def details(self):
        return self.said


@pytest.fixture(scope="module")
def loop():
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def failing(code):
    return AioRpcError(code, Metadata(), Metadata(), details="Internal error from Core")


@pytest.mark.parametrize(
    ("call", "raised"),
    [
        (Call(failing(grpc.StatusCode.INTERNAL)), ConnectionLost),  # refused while it was written to
        (Call(failing(grpc.StatusCode.UNAVAILABLE)), ConnectionLost),
        (Call(failing(grpc.StatusCode.PERMISSION_DENIED)), RengaError),
        (Call(asyncio.InvalidStateError(), grpc.StatusCode.PERMISSION_DENIED, "not you"), RengaError),
        (Call(asyncio.InvalidStateError(), grpc.StatusCode.CANCELLED), ConnectionLost),
        (Call(code=grpc.StatusCode.OK), ConnectionLost),
        (Call(code=grpc.StatusCode.INTERNAL, details="its log says why"), RengaError),
    ],
)
def test_how_a_call_ends(loop, monkeypatch, call, raised):
    async def opened(self, channel):
        return call

    channel: Any = None  # never reached

    monkeypatch.setattr(SessionStream, "_opened", opened)
    with pytest.raises(raised):
        SessionStream(loop, channel, ConnectionLost).ask(wire.SessionRequest())
