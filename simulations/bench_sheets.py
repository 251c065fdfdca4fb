"""The tables of `renga bench wire`, `memory` and `transfer`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from renga.simulations import bench_memory, bench_wire
from renga.simulations.bench_tables import Sheet, texts, verdict
from renga.simulations.units import MISSING, count, size

_CODINGS = {"float32": "float32", "bf16": "bf16", "blocks8": "8-bit blocks"}


def _targets(found: Iterable[tuple[str, bool | None, str]]) -> Sheet:
    rows = texts((target, verdict(met), said) for target, met, said in found)
    return Sheet("Targets", ("target", "", "measured"), rows, words=frozenset(("", "measured")))


def wire_sheets(result: Mapping[str, Any]) -> list[Sheet]:
    """The tables of `bench_wire.measure`."""
    knowledge, adapters = result["knowledge"], result["adapters"]
    k, quality, gradient = result["top_k"], knowledge["quality"], knowledge["gradient"]
    kinds = [("real", knowledge["real"]), *(("worst case", found) for found in knowledge["worst"])]
    rows = []
    for name, found in kinds:
        per = found["bytes_per_row"]
        numbers = (f"{per[key]:.0f}" for key in ("fate", "ours_at_128", "ours"))
        shares = (f"1/{found[key]:.1f}" for key in ("ratio_at_same_k", "ratio", "ratio_to_cited"))
        rows.append((name, count(found["vocabulary"]), f"{found['listed_per_row']:.1f}", *numbers, *shares))
    cited = knowledge["cited_bytes_per_row"]
    knowledge_sheet = Sheet(
        f"Knowledge, bytes per place of a text ({result['model']}, {result['texts']} texts)",
        (
            "rows",
            "vocabulary",
            "listed",
            "FATE 128",
            "ours 128",
            f"ours {k}",
            "same k",
            "as used",
            "to 776 KiB",
        ),
        texts(rows),
        "FATE 128: FATE-LLM's coding of the best 128 tokens, pickled Python lists, for the same places. "
        f"Ours {k}: the best {k} and the rest as one number; listed: how many of them were above the floor. "
        f"As used: ours {k} against FATE 128. 776 KiB per text of {bench_wire.FATE_TOKENS} tokens are "
        f"{cited:.0f} bytes a place.",
    )
    ours, fate = gradient["ours"], gradient["fate"]
    quality_sheet = Sheet(
        "Knowledge, what is lost",
        ("measure", f"ours {k}", "FATE 128"),
        texts(
            [
                (
                    "probability listed (the rest is one number here, cut off there)",
                    f"{quality['listed_mass']:.4f}",
                    f"{quality['listed_mass_at_128']:.4f}",
                ),
                (
                    "distillation gradient against that of whole rows, cosine",
                    f"{ours['cosine']:.5f}",
                    f"{fate['cosine']:.5f}",
                ),
                ("its size against that of whole rows", f"{ours['size']:.4f}", f"{fate['size']:.4f}"),
                (
                    "KL of a row before to after coding, nats: mean",
                    f"{quality['kl_mean']:.1e}",
                    MISSING,
                ),
                (f"the most (bound: {quality['kl_bound']:.4f})", f"{quality['kl_most']:.1e}", MISSING),
                (
                    "change of a text's bits per byte: the most",
                    f"{quality['bits_per_byte_error_most']:.1e}",
                    MISSING,
                ),
            ]
        ),
        f"Gradient over the logits of {gradient['places']} places; the student is the bare base.",
    )
    adapter_sheet = Sheet(
        f"Adapters (rank {adapters['rank']}, trained for {count(adapters['tokens'])} tokens)",
        ("coding", "bytes", "of float32", "error of the update", "change in bits per byte"),
        texts(
            (
                _CODINGS[name],
                size(found["bytes"]),
                f"1/{found['ratio']:.2f}",
                f"{found['update_error']:.2%}",
                f"{found['bits_per_byte_change']:+z.5f}",
            )
            for name, found in adapters["codings"].items()
        ),
        "Error: |ΔW′ − ΔW| / |ΔW|. The change is on the texts it was trained on, "
        f"{adapters['codings']['float32']['bits_per_byte_before']:.3f} bits per byte before coding.",
    )
    return [_targets(bench_wire.targets(result)), knowledge_sheet, quality_sheet, adapter_sheet]


def memory_sheets(result: Mapping[str, Any]) -> list[Sheet]:
    """The tables of `bench_memory.measure`."""
    rows = [
        (
            run["clients"],
            size(run["peak_bytes"]),
            size(run["peak_bytes"] - run["imported_bytes"]),
            f"{run['seconds'] / run['clients']:.2f} s",
        )
        for run in result["runs"]
    ]
    told = ""
    if growth := result["per_client"]:
        told = (
            f"One more client takes {size(growth['peak_bytes'])}: its texts on the disk are "
            f"{size(growth['data_bytes'])}, its adapter in float32 {size(growth['adapter_bytes'])}. "
            "The server holds all adapters until it has merged them; the clients run one after another."
        )
    sheets = [
        _targets(bench_memory.targets(result)),
        Sheet(
            "Memory of a simulated federation, tiny model",
            ("clients", "peak", "beyond Python and its packages", "round, per client"),
            texts(rows),
            told,
        ),
    ]
    if found := result["overhead"]:
        sheets.append(
            Sheet(
                "Overhead of a round",
                ("edge model", "host model", "clients", "round", "over the time inside torch"),
                texts(
                    [
                        (
                            found["model"],
                            found["host"],
                            found["clients"],
                            f"{found['seconds']:.0f} s",
                            f"{found['overhead']:.3f}" if found["overhead"] else MISSING,
                        )
                    ]
                ),
                words=frozenset(("host model",)),
            )
        )
    return sheets


def transfer_sheets(result: Mapping[str, Any]) -> list[Sheet]:
    """The table of `bench_transfer.measure`."""
    seconds, peaks, held = result["seconds_per_1000"], result["peak_bytes"], result["bytes"]

    def peak(name: str) -> str:
        return size(peaks[name])

    sparse = seconds["align"] + seconds["sparse_loss"]
    dense = seconds["dense_fill"] + seconds["dense_loss"]
    rows = [
        ("alignment", f"{seconds['align']:.3f} s", "not counted", peak("align"), MISSING),
        ("filling the target", MISSING, f"{seconds['dense_fill']:.3f} s", MISSING, MISSING),
        (
            "loss and gradient",
            f"{seconds['sparse_loss']:.3f} s",
            f"{seconds['dense_loss']:.3f} s",
            MISSING,
            MISSING,
        ),
        ("all of it", f"{sparse:.3f} s", f"{dense:.3f} s", peak("sparse"), peak("dense")),
        ("the target alone", MISSING, MISSING, size(held["sparse_targets"]), size(held["dense_target"])),
    ]
    return [
        Sheet(
            f"One distillation step: {result['teacher']} teaches {result['student']}",
            (
                "part",
                "sparse, per 1,000 places",
                "dense, per 1,000 places",
                "sparse, memory",
                "dense, memory",
            ),
            texts(rows),
            f"{result['texts']} texts, {count(result['places'])} places of a vocabulary of "
            f"{count(result['vocabulary'])}, top-{result['top_k']}; threads: {result['threads']}, medians of "
            f"{result['repeats']}. The sparse way is {result['speedup']:.1f} times as fast, alignment "
            "included. Memory: what the process grew by, beyond "
            f"{size(held['logits'])} of logits that both need.",
        )
    ]
