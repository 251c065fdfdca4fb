"""Text to learn from and to be judged on: JSONL, one example a line, or what `datasets` loads.

    {"prompt": "…", "response": "…", "choices": ["…", "…"], "domain": "…"}
    {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}

Without a response a line is a bare prompt. Other keys are ignored, unless they look like a typo.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from renga.errors import UsageError
from renga.models.dataset_files import FORMATS, records
from renga.models.example import Example

KEYS = ("prompt", "response", "choices", "domain", "messages")
ROLES = ("system", "user", "assistant")

_SHAPE = 'a line looks like {"prompt": "…", "response": "…"}'


def read_examples(path: Path) -> list[Example]:
    """Every example in a JSONL file, or in a file or folder of those formats that `datasets` reads.

    Columns, or keys, are those of a line. Raises UsageError that names the file and the place in it.
    """
    if path.is_dir() or path.suffix in FORMATS:
        examples = [example_of(record, where) for record, where in records(path)]
        if not examples:
            raise UsageError(f"{path}: no texts in it", hint=f"its columns: {', '.join(KEYS[:4])}")
        return examples
    return read_jsonl(path)


def read_jsonl(path: Path) -> list[Example]:
    """Every example in the file, in order; blank lines are skipped.

    Raises UsageError that names file and line: unreadable, not UTF-8, not JSON, not an example, or no
    example at all.
    """
    examples = []
    # Split at \n alone: other line separators may stand inside a JSON string.
    for number, line in enumerate(_read(path).split("\n"), start=1):
        if line.strip():
            examples.append(_example(line, f"{path}:{number}"))
    if not examples:
        raise UsageError(f"{path}: no texts in it", hint=_SHAPE)
    return examples


def split(examples: Sequence[Example], fraction: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Set about `fraction` of the examples apart: (the rest, those set apart), each in the order given.

    Prompts decide, not places: examples with the same prompt stay together, and neither the order of the
    file nor the other side's size changes who is drawn first.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction = {fraction}: must lie between 0 and 1")
    prompts = sorted({example.prompt for example in examples}, key=lambda prompt: _draw(prompt, seed))
    apart = set(prompts[: round(fraction * len(prompts))])
    return [e for e in examples if e.prompt not in apart], [e for e in examples if e.prompt in apart]


def _draw(prompt: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\n{prompt}".encode()).digest()


def _read(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: a folder, where a JSONL file was expected") from None
    except OSError as error:
        raise UsageError(f"{path}: can't be read ({error.strerror})") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}:{line}: not UTF-8 text", hint="save the file as UTF-8") from None


def _example(line: str, where: str) -> Example:
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        what = f"{error.msg[:1].lower()}{error.msg[1:]}"
        raise UsageError(f"{where}: not JSON: {what} (column {error.colno})", hint=_SHAPE) from None
    except RecursionError:
        raise UsageError(f"{where}: not JSON: nested too deeply", hint=_SHAPE) from None
    if not isinstance(data, dict):
        raise UsageError(f"{where}: expected an object, not {_kind(data)}", hint=_SHAPE)
    return example_of(data, where)


def example_of(data: Mapping[str, Any], where: str) -> Example:
    """The example that a record says; raises UsageError, with `where` it stands, if it says none."""
    _refuse_typos(data, where)
    if "messages" in data:
        if "prompt" in data or "response" in data:
            raise UsageError(f"{where}: both 'messages' and 'prompt' or 'response'", hint="keep one form")
        prompt, response = _conversation(data["messages"], where)
    elif "prompt" in data:
        prompt = _text(data["prompt"], f"{where}: 'prompt'")
        answer = data.get("response")
        response = None if answer is None else _text(answer, f"{where}: 'response'")
    else:
        raise UsageError(f"{where}: 'prompt' is missing", hint=_SHAPE)
    domain = data.get("domain") or ""
    return Example(
        prompt=prompt,
        response=response,
        choices=_choices(data.get("choices"), response, where),
        domain=_text(domain, f"{where}: 'domain'") if domain else "",
    )


def _refuse_typos(data: Mapping[str, Any], where: str) -> None:
    """A misspelt "response" would turn every text into a bare prompt, without a word."""
    for key in data:
        near = [] if key in KEYS else get_close_matches(key, KEYS, n=1, cutoff=0.8)
        if near and near[0] not in data:
            raise UsageError(f"{where}: unknown key {key!r}", hint=f"did you mean {near[0]!r}?")


def _conversation(messages: Any, where: str) -> tuple[str, str | None]:
    """The last assistant turn is the response; what the others said before it is the prompt."""
    if not isinstance(messages, list) or not messages:
        raise UsageError(f"{where}: 'messages' must be a list of turns, not {_kind(messages)}")
    turns = []
    for number, turn in enumerate(messages, start=1):
        if not isinstance(turn, dict) or turn.get("role") not in ROLES:
            raise UsageError(f"{where}: turn {number} of 'messages' needs a role: {', '.join(ROLES)}")
        turns.append((turn["role"], _text(turn.get("content"), f"{where}: 'content' of turn {number}")))
    last = max((n for n, (role, _) in enumerate(turns) if role == "assistant"), default=len(turns))
    asked = [text for role, text in turns[:last] if role != "assistant"]
    if not asked:
        raise UsageError(f"{where}: 'messages' has no user turn before the assistant's")
    return "\n".join(asked), turns[last][1] if last < len(turns) else None


def _choices(choices: Any, response: str | None, where: str) -> tuple[str, ...]:
    if choices is None or choices == []:
        return ()
    if not isinstance(choices, list):
        raise UsageError(f"{where}: 'choices' must be a list of texts, not {_kind(choices)}")
    texts = tuple(_text(choice, f"{where}: a choice") for choice in choices)
    if len(set(texts)) < max(2, len(texts)):
        raise UsageError(f"{where}: 'choices' must be two or more different texts")
    if response is not None and response not in texts:
        raise UsageError(
            f"{where}: the response {_short(response)} is not among the choices",
            hint=f"choices: {', '.join(map(_short, texts[:8]))}",
        )
    return texts


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{what} must be a text, not {_kind(value)}", hint=_SHAPE)
    if not value.strip():
        raise UsageError(f"{what} is empty", hint="leave 'response' out to make the line a bare prompt")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{what} holds half of a surrogate pair (\\ud800 to \\udfff alone)") from None
    return value


def _kind(value: Any) -> str:
    """What JSON calls the value."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}…")
