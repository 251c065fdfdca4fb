"""A local model in a process of its own: members that are read side by side then have a core each, and no
interpreter in common. Threads share one, and a small model spends much of a token's time in it.

What goes through the pipe: a line of JSON one way, a row of numbers the other. Nothing leaves the machine.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import signal
import stat
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import Any

import torch

from renga.errors import RengaError, UsageError
from renga.models.adapter import Adapter
from renga.models.composed import ALL_WANTS, Reader, RowsSession, name_of
from renga.models.context import TooLong
from renga.models.contract import Clearance, LanguageModel, Prompt, Said
from renga.models.local import LocalModel
from renga.models.meter import Meter
from renga.models.vocabulary import Vocabulary
from renga.models.weights import SharedWeights

DONE, FAILED, LONG = b"+", b"-", b"#"

_silence = threading.Lock()


class Apart:
    """`model` once more, in another process with `threads` threads, which ends with this one or by `close`.

    With one thread it is a fork of this process: it begins at once, and the weights are in memory once,
    however many members wear them. Elsewhere than on Linux, and with more threads (a fork can't have them if
    this process had), it loads the weights again. Raises RengaError if it can't.
    """

    offers = ALL_WANTS

    def __init__(self, model: LocalModel, threads: int = 1) -> None:
        self.vocabulary: Vocabulary = model.vocabulary
        self.name = f"{name_of(model)} (apart)"
        self.meter = Meter()
        self._lock = threading.Lock()
        self._opened = 0
        self._type = _type(model)
        forks = threads == 1 and sys.platform == "linux"
        context = multiprocessing.get_context("fork" if forks else "spawn")
        self._pipe, theirs = context.Pipe()
        how = (
            (theirs, self._pipe, model)
            if forks
            else (theirs, model.weights.reference, model.adapter, threads)
        )
        self._process = context.Process(  # type: ignore[attr-defined]
            target=_forked if forks else _spawned, args=how, daemon=True
        )
        # With the lock: no other thread is in the middle of a pass, or has half an adapter on.
        with model.weights.lock, _in_silence():
            self._process.start()
        theirs.close()
        try:
            self.ask({"move": "begin"})
        except BaseException:
            self.close()
            raise

    def open(self, prompt: Prompt) -> ApartSession:
        """A session there that has read `prompt`."""
        return ApartSession(self, prompt)

    def ask(self, move: dict[str, Any], into: torch.Tensor | None = None) -> None:
        """One move; the numbers that are said to it are written `into`. Raises RengaError for what fails
        there, or if nobody is."""
        with self._lock:
            try:
                self._pipe.send_bytes(json.dumps(move).encode())
                said = self._pipe.recv_bytes()
                if into is not None and said[:1] == DONE:
                    self._pipe.recv_bytes_into(into.numpy().data.cast("B"))
            except (OSError, EOFError) as error:
                raise RengaError(f"the process of {self.name} has ended") from error
            except BaseException:
                self._pipe.close()  # half an exchange: whoever asks next must not take its rest for an answer
                raise
        if said[:1] != DONE:
            raise (TooLong if said[:1] == LONG else RengaError)(said[1:].decode())
        self.meter.passes, self.meter.tokens = json.loads(said[1:])

    def rows(self, session: int, read: list[int], fed: list[int]) -> torch.Tensor:
        """Rows behind `read` and behind each of `fed`."""
        rows = torch.empty((len(fed) + 1, self.vocabulary.size), dtype=self._type)
        with self.meter.working():
            self.ask({"move": "rows", "session": session, "read": read, "fed": fed}, rows)
        return rows

    def number(self) -> int:
        """Of the next session."""
        with self._lock:
            self._opened += 1
            return self._opened

    def close(self) -> None:
        """End the process."""
        if self._lock.acquire(timeout=5):  # else it is in the middle of something that does not end
            with suppress(OSError):  # ended already
                self._pipe.send_bytes(json.dumps({"move": "end"}).encode())
            self._pipe.close()
            self._lock.release()
        else:
            self._process.kill()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


class ApartSession(RowsSession):
    """One session there."""

    def __init__(self, model: Apart, prompt: Prompt) -> None:
        super().__init__(prompt, model.vocabulary)
        self._model = model
        self._number = model.number()
        model.ask({"move": "open", "session": self._number, "prompt": asdict(prompt)})

    def _rows(self, read: list[int], fed: list[int]) -> torch.Tensor:
        return self._model.rows(self._number, read, fed)

    def close(self) -> None:
        super().close()
        with suppress(RengaError):  # ended already
            self._model.ask({"move": "close", "session": self._number})


def apart(model: LanguageModel, *, threads: int = 1) -> LanguageModel:
    """The local `model` in a process of its own, for members that are to be read side by side on several
    cores; with more `threads` than one it takes its memory twice."""
    if not isinstance(model, LocalModel):
        raise UsageError(f"apart(…) takes a model that is here, and {name_of(model)} is not one")
    return Apart(model, threads)


@contextmanager
def _in_silence() -> Iterator[None]:
    """What Python and tokenizers have to say of forks is about threads, and a fork of a model needs none."""
    with _silence, warnings.catch_warnings():
        said = os.environ.get("TOKENIZERS_PARALLELISM")
        os.environ["TOKENIZERS_PARALLELISM"] = said or "false"
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            yield
        finally:
            if said is None:
                del os.environ["TOKENIZERS_PARALLELISM"]


def _forked(pipe: Connection, theirs: Connection, model: LocalModel) -> None:
    theirs.close()  # else its end would not be seen here
    _let_go_of_sockets(but=pipe.fileno())
    gc.freeze()  # a collection would write to every object, and so copy all pages that are shared
    # What this process was told to do on signals was meant for the one it is a copy of.
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # A thread that is none here may have held what is in these.
    model.weights.lock, model.weights.meter = threading.RLock(), Meter()
    _serve(pipe, model, 1)


def _let_go_of_sockets(but: int) -> None:
    """Whoever is connected to the process that this one is a copy of waits for *its* end."""
    for number in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):
            if number != but and stat.S_ISSOCK(os.fstat(number).st_mode):
                os.close(number)


def _spawned(pipe: Connection, reference: str, adapter: Adapter | None, threads: int) -> None:
    try:
        model = LocalModel(SharedWeights.load(reference), adapter)
    except RengaError as error:
        pipe.recv_bytes()
        pipe.send_bytes(FAILED + error.message.encode())
        return
    _serve(pipe, model, threads)


def _serve(pipe: Connection, model: LocalModel, threads: int) -> None:
    """The other process, until it is told to end or nobody is left to tell it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for whoever asks, and who ends this
    torch.set_num_threads(threads)
    sessions: dict[int, Reader] = {}
    while True:
        rows: torch.Tensor | None = None
        try:
            move = json.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            return
        try:
            match move["move"]:
                case "open":
                    sessions[move["session"]] = Reader(model, _prompt(**move["prompt"]))
                case "rows":
                    rows = sessions[move["session"]].rows(move["read"], move["fed"])
                case "close":
                    sessions.pop(move["session"]).close()
                case "end":
                    return
        except RengaError as error:
            said = (LONG if isinstance(error, TooLong) else FAILED) + error.message.encode()
        except Exception as error:  # noqa: BLE001 - the edge to the other process, which has the user
            said = FAILED + f"{type(error).__name__} there: {error}".encode()
        else:
            meter = model.weights.meter
            said = DONE + json.dumps([meter.passes, meter.tokens]).encode()
        try:
            pipe.send_bytes(said)
            if rows is not None:
                pipe.send_bytes(rows.contiguous().numpy().data.cast("B"))
        except OSError:
            return


def _prompt(text: str, clearance: str, before: list[dict[str, str]]) -> Prompt:
    return Prompt(text, Clearance(clearance), tuple(Said(**said) for said in before))


def _type(model: LocalModel) -> torch.dtype:
    """Of the rows it gives."""
    kind: torch.dtype = model.weights.model.dtype
    return torch.float64 if kind == torch.float64 else torch.float32
