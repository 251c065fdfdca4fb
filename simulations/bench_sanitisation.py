"""`renga bench sanitisation`: what is found of what is private, what else is hidden, and at what cost.

The rule is strict: a value leaks when more than a tenth of its visible characters stay, and a prompt leaks
when one of its values does. What kind a detector called it does not matter for a leak; `typed` says how often
it was right. The texts come from the half of the templates that nobody looked at while building.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from renga.client.sanitisation.detection import detectors
from renga.client.sanitisation.entities import Deadline, Detector, Kind, Known, find
from renga.errors import RengaError
from renga.simulations.private_prompts import PrivatePrompt, conversations

HIDDEN = 0.9
"""Share of a value's visible characters that must be covered for it to count as hidden."""

CHECKED = frozenset({Kind.CREDIT_CARD, Kind.IBAN, Kind.NATIONAL_ID, Kind.CRYPTO_WALLET})
Span = tuple[int, int, str]


@dataclass
class Answer:
    """What one system said of one prompt."""

    spans: list[Span]
    seconds: float
    cpu: float


def measure(
    prompts: list[PrivatePrompt], *, presidio: Path | None, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Every system over the same prompts; Presidio only where a Python that has it is named."""
    systems: dict[str, Any] = {}
    for name, layers in (("renga", detectors()), ("renga, formats only", detectors(names=False))):
        tell(f"{name}: {len(prompts)} prompts")
        systems[name] = judged(prompts, ours(prompts, layers))
        systems[name]["mebibytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if presidio is not None:
        tell(f"Presidio: {len(prompts)} prompts")
        answers, about = theirs(prompts, presidio)
        systems["Presidio, best effort"] = judged(prompts, answers) | about
    tell("length")
    return {
        "prompts": len(prompts),
        "systems": systems,
        "length": [_at_length(prompts, size) for size in (10_000, 100_000, 1_000_000)],
    }


def ours(prompts: list[PrivatePrompt], layers: Sequence[Detector]) -> list[Answer]:
    """Our detectors, with what earlier turns of a conversation made known."""
    find("Warm up, Ada Lovelace 田中", detectors=layers)
    answers = []
    for turns in conversations(prompts):
        met: dict[tuple[Kind, str], list[str]] = {}
        for prompt in turns:
            known = [Known(kind, tuple(values), subject) for (kind, subject), values in met.items()]
            began, cpu = time.perf_counter(), time.process_time()
            entities = find(prompt.text, known, layers)
            answers.append(
                Answer(
                    [(e.start, e.end, str(e.kind)) for e in entities],
                    time.perf_counter() - began,
                    time.process_time() - cpu,
                )
            )
            for e in entities:
                met.setdefault((e.kind, e.subject or ""), []).append(e.value)
    return answers


def theirs(prompts: list[PrivatePrompt], python: Path) -> tuple[list[Answer], dict[str, Any]]:
    """Presidio in an environment of its own."""
    script = Path(__file__).with_name("peer_presidio.py")
    texts = "".join(json.dumps(p.text) + "\n" for p in prompts)
    done = subprocess.run([python, str(script)], input=texts, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or len(lines) != len(prompts) + 1:
        raise RengaError(
            f"Presidio did not answer every prompt ({len(lines)} lines, status {done.returncode})",
            hint=done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "",
        )
    about, *lines = lines
    from renga.client.sanitisation.presidio import KINDS

    return [
        Answer([(s, e, str(KINDS.get(k, k))) for s, e, k in line["spans"]], line["seconds"], line["cpu"])
        for line in lines
    ], {**about, "mebibytes": lines[-1]["mebibytes"]}


def judged(prompts: list[PrivatePrompt], answers: list[Answer]) -> dict[str, Any]:
    """Figures of one system. Intervals are of the prompts, by bootstrap."""
    by_kind: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    by_noise: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    rows: list[tuple[int, int, bool]] = []
    right = spans = clean = changed = over = open_ = 0
    leaks: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for prompt, answer in zip(prompts, answers):
        text, size = prompt.text, len(prompt.text)
        kinds: list[str] = [""] * size
        for start, end, kind in answer.spans:
            kinds[start:end] = [kind] * (end - start)
        private = [False] * size
        found = 0
        for value in prompt.private:
            places = [i for i in range(value.start, value.end) if _visible(text[i])]
            for i in range(value.start, value.end):
                private[i] = True
            hidden = sum(bool(kinds[i]) for i in places) >= HIDDEN * len(places)
            typed = hidden and sum(kinds[i] == value.kind for i in places) >= 0.5 * len(places)
            found += hidden
            for tally, add in (
                (by_kind[value.kind], (1, hidden, typed)),
                (by_noise[prompt.noise], (1, hidden)),
            ):
                for at, one in enumerate(add):
                    tally[at] += one
        for start, end, _ in answer.spans:
            spans += 1
            right += sum(private[start:end]) * 2 >= end - start
        over += sum(bool(k) and not p and _visible(c) for k, p, c in zip(kinds, private, text))
        open_ += sum(not p and _visible(c) for p, c in zip(private, text))
        if prompt.private:
            leaked = found < len(prompt.private)
            rows.append((found, len(prompt.private), leaked))
            leaks[prompt.group][0] += leaked
            leaks[prompt.group][1] += 1
        else:
            clean += 1
            changed += bool(answer.spans)
    checked = [by_kind[k] for k in CHECKED if k in by_kind]
    return {
        "recall": _interval(rows, lambda r: sum(f for f, _, _ in r) / sum(n for _, n, _ in r)),
        "leak": _interval(rows, lambda r: sum(x for _, _, x in r) / len(r)),
        "precision": right / max(spans, 1),
        "clean_changed": changed / max(clean, 1),
        "over_redaction": over / max(open_, 1),
        "checked_recall": sum(t[1] for t in checked) / max(sum(t[0] for t in checked), 1),
        "kinds": {
            k: {"values": n, "recall": h / n, "typed": t / n} for k, (n, h, t) in sorted(by_kind.items())
        },
        "noises": {k: {"values": n, "recall": h / n} for k, (n, h) in sorted(by_noise.items())},
        "leak_by_group": {k: x / n for k, (x, n) in leaks.items()},
        "milliseconds": _quantiles([a.seconds for a in answers]),
        "cpu_milliseconds": _quantiles([a.cpu for a in answers]),
    }


def _visible(char: str) -> bool:
    return not char.isspace() and char != "\u200b"


def _interval(
    rows: list[tuple[int, int, bool]], statistic: Callable[[list[tuple[int, int, bool]]], float]
) -> tuple[float, float, float]:  # fmt: skip
    """The statistic with its 95 % percentile interval over 400 resamplings of the prompts."""
    rng = random.Random(0)
    drawn = sorted(statistic(rng.choices(rows, k=len(rows))) for _ in range(400))
    return statistic(rows), drawn[9], drawn[390]


def _quantiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {"p50": 1e3 * ordered[len(ordered) // 2], "p95": 1e3 * ordered[int(0.95 * (len(ordered) - 1))]}


def _at_length(prompts: list[PrivatePrompt], size: int) -> dict[str, float]:
    """CPU seconds for one text of that many characters, made of the prompts."""
    whole = "\n\n".join(p.text for p in prompts)
    text = (whole * (size // len(whole) + 1))[:size]
    row: dict[str, float] = {"characters": size}
    for name, layers in (("formats", detectors(names=False)), ("all", detectors())):
        cpu = time.process_time()
        find(text, detectors=layers, deadline=Deadline.after(3600))
        row[name] = time.process_time() - cpu
    return row
