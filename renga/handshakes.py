"""What becomes of connections that TLS refuses, which no code of ours ever sees.

gRPC tells of them on the process's stderr alone, in a form of its own, and repeats itself when the peer tries
again. Here they are heard there, and said once in a while in the server's log.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger("renga.server")

VERBOSITY = "GRPC_VERBOSITY"
AGAIN = 10.0  # seconds until the same is said again

_OF_GRPC = re.compile(rb"([IWEF])\d{4} \S+ +\d+ \S+\.cc:\d+\] (.*)")
_REFUSED = re.compile(rb"Handshake failed with error .*?([A-Z0-9_]{8,})(?:: ([\w -]+))?\s*$")
_MEANS = {
    "unable to get local issuer certificate": "its certificate is of another federation",
    "self-signed certificate": "its certificate is of nobody's making but its own",
    "certificate has expired": "its certificate has expired",
    "certificate is not yet valid": "its certificate is not valid yet: whose clock is wrong?",
    "peer did not return a certificate": "it shows no certificate",
    "invalid certificate verification context": "it shows no certificate",
}


@contextmanager
def overheard() -> Iterator[None]:
    """Say in the log which connections are refused by TLS, while this lasts; to be entered before gRPC is
    imported and before anything keeps `sys.stderr`.

    Whoever sets GRPC_VERBOSITY wants gRPC's own words, and gets them.
    """
    if VERBOSITY in os.environ:
        yield
        return
    os.environ[VERBOSITY] = ""  # gRPC's own default, which its Python side would lower
    sys.stderr.flush()
    before, real = sys.stderr, os.dup(2)
    reading, writing = os.pipe()
    os.dup2(writing, 2)
    os.close(writing)
    sys.stderr = os.fdopen(os.dup(real), "w", buffering=1, errors="backslashreplace")
    listener = threading.Thread(target=_listen, args=(reading, real), daemon=True)
    listener.start()
    try:
        yield
    finally:
        os.dup2(real, 2)  # nobody else writes into the pipe: the listener comes to its end
        listener.join(1.0)
        sys.stderr = before
        os.close(real)
        del os.environ[VERBOSITY]


def meaning(line: bytes) -> str | None:
    """Why TLS refused a connection, if that is what a line of gRPC says."""
    found = _REFUSED.search(line)
    if found is None:
        return None
    reason = (found[2] or found[1]).decode().lower().replace("_", " ")
    return _MEANS.get(reason, reason)


def _listen(reading: int, real: int) -> None:
    """Pass on what is not gRPC's chatter, and say what it says of refused connections."""
    said: dict[str, float] = {}
    with os.fdopen(reading, "rb") as lines:
        for line in lines:
            of_grpc = _OF_GRPC.match(line)
            if of_grpc is None:
                os.write(real, line)
            elif (why := meaning(of_grpc[2])) is not None:
                now = time.monotonic()
                if now - said.get(why, -AGAIN) >= AGAIN:
                    said[why] = now
                    log.warning("a connection was refused by TLS: %s", why)
            elif of_grpc[1] in b"EF":
                os.write(real, line)
