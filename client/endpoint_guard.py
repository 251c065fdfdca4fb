"""Who may ask the endpoint, and how much at once. It stands before everything else, so that a stranger's body
is never read, and nobody's is read beyond its limit."""

from __future__ import annotations

import hmac

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HERE = frozenset({"localhost", "127.0.0.1", "[::1]"})  # other names lead here from a page in a browser
LARGEST_BODY = 32 << 20
TOO_LARGE = f"a request has at most {LARGEST_BODY >> 20} MiB"


def problem(status: int, message: str, code: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error as the OpenAI API writes them."""
    body = {"error": {"message": message, "type": code, "param": None, "code": code}}
    return JSONResponse(body, status_code=status, headers=headers)


class Guarded:
    """`app`, for who knows `token` and asks this machine by a name of its own."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if (refusal := self._refusal(Headers(scope=scope))) is not None:
            await refusal(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            """A body that comes in chunks says nowhere how long it is."""
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > LARGEST_BODY:
                raise HTTPException(413, TOO_LARGE)
            return message

        await self.app(scope, counted, send)

    def _refusal(self, headers: Headers) -> JSONResponse | None:
        host, length = headers.get("host", ""), headers.get("content-length", "")
        if (host if host.endswith("]") else host.rsplit(":", 1)[0]) not in HERE:
            return problem(403, "ask me as localhost", "forbidden")
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token):
            said = "the token is wrong: it is in endpoint.token of the client's state"
            return problem(401, said, "token")
        if length.isdecimal() and int(length) > LARGEST_BODY:
            return problem(413, TOO_LARGE, "too_large")
        return None
