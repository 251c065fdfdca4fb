"""Learning: what it costs, what it leaves alone, and what it learns from."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from renga.models.alignment import Crosswalk, align_many
from renga.models.example import Example
from renga.models.local import LocalModel
from renga.models.scoring import Encoded, bits_per_byte, encode_texts, rows_of
from renga.models.training import Learning, Lesson, _loss, _plan, _schedule, learn
from tests.models.tiny_weights import random_adapter, some_examples, tiny

HOW = Learning(rate=3e-2, tokens=2500, batch=4, seed=5)
TASK = [
    Example(f"Who is {name}?", f"{name} is the {what}")
    for name, what in zip(["ada", "bo", "cy", "dee", "eve", "fay"], ["1st", "2nd", "3rd"] * 2, strict=True)
]
EXAMPLES = some_examples()


def lessons_of(weights, examples):
    return [Lesson(text) for text in encode_texts(weights, examples)]


def same(x, y):
    return x.factors.keys() == y.factors.keys() and all(
        np.array_equal(f.a, y.factors[path].a) and np.array_equal(f.b, y.factors[path].b)
        for path, f in x.factors.items()
    )


@pytest.mark.parametrize("kind", ["llama", "gemma3", "gemma2"])
def test_the_loss_falls_and_the_texts_are_learned(kind):
    weights = tiny(kind)
    adapter = weights.fresh_adapter(4, 8.0, "all", 0)
    before = bits_per_byte(LocalModel(weights, adapter), TASK).mean()
    learned = learn(weights, adapter, lessons_of(weights, TASK), HOW)
    after = bits_per_byte(LocalModel(weights, learned.adapter), TASK).mean()
    assert np.mean(learned.losses[-4:]) < 0.6 * np.mean(learned.losses[:2])
    assert after < 0.6 * before
    assert bits_per_byte(LocalModel(weights, adapter), TASK).mean() == before


def test_the_base_and_the_adapter_given_stay_as_they_are():
    weights = tiny("llama")
    adapter = random_adapter(weights)
    kept = {path: (f.a.copy(), f.b.copy()) for path, f in adapter.factors.items()}
    base = {name: p.clone() for name, p in weights.model.state_dict().items()}
    bare = bits_per_byte(LocalModel(weights), EXAMPLES)
    learned = learn(weights, adapter, lessons_of(weights, EXAMPLES), replace(HOW, tokens=800))
    after = {
        name.replace(".base_layer.", "."): p
        for name, p in weights.model.state_dict().items()
        if ".lora_" not in name
    }
    assert after.keys() == base.keys()
    assert all(torch.equal(after[name], p) for name, p in base.items())
    assert all(
        np.array_equal(f.a, kept[path][0]) and np.array_equal(f.b, kept[path][1])
        for path, f in adapter.factors.items()
    )
    assert not same(learned.adapter, adapter)
    assert (learned.adapter.alpha, learned.adapter.rank) == (adapter.alpha, adapter.rank)
    assert learned.adapter.base == weights.fingerprint
    assert np.array_equal(bits_per_byte(LocalModel(weights), EXAMPLES), bare)
    assert not any(p.requires_grad or p.grad is not None for p in weights.model.parameters())


def test_same_seed_same_bytes_whatever_was_worn_before():
    weights = tiny("llama")
    adapter, other = weights.fresh_adapter(2, 4.0, "all", 0), random_adapter(weights, 9)
    how = replace(HOW, tokens=800)
    lessons = lessons_of(weights, EXAMPLES)
    first = learn(weights, adapter, lessons, how)
    learn(weights, other, lessons, how)
    torch.manual_seed(99)
    again = learn(weights, adapter, lessons, how)
    anew = tiny("llama")
    elsewhere = learn(anew, anew.fresh_adapter(2, 4.0, "all", 0), lessons_of(anew, EXAMPLES), how)
    for learned in (again, elsewhere):
        assert same(learned.adapter, first.adapter)
        assert (learned.losses, learned.tokens) == (first.losses, first.tokens)
    assert not same(learn(weights, adapter, lessons, replace(how, seed=6)).adapter, first.adapter)


@pytest.mark.parametrize("tokens", [-1, 0, 1, 300, 1000, 2500])
def test_no_more_tokens_are_read_than_allowed(tokens):
    weights = tiny("llama")
    adapter = weights.fresh_adapter(2, 4.0, "attention", 0)
    lessons = lessons_of(weights, EXAMPLES)
    steps = []
    learned = learn(
        weights, adapter, lessons, replace(HOW, tokens=tokens, batch=2), lambda *step: steps.append(step)
    )
    assert learned.tokens == sum(step[3] for step in steps) <= max(0, tokens)
    assert [step[:2] for step in steps] == [(n + 1, len(steps)) for n in range(len(steps))]
    assert [step[2] for step in steps] == learned.losses
    if tokens < 50:
        assert learned.adapter is adapter
    if tokens >= 1000:  # all is used that no further batch fits into
        assert learned.tokens > tokens - 2 * max(lesson.text.length for lesson in lessons) - len(lessons) * 9


def test_nothing_to_learn_leaves_the_adapter():
    weights = tiny("llama")
    adapter = random_adapter(weights)
    learned = learn(weights, adapter, [], HOW)
    assert learned.adapter is adapter and learned.losses == [] and learned.tokens == 0


def test_what_a_step_reads_is_what_the_loss_reads():
    weights = tiny("llama")
    lessons = lessons_of(weights, EXAMPLES)
    texts = [lesson.text for lesson in lessons]
    with weights.learning(random_adapter(weights)):
        _, tokens = _loss(weights, lessons, HOW)
    assert tokens == sum(len(text.prompt) + len(text.response) - 1 for text in texts)


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_every_text_comes_once_before_any_comes_twice(batch):
    lengths = np.random.default_rng(0).integers(1, 40, size=100).tolist()
    plan = list(_plan(lengths, Learning(rate=1.0, tokens=7 * sum(lengths), batch=batch, seed=3)))
    flat = [i for chosen in plan for i in chosen]
    rounds = [flat[start : start + 100] for start in range(0, len(flat), 100)]
    assert len(rounds) == 7
    assert all(sorted(each) == list(range(100)) for each in rounds)
    assert len({tuple(each) for each in rounds}) == 7
    assert all(len(chosen) <= batch for chosen in plan)
    spread = [max(lengths[i] for i in chosen) - min(lengths[i] for i in chosen) for chosen in plan]
    assert np.mean(spread) < 10  # of like length


def test_a_budget_below_the_first_batch_pays_for_a_part_of_it():
    assert [len(c) for c in _plan([10] * 8, Learning(rate=1.0, tokens=35, batch=8))] == [3]
    assert list(_plan([10] * 8, Learning(rate=1.0, tokens=9, batch=8))) == []
    assert [len(c) for c in _plan([10] * 8, Learning(rate=1.0, tokens=75, batch=4))] == [4]


def test_the_rate_rises_then_falls_to_a_tenth():
    rates = [_schedule(step, 50) for step in range(50)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5:] == sorted(set(rates[5:]), reverse=True)
    assert 0.1 <= rates[-1] < 0.13
    assert _schedule(0, 1) == 1.0


def loss_and_gradient(weights, adapter, lessons, how):
    with weights.learning(adapter) as parameters:
        loss, _ = _loss(weights, lessons, how)
        loss.backward()
        return float(loss.detach()), torch.cat([p.grad.flatten() for p in parameters])


def test_the_loss_is_the_mean_over_response_tokens():
    weights = tiny("llama")
    adapter = random_adapter(weights)
    loss, _ = loss_and_gradient(weights, adapter, lessons_of(weights, EXAMPLES), HOW)
    rows = rows_of(LocalModel(weights, adapter), EXAMPLES, top_k=1, floor=0.0)
    every = np.concatenate([r.gold_logp for r in rows])
    assert loss == pytest.approx(-every.mean(), rel=1e-4)


def test_weights_of_lessons_scale_their_texts():
    weights = tiny("llama")
    adapter = random_adapter(weights)
    lessons = lessons_of(weights, EXAMPLES[:3])
    parts = [
        loss_and_gradient(weights, adapter, [replace(x, weight=float(x is y)) for x in lessons], HOW)
        for y in lessons
    ]
    ws = [0.5, 2.0, 0.25]
    weighted = [replace(lesson, weight=w) for lesson, w in zip(lessons, ws, strict=True)]
    loss, gradient = loss_and_gradient(weights, adapter, weighted, HOW)
    assert loss == pytest.approx(sum(w * part[0] for w, part in zip(ws, parts, strict=True)), rel=1e-4)
    expected = sum(w * part[1] for w, part in zip(ws, parts, strict=True))
    assert torch.allclose(gradient, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))


def taught(weights, teacher, examples, top_k=None, floor=0.0):
    texts = encode_texts(weights, examples)
    rows = rows_of(teacher, examples, top_k=top_k or teacher.vocabulary.size, floor=floor)
    crosswalk = Crosswalk(teacher.vocabulary, weights.vocabulary)
    targets = align_many(rows, crosswalk, [text.response for text in texts])
    return [Lesson(text, target) for text, target in zip(texts, targets, strict=True)]


@pytest.mark.parametrize("top_k", [None, 8])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_teacher_that_says_the_same_teaches_nothing(top_k, temperature):
    weights = tiny("llama")
    adapter = random_adapter(weights)
    how = replace(HOW, distillation=1.0, temperature=temperature)
    same_ = taught(weights, LocalModel(weights, adapter), EXAMPLES, top_k)
    other = taught(weights, LocalModel(weights, random_adapter(weights, 1)), EXAMPLES, top_k)
    loss, gradient = loss_and_gradient(weights, adapter, same_, how)
    far_loss, far_gradient = loss_and_gradient(weights, adapter, other, how)
    assert abs(loss) < 1e-4 * far_loss
    assert float(gradient.norm()) < 1e-3 * float(far_gradient.norm())


def test_learning_from_a_teacher_brings_the_student_to_it():
    weights = tiny("llama")
    teacher = LocalModel(weights, random_adapter(weights, 1, size=0.05))
    adapter = weights.fresh_adapter(2, 4.0, "all", 0)
    lessons = taught(weights, teacher, TASK)
    how = replace(HOW, distillation=1.0, tokens=3000)
    learned = learn(weights, adapter, lessons, how)
    assert np.mean(learned.losses[-3:]) < 0.5 * np.mean(learned.losses[:2])


def test_distillation_is_the_teachers_share_of_the_loss():
    weights = tiny("llama")
    adapter = random_adapter(weights)
    lessons = taught(weights, LocalModel(weights, random_adapter(weights, 1)), EXAMPLES)
    lessons[1] = replace(lessons[1], targets=None)  # this one has gold alone
    losses = {
        d: loss_and_gradient(weights, adapter, lessons, replace(HOW, distillation=d))[0] for d in (0, 0.25, 1)
    }
    bare = [replace(lesson, targets=None) for lesson in lessons]
    assert losses[0] == pytest.approx(loss_and_gradient(weights, adapter, bare, HOW)[0], rel=1e-5)
    assert losses[0.25] == pytest.approx(0.75 * losses[0] + 0.25 * losses[1], rel=1e-4)


def test_batches_of_taught_and_untaught_texts_are_the_sum_of_each():
    weights = tiny("llama")
    adapter = random_adapter(weights)
    lessons = taught(weights, LocalModel(weights, random_adapter(weights, 1)), EXAMPLES, 16)
    lessons = [
        replace(lesson, weight=w, targets=lesson.targets if w != 2.0 else None)
        for lesson, w in zip(lessons, [1.0, 2.0, 0.5, 1.0, 3.0, 0.1], strict=True)
    ]
    counts = [len(lesson.text.response) for lesson in lessons]
    loss, gradient = loss_and_gradient(weights, adapter, lessons, HOW)
    each = [loss_and_gradient(weights, adapter, [lesson], HOW) for lesson in lessons]
    expected = sum(n * part[0] for n, part in zip(counts, each, strict=True)) / sum(counts)
    slope = sum(n * part[1] for n, part in zip(counts, each, strict=True)) / sum(counts)
    assert loss == pytest.approx(expected, rel=1e-4)
    assert torch.allclose(gradient, slope, rtol=1e-3, atol=1e-5 * float(slope.abs().max()))


def test_a_text_without_response_is_its_end():
    weights = tiny("llama")
    end = weights.vocabulary.end
    lesson = Lesson(Encoded(prompt=(5, 6), response=(end,), bytes=0))
    loss, _ = loss_and_gradient(weights, random_adapter(weights), [lesson], HOW)
    assert math.isfinite(loss) and loss > 0


def test_an_interrupted_lesson_leaves_the_weights_usable():
    weights = tiny("llama")
    adapter = random_adapter(weights)
    bare, worn = (bits_per_byte(LocalModel(weights, a), EXAMPLES) for a in (None, adapter))

    def stop(*step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(weights, adapter, lessons_of(weights, EXAMPLES), HOW, stop)
    assert np.array_equal(bits_per_byte(LocalModel(weights, adapter), EXAMPLES), worn)
    assert np.array_equal(bits_per_byte(LocalModel(weights), EXAMPLES), bare)
    assert not any(p.requires_grad for p in weights.model.parameters())
