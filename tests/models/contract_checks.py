"""What every session must do, whatever it is made of: checked against `oracle`, the rows of one fresh feed.

`check_contract(model)` is the whole of it. The oracle is a fresh session that reads everything at once, so a
test of a composed model needs one more thing from elsewhere: that these rows are the right ones.
"""

from __future__ import annotations

import numpy as np
import torch

from renga.models.contract import Clearance, Full, Prompt, Sampling, Scores, TopK, Verify
from renga.models.noise import Place, chosen

PROMPT = Prompt("Who counts?", Clearance.PUBLIC)  # what a remote model may be asked


def usable(model, count, seed=0):
    """Ids that stand for bytes, from text where the vocabulary is large."""
    ids = [id for id in range(model.vocabulary.size) if id not in model.vocabulary.specials]
    return [ids[i] for i in np.random.default_rng(seed).integers(len(ids), size=count)]


def fresh(model, ids, prompt=PROMPT):
    """Rows before and behind each of `ids`, by a session that reads them all at once."""
    return model.open(prompt).feed(ids).logp


def check_contract(model, tolerance=1e-9, ids=None):
    ids = usable(model, 7) if ids is None else ids
    oracle = fresh(model, ids)

    def same(ours, theirs):
        assert ours.shape == theirs.shape
        assert torch.allclose(ours.exp(), theirs.exp(), rtol=0, atol=tolerance)

    assert oracle.shape == (len(ids) + 1, model.vocabulary.size)
    same(oracle.logsumexp(-1), torch.zeros(len(ids) + 1, dtype=oracle.dtype))

    session = model.open(PROMPT)  # token by token, the current place first and unchanged
    rows = [session.feed([]).logp]
    for id in ids:
        two = session.feed([id]).logp
        assert torch.equal(two[0], rows[-1][-1])
        rows.append(two[1:])
    same(torch.cat(rows), oracle)
    assert session.length == len(ids)
    assert torch.equal(session.feed([]).logp[0], rows[-1][-1])

    session = model.open(PROMPT)  # cut back and fed again
    other = usable(model, 3, seed=1)
    for length in (len(ids), len(ids) // 2, 1, 0):
        session.feed(ids[session.length :])
        session.rewind(length)
        assert session.length == length
        same(session.feed(other).logp, fresh(model, ids[:length] + other)[length:])
        session.rewind(length)
    for length in (-1, 1):
        try:
            session.rewind(length)
        except ValueError:
            continue
        raise AssertionError(f"rewound to {length}")

    # What is wanted, derived from the rows.
    best = model.open(PROMPT).feed(ids, TopK(3))
    assert torch.equal(oracle.gather(1, best.ids), best.logp) or torch.allclose(
        oracle.gather(1, best.ids).exp(), best.logp.exp(), atol=tolerance
    )
    assert torch.allclose(
        best.logp.exp().sum(1) + best.tail.exp(), torch.ones_like(best.tail), rtol=0, atol=1e-5
    )
    scores = model.open(PROMPT).feed(ids, Scores()).scores
    same(scores, oracle[:-1].gather(1, torch.tensor(ids)[:, None])[:, 0])

    for sampling in (Sampling(), Sampling(temperature=1.0, seed=5)):  # what the model itself emits
        said: list[int] = []
        place, session = Place(), model.open(PROMPT)
        while len(said) < 5:
            row = session.feed(said[-1:], Full()).logp[-1]
            said.append(chosen(row, model.vocabulary, sampling, place))
            place = place.after(model.vocabulary, said[-1])
            if said[-1] in model.vocabulary.specials:
                break
        for drafts in (said, said[:2] + usable(model, 2, seed=2), usable(model, 2, seed=3), []):
            session = model.open(PROMPT)
            agreed = 0
            while agreed < min(len(drafts), len(said)) and drafts[agreed] == said[agreed]:
                agreed += 1
            got = session.feed(drafts, Verify(sampling)).ids.tolist()
            if agreed < len(said):
                assert got == said[: agreed + 1]
                assert session.length == agreed
            else:
                assert got[: len(said)] == said
        session.feed(usable(model, 1), Full())  # and it goes on from there
