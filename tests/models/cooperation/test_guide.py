"""Guiding: predictors learn what they are shown, rules are their formulas, search keeps what verifies."""

import math

import numpy as np
import pytest
import torch

from renga.errors import UsageError
from renga.models.contract import Prompt, Sampling, Scores, Verify
from renga.models.cooperation.attributes import Attribute, auroc, pieces, train
from renga.models.cooperation.detect import Mark
from renga.models.cooperation.guide import Conditioned, gedi, guide
from renga.models.cooperation.search import search
from renga.models.cooperation.spans import Span
from renga.models.generate import generate
from renga.models.local import LocalModel
from tests.models.tiny_weights import random_adapter, some_ids, tiny

PROMPT = Prompt("Who counts?")
SHIPS = [
    f"The {a} {b} sails to the harbour." for a in ("old", "swift", "grey") for b in ("ship", "ferry", "boat")
]
BREAD = [
    f"The {a} {b} rises in the oven." for a in ("warm", "brown", "sweet") for b in ("bread", "dough", "cake")
]


@pytest.fixture(scope="module")
def ships():
    return train("ships", SHIPS, BREAD)


@pytest.fixture(scope="module")
def family():
    weights = tiny("starcoder2 in float64")
    return [LocalModel(weights, a) for a in (None, random_adapter(weights, 1), random_adapter(weights, 2))]


def rows(model, ids):
    return model.open(PROMPT).feed(ids).logp


def rows_behind(session, id):
    return session.feed([id]).logp


def test_a_predictor_learns_what_it_is_shown(ships):
    assert ships.odds(b"A ferry sails") > 1 > -1 > ships.odds(b"The dough in the oven")
    again = train("ships", SHIPS, BREAD)
    assert again.bias == ships.bias and np.array_equal(again.weights, ships.weights)
    with pytest.raises(UsageError, match="needs texts"):
        train("x", SHIPS, [" "])


def test_ways_to_go_on_are_judged_as_whole_texts(ships):
    before, ways = b"The old fe", [b"rry", b"", b" is", "連".encode(), b"rry sails to the harbour."]
    whole = [ships.odds(before + way) for way in ways]
    assert ships.odds_after(before, ways) == pytest.approx(whole)
    assert ships.odds_after(b"", [b"a", b""]) == pytest.approx([ships.odds(b"a"), ships.odds(b"")])
    text = b" the sea is wide"
    for cut in range(len(text)):
        both = np.concatenate([pieces(text[:cut]), pieces(text, behind=cut)])
        assert sorted(both) == sorted(pieces(text))


def test_a_file_holds_it(ships, tmp_path):
    ships.save(tmp_path / "a" / "ships.safetensors")
    again = Attribute.load(tmp_path / "a" / "ships.safetensors")
    assert again.name == "ships" and again.odds(b"x ship") == ships.odds(b"x ship")
    (tmp_path / "bad").write_bytes(b"nonsense")
    Attribute("x", math.nan, ships.weights).save(tmp_path / "nan")
    Attribute("x", 0.0, ships.weights[:9]).save(tmp_path / "short")
    for name in ("bad", "nan", "short", "missing"):
        with pytest.raises(UsageError, match="no attribute"):
            Attribute.load(tmp_path / name)


def test_auroc():
    assert auroc([3, 4], [1, 2]) == 1 and auroc([1, 2], [3, 4]) == 0 and auroc([1, 1], [1, 1]) == 0.5
    assert auroc([1, 3], [2, 2]) == 0.5 and math.isnan(auroc([], [1]))


@pytest.mark.parametrize("away", [False, True])
def test_fudge_is_its_formula(family, ships, away):
    model = family[0]
    ids = some_ids(model.weights, 4)
    guided, base = rows(guide(model, ships, strength=3.0, top=20, away=away), ids), rows(model, ids)
    for place in range(5):
        before = model.vocabulary.bytes_of(ids[:place])
        best = base[place].topk(20).indices.tolist()
        scores = {}
        for id in best:
            odds = ships.odds(before + model.vocabulary.token_bytes(id)) * (-1 if away else 1)
            scores[id] = math.exp(base[place, id]) / (1 + math.exp(-odds)) ** 3.0
        for id in best:
            share = scores[id] / sum(scores.values())
            assert guided[place, id].exp().item() == pytest.approx(share, rel=1e-6)
        assert (guided[place] > -torch.inf).sum() == 20
    same = rows(guide(model, ships, strength=0, top=10**6), ids)
    assert torch.allclose(same, base, atol=1e-9)


def test_gedi_is_bayes_rule(family):
    base, having, lacking = family
    ids = some_ids(base.weights, 4)
    model = gedi(base, having, lacking, strength=5.0, scale=2.0, bias=0.3, top=30)
    guided, (b, h, o) = rows(model, ids), (rows(m, ids) for m in family)
    for place in range(5):
        best = b[place].topk(30).indices.tolist()
        scores = {}
        for x in best:
            lead = sum(float(h[i, id] - o[i, id]) for i, id in enumerate(ids[:place])) + float(
                h[place, x] - o[place, x]
            )
            posterior = 1 / (1 + math.exp(-(2.0 * lead / (place + 1) + 0.3)))
            scores[x] = math.exp(b[place, x]) * posterior**5.0
        for x in best:
            assert guided[place, x].exp().item() == pytest.approx(scores[x] / sum(scores.values()), rel=1e-6)


@pytest.mark.parametrize("kind", ["fudge", "gedi"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_guided_models_verify_what_they_say_and_rewind(family, ships, kind, temperature):
    model = guide(family[0], ships) if kind == "fudge" else gedi(*family)
    sampling = Sampling(temperature=temperature, max_tokens=10, seed=3)
    alone = list(generate(model, PROMPT, sampling))
    session = model.open(PROMPT)
    said = session.feed(alone, Verify(sampling)).ids
    assert said is not None and said.tolist()[: len(alone)] == alone
    session.rewind(3)
    more = session.feed(alone[3:]).logp
    assert more is not None and torch.allclose(more, rows(model, alone)[3:], atol=1e-9)
    single = model.open(PROMPT)
    for id in alone:
        last = rows_behind(single, id)
    assert torch.allclose(last[-1], rows(model, alone)[-1], atol=1e-9)


def test_a_conditioned_model_reads_its_instruction(family):
    model = family[0]
    one = Conditioned(model, "Write of ships.").open(PROMPT).feed([]).logp
    other = model.open(Prompt("Write of ships.\nWho counts?")).feed([]).logp
    assert torch.equal(one, other)


def test_search_keeps_what_verifies(family):
    model = family[0]

    def short(question, answer):
        return 1.0 - len(answer) / 1000

    sampling = Sampling(temperature=1.0, max_tokens=12, seed=1)
    found = search(model, short, k=6, weight=1.0, steps=1).best(PROMPT, sampling)
    assert found.ids
    again = search(model, short, k=6, weight=1.0, steps=1).best(PROMPT, sampling)
    assert again == found
    scores = model.open(PROMPT).feed(found.ids, Scores()).scores
    assert scores is not None
    if not found.ended or len(found.ids) == sampling.max_tokens:
        assert found.logp == pytest.approx(float(scores.sum()), abs=1e-6)


def test_more_ways_are_never_judged_worse(family):
    def vowels(question, answer):
        return sum(c in "aeiou" for c in answer) / max(1, len(answer))

    sampling = Sampling(temperature=1.0, max_tokens=16, seed=2)
    scores = [
        search(family[0], vowels, k=k, weight=1.0, steps=1).best(PROMPT, sampling).score for k in (1, 4, 8)
    ]
    assert scores == sorted(scores) and scores[0] < scores[-1]


def test_a_detector_may_verify(family):
    class NoE:
        name = "no e"

        def inspect(self, question, answer):
            return [Mark(Span(i, i + 1), 0.9, "an e", self.name) for i, c in enumerate(answer) if c == "e"]

    searching = search(family[0], NoE(), k=8, weight=1.0, steps=1)
    text = "".join(p.text for p in searching.respond(PROMPT, Sampling(temperature=1.0, max_tokens=4, seed=0)))
    assert "e" not in text


@pytest.mark.parametrize(
    "call",
    [
        lambda m, a: guide(m, a, strength=-1),
        lambda m, a: guide(m, a, top=0),
        lambda m, a: gedi(m, m, LocalModel(tiny("gemma3"))),
        lambda m, a: gedi(m, m, m, strength=math.nan),
        lambda m, a: search(m, lambda q, t: 0.0, k=0),
        lambda m, a: search(m, lambda q, t: 0.0, delimiter=""),
    ],
)
def test_numbers_and_members_that_do_not_fit(family, ships, call):
    with pytest.raises(UsageError):
        call(family[0], ships)
