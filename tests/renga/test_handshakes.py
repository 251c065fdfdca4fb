"""Connections that TLS refuses are told on the server's side too, in a line that a person understands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from renga.handshakes import VERBOSITY, meaning

REFUSED = b"Handshake failed with error SSL_ERROR_SSL: error:1000007d:SSL routines:OPENSSL_internal:"

SERVER = """
import asyncio, logging, sys, time
from dataclasses import replace
from pathlib import Path
from renga.handshakes import overheard

async def main(folder):
    import grpc
    from renga.protocol.blobs import BlobStore
    from renga.protocol.credentials import SERVER_NAME
    from renga.protocol.key_files import certificate_pem
    from renga.protocol.link_pb2_grpc import LinkStub
    from renga.protocol import link_pb2 as wire
    from renga.server import identity
    from renga.server.link import Post
    from renga.server.service import LinkService, listen
    from renga.simulations.bench_link import credentials_of

    who, other = (identity.create(folder / name, "localhost:0", ["localhost"]) for name in ("a", "b"))
    post = Post(who, BlobStore(folder / "blobs"))
    server, port = await listen(who, LinkService(who, post), "localhost", 0)
    stranger = replace(credentials_of(other, "eve"), authority=who.authority.certificate)
    bare = grpc.ssl_channel_credentials(certificate_pem(who.authority.certificate))
    options = [("grpc.ssl_target_name_override", SERVER_NAME)]
    for channel in (
        stranger.channel(f"localhost:{port}"),
        grpc.aio.secure_channel(f"localhost:{port}", bare, options),
    ):
        async with channel:
            try:
                await LinkStub(channel).Describe(wire.DescribeRequest(), timeout=5)
                print("let in")
            except grpc.aio.AioRpcError as error:
                print("kept out")
    await server.stop(0)

with overheard():
    logging.basicConfig(format="LOG %(message)s")
    print("a word of our own", file=sys.stderr)
    asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (
            REFUSED + b"CERTIFICATE_VERIFY_FAILED: unable to get local issuer certificate",
            "its certificate is of another federation",
        ),
        (REFUSED + b"CERTIFICATE_VERIFY_FAILED: certificate has expired", "its certificate has expired"),
        (REFUSED + b"PEER_DID_NOT_RETURN_A_CERTIFICATE", "it shows no certificate"),
        (REFUSED + b"WRONG_VERSION_NUMBER", "wrong version number"),
        (b"Some other news", None),
    ],
)
def test_what_grpc_says_is_put_in_words(line: bytes, why: str | None) -> None:
    assert meaning(line) == why


def test_who_is_kept_out_is_told(tmp_path: Path) -> None:
    # Whoever imports gRPC, as some test here does, finds its verbosity in its environment.
    own = {name: value for name, value in os.environ.items() if name != VERBOSITY}
    done = subprocess.run(
        [sys.executable, "-c", SERVER, str(tmp_path)], capture_output=True, text=True, timeout=120, env=own
    )
    assert done.stdout.split("\n")[:2] == ["kept out", "kept out"], done
    told = done.stderr.splitlines()
    assert told[0] == "a word of our own"
    assert sorted(told[1:]) == [
        "LOG a connection was refused by TLS: it shows no certificate",
        "LOG a connection was refused by TLS: its certificate is of another federation",
    ], done.stderr
