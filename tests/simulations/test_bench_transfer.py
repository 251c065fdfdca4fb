"""The transfer benchmark measures what it says, on vocabularies small enough for a test."""

import json

from renga.simulations.bench_transfer import measure
from tests.models.tiny_tokenizers import CORPUS, vocabulary


def test_measure_reports_both_ways():
    student = vocabulary("bytes-small")
    found = measure(vocabulary("bytes-large"), student, CORPUS[:4], top_k=8, repeats=2)
    json.dumps(found)
    assert found["places"] == sum(len(student.encode(text)) + 1 for text in CORPUS[:4])
    assert set(found["seconds_per_1000"]) == {"align", "sparse_loss", "dense_fill", "dense_loss"}
    assert all(seconds > 0 for seconds in found["seconds_per_1000"].values())
    assert found["bytes"]["sparse_targets"] < found["bytes"]["dense_target"]
    assert 0 < found["masked_share"] < 1
