"""A grid lent over a socket is the grid; a message forwarded over a socket is answered by the daemon."""

from __future__ import annotations

import os
import threading
from multiprocessing.connection import Client
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Error, Message

from renga.errors import RengaError
from renga.protocol.envelope import opened, sealed, sealed_reply
from renga.protocol.flower_internals import acting_as_server
from renga.protocol.gather import gather
from renga.protocol.relay import Door, RelayedGrid, Window, forward, lend
from tests.protocol.test_named_grid import asked, numbered


@pytest.fixture(autouse=True)
def _server():
    with acting_as_server(1):
        yield


class Lent:
    """A grid lent by a thread in place of Flower's process."""

    def __init__(self, path: Path) -> None:
        self.door = Door(path)
        self.problem: BaseException | None = None
        self.thread = threading.Thread(target=self._lend, args=(path,), daemon=True)
        self.thread.start()
        self.connection = self.door.accept()
        self.grid = RelayedGrid(self.connection)

    def _lend(self, path: Path) -> None:
        try:
            lend(numbered(), path)
        except RengaError as error:
            self.problem = error


def test_the_grid_over_there_is_the_grid_here(tmp_path: Path) -> None:
    lent = Lent(tmp_path / "grid")
    assert sorted(lent.grid.get_node_ids()) == [5, 30, 71]
    messages = [sealed("learn", np.zeros(200_000, np.uint8), node, round=1, ttl=60.0) for node in (5, 71)]
    found = gather(lent.grid, messages, deadline=30.0, quorum=2)
    assert {node: bytes(opened(m)).decode() for node, m in found.replies.items()} == {5: "bo", 71: "ada"}
    again = lent.grid.send_and_receive(
        [sealed("learn", np.zeros(3, np.uint8), 71, round=2, ttl=60.0)], timeout=30.0
    )
    assert [bytes(opened(m)).decode() for m in again] == ["ada"]
    lent.grid.end()
    lent.thread.join(5.0)
    assert lent.problem is None and not lent.thread.is_alive()
    lent.door.close()


def test_a_run_that_was_left_alone_fails(tmp_path: Path) -> None:
    lent = Lent(tmp_path / "grid")
    lent.connection.close()
    lent.thread.join(5.0)
    assert isinstance(lent.problem, RengaError)
    with pytest.raises(RengaError, match="gone"):
        lent.grid.get_node_ids()
    lent.door.close()


def test_what_fails_over_there_is_told_here_and_nothing_breaks(tmp_path: Path) -> None:
    lent = Lent(tmp_path / "grid")
    with pytest.raises(RengaError, match="KeyError"):
        lent.grid.push_messages(asked("ada"))  # our own numbers, which that grid does not know
    assert len(lent.grid.get_node_ids()) == 3
    lent.grid.end()
    lent.door.close()


def test_nobody_else_may_come_to_the_door(tmp_path: Path) -> None:
    door = Door(tmp_path / "grid")
    assert os.stat(tmp_path / "grid").st_mode & 0o077 == 0
    door.close()
    with pytest.raises(RengaError, match="nobody listens"):
        lend(numbered(), tmp_path / "grid")
    with pytest.raises(RengaError, match="too long"):
        Door(tmp_path / ("x" * 200))


def answering(message: Message) -> Message:
    if message.metadata.group_id == "2":
        return Message(Error(7, "not today"), reply_to=message)
    if message.metadata.group_id == "3":
        raise RengaError("withheld")
    return sealed_reply(opened(message) + 1, message)


def test_the_daemon_answers_what_the_client_app_passes_on(tmp_path: Path) -> None:
    window = Window(tmp_path / "window", answering)
    try:
        good = forward(
            sealed("learn", np.arange(5, dtype=np.uint8), 5, round=1, ttl=60.0), tmp_path / "window"
        )
        assert opened(good).tolist() == [1, 2, 3, 4, 5] and good.metadata.src_node_id == 5
        refused = forward(sealed("learn", np.zeros(1, np.uint8), 5, round=2, ttl=60.0), tmp_path / "window")
        assert (refused.error.code, refused.error.reason) == (7, "not today")
        withheld = forward(sealed("learn", np.zeros(1, np.uint8), 5, round=3, ttl=60.0), tmp_path / "window")
        assert "withheld" in (withheld.error.reason or "")
    finally:
        window.close()
    with pytest.raises(RengaError, match="nobody listens"):
        forward(sealed("learn", np.zeros(1, np.uint8), 5, round=1, ttl=60.0), tmp_path / "window")


def test_nonsense_at_the_window_harms_nobody(tmp_path: Path) -> None:
    window = Window(tmp_path / "window", answering)
    try:
        for garbage in (b"", b"{}", b"[1]", b'{"blobs": 1}', b"\xff" * 100):
            with Client(str(tmp_path / "window"), "AF_UNIX") as connection:
                connection.send_bytes(garbage)
        good = forward(sealed("learn", np.zeros(1, np.uint8), 5, round=1, ttl=60.0), tmp_path / "window")
        assert opened(good).tolist() == [1]
    finally:
        window.close()
