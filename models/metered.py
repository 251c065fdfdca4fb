"""A model as it is, with a meter of its own: what one caller used, however many share the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from renga.models.contract import Answer, Full, LanguageModel, Prompt, Verify, Want
from renga.models.meter import Meter
from renga.models.vocabulary import Vocabulary


class Metered:
    """`model`, counted. `emitted`: ids that it said itself, when it was asked to verify."""

    def __init__(self, model: LanguageModel) -> None:
        self.meter = Meter()
        self.emitted = 0
        self._model = model

    @property
    def vocabulary(self) -> Vocabulary:
        return self._model.vocabulary

    @property
    def offers(self) -> frozenset[type[Want]]:
        return self._model.offers

    def open(self, prompt: Prompt) -> _MeteredSession:
        """A session of the model, whose feeds are counted here; the prompt is, with the first of them."""
        return _MeteredSession(self, self._model.open(prompt))


class _MeteredSession:
    def __init__(self, model: Metered, session: Any) -> None:
        self._model = model
        self._session = session
        self._prompt = int(getattr(session, "prompt_ids", 0))

    @property
    def length(self) -> int:
        return int(self._session.length)

    def feed(self, ids: Sequence[int], want: Want = Full()) -> Answer:
        with self._model.meter.reading(len(ids) + self._prompt):
            answer: Answer = self._session.feed(ids, want)
        self._prompt = 0
        if isinstance(want, Verify) and answer.ids is not None:
            self._model.emitted += len(answer.ids) - _agreed(answer.ids.tolist(), ids)
        return answer

    def rewind(self, length: int) -> None:
        self._session.rewind(length)

    def close(self) -> None:
        close = getattr(self._session, "close", None)
        if close is not None:
            close()


def _agreed(emitted: Sequence[int], ids: Sequence[int]) -> int:
    """How many of the ids fed were said before: all that the model agrees with."""
    count = 0
    while count < min(len(emitted), len(ids)) and emitted[count] == ids[count]:
        count += 1
    return count
