"""`renga chat`, with a scripted person and scripted models."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from renga.chatting import Chat
from renga.client.answerers import Answerer, Used
from renga.client.dialogue import Turn, as_prompt, calls_in, described, turns_of
from renga.client.sanitisation.desk import Desk
from renga.errors import RengaError, UsageError, did_you_mean
from renga.models.contract import Clearance, Piece, Prompt, Said, Sampling

NAME = "Jane Quillfeather"


@dataclass
class Elsewhere:
    leaves: bool = True
    asked: list[Prompt] = field(default_factory=list)
    busy: bool = False
    interrupted: bool = False

    def answer(self, prompt: Prompt, sampling: Sampling, used: Used) -> Iterator[Piece]:
        if self.busy:
            raise RengaError("the host is busy learning; retry in 20 s")
        self.asked.append(prompt)
        said = re.findall(r"<\w+>", prompt.text)
        used.completion_tokens, used.sent, used.received = 3, 10, 20
        for piece in ("Dear ", *(said[-1:] or ["nobody"]), "!\nUser: and so on"):
            yield Piece(piece)
            if self.interrupted and piece != "Dear ":
                raise KeyboardInterrupt


@dataclass
class Names:
    host: Elsewhere

    def listed(self) -> dict[str, str]:
        return {"host": "the server", "edge": "here"}

    def open(self, name: str) -> Answerer:
        if name not in self.listed():
            raise UsageError(f"there is no model {name!r}", hint=did_you_mean(name, self.listed()))
        return self.host


def talk(folder: Path, host: Elsewhere, *lines: str, **more: bool | str) -> tuple[str, list[str]]:
    left, written, told = iter(lines), list[str](), list[str]()
    if not (folder / "sanitisation.toml").exists():
        (folder / "sanitisation.toml").write_text('style = "tag"\n')
    chat = Chat(
        Names(host), Desk(folder / "vault.db"), Sampling(max_tokens=9), lambda: next(left, None),
        written.append, told.append, conversation="c", **more,  # type: ignore[arg-type]
    )  # fmt: skip
    chat.run()
    return "".join(written), told


def test_turns_go_out_clean_and_come_back_whole_and_go_on_another_day(tmp_path: Path) -> None:
    host = Elsewhere()
    said, told = talk(tmp_path, host, f"I am {NAME}", "", "/history")
    assert said.startswith(f"Dear {NAME}!")
    assert any("hidden: 1 PERSON" in line and "10 B up" in line for line in told)
    assert [line for line in told if "assistant:" in line] and NAME not in "".join(told)
    said, told = talk(tmp_path, host, "Who is Jane?")
    assert said == "Dear Jane!\n"  # and what a model goes on to say for the user is cut
    assert all(prompt.clearance is Clearance.SANITISED and "Jane" not in prompt.text for prompt in host.asked)
    question, answer = host.asked[1].before
    assert (question.role, answer.role) == ("user", "assistant") and answer.text.startswith("Dear <PERSON")
    assert "Jane" not in host.asked[1].whole


def test_what_a_person_adds_in_review_stays_hidden_in_later_turns(tmp_path: Path) -> None:
    host = Elsewhere()
    said, told = talk(
        tmp_path,
        host,
        "/review",
        "about Bluebird",
        "+ ORG Bluebird",
        "",
        "/review",
        "go on",
        "/review",
        "stop",
        "q",
    )
    assert len(host.asked) == 2 and all("Bluebird" not in prompt.text for prompt in host.asked)
    assert said.startswith("Dear Bluebird!") and "nothing was sent" in told


def test_commands_and_errors(tmp_path: Path) -> None:
    host = Elsewhere(busy=True)
    said, told = talk(
        tmp_path, host, "/plan", "/plan edg", "/plan edge", "/histry", "hi", "/new", "/help", "/quit", "x"
    )
    shown = "\n".join(told)
    assert "* host" in shown and "did you mean 'edge'" in shown and "answered by edge" in shown
    assert "did you mean '/history'" in shown and "busy learning" in shown and "/review" in shown
    assert host.asked == [] and said.strip() == ""


def test_an_interruption_stops_the_answer_and_not_the_chat(tmp_path: Path) -> None:
    host = Elsewhere(interrupted=True)
    said, told = talk(tmp_path, host, f"I am {NAME}", "/history", "/quit now", "never read")
    assert said == f"Dear {NAME}\n" and "stopped" in told[1] and NAME not in "".join(told)
    assert any(line.startswith("  assistant: Dear <PERSON") for line in told) and len(host.asked) == 1


def test_who_is_not_there_is_told_before_anything_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nobody"):
        talk(tmp_path, Elsewhere(), "hi", plan="nobody")


def test_messages_become_a_question_and_what_was_said_before() -> None:
    lone, raw = turns_of([{"role": "user", "content": "hi"}]), Clearance.RAW
    assert as_prompt(lone, raw) == Prompt("hi", raw)
    words = [("system", "Be kind."), ("user", "a"), ("assistant", "b"), ("user", "c")]
    many = turns_of([{"role": role, "content": [{"type": "text", "text": text}]} for role, text in words])
    before = (Said("system", "Be kind."), Said("user", "a"), Said("assistant", "b"))
    assert as_prompt(many, raw) == Prompt("c", raw, before)
    assert as_prompt([Turn("user", "hi")], raw, "tools") == Prompt("hi", raw, (Said("system", "tools"),))
    told = [Turn("user", "2+2?"), Turn("assistant", '{"name": "add"}'), Turn("tool", "4")]
    assert as_prompt(told, raw).text == "Result: 4" and len(as_prompt(told, raw).before) == 2
    assert as_prompt(told[:2], raw).before[-1] == Said("assistant", '{"name": "add"}')
    for wrong in ([], "x", [1], [{"role": "user", "content": 3}]):
        with pytest.raises(UsageError):
            turns_of(wrong)


def test_calls_are_read_in_the_forms_that_models_write() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "g"}}]
    told, names = described(tools, {"type": "function", "function": {"name": "g"}})
    assert names == {"f", "g"} and '"g"' in told and '"f"' not in told
    for text in (
        '{"name": "f", "arguments": {"a": 1}}',
        '<tool_call>{"name": "f", "parameters": {"a": 1}}</tool_call>',
        '```json\n[{"name": "f", "arguments": "{\\"a\\": 1}"}]\n```',
    ):
        (call,) = calls_in(text, names)
        assert (call.name, call.arguments) == ("f", '{"a": 1}')
    for text in ("f", '{"name": "h", "arguments": {}}', '{"name": "f"', '["f"]', 'see {"name": "f"}'):
        assert calls_in(text, names) == []
    with pytest.raises(UsageError):
        described(tools, {"function": {"name": "x"}})
