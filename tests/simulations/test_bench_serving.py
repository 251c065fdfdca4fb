"""The benchmark of serving decodes the same both ways, and counts what it says."""

from renga.simulations.bench_serving import serve
from tests.models.tiny_weights import some_ids, tiny


def test_both_ways_say_the_same():
    weights = tiny("llama")
    served = serve(weights, [some_ids(weights, 5 + n, seed=n) for n in range(4)], tokens=6)
    assert served.sessions == 4 and served.differing == 0
    assert served.first_token > 0 and served.fairness >= 1 and served.ratio > 0
