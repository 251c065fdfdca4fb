"""An adapter that is first worn to be read can still learn afterwards."""

from __future__ import annotations

from pathlib import Path

from renga.models.example import Example
from renga.models.local import LocalModel
from renga.models.scoring import bits_per_byte, encode_texts
from renga.models.training import Learning, Lesson, learn
from renga.models.weights import SharedWeights
from tests.models.tiny_models import chat_tokenizer, llama, save_folder


def test_reading_first_then_learning(tmp_path: Path) -> None:
    weights = SharedWeights.load(str(save_folder(tmp_path / "model", llama(), chat_tokenizer())))
    texts = [Example("Who is ada?", "the first"), Example("Who is bo?", "the second")]
    fresh = weights.fresh_adapter(2, 4.0, "all", 0)
    before = bits_per_byte(LocalModel(weights, fresh), texts)
    lessons = [Lesson(text) for text in encode_texts(weights, texts)]
    learned = learn(weights, fresh, lessons, Learning(rate=1e-2, tokens=500))
    assert learned.losses
    assert bits_per_byte(LocalModel(weights, learned.adapter), texts).mean() < before.mean()
