"""Walks over a graph: entities as the question names them, no way back, no hubs, up to three edges."""

import pytest

from renga.errors import UsageError
from renga.models.cooperation.graph import (
    MOST_NEIGHBOURS,
    ByLikelihood,
    ByWords,
    Graph,
    GraphSource,
    Step,
    Triple,
    read_triples,
    spoken,
    walks,
)
from renga.models.local import LocalModel
from tests.models.tiny_weights import tiny

TRIPLES = [
    Triple("Ada Holm", "works_for", "Norna Mill"),
    Triple("Ada Holm", "born_in", "Lund"),
    Triple("Norna Mill", "located_in", "Brandsund"),
    Triple("Norna Mill", "founded_by", "Per Dahl"),
    Triple("Brandsund", "mayor", "Eva Berg"),
    Triple("Ada", "plays", "chess"),
]
GRAPH = Graph(TRIPLES)


def test_entities_by_their_longest_names():
    assert GRAPH.linked("Where was ada holm born?") == ["Ada Holm"]
    assert GRAPH.linked("What does Ada play at Norna Mill?") == ["Norna Mill", "Ada"]
    assert GRAPH.linked("Nobody we know") == [] and GRAPH.linked("") == []


@pytest.mark.parametrize(
    ("question", "ends", "hops"),
    [
        ("Where was Ada Holm born?", "Lund", 1),
        ("In which town is what Ada Holm works for located?", "Brandsund", 2),
        ("Who is mayor of the town where the mill that Ada Holm works for is located?", "Eva Berg", 3),
        ("Who works for Norna Mill?", "Ada Holm", 1),
    ],
)
def test_by_words_a_walk_follows_what_is_asked(question, ends, hops):
    best = walks(GRAPH, question, ByWords())
    assert ends in [end for walk in best for end in walk.ends]
    path = next(walk for walk in best if ends in walk.ends)
    assert len(path.steps) == hops == len(path.triples)


def test_walks_end_turn_not_back_and_pass_no_hub():
    def likes_to_go_on(question, start, steps, choices):
        return [-5.0 if choice is None else 0.0 for choice in choices]

    for walk in walks(GRAPH, "Ada Holm", likes_to_go_on, width=50):
        assert 1 <= len(walk.steps) <= 3
        pairs = zip(walk.steps, walk.steps[1:], strict=False)
        assert all(b != Step(a.relation, not a.forward) for a, b in pairs)
        assert walk.start not in walk.ends
    hub = Graph([Triple("X", "links", f"page {i}") for i in range(MOST_NEIGHBOURS + 1)])
    assert walks(hub, "X", likes_to_go_on) == []


def test_a_model_chooses_by_what_the_question_adds():
    choose = ByLikelihood(LocalModel(tiny("llama")))
    choices = [*GRAPH.steps(["Ada Holm"]), None]
    first = choose("Where was Ada Holm born?", "Ada Holm", (), choices)
    assert choose("Where was Ada Holm born?", "Ada Holm", (), choices[::-1]) == pytest.approx(first[::-1])
    assert choose("", "Ada Holm", (), choices) == pytest.approx([0.0] * len(choices), abs=1e-4)
    assert len(set(first)) == len(choices)


def test_what_it_finds_cites_its_triple():
    source = GraphSource(GRAPH, ByWords(), hops=1, width=1)
    (finding,) = source.find("Where was Ada Holm born?", 4)
    assert finding.text == "Ada Holm born in Lund."
    assert str(finding.citation) == "graph, Ada Holm – born in – Lund"
    with pytest.raises(UsageError, match="1 to 3"):
        GraphSource(GRAPH, ByWords(), hops=4)


def test_files_of_triples(tmp_path):
    (tmp_path / "a.tsv").write_text("a\tr\tb\n\nc\tr\td\n")
    (tmp_path / "b.csv").write_text('"a, b",r,c\n')
    (tmp_path / "c.jsonl").write_text('["a", "r", "b"]\n{"subject": "x", "relation": "y", "object": "z"}\n')
    assert read_triples(tmp_path / "a.tsv").triples == [Triple("a", "r", "b"), Triple("c", "r", "d")]
    assert read_triples(tmp_path / "b.csv").triples == [Triple("a, b", "r", "c")]
    assert read_triples(tmp_path / "c.jsonl").triples[1] == Triple("x", "y", "z")
    assert spoken("placeOfBirth") == spoken("place_of_birth") == "place of birth"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.tsv", "a\tb\n", "a.tsv:1: not a triple"),
        ("a.jsonl", "{\n", "a.jsonl:1: not JSON"),
        ("a.jsonl", "[1, 2, 3]\n", "not a triple"),
        ("a.tsv", "", "no triples"),
    ],
)
def test_broken_files_of_triples(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=said):
        read_triples(tmp_path / name)
