"""`renga ask --public`: a prompt that its owner calls public, answered by the federation."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import grpc

from renga.client.enrolment import refused
from renga.client.ledger import Ledger
from renga.client.outbox import Outbox
from renga.client.policy import read_policy
from renga.errors import UsageError
from renga.models.contract import Clearance, Sampling
from renga.protocol import link_pb2 as wire
from renga.protocol.credentials import has_credentials, load_credentials
from renga.protocol.link_pb2_grpc import LinkStub

PATIENCE = 600.0


def ask(
    folder: Path, prompt: str, clearance: Clearance, sampling: Sampling, write: Callable[[str], None]
) -> wire.Usage:
    """Ask the server that the client in `folder` belongs to; `write` gets the answer as it comes.

    Raises UsageError if there is no client there, Withheld if the policy or the clearance say no, RengaError
    if the server can't answer.
    """
    keys, saved = folder / "keys", folder / "server.json"
    if not has_credentials(keys) or not saved.exists():
        raise UsageError(f"{folder} is not the state of a client", hint="renga join first, or --state DIR")
    address = json.loads(saved.read_text())["address"]
    outbox = Outbox(address, read_policy(folder / "policy.toml"), Ledger(folder / "ledger.jsonl"))
    outbox.release_prompt(clearance, len(prompt.encode()))
    sanitised = clearance is Clearance.SANITISED
    request = wire.RespondRequest(
        prompt=prompt,
        clearance=wire.CLEARANCE_SANITISED if sanitised else wire.CLEARANCE_PUBLIC,
        sampling=wire.Sampling(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_tokens=sampling.max_tokens,
            seed=sampling.seed,
        ),
    )

    async def answered() -> wire.Usage:
        usage = wire.Usage()
        async with load_credentials(keys).channel(address) as channel:
            call = LinkStub(channel).Respond(request, timeout=PATIENCE)  # type: ignore[no-untyped-call]
            async for reply in call:
                if reply.WhichOneof("reply") == "text":
                    write(reply.text)
                else:
                    usage = reply.usage
        return usage

    try:
        return asyncio.run(answered())
    except grpc.aio.AioRpcError as error:
        raise refused(error, address) from None
