"""Plans: what is read, what is refused and how it is said, and that what is built is what was written."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.errors import RengaError, UsageError
from renga.models.contract import Sampling
from renga.models.cooperation.speculate import Speculated
from renga.models.ensemble.fuse import Fused
from renga.models.generate import answer
from renga.models.plans import strategies as table
from renga.models.plans.build import Leaf, build, checked, usage
from renga.models.plans.language import Call, Name, parse, read_plan, written
from renga.models.plans.report import report
from renga.models.plans.strategies import TABLE, Strategy, strategies, strategy
from tests.models.contract_checks import PROMPT
from tests.models.tiny_tokenizers import worded
from tests.models.toy import Toy

EDGE, HOST, OTHER = Toy(seed=1), Toy(seed=2), Toy(worded("th", "hem"), seed=3)
NAMES = {
    "edge": Leaf("edge", lambda: EDGE, tokens=lambda: "one"),
    "host": Leaf("host", lambda: HOST, "server", "gemma", 1000, lambda: "one"),
    "clinic_a": Leaf("clinic_a", lambda: OTHER, "client", "smol", 500, lambda: "other"),
}


def test_what_is_written_is_what_is_read():
    text = "speculate(lookup(), fuse(edge, host, weights=[0.7, -0.3], rule='mean'), length=3)"
    node = parse(text)
    assert written(node) == text and parse(written(node)) == node
    assert isinstance(node, Call)
    assert node.strategy == "speculate" and node.operands[0] == Call("lookup")
    assert parse("edge") == Name("edge")


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_plan_or_a_usage_error(text):
    try:
        node = read_plan(text).root
    except UsageError:
        return
    assert isinstance(node, Name | Call)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "can't be read"),
        ("fuse(edge", "can't be read"),
        ("__import__('os').system('x')", "no place in a plan"),
        ("edge.weights", "no place in a plan"),
        ("fuse(*edges)", "\\* and \\*\\*"),
        ("fuse(**edges)", "\\* and \\*\\*"),
        ("[edge for edge in host]", "no place in a plan"),
        ("lambda: edge", "no place in a plan"),
        ("fuse(edge, host, weights=[1+1])", "no place in a plan"),
        ("'edge'", "a plan is a model's name"),
        ("fuse(" * 9 + "edge" + ")" * 9, "nested deeper"),
        ("fuse(" * 500 + "edge" + ")" * 500, "can't be read|parts|deep"),
        ("fuse(" + "edge, " * 200 + ")", "parts"),
        ("fuse(edge, weights=[1], weights=[2])", "can't be read|given twice"),
        ("x" * 10_001, "characters"),
    ],
)
def test_what_is_no_plan(text, said):
    with pytest.raises(UsageError, match=said):
        parse(text)


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("fuze(edge, host)", "no strategy 'fuze'", "did you mean 'fuse'"),
        ("fuse(edge, hots)", "no model 'hots'", "did you mean 'host'"),
        ("fuse(edge, host, weigths=[1, 2])", "no option 'weigths'", "did you mean 'weights'"),
        ("fuse(edge, host, weights='all')", "weights=", ""),
        ("fuse(edge, host, rule='median')", "rule=", ""),
        ("fuse(edge, 3)", "takes a model as models, not 3", "fuse"),
        ("fuse()", "needs models", "fuse"),
        ("fuse(lookup(), edge)", "takes a model as models, and lookup\\(\\) is a drafter", "fuse"),
        ("speculate(edge)", "needs target", "speculate"),
        ("speculate(edge, host, edge)", "no use for edge", "speculate"),
        ("speculate(edge, draft=edge, target=host)", "twice", ""),
        ("fuse(edge, host, k=edge)", "k is not a model", ""),
    ],
)
def test_what_can_not_be_is_said_before_a_model_is_opened(text, said, hint):
    def never():
        raise AssertionError

    names = {name: Leaf(name, never) for name in NAMES}
    with pytest.raises(UsageError, match=said) as caught:
        build(parse(text), names)
    assert hint in caught.value.hint


def test_fusing_unlike_vocabularies_is_seen_without_opening_them():
    with pytest.raises(UsageError, match="clinic_a has another vocabulary than edge"):
        report(parse("speculate(edge, fuse(edge, clinic_a))"), NAMES)
    report(parse("fuse(edge, clinic_a, align='union')"), NAMES)


def test_what_is_built_is_what_was_written():
    model = build(parse("speculate(edge, fuse(edge, host, weights=[3, 1]), length=2)"), NAMES)
    assert isinstance(model, Speculated) and model.length == 2
    assert isinstance(model.target, Fused)
    assert model.target.members == (EDGE, HOST)
    assert model.members[1:] == (EDGE,)  # opened once, however often it is named
    how = Sampling(max_tokens=8)
    assert answer(model, PROMPT, how) == answer(
        build(parse("fuse(edge, host, weights=[3, 1])"), NAMES), PROMPT, how
    )


def test_the_same_in_toml(tmp_path):
    file = tmp_path / "plan.toml"
    file.write_text(
        'plan = { strategy = "speculate", of = ["edge"], length = 2, target = '
        '{ strategy = "fuse", of = ["edge", "host"], weights = [0.7, 0.3] } }\n'
        '[models]\nedge = { model = "SmolLM2", adapter = "here" }\n'
    )
    read = read_plan(str(file))
    text = "speculate(edge, length=2, target=fuse(edge, host, weights=[0.7, 0.3]))"
    assert read.root == parse(text)
    assert read.models == {"edge": {"model": "SmolLM2", "adapter": "here"}}
    file.write_text('plan = "fuse(edge, host)"')
    assert read_plan(str(file)).root == parse("fuse(edge, host)")
    for wrong, said in (
        ("plan = 3", "names its strategy|a plan is"),
        ("plans = 3", "no 'plans'"),
        ("plan = {}", "names its strategy"),
        ('plan = {strategy="fuse", of="edge"}', "lists the operands"),
        ("", "has no plan"),
        ("plan", "plan.toml"),
    ):
        file.write_text(wrong)
        with pytest.raises(UsageError, match=said):
            read_plan(str(file))
    with pytest.raises(UsageError, match="can't read"):
        read_plan(str(tmp_path / "none.toml"))


def test_a_report_says_what_crosses_and_what_is_lossless():
    said = report(parse("speculate(edge, host)"), NAMES)
    assert said.lossless == "host"
    assert [(e.name, e.travels, e.journeys) for e in said.edges] == [("host", "token ids", "one per draft")]
    assert report(parse("speculate(edge, speculate(lookup(), host))"), NAMES).lossless == "host"
    assert not report(parse("speculate(edge, host, accept='rejection')"), NAMES).lossless
    said = report(parse("speculate(edge, fuse(edge, host, rows=16))"), NAMES)
    assert said.lossless == "fuse(edge, host, rows=16)"
    assert said.edges[0].travels == "the best 16 tokens of each place" and said.edges[0].down == 132
    assert any("by definition" in note for note in said.notes)
    said = report(parse("fuse(edge, host)"), NAMES)
    assert not said.lossless and said.edges[0].journeys == "one per token"
    assert any("under speculate" in note for note in said.notes)
    assert not report(parse("fuse(edge, edge)"), NAMES).edges
    assert any("lent by clinic_a" in line for line in report(parse("clinic_a"), NAMES).lines)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_strategy_of_the_table_is_there_and_says_what_it_is(name):
    found = strategy(name)
    assert callable(found.make) and len(found.summary) > 20
    assert usage(found).startswith(name + "(")
    assert all(p.kinds or p.hint is not None for p in found.parameters)


def test_another_packages_strategy(monkeypatch):
    class Point:
        name, value = "sharpen", "tests.models.plans.sharpen:sharpen"

    class Broken:
        name, value = "broken", "tests.models.plans.nowhere:x"

    class Taken:
        name, value = "fuse", "tests.models.plans.sharpen:sharpen"

    monkeypatch.setattr(table, "entry_points", lambda group: [Point, Broken, Taken])
    strategies.cache_clear()
    try:
        node = parse("speculate(edge, sharpen(fuse(edge, host), power=2.0))")
        assert checked(node, NAMES) == "model"
        assert answer(build(node, NAMES), PROMPT, Sampling(max_tokens=4))
        with pytest.raises(UsageError, match="power="):
            build(parse("sharpen(edge, power='much')"), NAMES)
        with pytest.raises(RengaError, match="can't be loaded"):
            checked(parse("broken(edge)"), NAMES)
        assert strategy("fuse") == Strategy("fuse", *TABLE["fuse"])  # ours can't be replaced
    finally:
        strategies.cache_clear()
