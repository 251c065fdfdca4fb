"""Detectors of the owner's own: `plug_in = ["staff.py:recogniser"]` in `sanitisation.toml`.

What is named there is a detector of ours, a recogniser of Presidio's, or its analyzer. None of them is trusted to
come back: each looks in a thread of its own, and one that hangs stops the prompt.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from renga.client.sanitisation.entities import Deadline, DetectionFailed, Detector, Entity, Known
from renga.client.sanitisation.presidio import Presidio, Recogniser
from renga.errors import UsageError

PATIENCE = 30.0
HINT = "nothing leaves without it; mend it, or take it out of plug_in in sanitisation.toml"


class Plugged:
    """`detector`, with `patience` seconds for each text."""

    def __init__(self, detector: Detector, name: str, patience: float = PATIENCE) -> None:
        self.name = name
        self._detector, self._patience = detector, patience
        self._hangs: threading.Thread | None = None

    def detect(self, text: str, known: Sequence[Known], deadline: Deadline) -> list[Entity]:
        """Raises DetectionFailed where it fails, hangs, or gives what is no span; it never quotes the text."""
        if self._hangs is not None and self._hangs.is_alive():
            raise DetectionFailed(f"the detector {self.name!r} still hangs; nothing was sent", hint=HINT)
        gave: list[Any] = []

        def look() -> None:
            try:
                gave.append(self._detector.detect(text, known, Deadline.after(self._patience)))
            except BaseException as error:  # noqa: BLE001 - whatever it raises is told by its type alone
                gave.append(error)

        looking = threading.Thread(target=look, daemon=True, name=f"detector {self.name}")
        looking.start()
        looking.join(self._patience)
        if not gave:
            self._hangs = looking
            raise DetectionFailed(
                f"the detector {self.name!r} said nothing for {self._patience:g} s; nothing was sent",
                hint=HINT,
            )
        if isinstance(gave[0], BaseException):
            raise DetectionFailed(
                f"the detector {self.name!r} failed ({type(gave[0]).__name__}); nothing was sent", hint=HINT
            )
        if not isinstance(gave[0], list) or not all(isinstance(one, Entity) for one in gave[0]):
            raise DetectionFailed(f"the detector {self.name!r} gave no list of Entity", hint=HINT)
        found: list[Entity] = gave[0]
        return found


def plugged(names: Sequence[str], folder: Path) -> tuple[Plugged, ...]:
    """The detectors of these names, `MODULE:NAME` or `FILE.py:NAME` in `folder`. Raises UsageError."""
    return tuple(Plugged(_detector(_found(name, folder), name), name) for name in names)


def _found(name: str, folder: Path) -> Any:
    place, _, what = name.rpartition(":")
    try:
        if place.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(place).stem, folder / place)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(place)
        return getattr(module, what)
    except Exception as error:  # noqa: BLE001 - the owner's code may raise anything as it is read
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise UsageError(
            f"plug_in {name!r} can't be loaded: {said}",
            hint="MODULE:NAME, or FILE.py:NAME beside sanitisation.toml",
        ) from None


def _detector(found: Any, name: str) -> Detector:
    made = found() if isinstance(found, type) else found
    if callable(getattr(made, "detect", None)):
        detector: Detector = made
        return detector
    if callable(getattr(made, "analyze", None)):
        if getattr(made, "supported_entities", None):
            return Recogniser(made)
        return Presidio(made, languages=tuple(getattr(made, "supported_languages", ("en",))))
    raise UsageError(
        f"plug_in {name!r} is no detector",
        hint="give it `detect(text, known, deadline)`, or name a recogniser of Presidio's",
    )
