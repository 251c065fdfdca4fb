"""The cache is handed over under the name that the installed transformers wants."""

from __future__ import annotations

import warnings

from renga.models.caching import handed
from renga.models.contract import Prompt
from renga.models.local import LocalModel
from renga.models.weights import SharedWeights
from tests.models.tiny_models import chat_tokenizer, llama, save_folder


class Older:
    def forward(self, input_ids, past_key_values=None): ...


class Newer:
    def forward(self, input_ids, cache=None, past_key_values=None): ...


def test_the_name_is_the_models_own() -> None:
    assert handed(1, Older()) == {"past_key_values": 1}
    assert handed(1, Newer()) == {"cache": 1}


def test_a_session_warns_of_nothing(tmp_path) -> None:
    model = LocalModel(SharedWeights.load(str(save_folder(tmp_path / "model", llama(), chat_tokenizer()))))
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        model.open(Prompt("hello")).feed([3, 4])
