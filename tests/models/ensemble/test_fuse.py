"""Fusing: laws that every rule must keep, across vocabularies too, judged by the exact fusion of bytes."""

import itertools
from typing import Any

import pytest
import torch

from renga.errors import UsageError
from renga.models.composed import Places
from renga.models.ensemble.bytewise import Bytewise, byte_vocabulary, bytewise
from renga.models.ensemble.following import Following
from renga.models.ensemble.fuse import fuse, meet
from renga.models.ensemble.relative import relations, shared_tokens
from renga.models.ensemble.translate import string_map, translate
from renga.models.ensemble.union import Union, best
from renga.models.local import LocalModel
from renga.models.vocabulary import byte_letter
from tests.models.contract_checks import PROMPT, check_contract, fresh, usable
from tests.models.tiny_tokenizers import worded
from tests.models.tiny_weights import tiny
from tests.models.toy import Toy

FIRST = worded("the", "them", "she", " on")
OTHER = worded("th", "there", "she", "hem", " one")
RULES = ["mean", "geometric", "entropy", "agreement", "trust"]
WRONG: Any = "meen"
WHEN: Any = ("always", "disagree", "boundary")
GATE: dict[str, Any] = {"rule": "defer", "gate": [0.3, -0.5, 0.2, 0.1]}


def logp(answer):
    return answer.logp


def toys(count=2, vocabulary=FIRST, **facts):
    return [Toy(vocabulary, seed=seed, **facts) for seed in range(count)]


def text_ids(model, text="there she is on them"):
    return model.vocabulary.encode(text)


@pytest.mark.parametrize("how", [{"rule": rule} for rule in RULES] + [GATE])
def test_every_rule_keeps_the_contract(how):
    check_contract(fuse(*toys(), weights=[0.7, 0.3], **how))


@pytest.mark.parametrize("align", ["string", "union"])
def test_across_vocabularies_too(align):
    model = fuse(Toy(FIRST), Toy(OTHER, seed=1), align=align)
    check_contract(model, ids=text_ids(model)[:6])
    check_contract(model, ids=usable(model, 5))  # bytes that are no text


@pytest.mark.parametrize("how", [{"rule": rule} for rule in RULES] + [GATE])
def test_one_member_with_all_the_weight_is_that_member_bit_for_bit(how):
    one, other = toys()
    ids = usable(one, 5)
    for model in (fuse(one, **how), fuse(one, other, weights=[1, 0], **how)):
        assert torch.equal(fresh(model, ids), fresh(one, ids))
    assert torch.equal(fresh(fuse(one, other, weights=[0, 2], **how), ids), fresh(other, ids))


@pytest.mark.parametrize("rule", ["mean", "geometric", "entropy", "agreement"])
def test_the_order_of_members_does_not_matter(rule):
    members, weights = toys(3), [0.5, 0.3, 0.2]
    ids = usable(members[0], 5)
    rows = [
        fresh(fuse(*(members[i] for i in order), weights=[weights[i] for i in order], rule=rule), ids)
        for order in itertools.permutations(range(3))
    ]
    for row in rows[1:]:
        assert torch.allclose(row, rows[0], rtol=0, atol=1e-12)


def test_formulae():
    a, b = toys()
    ids = usable(a, 4)
    p, q = fresh(a, ids), fresh(b, ids)
    assert torch.allclose(fresh(fuse(a, b, weights=[3, 1]), ids).exp(), 0.75 * p.exp() + 0.25 * q.exp())
    geometric = (0.75 * p + 0.25 * q).log_softmax(-1)
    assert torch.allclose(fresh(fuse(a, b, weights=[3, 1], rule="geometric"), ids), geometric)
    trusted = p.max(-1).values.exp() >= q.max(-1).values.exp() - 0.05
    assert torch.allclose(
        fresh(fuse(a, b, rule="trust", margin=0.05), ids), torch.where(trusted[:, None], p, q)
    )


def test_entropy_listens_to_who_is_sure():
    sure, unsure = Toy(FIRST, seed=1, sharp=8.0), Toy(FIRST, seed=2, sharp=0.01)
    ids = usable(sure, 4)
    gated, plain = (fresh(fuse(sure, unsure, rule=rule), ids).exp() for rule in ("entropy", "mean"))
    alone = fresh(sure, ids).exp()
    assert bool(((gated - alone).abs().sum(-1) < (plain - alone).abs().sum(-1)).all())


def test_agreement_drops_who_stands_alone():
    one, again, stranger = Toy(FIRST, seed=1), Toy(FIRST, seed=1), Toy(FIRST, seed=9, sharp=9.0)
    ids = usable(one, 6)
    assert torch.allclose(
        fresh(fuse(one, stranger, again, rule="agreement"), ids), fresh(one, ids), rtol=0, atol=1e-9
    )
    # Where nobody agrees with anybody, all are heard.
    two = fuse(one, stranger, rule="agreement")
    assert torch.allclose(fresh(two, ids), fresh(fuse(one, stranger), ids), rtol=0, atol=1e-9)


def test_the_mean_says_all_that_a_member_can_say():
    one, other = Toy(FIRST), Toy(OTHER, seed=1)
    for align in ("string", "union"):
        rows = fresh(fuse(one, other, align=align), text_ids(one))
        assert bool(torch.isfinite(rows).all())


def test_rules_over_one_vocabulary_agree_across_alignments():
    """The same model twice under other names: union with k = all, string and plain mean are one."""
    a, b = toys()
    ids = usable(a, 4)
    plain = fresh(fuse(a, b, weights=[0.6, 0.4]), ids)
    union = Union([FIRST, FIRST], [0.6, 0.4], k=FIRST.size)
    rows = union([fresh(a, ids), fresh(b, ids)], Places(PROMPT, ids, (), (0, 1)))
    # All specials are one end in a union; here only the end has mass to speak of.
    assert torch.allclose(rows.exp(), plain.exp(), rtol=0, atol=1e-6)
    assert translate(b, a) is b
    assert torch.allclose(fresh(fuse(a, b, weights=[0.6, 0.4], align="string"), ids), plain)


def test_a_union_is_a_law_wherever_the_logits_stand_and_has_no_junk():
    """The published code gives a token whose first sub-token was seen before the logit 0: most of the mass
    when all logits are negative. Here what is shared is split."""
    a = Toy(worded("renga", "rent", "red"), seed=3, sharp=6.0)
    b = Toy(worded("re"), seed=4, sharp=6.0)
    union = Union([a.vocabulary, b.vocabulary], [0.5, 0.5], k=10)
    rows = [torch.full((1, m.vocabulary.size), -30.0, dtype=torch.float64) for m in (a, b)]
    for word, logit in (("renga", -1.0), ("rent", -1.2), ("red", -3.0)):
        rows[0][0, a.vocabulary.id_of(word.encode())] = logit
    rows[1][0, b.vocabulary.id_of(b"re")] = -0.1
    rows = [row.log_softmax(-1) for row in rows]
    fused = union(rows, Places(PROMPT, (), (), (0, 1)))[0].exp()
    assert float(fused.sum()) == pytest.approx(1.0)
    three = [float(fused[a.vocabulary.id_of(w.encode())]) for w in ("renga", "rent", "red")]
    own = [float(rows[0][0, a.vocabulary.id_of(w.encode())].exp()) for w in ("renga", "rent", "red")]
    assert three == pytest.approx(own, abs=0.02)  # b says "re", a says how it goes on


@pytest.mark.parametrize("size", [5, 300, 20_000, 49_999])
def test_the_best_of_a_long_row_are_its_best(size):
    for seed in range(5):
        row = torch.randn(size, generator=torch.Generator().manual_seed(seed))
        row[:: size // 3 + 1] = 9.0
        k = min(10, size)
        assert row[best(row.numpy(), 10)].tolist() == row.topk(k).values.tolist()


def test_a_translated_model_reads_the_text_in_its_own_tokens():
    a, b = Toy(FIRST), Toy(OTHER, seed=1)
    led = Following(b, FIRST)
    ids = text_ids(a)
    rows = logp(led.open(PROMPT).feed(ids))
    for place in range(len(ids) + 1):
        own = OTHER.encode_bytes(FIRST.bytes_of(ids[:place]))
        assert torch.allclose(rows[place], b.row(PROMPT, own))
    translated = fresh(translate(b, a), ids).exp()
    on = FIRST.id_of(b" on")
    assert float(translated[0, on]) >= float(rows[0, OTHER.id_of(b" one")].exp()) - 2e-6


@pytest.mark.parametrize("align", ["string", "union"])
def test_what_one_vocabulary_can_not_spell_is_not_said_in_it(align):
    """SmolLM2 lacks some control characters that Gemma has."""
    poor = worded("the", "she", without=byte_letter(4))
    assert poor.id_of(b"\x04") is None
    one, other = Toy(poor, seed=1, sharp=3.0), Toy(OTHER, seed=2, sharp=3.0)
    for first, second in ((one, other), (other, one)):
        model = fuse(first, second, align=align)
        check_contract(model, ids=text_ids(first, "she on the"))
        rows = fresh(model, text_ids(first, "she"))
        assert torch.allclose(rows.logsumexp(-1), torch.zeros(len(rows), dtype=rows.dtype), atol=1e-9)
    mapped = string_map(OTHER, poor)
    assert int((mapped == poor.size).sum()) == 1 and int(mapped[OTHER.id_of(b"\x04")]) == poor.size
    said = fresh(translate(other, one), text_ids(one, "she"))[0].exp()
    kept = 1 - float(other.row(PROMPT, [])[mapped == poor.size].exp().sum())
    she = float(other.row(PROMPT, [])[mapped == poor.id_of(b"she")].exp().sum())
    assert float(said[poor.id_of(b"she")]) == pytest.approx(she / kept, rel=1e-5)


def test_fusing_only_where_they_differ_is_counted():
    a, b = Toy(FIRST, sharp=3.0), Toy(FIRST, seed=1, sharp=3.0)
    model = fuse(a, Toy(FIRST, sharp=2.0), b, when="disagree")
    ids = usable(a, 8)
    rows = fresh(model, ids)
    agree = torch.stack([fresh(m, ids).argmax(-1) for m in model.members]).T
    same = torch.tensor([len(set(row.tolist())) == 1 for row in agree])
    assert torch.equal(rows[same], fresh(a, ids)[same])
    assert model.places == len(ids) + 1 and model.fused == int((~same).sum())


@pytest.mark.parametrize(
    ("text", "tokens", "vocabularies", "expected"),
    [
        (b"she", [b" on", b" one"], [FIRST, OTHER], True),
        (b"the", [b"m", b" on"], [FIRST], False),  # "them" is one token
        (b"the", [b"re"], [OTHER], False),
        (b"the", [b"m"], [OTHER], True),
        (b"", [b"the", b""], [FIRST, OTHER], True),
    ],
)
def test_where_tokens_meet(text, tokens, vocabularies, expected):
    assert meet(text, tokens, vocabularies) == expected


class Saying(Toy):
    """Sure of what comes next, by the text so far."""

    def __init__(self, said, *arguments, **facts):
        super().__init__(*arguments, **facts)
        self.said = said

    def row(self, prompt, ids):
        row = super().row(prompt, ids)
        token = self.said.get(self.vocabulary.bytes_of(ids))
        if token is not None:
            row[self.vocabulary.id_of(token)] += 20.0
        return row.log_softmax(-1)


@pytest.mark.parametrize("align", ["string", "union"])
def test_fusing_only_where_tokens_begin_at_one_place(align):
    """Before "she" both begin a word; after "the" an "m" makes "them" of it, one token of the first."""
    a = Saying({b"": b"she", b"the": b"m", b"the ": b"she", b"the she": b" on"}, FIRST)
    b = Saying({b"": b"there", b"the": b" one", b"the ": b"she", b"the she": b" "}, OTHER, seed=1)
    ids = [FIRST.id_of(token) for token in (b"the", b" ", b"she")]
    always, differ, meeting = (fuse(a, b, align=align, when=when) for when in WHEN)
    rows, fused, alone = fresh(meeting, ids), fresh(always, ids), fresh(a, ids)
    fresh(differ, ids)
    assert (always.fused, differ.fused, meeting.fused) == (4, 3, 2)
    for place, mixed in enumerate([True, False, False, True]):
        assert torch.equal(rows[place], fused[place] if mixed else alone[place])
    check_contract(meeting, ids=ids)


# ---------------------------------------------------------------------------------------------- relative


@pytest.fixture(scope="module")
def unlike():
    """Two real architectures of nothing with vocabularies that share some tokens."""
    return LocalModel(tiny("llama")), LocalModel(tiny("gemma3"))


def test_relative_rows_keep_the_contract_and_come_nearer_in_the_space_of_relations(unlike):
    one, other = unlike
    model = fuse(one, other, align="relative", weights=[0.5, 0.5])
    ids = text_ids(one, "the dog over")
    check_contract(model, tolerance=1e-4, ids=ids)
    rule: Any = model._inner
    rows = [fresh(one, ids), fresh(Following(other, one.vocabulary), ids)]
    fused = fresh(model, ids)
    own, theirs = rule._relations
    for place in range(len(ids) + 1):
        wanted = (own.seen(rows[0][place].exp()) + theirs.seen(rows[1][place].exp())) / 2
        assert float(wanted.sum()) == pytest.approx(1, abs=1e-4)

        def far(row, wanted=wanted):
            seen = own.seen(row.exp()).clamp(min=1e-12)
            return float((wanted * (wanted.clamp(min=1e-12) / seen).log()).sum())

        assert far(fused[place]) < far(rows[0][place])


def test_relations_are_shares_of_the_nearest_anchors(unlike):
    one, other = unlike
    shared = shared_tokens([one.vocabulary, other.vocabulary])
    assert shared and all(other.vocabulary.id_of(token) is not None for token in shared)
    table = one.weights.model.get_input_embeddings().weight.detach()
    found = relations(table, [one.vocabulary.id_of(token) for token in shared], 4)
    assert torch.allclose(found.shares.sum(1), torch.ones(len(table)))
    for number, token in enumerate(shared):  # an anchor is nearest to itself
        assert int(found.near[one.vocabulary.id_of(token), 0]) == number


@pytest.mark.parametrize("align", ["relative", "union", "string"])
def test_across_vocabularies_one_with_all_the_weight_is_that_one(unlike, align):
    one, other = unlike
    ids = text_ids(one, "the dog")
    assert torch.equal(fresh(fuse(one, other, align=align, weights=[1, 0]), ids), fresh(one, ids))


# ------------------------------------------------------------------------------------------------- bytes


def covers(model, data, ids=(), read=b"", mass=1.0):
    """P(answer begins with `data`) by summing over all covers, one by one."""
    if len(read) >= len(data):
        return mass
    row, whole = model.row(PROMPT, ids).exp(), 0.0
    for id in range(model.vocabulary.size):
        token = model.vocabulary.token_bytes(id)
        longer = read + token
        if token and (longer.startswith(data) or data.startswith(longer)):
            whole += covers(model, data, (*ids, id), longer, mass * float(row[id]))
    return whole


@pytest.mark.parametrize("text", [b"them", b"she o", b"\xff\x00a", b"there"])
def test_bytes_have_the_models_own_probability_over_all_ways_to_cut_them(text):
    model = Toy(FIRST)
    scores = fresh(bytewise(model, prune=0.0), list(text))[:-1].gather(1, torch.tensor(list(text))[:, None])
    assert float(scores.sum().exp()) == pytest.approx(covers(model, text), rel=1e-9)


def test_bytes_keep_the_contract_and_sum_to_one():
    check_contract(bytewise(Toy(FIRST), prune=0.0), ids=list(b"them"))
    check_contract(fuse(Toy(FIRST), Toy(OTHER, seed=1), align="bytes"), ids=list(b"she on"), tolerance=1e-6)


def test_where_tokens_are_bytes_it_is_the_model_itself():
    model = Toy(byte_vocabulary())
    ids = list(b"a \xe2\x82")
    assert torch.allclose(fresh(bytewise(model, prune=0.0), ids), fresh(model, ids))


def test_the_end_counts_as_it_does_in_the_model():
    model = Toy(FIRST, end=1.0)
    row = fresh(bytewise(model, prune=0.0), [])[0]
    specials = list(FIRST.specials)
    assert float(row[256].exp()) == pytest.approx(float(model.row(PROMPT, [])[specials].exp().sum()))


def test_what_is_pruned_is_told():
    exact, cut = (Bytewise(Toy(FIRST), prune=prune).open(PROMPT) for prune in (0.0, 0.05))
    rows = [logp(session.feed(list(b"them on"))) for session in (exact, cut)]
    assert exact.dropped == 0.0 < cut.dropped < 1.0
    assert float((rows[0].exp() - rows[1].exp()).abs().sum(-1).max()) < 1.0
    assert not torch.equal(rows[0], rows[1])


def test_canonical_cuts_are_exact_for_a_model_that_makes_no_others():
    class Canonical(Toy):
        def row(self, prompt, ids):
            row = super().row(prompt, ids)
            text = self.vocabulary.bytes_of(ids)
            for id in range(self.vocabulary.size):
                token = self.vocabulary.token_bytes(id)
                if token and self.vocabulary.encode_bytes(text + token) != [*ids, id]:
                    row[id] = -torch.inf
            return row.log_softmax(-1)

    model = Canonical(FIRST)
    ids = list(b"them on")
    one, other = (fresh(bytewise(model, prune=0.0, canonical=c), ids) for c in (False, True))
    assert torch.allclose(one.exp(), other.exp(), rtol=0, atol=1e-12)


# ---------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: fuse(), "at least one"),
        (lambda: fuse(*toys(), weights=[1]), "2 models and 1 weights"),
        (lambda: fuse(*toys(), weights=[-1, 2]), "from 0 up"),
        (lambda: fuse(*toys(), weights=[0, 0]), "not all 0"),
        (lambda: fuse(Toy(FIRST), Toy(OTHER)), "another vocabulary"),
        (lambda: fuse(*toys(), rule=WRONG), "no rule 'meen'"),
        (lambda: fuse(*toys(), rule="defer"), "four numbers"),
        (lambda: fuse(Toy(FIRST), Toy(OTHER), align="union", rule="geometric"), "rule of its own"),
        (lambda: fuse(Toy(FIRST), Toy(OTHER), align="relative"), "embeddings"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_runs(make, said):
    with pytest.raises(UsageError, match=said):
        make()
