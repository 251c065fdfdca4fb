"""Compression measured: what is left of the answers when passages are cut to a half, a quarter, an eighth."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from renga.models.contract import Answer, Full, Prompt, Want
from renga.models.cooperation.compress import compress
from renga.models.local import LocalModel, LocalSession
from renga.simulations.bench_cooperation import Setting, interval
from renga.simulations.bench_tables import Sheet, texts
from renga.simulations.cooperation_retrieve import answers_right
from renga.simulations.cooperation_world import questions, world

RATIOS = (2, 4, 8)

# name: (method, question-aware, protected)
WAYS: dict[str, tuple[str, bool, bool]] = {
    "random drop": ("random", False, False),
    "truncation": ("truncate", False, False),
    "words by surprisal (Selective Context)": ("words", False, False),
    "words in LLMLingua's order": ("progressive", False, False),
    "words by surprisal, with the question, protected": ("words", True, True),
    "sentences that share words with the question": ("overlap", True, True),
    "sentences that foretell the question": ("sentences", True, True),
    "sentences, then words": ("both", True, True),
}


def measure(setting: Setting) -> dict[str, Any]:
    asked = questions(world(setting.seed, 40), setting.seed, setting.some(24))
    edge = setting.load(setting.edge)
    vocabulary = edge.vocabulary

    def count(text: str) -> int:
        return len(vocabulary.encode(text))

    def framed(passage: str, question: str) -> str:
        return f"Answer from this passage.\n{passage}\n\n{question}" if passage else question

    plain = answers_right(edge, [framed(a.passage, a.question) for a in asked], asked)
    nothing = answers_right(edge, [a.question for a in asked], asked)
    before = [count(a.passage) for a in asked]
    runs: dict[str, dict[str, Any]] = {}
    for name, (method, aware, protect) in WAYS.items():
        runs[name] = {}
        judging = Remembering(edge)  # afresh, so that a method pays for its own readings, at its first budget
        for ratio in RATIOS:
            start = time.perf_counter()
            cut = [
                compress(a.passage, max(1, size // ratio), method, model=judging, protect=protect,
                         question=a.question if aware else "", seed=setting.seed)
                for a, size in zip(asked, before, strict=True)
            ]  # fmt: skip
            seconds = time.perf_counter() - start
            prompts = [framed(c.text, a.question) for c, a in zip(cut, asked, strict=True)]
            runs[name][str(ratio)] = {
                "right": answers_right(edge, prompts, asked),
                "tokens": sum(c.after for c in cut) / len(cut),
                "bytes": sum(len(c.text.encode()) for c in cut) / len(cut),
                "seconds": seconds / len(cut),
            }
        setting.tell(f"  {name}")
    prefill = _prefill(setting, asked[0].passage)
    return {
        "questions": len(asked),
        "whole": {
            "right": plain,
            "tokens": sum(before) / len(before),
            "bytes": sum(len(a.passage.encode()) for a in asked) / len(asked),
        },
        "nothing": {"right": nothing},
        "runs": runs,
        "prefill": prefill,
    }


class Remembering:
    """A model that is not asked twice how likely a text is: three budgets need one reading."""

    def __init__(self, model: LocalModel) -> None:
        self.members = (model,)
        self.offers = model.offers
        self.vocabulary = model.vocabulary
        self.known: dict[tuple[str, tuple[int, ...]], Answer] = {}

    def open(self, prompt: Prompt) -> RememberingSession:
        return RememberingSession(self, prompt)


class RememberingSession:
    """Opened only when something new is asked."""

    def __init__(self, model: Remembering, prompt: Prompt) -> None:
        self._model, self._prompt = model, prompt
        self._session: LocalSession | None = None

    def feed(self, ids: Sequence[int], want: Want = Full()) -> Answer:
        key = (self._prompt.text, tuple(ids))
        if key not in self._model.known:
            self._session = self._session or self._model.members[0].open(self._prompt)
            self._model.known[key] = self._session.feed(ids, want)
            self._session.rewind(0)
        return self._model.known[key]

    def rewind(self, length: int) -> None:
        """Every feed starts anew."""


def _prefill(setting: Setting, passage: str) -> dict[str, float]:
    """Seconds that the host reads a passage and an eighth of it: medians of three."""
    host = setting.load(setting.host)
    ids = host.vocabulary.encode(passage)
    found = {}
    for name, part in (("whole", ids), ("eighth", ids[: len(ids) // 8])):
        times = []
        for _ in range(3):
            session = host.open_ids(part[:1])
            start = time.perf_counter()
            session.feed(part[1:-1])
            times.append(time.perf_counter() - start)
        found[name] = sorted(times)[1]
    return found


def sheets(result: Mapping[str, Any]) -> list[Sheet]:
    whole = result["whole"]
    rows = [("the whole passage", interval(whole["right"]), "", "", f"{whole['tokens']:.0f}", "")]
    for name, by_ratio in result["runs"].items():
        cells = [interval(by_ratio[str(ratio)]["right"]) for ratio in RATIOS]
        tokens = " / ".join(f"{by_ratio[str(ratio)]['tokens']:.0f}" for ratio in RATIOS)
        rows.append((name, *cells, tokens, f"{by_ratio['2']['seconds']:.2f} s"))
    rows.append(("no passage", interval(result["nothing"]["right"]), "", "", "0", ""))
    fourth = result["runs"]["sentences, then words"]["4"]
    return [
        Sheet(
            f"Questions about a passage, answered by {result['edge']}, which also cuts it",
            ("what is left", *(f"{ratio}×" for ratio in RATIOS), "tokens", "cutting, at 2×"),
            texts(rows),
            f"{result['questions']} questions; right, with 95 % intervals. Methods that protect numbers and "
            f"quotations may stay above a small budget. At 4× by sentences and words {whole['bytes']:.0f} "
            f"bytes become {fourth['bytes']:.0f}; {result['host']} reads a whole passage in "
            f"{result['prefill']['whole']:.2f} s, an eighth in {result['prefill']['eighth']:.2f} s.",
        )
    ]
