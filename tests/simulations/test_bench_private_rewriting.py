"""Questions that ask for less: measured on the way that `renga ask --rewrite` goes."""

from pathlib import Path

from renga.models.contract import Sampling
from renga.models.local import LocalModel
from renga.simulations.bench_private_rewriting import measure, private_rewriting_sheets
from renga.simulations.private_rewriting import BUILD, JUDGE, Told, questions
from tests.models.tiny_weights import tiny


def test_the_way_is_measured_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    model, keep = LocalModel(tiny("llama")), tmp_path / "kept.json"
    asked, told = questions(3, "build")[:2], list[str]()
    result = measure(model, model, asked, Sampling(max_tokens=2), told.append, keep)
    assert result["questions"] == 2 and result["counts"]["keeps what was asked"] >= 1
    again = measure(model, model, asked, Sampling(max_tokens=2), told.append, keep)
    assert again == result and len(told) == 2
    (sheet,) = private_rewriting_sheets(result | {"seed": 3})
    assert len(sheet.rows) == len(result["counts"])


def test_volumes_differ_and_a_judgement_is_by_words() -> None:
    assert not {q for q, _, _ in BUILD} & {q for q, _, _ in JUDGE} and len(JUDGE) == 30
    told = Told("", (("legs",), ("spider",)), ("8", "eight"), ("Ann Wood", "ann@corp.co"))
    assert told.is_kept("How many legs do spiders have?") and not told.is_kept("A spider?")
    assert told.tells("Ask Wood.") and told.tells("to ann@corp.co") and not told.tells("by corp")
    assert told.is_right("Eight legs.") and not told.is_right("18")
