"""How a model is asked: what stands around a prompt before the answer begins.

The template is part of a model's description: its loss in bits per byte depends on it. Chat models are
asked by their own chat template, base models by a plain question and answer.

What a person writes can never become a control token: the template is rendered around a placeholder, so
its own special tokens are known, and ids that hold any other are not used. Text that names none gets exactly
the ids of the model's own template.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal

from renga.errors import RengaError
from renga.models.contract import Prompt
from renga.models.vocabulary import Vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from renga.models.references import Loaded

Message = Mapping[str, str]  # {"role": "user" | "assistant" | "system", "content": text}

_PLACEHOLDER = "RENGA-TEXT-{}-HERE"


@dataclass(frozen=True)
class Template:
    """The frame of one question, rendered once.

    before, after: text around the prompt, special tokens by name. The answer's first token follows
    `after`. bos: the id to begin with, None if the model wants none or `before` has it already.
    end: the id that ends an answer. empty_system: the frame opens with a system turn that says nothing.
    """

    kind: Literal["chat", "plain"]
    before: str
    after: str
    bos: int | None
    end: int
    empty_system: bool = False

    @classmethod
    def of(cls, loaded: Loaded) -> Template:
        """The template of a loaded model."""
        return cls.of_tokenizer(loaded.tokenizer)

    @classmethod
    def of_tokenizer(cls, tokenizer: PreTrainedTokenizerBase) -> Template:
        """The template that a tokenizer implies. Raises RengaError if it has no end-of-text token, or its
        chat template loses the prompt."""
        bos = _wanted_bos(tokenizer)
        if not tokenizer.chat_template:
            return cls("plain", "Question: ", "\nAnswer:\n", bos, _end_of_text(tokenizer))
        rendered, empty_system = _ask(tokenizer, [{"role": "user", "content": _PLACEHOLDER.format(0)}])
        before, found, after = rendered.partition(_PLACEHOLDER.format(0))
        if not found:
            raise RengaError(
                "the model's chat template does not show the prompt as it is",
                hint="remove chat_template from the tokenizer to ask it as a base model",
            )
        if bos is not None and before.startswith(str(tokenizer.bos_token)):
            bos = None
        return cls("chat", before, after, bos, _end_of_turn(tokenizer), empty_system)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) over everything above."""
        facts = [self.kind, self.before, self.after, self.bos, self.end]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def render(self, prompt: str) -> str:
        """The frame around `prompt`, to be looked at by people (ids come from `prompt_ids`)."""
        return self.before + prompt + self.after

    def prompt_ids(self, tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
        """Everything the model reads before its answer to `prompt`, at least one id."""
        return self._ids(tokenizer, [self.before, prompt, self.after])

    def ids_of(self, tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> list[int]:
        """Everything the model reads before its answer, a conversation so far included.

        Where a template refuses a system message, or turns that don't alternate, what was said is joined to
        the user's next message."""
        if not prompt.before:
            return self.prompt_ids(tokenizer, prompt.text)
        said = [{"role": one.role, "content": one.text} for one in prompt.before]
        said.append({"role": "user", "content": prompt.text})
        try:
            return self.chat_ids(tokenizer, said)
        except RengaError:
            raise
        except Exception:  # noqa: BLE001 templates refuse with whatever exception they like
            return self.chat_ids(tokenizer, _alternating(said))

    def chat_ids(self, tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
        """The same for a conversation whose last message is the user's.

        A plain model sees one question and answer after the other, a system message on top.
        """
        if len(messages) == 1 and messages[0]["role"] == "user":
            return self.prompt_ids(tokenizer, messages[0]["content"])
        texts = [message["content"] for message in messages]
        if self.kind == "plain":
            return self._ids(tokenizer, ["", self._plain(messages), ""])
        marked = [{**m, "content": _PLACEHOLDER.format(i)} for i, m in enumerate(messages)]
        rendered, _ = _ask(tokenizer, marked)
        frame = re.split(r"RENGA-TEXT-(\d+)-HERE", rendered)
        for at in range(1, len(frame), 2):
            frame[at] = texts[int(frame[at])]
        return self._ids(tokenizer, frame)

    def _plain(self, messages: Sequence[Message]) -> str:
        parts = []
        for message in messages:
            if message["role"] == "user":
                parts.append(self.render(message["content"]))
            else:
                parts.append(message["content"] + "\n")
        return "".join(parts)

    def _ids(self, tokenizer: PreTrainedTokenizerBase, frame: Sequence[str]) -> list[int]:
        """frame: the template's text at even places, people's text at odd ones."""
        bos = [] if self.bos is None else [self.bos]
        names, cuts = _specials(tokenizer)
        parts = _parts(frame, cuts if self.kind == "chat" else None)
        wanted = [names[part] for part in parts[1::2]]
        # Tokenised whole, which is how the model has seen its template.
        ids = _encode(tokenizer, "".join(frame), as_text=not wanted)
        special = _special_ids(tokenizer)
        if [id for id in ids if id in special] == wanted:
            return bos + ids
        # Somebody wrote a special token's name: tokenised between the special tokens, where a name is text.
        vocabulary = _vocabulary(tokenizer, self.end)
        ids = _encode(tokenizer, parts[0], as_text=True) if parts[0] else []
        for at in range(1, len(parts), 2):
            ids += [names[parts[at]], *vocabulary.encode(parts[at + 1])]
        return bos + ids


def _alternating(messages: Sequence[Message]) -> list[Message]:
    """The same as turns of user and assistant, the user's first."""
    turns: list[dict[str, str]] = []
    for message in messages:
        role = "assistant" if message["role"] == "assistant" and turns else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += f"\n\n{message['content']}"
        else:
            turns.append({"role": role, "content": message["content"]})
    return list(turns)


def _parts(frame: Sequence[str], cuts: re.Pattern[str] | None) -> list[str]:
    """The frame's text, cut at the special tokens of the template: text, name, text, name, …, text."""
    parts = [""]
    for place, text in enumerate(frame):
        cut = cuts.split(text) if cuts and place % 2 == 0 else [text]
        parts[-1] += cut[0]
        parts += cut[1:]
    return parts


def _encode(tokenizer: PreTrainedTokenizerBase, text: str, *, as_text: bool) -> list[int]:
    """as_text: what looks like a special token is text."""
    try:
        return list(tokenizer.encode(text, add_special_tokens=False, split_special_tokens=as_text))
    except (UnicodeEncodeError, TypeError) as error:
        raise RengaError(
            f"the prompt {text[:20]!r}… is no valid text", hint="remove the halves of broken characters"
        ) from error


@lru_cache(maxsize=4)
def _vocabulary(tokenizer: PreTrainedTokenizerBase, end: int) -> Vocabulary:
    return Vocabulary(tokenizer, end)


# Kept, because Gemma has 6,253 special tokens, and a federation asks thousands of prompts.
@lru_cache(maxsize=4)
def _specials(tokenizer: PreTrainedTokenizerBase) -> tuple[dict[str, int], re.Pattern[str] | None]:
    """The ids of special tokens by name, and what cuts a text at these names (None without any)."""
    added = tokenizer.added_tokens_decoder.items()
    names = {str(token.content): int(id) for id, token in added if token.special and token.content}
    longest_first = sorted(names, key=len, reverse=True)
    return names, re.compile("(" + "|".join(map(re.escape, longest_first)) + ")") if names else None


@lru_cache(maxsize=4)
def _special_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    return frozenset(_specials(tokenizer)[0].values())


def _wanted_bos(tokenizer: PreTrainedTokenizerBase) -> int | None:
    ids = tokenizer.encode("a")
    return int(ids[0]) if ids and ids[0] == tokenizer.bos_token_id else None


def _ask(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> tuple[str, bool]:
    """The chat template around `messages`, up to where the answer begins; True if it was given an empty
    system turn."""
    bare = _render(tokenizer, messages, answer_next=True)
    if messages[0]["role"] == "system":
        return bare, False
    # Some templates put in a system text of their own ("You are a helpful assistant named …") when there
    # is none. It costs tokens in every prompt, and would speak in the name of whoever runs the model. An
    # empty system turn keeps it out; where that makes the frame longer, nothing was put in.
    try:
        silent = _render(tokenizer, [{"role": "system", "content": ""}, *messages], answer_next=True)
    except Exception:  # noqa: BLE001 templates refuse a system role with whatever exception they like
        return bare, False
    return (silent, True) if len(silent) < len(bare) else (bare, False)


def _render(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, answer_next: bool) -> str:
    rendered = tokenizer.apply_chat_template(
        [dict(m) for m in messages],
        tokenize=False,
        add_generation_prompt=answer_next,
        # Templates of models that think aloud first; others ignore it. Knowledge is about answers.
        enable_thinking=False,
    )
    return str(rendered)


def _end_of_text(tokenizer: PreTrainedTokenizerBase) -> int:
    if tokenizer.eos_token_id is None:
        raise RengaError(
            "the model's tokenizer names no end-of-text token", hint="set eos_token in its config"
        )
    return int(tokenizer.eos_token_id)


def _end_of_turn(tokenizer: PreTrainedTokenizerBase) -> int:
    """The first special token after an assistant's message."""
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": _PLACEHOLDER.format(0)}]
    try:
        rendered = _render(tokenizer, turns, answer_next=False)
    except Exception:  # noqa: BLE001 as above
        return _end_of_text(tokenizer)
    names, _ = _specials(tokenizer)
    _, found, rest = rendered.partition(_PLACEHOLDER.format(0))
    met = sorted((rest.find(name), -len(name), name) for name in names if name in rest) if found else []
    return names[met[0][2]] if met else _end_of_text(tokenizer)
