"""What a client says of a SuperLink that it can't speak to, and of a SuperNode that ended."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import pytest

from renga.client.supernode import explained, last_node, releases_apart, unreachable
from renga.protocol.certificates import Authority, Identity, Role, issue, new_authority, new_key
from renga.protocol.flower_programs import RELEASE_HEADER, free_port
from renga.protocol.key_files import certificate_pem, open_pem


@contextmanager
def answering(
    folder: Path, authority: Authority | None, name: str = "127.0.0.1", said: bytes = b""
) -> Iterator[str]:
    """Something that listens: with TLS by this authority for this name, or without. said: HTTP headers."""
    trust = None
    if authority is not None:
        key = new_key()
        identity = Identity(Role.SERVER, "superlink")
        certificate = issue(authority, key.public_key(), identity, days=1, hosts=[name])
        (folder / "own.pem").write_bytes(certificate_pem(certificate))
        (folder / "own.key").write_bytes(open_pem(key))
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trust.load_cert_chain(folder / "own.pem", folder / "own.key")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            with suppress(OSError):
                plain, _ = listening.accept()
                with plain:
                    if trust is None:
                        plain.sendall(b"hello, who are you? I do not speak TLS")
                    else:
                        with trust.wrap_socket(plain, server_side=True) as private:
                            if said:
                                private.recv(4096)
                                private.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + said + b"\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        thread.join(5.0)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = new_authority()
    (tmp_path / "ca.pem").write_bytes(certificate_pem(made.certificate))
    return made


def test_the_federations_own_superlink_can_be_spoken_to(tmp_path: Path, authority: Authority) -> None:
    with answering(tmp_path, authority) as fleet:
        assert unreachable(fleet, tmp_path / "ca.pem") == ""


@pytest.mark.parametrize(
    ("theirs", "parts"),
    [
        ("1.99.3", ("is of Flower 1.99.3", "pip install 'flwr==1.99.*'", version("flwr"))),
        (".".join([*version("flwr").split(".")[:2], "77"]), ()),
        ("", ()),
    ],
)
def test_another_release_of_flower_is_told_and_how_to_get_it(
    tmp_path: Path, authority: Authority, theirs: str, parts: tuple[str, ...]
) -> None:
    header = f"{RELEASE_HEADER}: {theirs}\r\n".encode()
    with answering(tmp_path, authority, said=header) as fleet:
        told = releases_apart(fleet, tmp_path / "ca.pem")
    assert all(part in told for part in parts) and bool(told) == bool(parts) and "\n" not in told


@pytest.mark.parametrize(
    ("who", "said"),
    [
        ("foreign", "is not this federation's"),
        ("named", "goes by other names"),
        ("plain", "does not speak TLS"),
    ],
)
def test_what_answers_there_is_something_else(
    tmp_path: Path, authority: Authority, who: str, said: str
) -> None:
    theirs = {"foreign": new_authority(), "named": authority, "plain": None}[who]
    with answering(tmp_path, theirs, "elsewhere" if who == "named" else "127.0.0.1") as fleet:
        assert said in unreachable(fleet, tmp_path / "ca.pem")


@pytest.mark.parametrize("fleet", ["a free port", "nowhere.invalid:1", "no port", "host:x"])
def test_nobody_is_there(tmp_path: Path, authority: Authority, fleet: str) -> None:
    fleet = f"127.0.0.1:{free_port()}" if fleet == "a free port" else fleet
    assert "does the server run with --carrier superlink?" in unreachable(fleet, tmp_path / "ca.pem")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "ERROR: Exit Code: 305 / Failed to initialize the connection to the SuperLink. / [code: 2004] "
            "Failed to activate SuperNode. / For more information, visit: <https://…> / INFO: Shutting down",
            "takes it for present",
        ),
        ("ERROR: Client error '401 Unauthorized' for url / INFO: Shutting down", "does not know its key"),
        ("the runtime version of SuperNode is incompatible", "another version of Flower"),
        ("ERROR: Exit Code: 1 / it broke / INFO:     Finished", "it broke"),
        (
            "\x1b[92mINFO \x1b[0m: Sent successfully / \x1b[92mINFO \x1b[0m: Start `flwr-clientapp`",
            "nothing in its log",
        ),
        ("", "nothing in its log"),
    ],
)
def test_last_words_are_explained_in_a_line(words: str, said: str) -> None:
    assert said in explained(words) and "\n" not in explained(words)


def test_the_number_that_flower_gave_a_node_is_the_last_in_its_log(tmp_path: Path) -> None:
    log = tmp_path / "supernode.log"
    assert last_node(log) is None
    log.write_text(
        "INFO: SuperNode ID: 7\nINFO: Sent\nINFO: SuperNode ID: 15793138780076947040\nINFO: Sent\n"
    )
    assert last_node(log) == 15793138780076947040
    log.write_text("ERROR: Exit Code: 305\n")
    assert last_node(log) is None
