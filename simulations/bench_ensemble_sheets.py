"""The tables of `renga bench ensemble`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from renga.simulations.bench_tables import Sheet, texts
from renga.simulations.units import MISSING, count


def ensemble_sheets(result: Mapping[str, Any]) -> list[Sheet]:
    """The tables of `bench_ensemble.bench`, and of what else the result has."""
    sheets = [_answers(result), _routing(result)]
    if result.get("bytes"):
        sheets.append(_bytes(result))
    if result.get("reward"):
        sheets.append(_reward(result))
    if result.get("speed"):
        sheets += [_speed(result), _acceptance(result)]
    return sheets


def _answers(result: Mapping[str, Any]) -> Sheet:
    rows = []
    for name, row in result["rows"].items():
        rows.append(
            (
                name,
                f"{100 * row['accuracy']:.1f}",
                _interval(row["against_best"]),
                _interval(row["against_host"]),
                f"{row['bits_per_byte']:.3f}" if row.get("bits_per_byte") is not None else MISSING,
                MISSING if "member" in name else count(row["passes"]),
                MISSING if "member" in name else count(row["tokens"]),
            )
        )
    return Sheet(
        f"Plans on {result['texts']} mixed texts of four domains, "
        f"{result['answered']} of them with short answers",
        (
            "plan",
            "accuracy %",
            f"against {result['best_member']}",
            "against host",
            "bits/byte",
            "passes",
            "tokens",
        ),
        texts(rows),
        "Accuracy: the greedy answer, on the texts with short answers. "
        "Against: 95 % bootstrap intervals of the "
        "difference in accuracy points, paired by text, to the best "
        "member and to the host alone. Bits per byte: "
        "of the right responses of all texts. Passes and tokens of "
        "all members together, nothing kept between "
        "plans. Random and oracle member: one at random, and the best of each text.",
    )


def _routing(result: Mapping[str, Any]) -> Sheet:
    routing = result["routing"]
    rows = []
    for name in ("router", "length of the prompt", "random", "oracle"):
        row = routing[name]
        least = row["calls_for_95_percent_of_best"]
        rows.append(
            (
                name,
                _number(row["apgr"]),
                *(_percent(row["cpt"][str(share)]) for share in (50, 80, 95)),
                _number(row["aiq"]),
                MISSING if least is None else f"{100 * least:.0f} %",
                f"{100 * row['best_quality']:.1f}",
            )
        )
    rows.append(
        (
            "zero router",
            MISSING,
            MISSING,
            MISSING,
            MISSING,
            _number(routing["zero router"]["aiq"]),
            MISSING,
            MISSING,
        )
    )
    return Sheet(
        f"Routing between the clients' experts ({100 * routing['experts']:.1f} %) and the host "
        f"({100 * routing['host']:.1f} %)",
        ("score", "APGR", "CPT 50", "CPT 80", "CPT 95", "AIQ", "calls for 95 %", "best %"),
        texts(rows),
        "CPT: the least share of host calls that recovers so much of "
        "the gap; calls for 95 %: the least share of "
        "host calls that keeps 95 % of the better side's quality. best: the highest accuracy on the curve.",
    )


def _bytes(result: Mapping[str, Any]) -> Sheet:
    found = result["bytes"]
    rows = [(f'align="{name}"', f"{found[name]:.3f}") for name in ("bytes", "string", "union")]
    return Sheet(
        f"Rules over tokens against the exact mixture of bytes, {found['texts']} texts",
        ("an expert and the host, even weights", "bits/byte"),
        texts(rows),
    )


def _reward(result: Mapping[str, Any]) -> Sheet:
    found = result["reward"]
    rows = [(name, *(f"{value:.3f}" for value in values)) for name, values in found["gold"].items()]
    return Sheet(
        "Best of n by reward heads fitted to preferences, a quarter of the labels flipped: known gold score",
        ("score", *(f"n = {n}" for n in found["sizes"])),
        texts(rows),
        f"{found['texts']} texts, {found['candidates']} candidates each; "
        f"{found['heads']} heads. The gold score of a "
        "candidate is its likeness (token F1) to the right response.",
    )


def _speed(result: Mapping[str, Any]) -> Sheet:
    found = result["speed"]
    rows = []
    for name, part in found["pairs"].items():
        seconds = part["seconds_per_token"]
        rows.append(
            (
                name,
                *(f"{1000 * seconds[key]:.1f}" for key in ("first", "second", "fused")),
                f"{part['ratio']:.2f}",
            )
        )
    return Sheet(
        "Two members side by side, milliseconds per token",
        ("members", "first", "second", "fused", "fused to slower"),
        texts(rows),
        f"The union alone, k = 10: {found['union_milliseconds']:.2f} ms per place.",
    )


def _acceptance(result: Mapping[str, Any]) -> Sheet:
    rows = [
        (
            f"{row['share']:.2f}",
            f"{row['alpha']:.3f}",
            f"{row['formula']:.3f}",
            f"{row['rejection']:.3f}",
            f"{row['shared']:.3f}",
            f"{row['passes_per_token']:.2f}",
            f"{100 * row['equal_texts']:.0f} %",
        )
        for row in result["speed"]["acceptance"]
    ]
    return Sheet(
        "A fused decode under speculation: a member drafts for the fusion",
        ("λ of the other", "α", "1 − λ(1 − α)", "rejection", "shared noise", "passes/token", "same text"),
        texts(rows),
        "Rejection and shared noise: the share of drafts agreed with "
        "at the places of the target's own answers, "
        "temperature 1. Passes of the target per token with drafts of 4; same text: as the target alone.",
    )


def _interval(pair: tuple[float, float] | list[float]) -> str:
    return f"{100 * pair[0]:+.0f} … {100 * pair[1]:+.0f}"


def _number(value: float | None) -> str:
    return MISSING if value is None or math.isnan(value) else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return MISSING if value is None or math.isnan(value) else f"{100 * value:.0f} %"
