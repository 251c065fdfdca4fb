"""From a config to the parts of a federation: weights, members, host, strategy.

Every model reference is loaded once, however many clients use it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from renga.client.member import Member, OnProgress, state_of
from renga.config import Client, Config
from renga.errors import UsageError
from renga.models.alignment import Crosswalk
from renga.models.data import read_examples, split
from renga.models.example import Example
from renga.models.seeds import derived
from renga.models.vocabulary import Vocabulary
from renga.models.weights import SharedWeights
from renga.protocol.messages import Description
from renga.sections import host_settings, member_settings, round_settings
from renga.server.host import Host
from renga.server.host import OnProgress as OnHostProgress
from renga.server.state import ServerState
from renga.server.strategy import Federation, Timing, Told

# Set apart to judge by: of private text, and of labelled public text where the config names none. Judging
# costs every client some readings of it per round; beyond some dozens of texts more would say little more.
VALIDATION_SHARE = 0.1
PUBLIC_VALIDATION_SHARE, PUBLIC_VALIDATION_LIMIT = 0.125, 32


@dataclass(frozen=True)
class Texts:
    """All text of a federation, read once. `held_out` by client; `private` and `validation` too."""

    private: dict[str, list[Example]]
    validation: dict[str, list[Example]]
    held_out: dict[str, list[Example]]
    transfer: list[Example]
    public_validation: list[Example]

    @property
    def transfer_fingerprint(self) -> str:
        """sha256 over the transfer set: both sides hold the same or they don't speak."""
        lines = [[e.prompt, e.response, list(e.choices), e.domain] for e in self.transfer]
        return hashlib.sha256(json.dumps(lines, ensure_ascii=False).encode()).hexdigest()


def read_texts(config: Config) -> Texts:
    """Read every file the config names. Raises UsageError, with file and line, on what can't be used."""
    private, validation, held_out = {}, {}, {}
    for client in config.clients:
        examples = _labelled(client.data)
        private[client.name], validation[client.name] = split(
            examples, _share(examples, VALIDATION_SHARE, client.edge.validation), config.seed
        )
        if not validation[client.name] or not private[client.name]:
            raise UsageError(
                f"{client.data}: {len(examples)} texts are too few for {client.name}",
                hint="a tenth is set apart to judge what the client is offered; give at least 5 prompts",
            )
        found = _labelled(client.held_out)
        held_out[client.name] = found[: config.evaluate.limit] if config.evaluate.limit else found
    transfer = [example for path in config.transfer.data for example in read_examples(path)]
    public_validation = [example for path in config.transfer.validation for example in _labelled(path)]
    if not public_validation:
        labelled = [example for example in transfer if example.response is not None]
        _, public_validation = split(
            labelled, _share(labelled, PUBLIC_VALIDATION_SHARE, PUBLIC_VALIDATION_LIMIT), config.seed
        )
        apart = {example.prompt for example in public_validation}
        transfer = [example for example in transfer if example.prompt not in apart]
    return Texts(private, validation, held_out, transfer, public_validation)


def _share(examples: Sequence[Example], share: float, limit: int) -> float:
    return min(share, limit / max(1, len(examples)))


def _labelled(path: Path) -> list[Example]:
    examples = read_examples(path)
    bare = next((example for example in examples if example.response is None), None)
    if bare is not None:
        raise UsageError(
            f"{path}: a text has no response: {bare.prompt[:40]!r}",
            hint="bare prompts belong into transfer.data only",
        )
    return examples


class Models:
    """The weights in memory, by reference."""

    def __init__(self, loading: Callable[[str], None]) -> None:
        self._loading = loading
        self._weights: dict[str, SharedWeights] = {}
        self._crosswalks: dict[tuple[str, str], Crosswalk] = {}

    def weights(self, reference: str) -> SharedWeights:
        """Load what `reference` names, or give what was loaded before."""
        if reference not in self._weights:
            self._loading(reference)
            self._weights[reference] = SharedWeights.load(reference)
        return self._weights[reference]

    def vocabulary_of(self, who: Description) -> Vocabulary:
        """The vocabulary that a described client's rows are written in."""
        return self.weights(who.model).vocabulary

    def crosswalk(self, teacher: str, student: str) -> Crosswalk:
        """From the tokens of one reference to those of another, filled as it is used."""
        if (teacher, student) not in self._crosswalks:
            pair = Crosswalk(self.weights(teacher).vocabulary, self.weights(student).vocabulary)
            self._crosswalks[teacher, student] = pair
        return self._crosswalks[teacher, student]

    def seconds(self) -> float:
        """Time spent inside all models so far."""
        return sum(weights.meter.seconds for weights in self._weights.values())


def build_member(
    config: Config, client: Client, texts: Texts, models: Models, folder: Path, on_progress: OnProgress | None
) -> Member:
    """One client, with its state under `folder`."""
    edge = client.edge
    return Member(
        settings=member_settings(client.name, edge, client.weight),
        private=texts.private[client.name],
        validation=texts.validation[client.name],
        transfer=texts.transfer,
        transfer_fingerprint=texts.transfer_fingerprint,
        weights=models.weights(edge.model),
        state=state_of(folder, client.name),
        crosswalk_of=lambda teacher: models.crosswalk(teacher, edge.model),
        on_progress=on_progress,
    )


def build_host(config: Config, texts: Texts, models: Models, on_progress: OnHostProgress | None) -> Host:
    """The server's model."""
    host = config.host
    return Host(
        weights=models.weights(host.model),
        settings=host_settings(config.host, config.transfer, config.round),
        validation=texts.public_validation,
        seed=derived(config.seed, "first", "host"),
        on_progress=on_progress,
    )


def build_federation(
    config: Config,
    texts: Texts,
    models: Models,
    host: Host,
    state: ServerState,
    listen: Callable[[Told], None],
) -> Federation:
    """The strategy that plays the config's rounds."""
    transfer, round = config.transfer, config.round
    names: Sequence[str] = [client.name for client in config.clients]
    return Federation(
        clients=lambda: names,
        rounds=config.rounds,
        seed=config.seed,
        transfer=texts.transfer,
        transfer_fingerprint=texts.transfer_fingerprint,
        slice_size=transfer.slice,
        questions=transfer.questions,
        settings=replace(
            round_settings(config.transfer, config.round, len(names)), coding=config.edge.coding
        ),
        timing=Timing(round.deadline, round.grace),
        host=host,
        vocabulary_of=models.vocabulary_of,
        state=state,
        listen=listen,
    )
