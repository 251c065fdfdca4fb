"""The tables of `renga bench merging` on adapters: what merges cost beside PEFT, and what they are worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from renga.simulations.bench_merging_growth import order
from renga.simulations.bench_tables import Sheet, texts, verdict
from renga.simulations.units import MISSING


def cost_sheets(result: Mapping[str, Any]) -> list[Sheet]:
    """The tables of `bench_merging_adapters.measure`."""
    rows, targets = [], []
    for case in result["cases"]:
        ours, theirs = case["ours_measured"], case["theirs_measured"]
        times = theirs["seconds"] / ours["seconds"]
        above = ours.get("above_optimum")
        size = f"{case['adapters']} of rank {case['rank']}, " + ("2048 wide" if case["wide"] else "576 wide")
        rows.append(
            (
                case["name"], case["theirs"], size, f"{theirs['seconds']:.2f}", f"{ours['seconds']:.2f}",
                f"{times:.1f}×", f"{theirs['wall'] / ours['wall']:.1f}×", f"{theirs['memory'] / 1e6:.0f}",
                f"{ours['memory'] / 1e6:.0f}", MISSING if above is None else f"{above:.0e}",
            )
        )  # fmt: skip
        said = f"{times:.1f}× (hoped for: {case['hoped']:g}×)"
        targets.append((f"{case['name']}: {case['target']:g}×", times >= case["target"], said))
        if above is not None:
            what = f"{case['name']}: within 1e-4 of the optimum"
            targets.append((what, above <= 1e-4, f"{above:.0e} above it"))
    said_of = texts((target, verdict(met), measured) for target, met, measured in targets)
    words = frozenset(("", "measured"))
    heads = (
        "merge",
        "PEFT's type",
        "adapters",
        "PEFT CPU s",
        "ours CPU s",
        "ratio",
        "wall",
        "PEFT MB",
        "ours MB",
        "off",
    )
    note = (
        f"CPU time of the merge alone, threads: {result['threads']}, in a process of its own. MB: by how "
        "much private memory rose. Off: how much more than the best of that rank is lost, relative."
    )
    sheets = [
        Sheet("Targets on adapters", ("target", "", "measured"), said_of, words=words),
        Sheet("Merges of adapters", heads, texts(rows), note, frozenset(("PEFT's type", "adapters"))),
    ]
    if grown := result["growth"]:
        lines = [
            (str(g["adapters"]), str(g["rank"]), f"{g['seconds']:.3f}", f"{g['memory'] / 1e6:.0f}")
            for g in grown
        ]
        fits = {
            (axis, key): order(grown, axis, key)
            for axis in ("adapters", "rank")
            for key in ("seconds", "memory")
        }
        said = ", ".join(
            f"{'time' if key == 'seconds' else 'memory'} as {axis}^{power:.1f}"
            for (axis, key), power in fits.items()
            if power is not None
        )
        note = f"The average of one block, brought to the inputs' rank. Over the upper half it grows: {said}."
        sheets.append(Sheet("Growth", ("adapters", "rank", "CPU s", "MB"), texts(lines), note))
    return sheets


def worth_sheets(result: Mapping[str, Any]) -> list[Sheet]:
    """The table of `bench_merging_models.run`."""
    rows = []
    for row in result["rows"]:
        domains = row["domains"].values()
        low, high = row["against_average"]
        better = "better" if high < 0 else "worse" if low > 0 else ""
        rows.append(
            (
                row["name"],
                *(f"{d['bits_per_byte']:.3f}" for d in domains),
                f"{row['bits_per_byte']:.3f}",
                f"{low:+.3f} to {high:+.3f}",
                better,
                *(MISSING if d["accuracy"] is None else f"{d['accuracy']:.0%}" for d in domains),
                MISSING if row["rank"] is None else str(row["rank"]),
            )
        )
    names = list(result["rows"][0]["domains"])
    heads = ("adapter", *names, "mean", "against the average", "", *(f"{n}, right" for n in names), "rank")
    budget = result["budget"]
    note = (
        f"{result['model']}, adapters of rank {budget['rank']}, trained for {budget['tokens']:,} tokens "
        f"each, the joint one too; bits per byte and accuracy of {budget['texts']} held-out texts a domain. "
        "Against the average: the 95 % interval of the difference in mean bits per byte, texts drawn anew "
        "2,000 times. Free answers were asked for in some rows only. Methods that look at texts saw "
        f"{budget['choosing']} others of each domain."
    )
    return [Sheet("Adapters of several domains, merged", heads, texts(rows), note, frozenset({""}))]
