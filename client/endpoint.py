"""The local endpoint: the OpenAI API on loopback, for any program on the same machine.

Whoever knows the token may ask. What goes to the federation is sanitised and its answer restored, streaming;
each response says what was hidden. Errors and logs quote neither prompts nor answers.
"""

from __future__ import annotations

import base64
import hmac
import json
import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Protocol

from fastapi import Body, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException

from renga.client.answerers import Answerer, Used
from renga.client.answering import Answering, answering, followed, thread
from renga.client.dialogue import Turn, described, turns_of
from renga.client.outbox import Withheld
from renga.client.sanitisation.conversation import Conversation
from renga.client.sanitisation.desk import Desk
from renga.client.sanitisation.entities import DetectionFailed
from renga.client.sanitisation.sanitiser import Blocked
from renga.client.sanitisation.vault import SealedConversation
from renga.errors import RengaError, UsageError
from renga.models.context import TooLong
from renga.models.contract import Sampling

CONVERSATION, PLAN = "x-renga-conversation", "x-renga-plan"
HERE = frozenset({"localhost", "127.0.0.1", "[::1]"})  # other names lead here from a page in a browser
Json = Annotated[dict[str, Any], Body()]

MOST_TOKENS = 4096
LARGEST_BODY = 32 << 20


class Models(Protocol):
    """What can be asked, by name."""

    def listed(self) -> Mapping[str, str]:
        """Names, and who owns what is behind them."""
        ...

    def open(self, name: str) -> Answerer:
        """Raises UsageError that names the nearest."""
        ...

    def embed(self, name: str, texts: list[str]) -> list[list[float]]:
        """A vector for each text, made on this machine. Raises UsageError if that model is not here."""
        ...


def endpoint(models: Models, desk: Desk, token: str) -> FastAPI:
    """The application; `desk`: whose vault and rules hold."""
    app = FastAPI(title="Renga", docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def guarded(request: Request, go: Callable[[Request], Any]) -> Any:
        host = request.headers.get("host", "").rsplit(":", 1)[0] if request.headers.get("host") else ""
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if host not in HERE:
            return _problem(403, "ask me as localhost", "forbidden")
        if not hmac.compare_digest(given.encode(), token.encode()):
            return _problem(401, "the token is wrong: it is in endpoint.token of the client's state", "token")
        if int(request.headers.get("content-length") or 0) > LARGEST_BODY:
            return _problem(413, f"a request has at most {LARGEST_BODY >> 20} MiB", "too_large")
        return await go(request)

    @app.exception_handler(RengaError)
    async def told(request: Request, error: RengaError) -> JSONResponse:
        return _problem(_status(error), _said(error), type(error).__name__)

    @app.exception_handler(RequestValidationError)
    async def unread(request: Request, error: RequestValidationError) -> JSONResponse:
        return _problem(
            400, "the body is no JSON object", "invalid_request"
        )  # it may hold a prompt: not quoted

    @app.exception_handler(HTTPException)
    async def lost(request: Request, error: HTTPException) -> JSONResponse:
        return _problem(error.status_code, str(error.detail).lower(), "http")

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        return _problem(500, f"unexpected {type(error).__name__}", "internal")

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
        if body.get("n") not in (None, 1):
            raise UsageError("n: one answer at a time")
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
            with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
            chunks = _chat_chunks(answer, head, kept, with_usage, left)
            return StreamingResponse(chunks, media_type="text/event-stream", headers=_headers(answer, kept))
        for _ in answer:
            pass
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
        for option in ("echo", "suffix", "logprobs", "best_of"):
            if body.get(option):
                raise UsageError(f"{option}: that is not offered")
        head = {"id": f"cmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": _name(request, body)}
        prepared = [
            _prepared(models, desk, request, body, [Turn("user", prompt)], "", frozenset())
            for prompt in prompts
        ]
        answer, kept = prepared[0]
        if body.get("stream"):
            if len(prompts) > 1:
                raise UsageError("a stream answers one prompt")
            chunks = _text_chunks(answer, head, kept)
            return StreamingResponse(chunks, media_type="text/event-stream", headers=_headers(answer, kept))
        choices, usage = [], {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        for place, (one, _) in enumerate(prepared):
            text = "".join(one)
            choices.append({"index": place, "text": text, "finish_reason": one.finish, "logprobs": None})
            for key, count in _usage(one).items():
                usage[key] += count
        whole = {
            **head,
            "object": "text_completion",
            "choices": choices,
            **_tail(answer, kept),
            "usage": usage,
        }
        return JSONResponse(whole, headers=_headers(answer, kept))

    @app.post("/v1/embeddings")
    def embed(request: Request, body: Json) -> Any:
        given = body.get("input")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise UsageError("input must be a text, or a list of texts")
        vectors = models.embed(_name(request, body), texts)
        coded = body.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": place, "embedding": _packed(vector) if coded else vector}
            for place, vector in enumerate(vectors)
        ]
        count = sum(len(text.encode("utf-8", "replace")) for text in texts) // 4
        return {
            "object": "list", "data": data, "model": _name(request, body),
            "usage": {"prompt_tokens": count, "total_tokens": count},
            "renga": {"hidden": {}, "bytes_sent": 0, "bytes_received": 0},
        }  # fmt: skip

    return app


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
    stops = body.get("stop") or ()
    stops = (stops,) if isinstance(stops, str) else tuple(stops)
    if not all(isinstance(stop, str) and stop for stop in stops):
        raise UsageError("stop must be a text, or a list of texts")
    prepared = answering(
        answerer, turns, _sampling(body), Used(name), desk, kept, tools=tools, names=names, stops=stops
    )
    return prepared, kept


def _sampling(body: Mapping[str, Any]) -> Sampling:
    try:
        most = body.get("max_completion_tokens") or body.get("max_tokens") or 256
        temperature = body.get("temperature")
        sampling = Sampling(
            temperature=1.0 if temperature is None else float(temperature),
            top_p=float(body.get("top_p") or 1.0),
            max_tokens=int(most),
            seed=int(body["seed"]) if body.get("seed") is not None else uuid.uuid4().int % 2**31,
        )
    except (TypeError, ValueError):
        raise UsageError("temperature, top_p, max_tokens and seed are numbers") from None
    if not 0 <= sampling.temperature <= 2 or not 0 < sampling.top_p <= 1:
        raise UsageError("temperature is 0 to 2, top_p above 0 and at most 1")
    if not 1 <= sampling.max_tokens <= MOST_TOKENS or sampling.seed < 0:
        raise UsageError(f"max_tokens is 1 to {MOST_TOKENS}, seed at least 0")
    return sampling


def _chat_chunks(
    answer: Answering,
    head: Mapping[str, Any],
    kept: Conversation | None,
    with_usage: bool,
    left: Callable[[], None],
) -> Iterator[str]:
    def chunk(delta: Mapping[str, Any], finish: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return _event({**head, "object": "chat.completion.chunk", "choices": [choice], **more})

    yield chunk({"role": "assistant", "content": ""})
    try:
        for piece in answer:
            yield chunk({"content": piece})
        left()
    except RengaError as error:
        yield _event(
            {"error": {"message": _said(error), "type": type(error).__name__, "code": _status(error)}}
        )
        return
    if answer.calls:
        calls = [{"index": place, **call} for place, call in enumerate(_calls(answer))]
        yield chunk({"tool_calls": calls})
    tail = _tail(answer, kept)
    yield chunk({}, answer.finish, renga=tail["renga"])
    if with_usage:
        yield _event({**head, "object": "chat.completion.chunk", "choices": [], **tail})
    yield "data: [DONE]\n\n"


def _text_chunks(answer: Answering, head: Mapping[str, Any], kept: Conversation | None) -> Iterator[str]:
    def chunk(text: str, finish: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "text": text, "finish_reason": finish, "logprobs": None}
        return _event({**head, "object": "text_completion", "choices": [choice], **more})

    try:
        for piece in answer:
            yield chunk(piece)
    except RengaError as error:
        yield _event(
            {"error": {"message": _said(error), "type": type(error).__name__, "code": _status(error)}}
        )
        return
    yield chunk("", answer.finish, **_tail(answer, kept))
    yield "data: [DONE]\n\n"


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
        case UsageError() | TooLong():
            return 400
        case _ if hasattr(error, "retry_after") or "retry in" in error.message:
            return 429
        case _:
            return 502


def _said(error: RengaError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message


def _problem(status: int, message: str, code: str) -> JSONResponse:
    body = {"error": {"message": message, "type": code, "param": None, "code": code}}
    return JSONResponse(body, status_code=status)


class Serving:
    """The application on a port of loopback, in a thread of its own: `url` from when it is up."""

    def __init__(self, app: FastAPI, port: int) -> None:
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
