"""A local model in a process of its own: members that are read side by side then have a core each, and no
interpreter in common. Threads share one, and a small model spends much of a token's time in it.

What goes through the pipe: a line of JSON one way, a row of numbers the other. Nothing leaves the machine.
"""

from __future__ import annotations

import json
import multiprocessing
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch

from renga.errors import RengaError, UsageError
from renga.models.adapter import Adapter
from renga.models.composed import ALL_WANTS, Reader, RowsSession, name_of
from renga.models.contract import Clearance, LanguageModel, Prompt
from renga.models.local import LocalModel
from renga.models.meter import Meter
from renga.models.vocabulary import Vocabulary
from renga.models.weights import SharedWeights

FAILED, ROWS = b"-", b"+"


class Apart:
    """`model` once more, in another process with `threads` threads, which ends with this one or by `close`.

    It loads its weights again: memory for both. Raises RengaError if it can't.
    """

    offers = ALL_WANTS

    def __init__(self, model: LocalModel, threads: int = 1) -> None:
        self.vocabulary: Vocabulary = model.vocabulary
        self.name = f"{name_of(model)} (apart)"
        self.meter = Meter()
        self._lock = threading.Lock()
        self._opened = 0
        self._pipe, theirs = multiprocessing.get_context("spawn").Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(theirs, model.weights.reference, model.adapter, threads), daemon=True
        )
        self._process.start()
        theirs.close()
        self._type = np.dtype(self.ask({"move": "begin"}).decode())

    def open(self, prompt: Prompt) -> ApartSession:
        return ApartSession(self, prompt)

    def ask(self, move: dict[str, Any]) -> bytes:
        """One move, and what is said to it. Raises RengaError for what fails there, or if nobody is."""
        with self._lock:
            try:
                self._pipe.send_bytes(json.dumps(move).encode())
                said = self._pipe.recv_bytes()
            except (OSError, EOFError) as error:
                raise RengaError(f"the process of {self.name} has ended") from error
        if said[:1] == FAILED:
            raise RengaError(said[1:].decode())
        return said[1:]

    def rows(self, session: int, read: list[int], fed: list[int]) -> torch.Tensor:
        """Rows behind `read` and behind each of `fed`."""
        with self.meter.reading(len(fed)):
            said = self.ask({"move": "rows", "session": session, "read": read, "fed": fed})
        rows = np.frombuffer(bytearray(said), dtype=self._type)
        return torch.from_numpy(rows.reshape(len(fed) + 1, self.vocabulary.size))

    def number(self) -> int:
        """Of the next session."""
        with self._lock:
            self._opened += 1
            return self._opened

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(5)


class ApartSession(RowsSession):
    """One session there."""

    def __init__(self, model: Apart, prompt: Prompt) -> None:
        super().__init__(prompt, model.vocabulary)
        self._model = model
        self._number = model.number()
        facts = {"text": prompt.text, "clearance": prompt.clearance.value}
        model.ask({"move": "open", "session": self._number, **facts})

    def _rows(self, read: list[int], fed: list[int]) -> torch.Tensor:
        return self._model.rows(self._number, read, fed)

    def close(self) -> None:
        super().close()
        with suppress(RengaError):  # ended already
            self._model.ask({"move": "close", "session": self._number})


def apart(model: LanguageModel, *, threads: int = 1) -> LanguageModel:
    """The local `model` in a process of its own, for members that are to be read side by side on several
    cores. It takes its memory twice."""
    if not isinstance(model, LocalModel):
        raise UsageError(f"apart(…) takes a model that is here, and {name_of(model)} is not one")
    return Apart(model, threads)


def _serve(pipe: Connection, reference: str, adapter: Adapter | None, threads: int) -> None:
    """The other process, until the pipe is closed."""
    torch.set_num_threads(threads)
    model: LocalModel | None = None
    sessions: dict[int, Reader] = {}

    def answered(move: dict[str, Any]) -> bytes:
        nonlocal model
        if model is None:
            model = LocalModel(SharedWeights.load(reference), adapter)
        match move["move"]:
            case "open":
                prompt = Prompt(move["text"], Clearance(move["clearance"]))
                sessions[move["session"]] = Reader(model, prompt)
            case "rows":
                rows = sessions[move["session"]].rows(move["read"], move["fed"])
                return rows.contiguous().numpy().tobytes()
            case "close":
                sessions.pop(move["session"]).close()
            case "begin":
                return str(torch.empty(0, dtype=_type(model)).numpy().dtype).encode()
        return b""

    while True:
        try:
            move = json.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            return
        try:
            said = ROWS + answered(move)
        except RengaError as error:
            said = FAILED + error.message.encode()
        pipe.send_bytes(said)


def _type(model: LocalModel) -> torch.dtype:
    """Of the rows it gives."""
    kind: torch.dtype = model.weights.model.dtype
    return torch.float64 if kind == torch.float64 else torch.float32
