"""The tables of `renga bench link`, `serving` and `edge`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from renga.simulations import bench_edge, bench_link, bench_serving
from renga.simulations.bench_tables import Sheet, texts, verdict
from renga.simulations.units import MISSING, size


def _targets(found: Iterable[tuple[str, bool | None, str]]) -> Sheet:
    rows = texts((target, verdict(met), said) for target, met, said in found)
    return Sheet("Targets", ("target", "", "measured"), rows, words=frozenset(("", "measured")))


def link_sheets(result: Mapping[str, Any]) -> list[Sheet]:
    """The tables of `bench_link.measure`."""
    idle, payload = result["idle"], result["payload_bytes"]
    alone, crowded = result["round_seconds"], result["crowded_round_seconds"]
    rows = [
        ("idle streams held", str(idle["held"])),
        ("attaching them all, TLS included", f"{idle['attach_seconds']:.1f} s"),
        ("server's memory for each", size(idle["bytes_per_stream"])),
        ("server's memory with all of them", size(idle["server_bytes"])),
        ("server's time while they are idle, of one core", f"{100 * idle['cpu_share']:.1f}%"),
        ("a round without work, alone: median", f"{alone['median']:.3f} s"),
        ("the same: least to most", f"{alone['least']:.3f} to {alone['most']:.3f} s"),
        ("a round without work beside the idle streams: median", f"{crowded['median']:.3f} s"),
    ]
    for large in result["large"]:
        clients = large["clients"]
        rows += [
            (f"{size(payload)} to and from each of {clients} clients", f"{large['seconds']:.1f} s"),
            ("server's peak of memory in it", size(large["peak"])),
            ("the same over what it held before, in payloads", f"{bench_link.over(large, payload):.1f}"),
        ]
    note = (
        f"Two clients in the rounds without work, four exchanges each; TLS on loopback, {os.cpu_count()} "
        "cores that others use too. A message is whole in memory while Flower's objects are made of it or "
        "read from it, one message at a time; on the way, and until the round is over, it is on the disk."
    )
    return [_targets(bench_link.targets(result)), Sheet("The link", ("what", "measured"), texts(rows), note)]


def serving_sheets(result: Mapping[str, Any]) -> list[Sheet]:
    """The tables of `bench_serving.measure`."""
    together = Sheet(
        f"Sessions in one process ({result['model']}, {result['tokens']} tokens each)",
        (
            "sessions",
            "one by one, tokens/s",
            "together, tokens/s",
            "ratio",
            "first token",
            "slowest/fastest",
            "other ids",
        ),
        texts(
            (
                str(found["sessions"]),
                f"{found['alone']:.1f}",
                f"{found['batched']:.1f}",
                f"{found['ratio']:.2f}",
                f"{found['first_token']:.2f} s",
                f"{found['fairness']:.2f}",
                str(found["differing"]),
            )
            for found in result["together"]
        ),
        f"Threads: {result['threads']}. Other ids: sessions that differ somewhere, by the last bits of a "
        "batched kernel where two tokens are as good as equal.",
    )
    linked = Sheet(
        "Clients over the link, a session each",
        ("clients", "tokens/s", "first token: median", "slowest", "slowest/fastest", "server's memory"),
        texts(
            (
                str(found["clients"]),
                f"{found['rate']:.1f}",
                f"{found['first_token']:.2f} s",
                f"{found['slowest_first_token']:.2f} s",
                f"{found['fairness']:.2f}",
                size(found["server_bytes"]),
            )
            for found in result["linked"]
        ),
        "Every client has a certificate and a connection of its own; connecting and opening is in the rate.",
    )
    answer = result["answer"]
    remote = Sheet(
        f"A greedy answer of {answer['tokens']} tokens, median",
        ("where", "seconds"),
        texts(
            [("here", f"{answer['local_seconds']:.3f}"), ("over the link", f"{answer['remote_seconds']:.3f}")]
        ),
        f"The same ids; over the link it takes {answer['over']:+.1%}, the median of the pairs.",
    )
    return [_targets(bench_serving.targets(result)), together, linked, remote]


def edge_sheets(result: Mapping[str, Any]) -> list[Sheet]:
    """The tables of `bench_edge.measure`."""
    held, spread, disk = result["bytes"], result["spread"], result["disk"]
    kinds = {
        "imported": "the libraries of a client are imported",
        "loaded": f"and {result['model']} is loaded",
        "idle": "a client, attached and idle",
    }
    memory = Sheet(
        "Memory of a process",
        ("process", "median", "least", "most"),
        texts((said, size(held[kind]), *map(size, spread[kind])) for kind, said in kinds.items()),
        "Resident memory as Linux counts it (Rss), pages shared with other processes included.",
    )
    total, largest = sum(disk.values()), sorted(disk, key=lambda name: -disk[name])[:5]
    rows = [("all packages of an edge install", size(total))]
    rows += [(f"of which {name}", size(disk[name])) for name in largest]
    rows.append(("what the server's extra adds", size(sum(result["server_only"].values()))))
    note = (
        f"Files of the {len(disk)} packages that `pip install renga` brings, as installed; Python itself and "
        "models are not in it."
    )
    return [
        _targets(bench_edge.targets(result)),
        memory,
        Sheet("An edge install on the disk", ("what", "bytes"), texts(rows), note),
    ]


def carrier_sheets(result: Mapping[str, Any]) -> list[Sheet]:
    """The tables of `bench_carriers.measure`."""
    rounds, payloads = [], []
    for one in result["found"]:
        head = (one["carrier"], str(one["clients"]))
        if "failed" in one:
            rounds.append((*head, one["failed"], MISSING, MISSING))
            continue
        idle = size(max(0, one["idle_bytes_per_client"]))
        took, used = one["round_seconds"], one["round_processor_seconds"]
        rounds.append((*head, f"{took:.2f} s", f"{used:.2f} s", idle))
        for each in one["payloads"]:
            moved = 2 * one["clients"] * each["megabytes"]
            ratio = MISSING if each["bytes"] is None else f"{each['bytes'] / 1e6 / moved:.2f}"
            seconds = each["seconds"]
            payloads.append(
                (*head, f"{each['megabytes']} MB", f"{seconds:.1f} s", f"{moved / seconds:.0f} MB/s", ratio)
            )
    return [
        Sheet(
            "A round without work, and an idle client",
            ("carrier", "clients", "a round", "its processor time", "memory per client"),
            texts(rounds),
            "Four exchanges in a round. Memory is what an idle client adds to Python and the model, all its "
            "processes together; here all clients of local and link share one process.",
        ),
        Sheet(
            "Payloads to every client and back",
            ("carrier", "clients", "payload", "seconds", "throughput", "bytes over payload"),
            texts(payloads),
        ),
    ]
