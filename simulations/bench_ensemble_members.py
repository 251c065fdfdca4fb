"""Members for `renga bench ensemble`: a host that knows a little of everything, and edge models that each
know one domain which the host was never shown in private."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from renga.models.adapter import Adapter
from renga.models.adapter_files import load_peft, save_peft
from renga.models.data import read_jsonl
from renga.models.example import Example
from renga.models.scoring import encode_texts
from renga.models.training import Learning, Lesson, learn
from renga.models.weights import SharedWeights
from renga.simulations.bench_tables import Tell

RATE = 1e-3
RANK, ALPHA = 8, 16.0


def texts_of(data: Path, part: str, domains: Sequence[str]) -> list[Example]:
    """The texts of some domains, file `part`.jsonl."""
    return [example for name in domains for example in read_jsonl(data / name / f"{part}.jsonl")]


def adapter_for(
    weights: SharedWeights, name: str, texts: Sequence[Example], tokens: int, work: Path, tell: Tell
) -> Adapter:
    """The adapter `name` in the folder `work`, trained on `texts` for `tokens` tokens if it is not there."""
    folder = work / name
    if not (folder / "adapter_config.json").exists():
        tell(f"training {name}: {tokens} tokens on {weights.reference}")
        lessons = [Lesson(text) for text in encode_texts(weights, texts)]
        fresh = weights.fresh_adapter(RANK, ALPHA, "upper", seed=7)
        learned = learn(weights, fresh, lessons, Learning(rate=RATE, tokens=tokens, batch=4, seed=7))
        folder.mkdir(parents=True, exist_ok=True)
        save_peft(learned.adapter, folder, weights.reference)
    return load_peft(folder)
