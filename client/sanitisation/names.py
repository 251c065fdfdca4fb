"""The layer that finds persons: both scripts, over the plain and the decoded reading."""

from __future__ import annotations

from collections.abc import Sequence

from renga.client.sanitisation.entities import Deadline, Entity, Kind, Known
from renga.client.sanitisation.found import Found
from renga.client.sanitisation.names_beside import lower_lists, owners, speakers, together, voices
from renga.client.sanitisation.names_ja import japanese_names
from renga.client.sanitisation.names_ja_placed import placed_names_ja
from renga.client.sanitisation.names_ja_told import told_names_ja
from renga.client.sanitisation.names_latin import latin_names
from renga.client.sanitisation.names_of_nobody import nobody
from renga.client.sanitisation.names_placed import fields, rows, sharers
from renga.client.sanitisation.names_written import written
from renga.client.sanitisation.normal import normal
from renga.client.sanitisation.shadow import decoded, shadow


def _beside(text: str) -> list[Found]:
    """Who speaks (unless in a play), and who stands in a list without capitals."""
    about = nobody(text)
    if about.fiction and not about.own:
        return []
    return [*speakers(text), *voices(text), *lower_lists(text), *sharers(text), *rows(text), *fields(text)]


class Names:
    """Detector of persons. Needs the extra `sanitise`; without it, DetectionFailed says so."""

    name = "names"

    def detect(self, text: str, known: Sequence[Known], deadline: Deadline) -> list[Entity]:
        entities: dict[tuple[int, int], Entity] = {}
        view = shadow(text)
        for reading in (view, decoded(view)):
            if reading is None:
                continue
            latin = [*latin_names(reading.text), *_beside(reading.text)]
            told = [
                *japanese_names(reading.text, deadline),
                *told_names_ja(reading.text),
                *placed_names_ja(reading.text),
                *written(reading.text),
            ]
            for found in (*told, *latin, *together(reading.text, latin), *owners(reading.text)):
                start, end = reading.span(found.start, found.end)
                value = normal(Kind.PERSON, reading.text[found.start : found.end])
                entity = Entity(start, end, found.kind, value, certainty=found.certainty)
                if (start, end) not in entities or entities[start, end].certainty < found.certainty:
                    entities[start, end] = entity
        return list(entities.values())
