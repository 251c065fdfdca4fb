"""Real sockets, mutual TLS, real Flower messages; small apps."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import CancelledError
from datetime import timedelta
from pathlib import Path

import grpc
import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from renga.client.enrolment import bootstrap_credentials, enrol, was_used
from renga.client.policy import Policy
from renga.errors import RengaError, UsageError
from renga.protocol import link_pb2 as wire
from renga.protocol.certificates import new_key, request_for
from renga.protocol.credentials import Credentials
from renga.protocol.flower_internals import acting_as_server
from renga.protocol.gather import gather, gather_as
from renga.protocol.invitations import read_ticket, write_ticket
from renga.protocol.link_pb2_grpc import LinkStub
from renga.protocol.names import node_id
from renga.protocol.versions import PROTOCOL
from renga.server import identity
from tests.server.link_world import World, world

SECRET = "/home/ana/private/letters.jsonl"


def message(name: str, x: np.ndarray, kind: str = "train.learn") -> Message:
    content = RecordDict({"arrays": ArrayRecord({"x": Array(x)})})
    return Message(content, node_id(name), kind, ttl=60.0, group_id="1")


def vector(reply: Message) -> np.ndarray:
    arrays = reply.content["arrays"]  # not `content.array_records`, which makes a cycle
    assert isinstance(arrays, ArrayRecord)
    return arrays["x"].numpy()


def doubling(calls: list[str] | None = None, gate: threading.Event | None = None) -> ClientApp:
    app = ClientApp()

    @app.train("learn")
    def learn(asked: Message, context: Context) -> Message:
        if calls is not None:
            calls.append(str(context.node_config["name"]))
        if gate is not None:
            gate.wait(60)
        doubled = ArrayRecord({"x": Array(2 * vector(asked))})
        return Message(RecordDict({"arrays": doubled}), reply_to=asked)

    @app.train("exchange")
    def exchange(asked: Message, context: Context) -> Message:
        raise FileNotFoundError(SECRET)

    return app


@pytest.fixture
def here(tmp_path: Path):
    with world(tmp_path) as made, acting_as_server(1):
        yield made


def ask(here: World, names: list[str], x: np.ndarray, kind: str = "train.learn", seconds: float = 60.0):
    return gather(
        here.post.grid, [message(name, x, kind) for name in names], deadline=seconds, quorum=len(names)
    )


def test_messages_go_out_and_replies_come_back(here: World) -> None:
    for name in ("ada", "bo"):
        here.attach(here.link(name, doubling()))
    got = ask(here, ["ada", "bo"], np.arange(5.0))
    assert not got.errors and not got.pending
    assert [vector(reply).tolist() for reply in got.replies.values()] == [[0.0, 2.0, 4.0, 6.0, 8.0]] * 2
    assert min(here.post.grid.traffic["ada"]) > 100
    kept = list((here.folder / "server" / "blobs").iterdir())
    assert kept == []  # nothing is left lying about
    ledger = [json.loads(line) for line in (here.folder / "ada" / "ledger.jsonl").read_text().splitlines()]
    assert [entry["kind"] for entry in ledger] == ["train.learn"]
    assert ledger[0]["bytes"] == here.post.grid.traffic["ada"][1] and ledger[0]["round"] == 1


def test_what_is_large_goes_in_parts(here: World) -> None:
    here.attach(here.link("ada", doubling()))
    x = np.random.default_rng(0).normal(size=1_000_003)
    got = ask(here, ["ada"], x)
    assert np.array_equal(vector(got.replies[node_id("ada")]), 2 * x)


def test_one_message_at_a_time_is_in_memory(here: World) -> None:
    names = ["ada", "bo", "cy", "dee"]
    for name in names:
        here.attach(here.link(name, doubling()))
    asked: list[weakref.ref[RecordDict]] = []
    heard: list[weakref.ref[RecordDict]] = []

    def made() -> Iterator[Message]:
        for name in names:
            assert not any(content() for content in asked[:-1])
            one = message(name, np.ones(10_000))
            asked.append(weakref.ref(one.content))
            yield one
            del one

    def kept(reply: Message) -> float:
        assert not any(content() for content in asked + heard)
        heard.append(weakref.ref(reply.content))
        return float(vector(reply).sum())

    got = gather_as(kept, here.post.grid, made(), deadline=60.0, quorum=len(names))
    assert list(got.replies.values()) == [20_000.0] * len(names)


def test_who_is_left_out_is_told_why(here: World) -> None:
    states: list[str] = []
    link = here.link("ada", doubling())
    link.on_state = states.append
    here.attach(link)
    here.post.leave_out("nobody", 3, "is not here")
    here.post.leave_out("ada", 3, "brings a model\nthat is not hosted")
    here.wait_for(lambda: "left out of round 3: brings a model that is not hosted" in states)


def test_a_failing_client_says_nothing_of_its_own(here: World) -> None:
    here.attach(here.link("ada", doubling()))
    got = ask(here, ["ada"], np.zeros(1), "train.exchange")
    assert "failed" in got.errors[node_id("ada")] and SECRET not in got.errors[node_id("ada")]


def test_what_the_policy_withholds_does_not_leave(here: World) -> None:
    calls: list[str] = []
    link = here.link("ada", doubling(calls), policy=Policy(learn=False))
    here.attach(link)
    got = ask(here, ["ada"], np.zeros(1))
    assert "policy" in got.errors[node_id("ada")]
    assert not (here.folder / "ada" / "ledger.jsonl").exists()
    assert here.post.grid.traffic["ada"][1] == 0


def test_a_server_that_went_away_gets_the_reply_and_the_work_is_done_once(here: World) -> None:
    calls: list[str] = []
    gate = threading.Event()
    here.attach(here.link("ada", doubling(calls, gate)))
    (id,) = here.post.grid.push_messages([message("ada", np.ones(3))])
    here.wait_for(lambda: calls)
    here.loop.do(_cut(here))  # every stream breaks; the server's state lives on
    gate.set()
    here.wait_for(lambda: "ada" in here.post.attached())
    found: list[Message] = []

    def pulled() -> bool:
        found.extend(here.post.grid.pull_messages([id]))
        return bool(found)

    here.wait_for(pulled)
    assert vector(found[0]).tolist() == [2.0, 2.0, 2.0]
    assert calls == ["ada"]


async def _cut(here: World) -> None:
    from renga.server.service import LinkService, listen

    await here.server.stop(0)
    here.server, _ = await listen(here.who, LinkService(here.who, here.post), "localhost", here.port)


def test_two_processes_under_one_name_are_not_both_here(here: World, monkeypatch) -> None:
    monkeypatch.setattr("renga.server.link.PROBE_SECONDS", 60.0)  # the first one answers, however slowly
    credentials = here.enrolled("ada")
    here.attach(here.link("ada", doubling(), credentials))
    states: list[str] = []
    second = here.link("ada", doubling(), credentials)
    second.on_state = states.append
    future = here.loop.start(second.stay())
    here.wait_for(lambda: any("attached already" in state for state in states))
    future.cancel()
    assert ask(here, ["ada"], np.ones(1)).replies


def test_a_client_that_crashed_comes_back_at_once(here: World, monkeypatch) -> None:
    monkeypatch.setattr("renga.server.link.PROBE_SECONDS", 3600.0)  # nobody waits for one that is gone
    credentials = here.enrolled("ada")
    here.attach(here.link("ada", doubling(), credentials))
    here.detach("ada")
    here.attach(here.link("ada", doubling(), credentials))
    assert ask(here, ["ada"], np.ones(1)).replies


def test_a_client_stopped_just_as_the_server_speaks_stops(here: World, monkeypatch) -> None:
    class Speaking:
        async def read(self) -> wire.ServerFrame:
            loop, said = asyncio.get_running_loop(), asyncio.Future[wire.ServerFrame]()
            loop.call_soon(said.set_result, wire.ServerFrame())
            loop.call_soon(staying[0].cancel)  # before who waits has heard of it
            return await said

    class Stub:
        def Attach(self, frames: AsyncIterator[wire.ClientFrame]) -> Speaking:
            return Speaking()

    async def stay() -> None:
        staying.append(asyncio.create_task(link.stay()))
        await staying[0]

    staying: list[asyncio.Task[None]] = []
    link = here.link("ada", doubling())
    monkeypatch.setattr("renga.client.link.LinkStub", lambda channel: Stub())
    with pytest.raises(CancelledError):
        here.loop.do(stay())


def test_a_client_whose_first_connection_is_dead_comes_back(here: World, monkeypatch) -> None:
    monkeypatch.setattr("renga.server.link.PROBE_SECONDS", 0.05)
    credentials = here.enrolled("ada")

    async def mute() -> grpc.StatusCode:  # as one behind a router that forgot it: no ping is answered
        async with credentials.channel(here.address) as channel:
            call = LinkStub(channel).Attach()
            await call.write(wire.ClientFrame(hello=wire.Hello(protocol=PROTOCOL, nonce=bytes(16), base="b")))
            while await call.read() is not grpc.aio.EOF:
                pass
            code: grpc.StatusCode = await call.code()
            return code

    dead = here.loop.start(mute())
    here.wait_for(lambda: "ada" in here.post.attached())
    here.attach(here.link("ada", doubling(), credentials))
    assert dead.result(60) is grpc.StatusCode.OK
    assert ask(here, ["ada"], np.ones(1)).replies


class TestWhoMayCome:
    def test_an_invitation_is_good_once(self, here: World) -> None:
        ticket = read_ticket(write_ticket(here.invite("ada")))
        here.loop.do(enrol(ticket, here.folder / "ada"))
        with pytest.raises(UsageError, match="used already"):
            here.loop.do(enrol(ticket, here.folder / "thief"))

    def test_an_enrolment_that_was_cut_is_gone_on_with(self, here: World, monkeypatch) -> None:
        ticket = here.invite("ada")
        monkeypatch.setattr("renga.client.enrolment.save_credentials", _crash)
        with pytest.raises(RuntimeError):
            here.loop.do(enrol(ticket, here.folder / "ada"))
        monkeypatch.undo()
        assert here.loop.do(enrol(ticket, here.folder / "ada")).identity.name == "ada"

    def test_an_invitation_is_for_one_name(self, here: World) -> None:
        from dataclasses import replace

        with pytest.raises(UsageError, match="another client"):
            here.loop.do(enrol(replace(here.invite("ada"), name="bo"), here.folder / "bo"))

    def test_clocks_that_differ_are_named(self, here: World, monkeypatch) -> None:
        monkeypatch.setattr("renga.protocol.certificates.SKEW", timedelta(days=-1))
        ticket = here.invite("ada")  # it begins tomorrow
        with pytest.raises(UsageError, match="not good yet") as caught:
            here.loop.do(enrol(ticket, here.folder / "ada"))
        assert "clock" in caught.value.hint

    def test_another_version_is_told_and_not_tried_again(self, here: World, monkeypatch, caplog) -> None:
        link = here.link("ada", doubling())
        with monkeypatch.context() as patch, caplog.at_level(logging.INFO, "renga.server"):
            patch.setattr("renga.client.link.PROTOCOL", PROTOCOL + 1)
            with pytest.raises(UsageError, match=f"speaks version {PROTOCOL + 1}"):
                here.loop.do(link.stay())
        assert f"refused client ada: the other side speaks version {PROTOCOL + 1}" in caplog.text
        with monkeypatch.context() as patch:
            patch.setattr("renga.server.link.PROTOCOL", PROTOCOL + 1)
            with pytest.raises(UsageError, match=f"speaks version {PROTOCOL + 1}"):
                here.loop.do(link.stay())

    def test_a_client_shut_out_comes_back_by_a_new_invitation(self, here: World) -> None:
        first = here.invite("ada")
        folder = here.folder / "ada"
        old = here.loop.do(enrol(first, folder))
        assert was_used(first, folder)
        here.who.registry.revoke("ada")
        second = here.invite("ada")
        assert not was_used(second, folder)
        new = here.loop.do(enrol(second, folder))
        assert new.certificate != old.certificate
        here.attach(here.link("ada", doubling(), new))

    def test_an_expired_one_is_refused_on_both_sides(self, here: World) -> None:
        ticket = here.who.invite("ada", here.address, hours=-0.05)
        with pytest.raises(UsageError, match="expired"):
            here.loop.do(enrol(ticket, here.folder / "ada"))

    def test_it_opens_enrol_and_nothing_else(self, here: World) -> None:
        bootstrap = bootstrap_credentials(here.invite("ada"))
        code = here.loop.do(_refused(bootstrap, here.address))
        assert code == grpc.StatusCode.PERMISSION_DENIED

    def test_a_name_that_is_taken_is_not_invited_again(self, here: World) -> None:
        here.enrolled("ada")
        with pytest.raises(UsageError, match="enrolled already"):
            here.invite("ada")
        here.who.registry.revoke("ada")
        here.invite("ada")

    def test_a_revoked_client_is_out_at_once(self, here: World) -> None:
        credentials = here.enrolled("ada")
        here.who.registry.revoke("ada")
        assert here.loop.do(_refused(credentials, here.address)) == grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(UsageError, match="revoked"):
            here.loop.do(here.link("ada", doubling(), credentials).stay())

    def test_a_certificate_of_another_federation_is_refused(self, here: World, tmp_path: Path) -> None:
        other = identity.create(tmp_path / "other", "localhost:1", ["localhost"])
        key = new_key()
        stranger = Credentials(here.who.authority.certificate, other.certify(key.public_key(), "ada"), key)
        assert here.loop.do(_refused(stranger, here.address)) == grpc.StatusCode.UNAVAILABLE

    def test_a_server_of_another_federation_is_not_spoken_to(self, here: World, tmp_path: Path) -> None:
        other = identity.create(tmp_path / "other", "localhost:1", ["localhost"])
        with pytest.raises(RengaError, match="certificate|reached"):
            here.loop.do(enrol(other.invite("ada", here.address), here.folder / "ada"))

    def test_a_certificate_renewed_leaves_the_old_one_a_while(self, here: World) -> None:
        old = here.enrolled("ada")
        new = here.loop.do(_renewed(old, here.address))
        assert new.certificate != old.certificate
        for credentials in (old, new):
            here.attach(here.link("ada", doubling(), credentials))
            assert ask(here, ["ada"], np.ones(1)).replies
            here.detach("ada")


def _crash(*_: object) -> None:
    raise RuntimeError


async def _refused(credentials: Credentials, address: str) -> grpc.StatusCode:
    """With what. Nothing is written: who writes while it is cut off may hear of that, and tries again."""
    async with credentials.channel(address) as channel:
        call = LinkStub(channel).Attach()
        try:
            async with asyncio.timeout(60):
                await call.read()
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK if not call.done() else await call.code()


async def _renewed(old: Credentials, address: str) -> Credentials:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from renga.protocol.signing import ENROL

    key, signing = new_key(), Ed25519PrivateKey.generate()
    request = request_for(key, "ada")
    async with old.channel(address) as channel:
        reply = await LinkStub(channel).Renew(
            wire.RenewRequest(
                certificate_request=request,
                signing_key=signing.public_key().public_bytes_raw(),
                signing_proof=signing.sign(ENROL + request),
            )
        )
    return Credentials(old.authority, x509.load_der_x509_certificate(reply.certificate), key, signing)
