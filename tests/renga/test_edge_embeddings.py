"""`/v1/embeddings` of the edge model: of what it has learned, and of nothing that another left worn."""

from pathlib import Path
from typing import Any

import numpy as np
import openai
import torch

from renga.client.endpoint import Serving, endpoint
from renga.client.sanitisation.desk import Desk
from renga.endpoint_models import EDGE, Edge, Offered
from renga.models.local import LocalModel
from tests.models.tiny_weights import random_adapter, tiny

TEXTS = ["the tide is out", "the tide is in", "日本語"]
NOBODY: Any = None


def test_the_edge_embeds_what_it_has_learned_and_leaves_no_trace(tmp_path: Path) -> None:
    weights = tiny("llama")
    now = [LocalModel(weights)]
    edge = Edge("tiny", lambda: now[0], lambda: weights)
    serving = Serving(
        endpoint(Offered(tmp_path, NOBODY, edge), Desk(tmp_path / "vault.db"), "a-token-of-ours"), 0
    )
    client = openai.OpenAI(base_url=serving.url, api_key="a-token-of-ours", max_retries=0)

    def embedded() -> Any:
        made = client.embeddings.create(model=EDGE, input=TEXTS)  # base64, the client's own way
        return np.array([one.embedding for one in made.data])

    try:
        before = embedded()
        now[0] = learned = LocalModel(weights, random_adapter(weights))
        after = embedded()
        now[0] = LocalModel(weights)
        again = embedded()
    finally:
        serving.stop()
    assert before.shape == after.shape == (len(TEXTS), weights.model.config.hidden_size)
    assert np.allclose(np.linalg.norm(after, axis=1), 1.0, atol=1e-5)
    assert np.abs(before - after).max(axis=1).min() > 1e-4  # the adapter shows in every text
    assert np.array_equal(again, before)  # and not once it is gone

    weights.wear(learned.adapter)
    ids = torch.tensor([weights.vocabulary.encode(TEXTS[0])])
    with torch.inference_mode():
        states = weights.model(input_ids=ids, output_hidden_states=True).hidden_states[-1][0]
    mean = states.float().mean(0).numpy()
    assert np.allclose(after[0], mean / np.linalg.norm(mean), atol=1e-5)
