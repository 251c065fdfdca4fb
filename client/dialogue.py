"""Messages of a conversation as a prompt, and an answer as text or as calls of tools.

Turns travel as turns, whatever model or plan answers; tools are described in words and called in JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from renga.errors import UsageError
from renga.models.contract import Clearance, Prompt, Said

SPEAKERS = ("user", "assistant", "tool", "function")
RESULT = "Result"
STOPS = ("\nUser:", "\nAssistant:", "\nResult:", "\nQuestion:")
"""Where a model without turns of its own begins to speak for the others."""
ABOVE = ("system", "developer")
CHOICES = (None, "auto", "required")

_FENCE = re.compile(
    r"\s*(?:<tool_call>|```(?:json)?)?\s*(\{.*\}|\[.*\])\s*(?:</tool_call>|```)?\s*", re.DOTALL
)
BEGINS_A_CALL = ("{", "[", "`", "<tool")


@dataclass(frozen=True)
class Turn:
    """One message: who (a role of the OpenAI API), and what was said, as text."""

    role: str
    text: str


@dataclass(frozen=True)
class ToolCall:
    """A model wants a function called; `arguments` is JSON."""

    name: str
    arguments: str


def turns_of(messages: Any) -> list[Turn]:
    """Messages of the API. Raises UsageError for what is none, or isn't text; it never quotes one."""
    if not isinstance(messages, list) or not messages:
        raise UsageError("messages must be a list with at least one message")
    return [_turn(message, place) for place, message in enumerate(messages)]


def as_prompt(turns: Sequence[Turn], clearance: Clearance, tools: str = "") -> Prompt:
    """The last message as a question, and the others as what was said before it, each in its role: every
    model renders them by its own template. What tools answered is told by the user.

    tools: what `described` said of them; it stands in the system's message, with what else stands above.
    """
    above = "\n\n".join([*(turn.text for turn in turns if turn.role in ABOVE), *([tools] if tools else [])])
    said = [Said("system", above)] if above else []
    for turn in (turn for turn in turns if turn.role not in ABOVE):
        if turn.role == "assistant":
            said.append(Said("assistant", turn.text))
        else:
            said.append(Said("user", turn.text if turn.role == "user" else f"{RESULT}: {turn.text}"))
    if said and said[-1].role == "user":
        return Prompt(said[-1].text, clearance, tuple(said[:-1]))
    return Prompt("Go on.", clearance, tuple(said))  # the last word was the assistant's, or there is none


def described(tools: Any, choice: Any) -> tuple[str, frozenset[str]]:
    """What a model is told about the tools, and their names. Raises UsageError for what is no tool."""
    if not tools or choice == "none":
        return "", frozenset()
    try:
        functions = [tool["function"] for tool in tools]
        names = frozenset(function["name"] for function in functions)
    except (TypeError, KeyError):
        names = frozenset()
    if not names or not all(isinstance(name, str) and name for name in names):
        raise UsageError("tools must be a list of functions with a name")
    if not isinstance(choice, Mapping) and choice not in CHOICES:
        raise UsageError("tool_choice is none, auto, required, or a function that is given")
    must = "Call" if choice not in (None, "auto") else "If it helps, call"
    if isinstance(choice, Mapping):
        called = choice.get("function")
        only = called.get("name") if isinstance(called, Mapping) else None
        if only not in names:
            raise UsageError("tool_choice names no tool that is given")
        functions = [function for function in functions if function["name"] == only]
    lines = [json.dumps(function, ensure_ascii=False) for function in functions]
    shape = '{"name": …, "arguments": {…}}'
    told = f"{must} one of these functions by answering with {shape} and nothing else:"
    return "\n".join([told, *lines]), names


def calls_in(answer: str, names: frozenset[str]) -> list[ToolCall]:
    """The calls that an answer consists of; none if it is text, or names no tool."""
    found = _FENCE.fullmatch(answer)
    if not found or not names:
        return []
    try:
        value = json.loads(found[1])
    except ValueError:
        return []
    calls = []
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, dict) or one.get("name") not in names:
            return []
        arguments = one.get("arguments", one.get("parameters", {}))
        said = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        calls.append(ToolCall(str(one["name"]), said))
    return calls


@dataclass
class Until:
    """Cuts a stream at the first of `stops`; holds back what may become one."""

    stops: Sequence[str]
    over: bool = False
    _held: str = ""

    def feed(self, text: str, final: bool = False) -> str:
        """What can be said."""
        if self.over:
            return ""
        self._held += text
        places = [place for stop in self.stops if (place := self._held.find(stop)) >= 0]
        if places:
            self.over, said, self._held = True, self._held[: min(places)], ""
            return said
        keep = 0 if final else max((self._begun(stop) for stop in self.stops), default=0)
        said, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return said

    def _begun(self, stop: str) -> int:
        """Characters at the end that are the beginning of `stop`."""
        for size in range(min(len(stop) - 1, len(self._held)), 0, -1):
            if self._held.endswith(stop[:size]):
                return size
        return 0


def _turn(message: Any, place: int) -> Turn:
    role = message.get("role") if isinstance(message, dict) else None
    if role not in SPEAKERS and role not in ABOVE:
        known = ", ".join([*ABOVE, *SPEAKERS])
        raise UsageError(f"messages[{place}] has no role that is known", hint=known)
    content = message.get("content")
    text = _text(content, place) if content is not None else ""
    calls = message.get("tool_calls") or ()
    for call in calls if isinstance(calls, list | tuple) else (None,):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise UsageError(f"messages[{place}].tool_calls: each calls a function by its name")
        arguments = function.get("arguments", "{}")
        text += f'{{"name": {json.dumps(function["name"])}, "arguments": {arguments}}}'
    return Turn(str(role), text)


def _text(content: Any, place: int) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [None]
    said = []
    for part in parts:
        text = (
            part.get("text")
            if isinstance(part, dict) and part.get("type") in ("text", "input_text")
            else None
        )
        if not isinstance(text, str):
            raise UsageError(f"messages[{place}].content: only text can be answered")
        said.append(text)
    return "\n".join(said)
