"""Compression measured: what is left of the answers when passages are cut to a half, a quarter, an eighth."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from renga.errors import RengaError
from renga.models.contract import Answer, Full, Prompt, Want
from renga.models.cooperation.compress import compress
from renga.models.cooperation.spans import sentences
from renga.models.local import LocalModel, LocalSession
from renga.models.locate import locate, ready_folder
from renga.simulations.bench_cooperation import Setting, interval
from renga.simulations.bench_tables import Sheet, texts
from renga.simulations.cooperation_retrieve import answers_right
from renga.simulations.cooperation_world import Asked, questions, world

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

    before = [count(a.passage) for a in asked]
    version, peers = _peers(setting, asked, before)
    plain = answers_right(edge, [framed(a.passage, a.question) for a in asked], asked)
    nothing = answers_right(edge, [a.question for a in asked], asked)

    def answered(texts: Sequence[str], seconds: float) -> dict[str, Any]:
        prompts = [framed(text, a.question) for text, a in zip(texts, asked, strict=True)]
        return {
            "right": answers_right(edge, prompts, asked),
            "tokens": sum(map(count, texts)) / len(texts),
            "bytes": sum(len(text.encode()) for text in texts) / len(texts),
            "seconds": seconds / len(texts),
        }

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
            runs[name][str(ratio)] = answered([c.text for c in cut], seconds)
        setting.tell(f"  {name}")
    for name, said in peers.items():
        runs[name] = {
            str(ratio): answered([text for text, _ in part], sum(took for _, took in part))
            for at, ratio in enumerate(RATIOS)
            for part in [said[at * len(asked) : (at + 1) * len(asked)]]
        }
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
        "llmlingua": version,
    }


def _peers(
    setting: Setting, asked: Sequence[Asked], before: Sequence[int]
) -> tuple[str, dict[str, list[tuple[str, float]]]]:
    """llmlingua's version, and what each of its methods leaves at all ratios; nothing where it is not."""
    found: dict[str, list[tuple[str, float]]] = {}
    version = ""
    if setting.llmlingua is None:
        return version, found
    folder = ready_folder(locate(setting.edge), setting.tell)
    for name, aware in (("llmlingua, LLMLingua", False), ("llmlingua, LongLLMLingua", True)):
        setting.tell(f"  {name}")
        asks = [
            {
                "parts": [s.of(a.passage) for s in sentences(a.passage)] if aware else [a.passage],
                "question": a.question if aware else "",
                "budget": max(1, size // ratio),
            }
            for ratio in RATIOS
            for a, size in zip(asked, before, strict=True)
        ]
        version, found[name] = theirs(asks, setting.llmlingua, folder)
    return version, found


def theirs(
    asks: Sequence[Mapping[str, Any]], python: Path, folder: Path
) -> tuple[str, list[tuple[str, float]]]:
    """llmlingua's version, and what it leaves of each passage, in how many seconds; in an environment of its
    own, with the model in `folder`. Raises RengaError for what it does not answer."""
    script = Path(__file__).with_name("peer_llmlingua.py")
    lines = "".join(json.dumps(ask) + "\n" for ask in asks)
    done = subprocess.run(
        [python, str(script), str(folder)], input=lines, capture_output=True, text=True, check=False
    )
    about, *said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")] or [{}]
    failed = [line["failed"] for line in said if "failed" in line]
    if failed or len(said) != len(asks):
        why = failed[:1] or done.stderr.strip().splitlines()[-1:]
        raise RengaError(f"llmlingua answered {len(said) - len(failed)} of {len(asks)}", hint="".join(why))
    return about["version"], [(line["text"], line["seconds"]) for line in said]


THEIRS = (
    " llmlingua is its authors' package, {llmlingua}, with the same small model; LongLLMLingua is given the "
    "question, and the passage's sentences as its documents. It drops tokens, ours words."
)


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
            f"{result['prefill']['whole']:.2f} s, an eighth in {result['prefill']['eighth']:.2f} s."
            + (THEIRS.format(**result) if result.get("llmlingua") else ""),
        )
    ]
