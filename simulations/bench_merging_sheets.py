"""The tables of `renga bench merging` on whole models and on models of different shapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from renga.simulations.bench_merging_checkpoints import MEMORY_SHARE, OVER_COPYING, TARGETS
from renga.simulations.bench_tables import Sheet, texts, verdict
from renga.simulations.units import MISSING, count


def checkpoint_sheets(result: Mapping[str, Any]) -> list[Sheet]:
    """The tables of `bench_merging_checkpoints.measure`."""
    cases, copying = result["cases"], result["copying"]
    rows, start = [], result["start"]["cpu_seconds"]
    for case in cases:
        ours, peer = case["ours"], case["mergekit"]
        over = copying.get(str(case["inputs"]))
        rows.append(
            (
                case["method"],
                str(case["inputs"]),
                f"{peer['cpu_seconds']:.1f}",
                f"{ours['cpu_seconds']:.1f}",
                f"{ratio(case):.1f}×",
                f"{case['ours_again']['cpu_seconds']:.1f}",
                f"{peer['private_mb']:.0f}",
                f"{ours['private_mb']:.0f}",
                f"1/{peer['private_mb'] / ours['private_mb']:.0f}",
                f"{ours['cpu_seconds'] / over['cpu_seconds']:.1f}×" if over else MISSING,
            )
        )
    heads = (
        "method", "inputs", "mergekit CPU s", "ours CPU s", "ratio", "ours again", "mergekit MB", "ours MB",
        "memory", "over copying",
    )  # fmt: skip
    note = (
        f"Whole processes on a llama of {count(result['parameters'])} float32 parameters, one thread. "
        "MB: peak of private memory. Again: with fingerprints remembered from the run before. Over "
        "copying: CPU time over that of reading the inputs and writing one model. "
        f"mergekit --help alone: {start:.1f} CPU s."
    )
    one = Sheet("Whole models", heads, texts(rows), note)
    return [_targets(found(cases, copying)), one, _all_cores(cases)]


def _all_cores(cases: Iterable[Mapping[str, Any]]) -> Sheet:
    """The same merges when each side may use every core."""
    rows = []
    for case in cases:
        ours, peer = case["ours_all_cores"], case["mergekit_all_cores"]
        rows.append(
            (
                case["method"],
                str(case["inputs"]),
                *(f"{side[kind]:.1f}" for kind in ("cpu_seconds", "wall_seconds") for side in (peer, ours)),
                *(f"{peer[kind] / ours[kind]:.1f}×" for kind in ("cpu_seconds", "wall_seconds")),
                f"1/{peer['private_mb'] / ours['private_mb']:.0f}",
            )
        )
    heads = (
        "method", "inputs", "mergekit CPU s", "ours CPU s", "mergekit wall s", "ours wall s", "CPU", "wall",
        "memory",
    )  # fmt: skip
    return Sheet("Whole models, all cores", heads, texts(rows), "As above; each side with a thread per core.")


def ratio(case: Mapping[str, Any]) -> float:
    """mergekit's CPU time over ours."""
    return float(case["mergekit"]["cpu_seconds"] / case["ours"]["cpu_seconds"])


def found(
    cases: Iterable[Mapping[str, Any]], copying: Mapping[str, Any]
) -> Iterable[tuple[str, bool | None, str]]:
    """Every target that something was measured for: what it says, whether it is met, the measurement."""
    cases = list(cases)
    for method, least in TARGETS.items():
        mine = [case for case in cases if case["method"] == method]
        if mine:
            said = ", ".join(f"{ratio(case):.1f}× of {case['inputs']}" for case in mine)
            yield f"{method}: {least:g}× less CPU time", all(ratio(case) >= least for case in mine), said
    if cases:
        shares = [case["ours"]["private_mb"] / case["mergekit"]["private_mb"] for case in cases]
        said = f"at most 1/{1 / max(shares):.0f}"
        yield f"private memory at most {MEMORY_SHARE:g} of mergekit's", max(shares) <= MEMORY_SHARE, said
    linear = [case for case in cases if case["method"] == "linear" and str(case["inputs"]) in copying]
    for kind, when in (("ours", ""), ("ours_again", ", fingerprints known")):
        over = [case[kind]["cpu_seconds"] / copying[str(case["inputs"])]["cpu_seconds"] for case in linear]
        if over:
            said = ", ".join(f"{x:.1f}× of {case['inputs']}" for x, case in zip(over, linear, strict=True))
            yield f"linear within {OVER_COPYING:g}× of copying{when}", max(over) <= OVER_COPYING, said


def _targets(rows: Iterable[tuple[str, bool | None, str]]) -> Sheet:
    said = texts((target, verdict(met), measured) for target, met, measured in rows)
    return Sheet(
        "Targets on whole models", ("target", "", "measured"), said, words=frozenset(("", "measured"))
    )


def vocabulary_sheet(result: Mapping[str, Any]) -> Sheet:
    """The table of `bench_merging_shapes.vocabularies`."""
    rows = [
        (name, f"{found['explained']:.3f}", f"{found['bits_per_byte']:.3f}")
        for name, found in result["scores"].items()
    ]
    share = f"{100 * result['share_of_tokens_in_texts']:.0f} %"
    note = (
        f"{result['receiver']} receives rows of {result['donor']}: {count(result['shared'])} tokens shared, "
        f"{count(result['held_out'])} of them replaced, {share} of the tokens of {result['texts']} texts. "
        "Explained: share of the rows' variance, on tokens the map was not fitted on."
    )
    return Sheet("One space for two vocabularies", ("rows", "explained", "bits per byte"), texts(rows), note)


def neuron_sheet(result: Mapping[str, Any]) -> Sheet:
    """The table of `bench_merging_shapes.neurons`."""
    rows = [
        (
            pair["with"],
            f"{pair['likeness']:.2f}",
            f"{pair['alone']:.2f}",
            f"{pair['carried']:.2f}",
            f"{pair['matched']:.2f}",
            MISSING if pair["unmatched"] is None else f"{pair['unmatched']:.2f}",
        )
        for pair in result["pairs"]
    ]
    heads = (
        "merged with one",
        "likeness",
        "it alone",
        "carried over",
        "average, matched",
        "average, as they are",
    )
    note = (
        f"Bits per byte; the model itself has {result['first']:.2f}. Carried over: the other model in this "
        "one's shape and order of neurons. Likeness: mean correlation of matched neurons."
    )
    return Sheet("Neurons matched", heads, texts(rows), note)
