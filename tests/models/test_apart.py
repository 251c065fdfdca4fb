"""A model in a process of its own is that model, and its end is an error, or an absence."""

import pytest
import torch

from renga.errors import RengaError, UsageError
from renga.models.apart import Apart, apart
from renga.models.composed import absences
from renga.models.contract import Sampling
from renga.models.ensemble.fuse import fuse
from renga.models.generate import generate
from renga.models.local import LocalModel
from renga.models.weights import SharedWeights
from tests.models.contract_checks import PROMPT, check_contract, fresh
from tests.models.tiny_models import chat_tokenizer, llama, save_folder
from tests.models.tiny_weights import random_adapter, some_ids
from tests.models.toy import Toy


def test_a_model_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    weights = SharedWeights.load(str(save_folder(tmp_path / "model", llama(), chat_tokenizer())))
    here = LocalModel(weights, random_adapter(weights))
    there = apart(here)
    assert isinstance(there, Apart)
    ids = some_ids(weights, 5)
    assert torch.allclose(fresh(there, ids), fresh(here, ids), atol=1e-5)
    check_contract(there, tolerance=1e-5)
    assert there.meter.passes > 5
    model = fuse(here, there)
    assert torch.allclose(fresh(model, ids), fresh(here, ids), atol=1e-5)
    said = []
    for id in generate(model, PROMPT, Sampling(max_tokens=9)):
        said.append(id)
        if len(said) == 3:
            there._process.kill()
            there._process.join()
    assert len(said) > 4 and "has ended" in str(absences(model)[0])
    with pytest.raises(RengaError, match="has ended"):
        there.open(PROMPT)
    there.close()


def test_what_is_not_here_is_not_put_apart():
    with pytest.raises(UsageError, match="takes a model that is here"):
        apart(Toy())
