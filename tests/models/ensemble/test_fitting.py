"""What is fitted to texts is better on them; what is remembered is what was said; measures are what they
say."""

import numpy as np
import pytest

from renga.errors import UsageError
from renga.models.contract import Sampling
from renga.models.ensemble.fitting import fit_gate, fit_weights
from renga.models.ensemble.fuse import fuse
from renga.models.ensemble.measuring import SPARE_TOKENS, measure, paired_interval
from renga.models.ensemble.remembering import Remembering
from renga.models.ensemble.selection import select
from renga.models.example import Example
from renga.models.generate import answer
from tests.models.contract_checks import PROMPT, check_contract
from tests.models.toy import Toy

GOOD, BAD = Toy(seed=1, text=True), Toy(seed=2, text=True)


def texts(model=GOOD, count=12):
    """What the model itself says, hot."""
    found = []
    for seed in range(count):
        said = answer(model, f"q{seed}", Sampling(temperature=1.0, max_tokens=6, seed=seed))
        if "�" not in said:
            found.append(Example(f"q{seed}", said))
    return found


@pytest.mark.parametrize("rule", ["mean", "geometric"])
def test_fitted_weights_need_the_fewest_bits(rule):
    mixed = texts(GOOD, 12) + texts(BAD, 4)
    weights = fit_weights([GOOD, BAD], mixed, rule=rule)
    assert sum(weights) == pytest.approx(1) and weights[0] > weights[1]

    def bits(w):
        return measure(fuse(GOOD, BAD, weights=w, rule=rule), mixed, said=False).bits_per_byte

    best = bits(weights)
    for step in (-0.1, 0.1):
        moved = min(max(weights[0] + step, 0.01), 0.99)
        assert best <= bits([moved, 1 - moved]) + 2e-3  # ends are fitted too, and not counted here


def test_a_fitted_gate_beats_even_weights():
    mixed = texts(GOOD, 14) + texts(BAD, 3)
    gate = fit_gate([BAD, GOOD], mixed)
    gated = measure(fuse(BAD, GOOD, rule="defer", gate=gate), mixed, said=False).bits_per_byte
    assert gated <= measure(fuse(BAD, GOOD), mixed, said=False).bits_per_byte


def test_fitting_needs_texts_and_a_rule_that_can_be():
    with pytest.raises(UsageError, match="responses"):
        fit_weights([GOOD, BAD], [Example("q", None)])
    with pytest.raises(UsageError, match="not 'entropy'"):
        fit_weights([GOOD, BAD], texts(count=2), rule="entropy")


def test_measured():
    examples = texts(count=5)
    greedy = [Example(e.prompt, answer(GOOD, e.prompt, Sampling(max_tokens=9))) for e in examples]
    found = measure(GOOD, greedy, count=lambda text: 9 - SPARE_TOKENS)
    assert found.accuracy == 1.0 and np.isfinite(found.bits).all()
    chosen = measure(select(GOOD, BAD), greedy)
    assert np.isnan(chosen.bits).all() and chosen.cost.passes > found.cost.passes
    low, high = paired_interval(found.right, np.zeros(len(greedy)))
    assert low == high == 1.0
    rng = np.random.default_rng(0)
    one = rng.random(100)
    low, high = paired_interval(one, one - 0.1)
    assert low == pytest.approx(0.1) == high


def test_what_is_remembered_is_what_the_model_says_and_is_asked_once():
    inner = Toy(seed=4)
    model = Remembering(inner, "toy")
    check_contract(model)
    said = answer(model, PROMPT, Sampling(max_tokens=8))
    assert said == answer(inner, PROMPT, Sampling(max_tokens=8))
    before = inner.meter.passes
    assert answer(model, PROMPT, Sampling(max_tokens=8)) == said
    assert inner.meter.passes == before and model.meter.passes > 0


def test_what_is_kept_on_disk_is_there_for_the_next_process(tmp_path):
    inner = Toy(seed=4)
    first, again = (Remembering(inner, "toy", folder=tmp_path, elsewhere=True) for _ in range(2))
    said = answer(first, PROMPT, Sampling(max_tokens=8))
    before = inner.meter.passes
    assert answer(again, PROMPT, Sampling(max_tokens=8)) == said and inner.meter.passes == before
    for name in ("passes", "tokens", "bytes_up", "bytes_down", "seconds"):
        assert getattr(first.meter, name) == getattr(again.meter, name) > 0, name
    assert first.asked == {PROMPT.text}
