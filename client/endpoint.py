"""The local endpoint: the OpenAI API on loopback, for any program on the same machine.

Whoever knows the token may ask. What goes to the federation is sanitised and its answer restored, streaming;
each response says what was hidden. Errors and logs quote neither prompts nor answers.
"""

from __future__ import annotations

import base64
import json
import math
import re
import struct
import threading
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from dataclasses import replace
from typing import Annotated, Any, Protocol

from anyio import from_thread
from fastapi import Body, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import iterate_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from renga.client.answerers import Answerer, NoSuchModel, Used
from renga.client.answering import Answering, answering, followed, thread
from renga.client.dialogue import Turn, described, turns_of
from renga.client.endpoint_guard import Guarded, problem
from renga.client.endpoint_requests import refuse_what_is_not_offered, sampling_of, stops_of, wants_usage
from renga.client.outbox import Withheld
from renga.client.sanitisation.conversation import Conversation
from renga.client.sanitisation.desk import Desk
from renga.client.sanitisation.entities import DetectionFailed
from renga.client.sanitisation.sanitiser import Blocked
from renga.client.sanitisation.vault import SealedConversation
from renga.errors import RengaError, UsageError
from renga.models.context import TooLong

CONVERSATION, PLAN = "x-renga-conversation", "x-renga-plan"
Json = Annotated[dict[str, Any], Body()]
NO_JSON = "the body is no JSON object"
_RETRY = re.compile(r"retry in ([0-9]+(?:\.[0-9]+)?) s")


class Models(Protocol):
    """What can be asked, by name."""

    def listed(self) -> Mapping[str, str]:
        """Names, and who owns what is behind them."""
        ...

    def open(self, name: str) -> Answerer:
        """Raises NoSuchModel that names the nearest, UsageError for a plan that is wrong."""
        ...

    def embed(self, name: str, texts: list[str]) -> tuple[list[list[float]], int]:
        """A vector for each text, made on this machine, and how many tokens were read. Raises UsageError if
        that model is not here."""
        ...


def endpoint(models: Models, desk: Desk, token: str) -> ASGIApp:
    """The application; `desk`: whose vault and rules hold."""
    app = FastAPI(title="Renga", docs_url=None, redoc_url=None, openapi_url=None)

    @app.exception_handler(RengaError)
    async def told(request: Request, error: RengaError) -> JSONResponse:
        return problem(_status(error), _said(error), type(error).__name__, _retry(error))

    @app.exception_handler(RequestValidationError)
    async def unread(request: Request, error: RequestValidationError) -> JSONResponse:
        kind = request.headers.get("content-type", "none").partition(";")[0].strip().lower()
        asked = kind == "application/json" or kind.endswith("+json")
        hint = "" if asked else f"; its Content-Type is {kind[:60]}, not application/json"
        return problem(400, NO_JSON + hint, "invalid_request")  # it may hold a prompt: not quoted

    @app.exception_handler(HTTPException)
    async def lost(request: Request, error: HTTPException) -> JSONResponse:
        said = NO_JSON if error.status_code == 400 else str(error.detail)
        return problem(error.status_code, said[:1].lower() + said[1:], "http")

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        return problem(500, f"unexpected {type(error).__name__}", "internal")

    @app.get("/v1/models")
    def list_models() -> dict[str, Any]:
        listed = [_model(name, owner) for name, owner in models.listed().items()]
        return {"object": "list", "data": listed}

    @app.get("/v1/models/{name:path}")
    def one_model(name: str) -> dict[str, Any]:
        listed = models.listed()
        if name not in listed:
            models.open(name)
        return _model(name, listed.get(name, "renga"))

    @app.post("/v1/chat/completions")
    def chat(request: Request, body: Json) -> Any:
        turns = turns_of(body.get("messages"))
        refuse_what_is_not_offered(body)
        tools, names = described(body.get("tools"), body.get("tool_choice"))
        answer, kept = _prepared(models, desk, request, body, turns, tools, names)
        head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": _name(request, body),
        }

        def left() -> None:
            if isinstance(kept, SealedConversation):
                spoken = Turn("assistant", answer.text + "".join(_call_text(call) for call in answer.calls))
                desk.vault.leave(thread([*turns, spoken]), kept)

        if body.get("stream"):
            chunks = _chat_chunks(answer, head, kept, wants_usage(body), left)
            return _stream(chunks, answer, kept)
        _whole(answer, request)
        left()
        message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
        if answer.calls:
            message["tool_calls"] = _calls(answer)
        elif message["content"] is None:
            message["content"] = ""
        choice = {"index": 0, "message": message, "finish_reason": answer.finish, "logprobs": None}
        whole = {**head, "object": "chat.completion", "choices": [choice], **_tail(answer, kept)}
        return JSONResponse(whole, headers=_headers(answer, kept))

    @app.post("/v1/completions")
    def complete(request: Request, body: Json) -> Any:
        prompts = [body.get("prompt")] if isinstance(body.get("prompt"), str) else body.get("prompt")
        if not isinstance(prompts, list) or not prompts or not all(isinstance(one, str) for one in prompts):
            raise UsageError("prompt must be a text, or a list of texts")
        refuse_what_is_not_offered(body)
        head = {"id": f"cmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": _name(request, body)}
        prepared = [
            _prepared(models, desk, request, body, [Turn("user", prompt)], "", frozenset())
            for prompt in prompts
        ]
        if body.get("stream"):
            if len(prompts) > 1:
                raise UsageError("a stream answers one prompt")
            answer, kept = prepared[0]
            return _stream(_text_chunks(answer, head, kept), answer, kept)
        choices = []
        for place, (one, _) in enumerate(prepared):
            _whole(one, request)
            choices.append({"index": place, "text": one.text, "finish_reason": one.finish, "logprobs": None})
        together = _together(prepared)
        whole = {**head, "object": "text_completion", "choices": choices, **_tail(*together)}
        return JSONResponse(whole, headers=_headers(*together))

    @app.post("/v1/embeddings")
    def embed(request: Request, body: Json) -> Any:
        given = body.get("input")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise UsageError("input must be a text, or a list of texts")
        vectors, count = models.embed(_name(request, body), texts)
        coded = body.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": place, "embedding": _packed(vector) if coded else vector}
            for place, vector in enumerate(vectors)
        ]
        return {
            "object": "list", "data": data, "model": _name(request, body),
            "usage": {"prompt_tokens": count, "total_tokens": count},
            "renga": {"hidden": {}, "bytes_sent": 0, "bytes_received": 0},
        }  # fmt: skip

    return Guarded(app, token)


def _prepared(
    models: Models,
    desk: Desk,
    request: Request,
    body: Mapping[str, Any],
    turns: list[Turn],
    tools: str,
    names: frozenset[str],
) -> tuple[Answering, Conversation | None]:
    name = _name(request, body)
    answerer = models.open(name)
    kept: Conversation | None = None
    if answerer.leaves:
        named = request.headers.get(CONVERSATION)
        kept = desk.vault.conversation(named) if named else followed(desk, turns)
    prepared = answering(
        answerer, turns, sampling_of(body), Used(name), desk, kept,
        tools=tools, names=names, stops=stops_of(body),
    )  # fmt: skip
    return prepared, kept


def _whole(answer: Answering, request: Request) -> None:
    """Read an answer to its end, or to where who asked has gone: nobody pays for what nobody reads."""
    for _ in answer:
        if from_thread.run(request.is_disconnected):
            raise HTTPException(499, "who asked has gone")


def _together(prepared: list[tuple[Answering, Conversation | None]]) -> tuple[Answering, Conversation | None]:
    """Several answers as one, to tell what they took; each has a conversation of its own."""
    first, kept = prepared[0]
    if len(prepared) == 1:
        return first, kept
    used, hidden = Used(first.used.plan), Counter[str]()
    for one, _ in prepared:
        hidden.update(one.hidden)
        for count in ("prompt_tokens", "completion_tokens", "sent", "received", "seconds"):
            setattr(used, count, getattr(used, count) + getattr(one.used, count))
    stayed = sum(one.stayed for one, _ in prepared)
    return replace(first, used=used, hidden=dict(hidden), stayed=stayed), None


def _stream(chunks: Generator[str], answer: Answering, kept: Conversation | None) -> StreamingResponse:
    """The chunks from the first on, which is waited for: what fails before it is an error with a status. If
    who asked goes, no more is asked of whoever answers."""
    first = next(chunks)

    async def flowing() -> AsyncIterator[str]:
        try:
            yield first
            async for chunk in iterate_in_threadpool(chunks):
                yield chunk
        finally:
            chunks.close()

    return StreamingResponse(flowing(), media_type="text/event-stream", headers=_headers(answer, kept))


def _chat_chunks(
    answer: Answering,
    head: Mapping[str, Any],
    kept: Conversation | None,
    with_usage: bool,
    left: Callable[[], None],
) -> Generator[str]:
    def chunk(delta: Mapping[str, Any], finish: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return _event({**head, "object": "chat.completion.chunk", "choices": [choice], **more})

    pieces = iter(answer)
    piece = next(pieces, "")
    yield chunk({"role": "assistant", "content": ""})
    try:
        while piece:
            yield chunk({"content": piece})
            piece = next(pieces, "")
        left()
    except RengaError as error:
        yield _broken_off(error)
        return
    if answer.calls:
        calls = [{"index": place, **call} for place, call in enumerate(_calls(answer))]
        yield chunk({"tool_calls": calls})
    tail = _tail(answer, kept)
    yield chunk({}, answer.finish, renga=tail["renga"])
    if with_usage:
        yield _event({**head, "object": "chat.completion.chunk", "choices": [], **tail})
    yield "data: [DONE]\n\n"


def _text_chunks(answer: Answering, head: Mapping[str, Any], kept: Conversation | None) -> Generator[str]:
    def chunk(text: str, finish: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "text": text, "finish_reason": finish, "logprobs": None}
        return _event({**head, "object": "text_completion", "choices": [choice], **more})

    pieces = iter(answer)
    piece = next(pieces, "")
    try:
        while piece:
            yield chunk(piece)
            piece = next(pieces, "")
    except RengaError as error:
        yield _broken_off(error)
        return
    yield chunk("", answer.finish, **_tail(answer, kept))
    yield "data: [DONE]\n\n"


def _broken_off(error: RengaError) -> str:
    return _event({"error": {"message": _said(error), "type": type(error).__name__, "code": _status(error)}})


def _event(value: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(value)}\n\n"


def _name(request: Request, body: Mapping[str, Any]) -> str:
    name = request.headers.get(PLAN) or body.get("model")
    if not isinstance(name, str) or not name:
        raise UsageError("which model? give `model`", hint="GET /v1/models lists them")
    return name


def _model(name: str, owner: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}


def _calls(answer: Answering) -> list[dict[str, Any]]:
    return [
        {
            "id": f"call_{uuid.uuid4().hex[:24]}", "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in answer.calls
    ]  # fmt: skip


def _call_text(call: Any) -> str:
    """As `dialogue` reads a call from a message that comes back."""
    return f'{{"name": {json.dumps(call.name)}, "arguments": {call.arguments}}}'


def _usage(answer: Answering) -> dict[str, int]:
    used = answer.used
    return {
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.completion_tokens,
        "total_tokens": used.prompt_tokens + used.completion_tokens,
    }


def _tail(answer: Answering, kept: Conversation | None) -> dict[str, Any]:
    used = answer.used
    told = {
        "hidden": answer.hidden,
        "not_restored": answer.stayed,
        "plan": used.plan,
        "bytes_sent": used.sent,
        "bytes_received": used.received,
        "seconds": round(used.seconds, 3),
    }
    if isinstance(kept, SealedConversation):
        told["conversation"] = kept.name
    return {"usage": _usage(answer), "renga": told}


def _headers(answer: Answering, kept: Conversation | None) -> dict[str, str]:
    headers = {"x-renga-hidden": json.dumps(answer.hidden), PLAN: answer.used.plan}
    if isinstance(kept, SealedConversation):
        headers[CONVERSATION] = kept.name
    return {name: value for name, value in headers.items() if value.isascii() and value.isprintable()}


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _status(error: RengaError) -> int:
    match error:
        case Blocked() | Withheld():
            return 403
        case DetectionFailed():
            return 422
        case NoSuchModel():
            return 404
        case UsageError() | TooLong():
            return 400
        case _ if _retry(error):
            return 429
        case _:
            return 502


def _said(error: RengaError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message


def _retry(error: RengaError) -> dict[str, str]:
    """When to ask again, as a header; empty if it is not for another time."""
    told = _RETRY.search(error.message)
    seconds = getattr(error, "retry_after", None) or (told and float(told[1]))
    return {"retry-after": str(math.ceil(seconds))} if seconds else {}


class Serving:
    """The application on a port of loopback, in a thread of its own: `url` from when it is up."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        import socket

        import uvicorn

        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("127.0.0.1", port))
        except OSError:
            self._socket.bind(("127.0.0.1", 0))  # another client's, most likely
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        config = uvicorn.Config(
            app, log_level="critical", access_log=False, server_header=False, lifespan="off", ws="none"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True, name="endpoint"
        )
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(5)
        self._socket.close()
