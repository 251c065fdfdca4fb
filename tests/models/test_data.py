"""Reading examples: both forms, and one line for every kind of bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renga.errors import UsageError
from renga.models.data import read_jsonl, split
from renga.models.example import Example


def write(folder: Path, *lines: Any) -> Path:
    path = folder / "texts.jsonl"
    texts = (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
    path.write_text("\n".join(texts), encoding="utf-8")
    return path


def test_every_form(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {"prompt": "Q1", "response": "a", "choices": ["a", "b"], "domain": "d", "id": 7},
        "",
        {"prompt": "Q2"},
        {"prompt": "Q3", "response": None},
        {"messages": [{"role": "user", "content": "Q4"}, {"role": "assistant", "content": "R4"}]},
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Q5"},
                {"role": "assistant", "content": "no"},
                {"role": "user", "content": "Really?"},
                {"role": "assistant", "content": "yes"},
            ]
        },
        {"messages": [{"role": "user", "content": "Q6"}]},
    )
    assert read_jsonl(path) == [
        Example("Q1", "a", ("a", "b"), "d"),
        Example("Q2", None),
        Example("Q3", None),
        Example("Q4", "R4"),
        Example("Be brief.\nQ5\nReally?", "yes"),
        Example("Q6", None),
    ]


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "windows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"prompt": "Q", "response": "R"}\r\n{"prompt": "Q2"}\r\n')
    assert [example.prompt for example in read_jsonl(path)] == ["Q", "Q2"]


def test_line_separators_inside_a_text_do_not_end_the_line(tmp_path: Path) -> None:
    path = write(tmp_path, {"prompt": "a\u2028b\x0cc\x85d", "response": "R"})
    assert read_jsonl(path)[0].prompt == "a\u2028b\x0cc\x85d"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{'prompt': 'Q'}", "not JSON: expecting property name enclosed in double quotes (column 2)"),
        ('{"prompt": "Q"', "not JSON: expecting ',' delimiter (column 15)"),
        ("[" * 100_000, "not JSON: nested too deeply"),
        ('["Q", "R"]', "expected an object, not a list"),
        ("3", "expected an object, not a number"),
        ({"response": "R"}, "'prompt' is missing"),
        ({"prompt": 3}, "'prompt' must be a text, not a number"),
        ({"prompt": "  "}, "'prompt' is empty"),
        ({"prompt": "Q", "response": ""}, "'response' is empty"),
        ({"prompt": "Q", "response": ["R"]}, "'response' must be a text, not a list"),
        ({"prompt": "Q", "respnose": "R"}, "unknown key 'respnose'"),
        ({"prompt": "Q", "response": "R", "domain": 3}, "'domain' must be a text, not a number"),
        ({"prompt": "Q", "response": "R", "choices": "R"}, "'choices' must be a list of texts, not a text"),
        ({"prompt": "Q", "response": "R", "choices": ["R"]}, "'choices' must be two or more different texts"),
        ({"prompt": "Q", "response": "R", "choices": ["R", "R"]}, "'choices' must be two or more different"),
        (
            {"prompt": "Q", "response": "R", "choices": ["a", "b"]},
            "the response 'R' is not among the choices",
        ),
        ({"prompt": "Q", "choices": [1, 2]}, "a choice must be a text, not a number"),
        ({"messages": []}, "'messages' must be a list of turns"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "turn 1 of 'messages' needs a role"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "'messages' has no user turn"),
        ({"messages": [{"role": "user"}]}, "'content' of turn 1 must be a text, not null"),
        ({"messages": [{"role": "user", "content": "x"}], "prompt": "x"}, "both 'messages' and 'prompt'"),
        ('{"prompt": "\\ud83d"}', "'prompt' holds half of a surrogate pair"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, line: Any, message: str) -> None:
    path = write(tmp_path, {"prompt": "fine"}, line)
    with pytest.raises(UsageError) as raised:
        read_jsonl(path)
    assert raised.value.message.startswith(f"{path}:2: {message}")
    assert "\n" not in raised.value.message + raised.value.hint
    assert len(raised.value.message) < len(str(path)) + 120


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_jsonl(tmp_path / "none.jsonl")
    with pytest.raises(UsageError, match="a folder, where a JSONL file was expected"):
        read_jsonl(tmp_path)
    with pytest.raises(UsageError, match="no texts in it"):
        read_jsonl(write(tmp_path, "", "  "))
    latin = tmp_path / "latin.jsonl"
    latin.write_bytes(b'{"prompt": "Q"}\n{"prompt": "caf\xe9"}\n')
    with pytest.raises(UsageError, match=r"latin\.jsonl:2: not UTF-8 text"):
        read_jsonl(latin)


@given(
    prompts=st.lists(st.text("abcdef", min_size=1, max_size=3), max_size=40),
    fraction=st.floats(0, 1),
    seed=st.integers(0, 5),
)
def test_split_depends_on_prompts_alone(prompts: list[str], fraction: float, seed: int) -> None:
    examples = [Example(prompt, str(n)) for n, prompt in enumerate(prompts)]
    rest, apart = split(examples, fraction, seed)
    assert sorted(rest + apart, key=examples.index) == examples
    assert not {e.prompt for e in rest} & {e.prompt for e in apart}
    assert len({e.prompt for e in apart}) == round(fraction * len(set(prompts)))
    backwards = split(examples[::-1], fraction, seed)
    assert (backwards[0][::-1], backwards[1][::-1]) == (rest, apart)


def test_split_by_another_seed_is_another_split() -> None:
    examples = [Example(str(n), "R") for n in range(100)]
    assert split(examples, 0.5, 1) != split(examples, 0.5, 2)
    with pytest.raises(ValueError, match="between 0 and 1"):
        split(examples, 1.5, 1)
