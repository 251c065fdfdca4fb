"""Members for `renga bench ensemble`: a host that knows a little of everything, and edge models that each
know one domain which the host was never shown in private."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from renga.models.adapter import Adapter
from renga.models.adapter_files import load_peft, save_peft
from renga.models.data import read_jsonl
from renga.models.ensemble.remembering import Remembering
from renga.models.example import Example
from renga.models.local import LocalModel
from renga.models.scoring import encode_texts
from renga.models.training import Learning, Lesson, learn
from renga.models.weights import SharedWeights
from renga.simulations.bench_tables import Tell

EXPERTS = ("intent", "ordering", "phonetics")
HOSTED = "factcheck"
ANSWERED = ("intent", "ordering", "factcheck")  # domains whose answers are short enough to be right or wrong
TOKENS = {"intent": 36_000, "ordering": 60_000, "phonetics": 8_000, "host": 10_000}
RATE = 1e-3
RANK, ALPHA = 8, 16.0


def members_of(
    data: Path, work: Path, models: tuple[str, str], budget: int, tell: Tell
) -> dict[str, Remembering]:
    """The experts, and the host, which is elsewhere; adapters and what they said are kept in `work`.

    models: references of edge and host. budget: tokens that each is trained on, 0 for TOKENS.
    """
    edge, host = map(SharedWeights.load, models)
    members: dict[str, Remembering] = {}
    for name in EXPERTS:
        tokens = budget or TOKENS[name]
        adapter = adapter_for(edge, name, texts_of(data, "train", [name]), tokens, work, tell)
        folder = work / "rows" / f"{name}-{tokens}"
        members[name] = Remembering(LocalModel(edge, adapter), name, folder=folder)
    public = texts_of(data, "public", sorted({*EXPERTS, HOSTED}))
    tokens = budget or TOKENS["host"]
    learned = adapter_for(host, "host", texts_of(data, "train", [HOSTED]) + public, tokens, work, tell)
    folder = work / "rows" / f"host-{tokens}"
    members["host"] = Remembering(LocalModel(host, learned), "host", folder=folder, elsewhere=True)
    return members


def kept(folder: Path, what: object, make: Callable[[], np.ndarray]) -> np.ndarray:
    """What `make` gives, made once for `what` and then found in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{hashlib.sha256(repr(what).encode()).hexdigest()[:24]}.npy"
    if not file.exists():
        made = make()
        with open(file.with_suffix(".new"), "wb") as out:
            np.save(out, made)
        file.with_suffix(".new").replace(file)
    found: np.ndarray = np.load(file)
    return found


def texts_of(data: Path, part: str, domains: Sequence[str]) -> list[Example]:
    """The texts of some domains, file `part`.jsonl."""
    return [example for name in domains for example in read_jsonl(data / name / f"{part}.jsonl")]


def adapter_for(
    weights: SharedWeights, name: str, texts: Sequence[Example], tokens: int, work: Path, tell: Tell
) -> Adapter:
    """The adapter `name` in the folder `work`, trained on `texts` for `tokens` tokens if it is not there."""
    folder = work / f"{name}-{tokens}"
    if not (folder / "adapter_config.json").exists():
        tell(f"training {name}: {tokens} tokens on {weights.reference}")
        lessons = [Lesson(text) for text in encode_texts(weights, texts)]
        fresh = weights.fresh_adapter(RANK, ALPHA, "upper", seed=7)
        learned = learn(weights, fresh, lessons, Learning(rate=RATE, tokens=tokens, batch=4, seed=7))
        folder.mkdir(parents=True, exist_ok=True)
        save_peft(learned.adapter, folder, weights.reference)
    return load_peft(folder)
