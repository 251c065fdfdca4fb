"""A client from `protocol/link.proto` alone, without the package: it opens a session and decodes greedily.

The code for the protocol is made with grpcio-tools, in a folder of your own:

    python -m grpc_tools.protoc -I PROTO_FOLDER --python_out=. --grpc_python_out=. link.proto
    python bare_client.py server:9443 CREDENTIALS "What is linked verse?"

CREDENTIALS is the folder that `renga join` made: the authority, this client's certificate and its key. The
prompt leaves this machine as it is; it is sent as public.
"""

from __future__ import annotations

import queue
import sys
from pathlib import Path
from typing import Any

import grpc


def decoded(channel: grpc.Channel, pb: Any, pb_grpc: Any, prompt: str, tokens: int) -> list[int]:
    """Ids that the host model holds for most probable after `prompt`, one at a time."""
    moves: queue.Queue[Any] = queue.Queue()
    replies = pb_grpc.LinkStub(channel).Session(iter(moves.get, None))

    def asked(**move: Any) -> Any:
        moves.put(pb.SessionRequest(**move))
        return next(replies)

    try:
        asked(open=pb.Open(model="host", prompt=prompt, clearance=pb.CLEARANCE_PUBLIC))
        ids: list[int] = []
        fed = b""
        for _ in range(tokens):
            feed = pb.Feed(base=max(0, len(ids) - 1), ids=fed, want=pb.Want(topk=pb.TopK(k=1)))
            reply = asked(feed=feed).fed
            # One id per place, little-endian, as wide as the vocabulary needs; the last follows what was fed.
            width = len(reply.ids) // reply.rows
            fed = reply.ids[-width:]
            ids.append(int.from_bytes(fed, "little"))
        return ids
    finally:
        moves.put(None)


def main() -> None:
    import link_pb2 as pb  # made by the first command above
    import link_pb2_grpc as pb_grpc

    address, folder, prompt = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    credentials = grpc.ssl_channel_credentials(
        *((folder / name).read_bytes() for name in ("ca.pem", "key.pem", "certificate.pem"))
    )
    # The certificate names the server by its role, whatever host it runs on.
    options = [("grpc.ssl_target_name_override", "renga-server")]
    with grpc.secure_channel(address, credentials, options) as channel:
        print(*decoded(channel, pb, pb_grpc, prompt, 16))


if __name__ == "__main__":
    main()
