"""The tables of `renga bench ensemble`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from renga.simulations.bench_tables import Sheet, texts, verdict
from renga.simulations.units import MISSING, count, size

BOUNDS = ("random member", "oracle member")
RATIO, UNION = 1.15, 1.0  # fused decode to the slower member; milliseconds of the union per place


def ensemble_sheets(result: Mapping[str, Any]) -> list[Sheet]:
    """The tables of whatever parts `bench_ensemble.bench` has a result of."""
    sheets = [_targets(result)]
    if result.get("rows"):
        sheets += [_answers(result), _domains(result), _routing(result["routing"])]
        sheets += [_curves(result["routing"])] if "shares" in result["routing"] else []  # not in old ones
        sheets += [_limits(result)] if "limits" in result["routing"] else []
        sheets += [_bytes(result["bytes"])]
    if result.get("reward"):
        sheets.append(_reward(result["reward"]))
    if result.get("acceptance"):
        sheets += [_acceptance(name, rows) for name, rows in result["acceptance"].items()]
    if "union" in result.get("speed", {}):  # older ones compared less
        sheets.append(_speed(result["speed"]))
    return sheets


def _targets(result: Mapping[str, Any]) -> Sheet:
    rows: list[tuple[str, str, str]] = []
    if result.get("rows"):
        plans = {n: r for n, r in result["rows"].items() if n not in BOUNDS and n not in result["members"]}
        best = max(plans, key=lambda name: plans[name]["accuracy"])
        member = result["best_member"]
        gain = 100 * (plans[best]["accuracy"] - result["rows"][member]["accuracy"])
        rows.append(
            (
                "an ensemble beats every member on the mixed texts, on accuracy",
                verdict(plans[best]["against_best"][0] > 0),
                f"{best}: {gain:+.1f} points on {member} ({_interval(plans[best]['against_best'])})",
            )
        )
        scored = {n: r for n, r in plans.items() if r.get("bits_per_byte") is not None}
        least = min(scored, key=lambda name: scored[name]["bits_per_byte"])
        member = result["best_member_by_bits"]
        less = scored[least]["bits_per_byte"] - result["rows"][member]["bits_per_byte"]
        rows.append(
            (
                "the same on bits per byte",
                verdict(scored[least]["bits_against_best"][1] < 0),
                f"{least}: {less:+.3f} on {member} ({_bits(scored[least]['bits_against_best'])})",
            )
        )
        fitted = result["routing"]["fitted"]
        kept = fitted["of_best"]
        rows.append(
            (
                "the router keeps 95 % of the best quality with at most half of the host's calls",
                verdict(None if kept is None else kept >= 0.95 and fitted["calls"] <= 0.5),
                f"{MISSING if kept is None else f'{100 * kept:.1f} %'} of it with "
                f"{_percent(fitted['calls'])} of the calls",
            )
        )
    if "union" in result.get("speed", {}):  # older ones compared less
        speed = result["speed"]
        for name, pair in speed["pairs"].items():
            way, ratio = min(pair["ratios"].items(), key=lambda item: item[1])
            rows.append(
                (
                    f"fused decode ≤ {RATIO} × the slower member: {name}",
                    verdict(ratio <= RATIO),
                    f"{ratio:.2f} ({way})",
                )
            )
        millis = speed["union"]["answer"]
        rows.append(("union under 1 ms per step at k = 10", verdict(millis < UNION), f"{millis:.2f} ms"))
    return Sheet("Targets", ("target", "", "measured"), texts(rows), words=frozenset({"", "measured"}))


def _answers(result: Mapping[str, Any]) -> Sheet:
    rows = []
    for name, row in result["rows"].items():
        bound = name in BOUNDS
        calls = row.get("host_calls")
        rows.append(
            (
                name,
                f"{100 * row['accuracy']:.1f}",
                _interval(row["against_best"]),
                _interval(row["against_host"]),
                f"{row['bits_per_byte']:.3f}" if row.get("bits_per_byte") is not None else MISSING,
                _bits(row["bits_against_best"]) if row.get("bits_against_best") else MISSING,
                MISSING if bound or calls is None else f"{100 * calls:.0f}",
                *(MISSING if bound else count(row[key]) for key in ("passes", "tokens")),
                MISSING if bound else size(row["bytes"]),
                MISSING if bound else f"{row['seconds']:.0f}",
            )
        )
    best, least = result["best_member"], result["best_member_by_bits"]
    return Sheet(
        f"Plans on {result['held']} mixed texts of four domains, "
        f"{result['answered']} of them with short answers",
        (
            "plan",
            "accuracy %",
            f"− {best}",
            "− host",
            "bits/byte",
            f"− {least}",
            "host asked %",
            "passes",
            "tokens",
            "bytes",
            "CPU s",
        ),
        texts(rows),
        "Accuracy: the greedy answer, on the texts with short answers. Behind a minus: 95 % bootstrap "
        "intervals of the difference (points, bits per byte), paired by text, to the member that is best "
        "alone, and to the host. Bits per byte: of the right responses of all texts. What answering took, "
        "of all members together: passes, tokens, the bytes that go to and fro between the client and a "
        "host that is elsewhere, and the seconds of one core, as if nothing were kept between plans. "
        "Random and oracle member: one at random, and the best of each text.",
    )


def _domains(result: Mapping[str, Any]) -> Sheet:
    told = result["domains"]
    domains = sorted(next(iter(told.values())))
    answered = [d for d in domains if next(iter(told.values()))[d]["accuracy"] is not None]
    rows = []
    for name, parts in told.items():
        accuracy = [f"{100 * parts[d]['accuracy']:.0f}" for d in answered]
        bits = [parts[d]["bits_per_byte"] for d in domains]
        rows.append((name, *accuracy, *(MISSING if b is None else f"{b:.3f}" for b in bits)))
    heads = ("plan", *(f"{d} %" for d in answered), *(f"{d} bits/byte" for d in domains))
    return Sheet(
        "Domain by domain: where ensembles win, and where the one who knows is better left alone",
        heads,
        texts(rows),
    )


def _routing(routing: Mapping[str, Any]) -> Sheet:
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
    missing = (MISSING,) * 4
    rows.append(("zero router", *missing, _number(routing["zero router"]["aiq"]), MISSING, MISSING))
    fitted = routing["fitted"]
    return Sheet(
        f"Routing between the clients' experts ({100 * routing['experts']:.1f} %) and the host "
        f"({100 * routing['host']:.1f} %)",
        ("score", "APGR", "CPT 50", "CPT 80", "CPT 95", "AIQ", "calls for 95 %", "best %"),
        texts(rows),
        "CPT: the least share of host calls that recovers so much of the gap between the two sides; calls "
        "for 95 %: the least share that keeps 95 % of the best quality, on the router's curve or of a member "
        "alone; best: the highest accuracy on the curve. The thresholds that did best on the other half of "
        f"the texts with at most half of the calls come to {100 * fitted['quality']:.1f} % with "
        f"{100 * fitted['calls']:.0f} % of the calls.",
    )


def _curves(routing: Mapping[str, Any]) -> Sheet:
    rows = [
        (name, *(f"{100 * value:.1f}" for value in routing[name]["curve"]))
        for name in ("router", "length of the prompt", "random", "oracle")
    ]
    return Sheet(
        "Accuracy % over the share of texts that the host is asked about",
        ("asked first by", *(f"{100 * share:.0f} %" for share in routing["shares"])),
        texts(rows),
    )


def _limits(result: Mapping[str, Any]) -> Sheet:
    routing, members = result["routing"], result["members"]
    rows = [
        (
            name,
            str(row["texts"]),
            f"{100 * row['calls']:.0f}",
            f"{100 * row['right']:.1f}",
            f"{members[row['best']]}: {100 * row['best_right']:.1f}",
            f"{100 * row['known_right']:.1f} ({100 * row['known_calls']:.0f} % host)",
            f"{100 * row['missed']:.0f}",
        )
        for name, row in routing["limits"].items()
    ]
    whole, fitted = routing["limits"]["all"], routing["fitted"]
    return Sheet(
        "What limits the router, at the fitted thresholds",
        ("domain", "texts", "host asked %", "right %", "best alone", "who knew the domain", "missed %"),
        texts(rows),
        "Best alone: the member that was right most often, in hindsight. Who knew the domain: the member "
        "that was right most often about it on the other half of the texts, as a router would send them "
        "that recognised every domain and knew no more. Missed: somebody was right, who was asked was not. "
        "Of the favourite expert and the host, who knows the answers gets "
        f"{100 * fitted['oracle']:.1f} % right with as many calls. Router less {members[whole['best']]} on "
        f"all texts: {_interval(whole['against_best'])} points. {_chosen(result['fitted'])}",
        words=frozenset({"best alone", "who knew the domain"}),
    )


def _chosen(fitted: Sequence[Mapping[str, Any]]) -> str:
    """How far the router of each half was held back, and from which score on it asks the host."""
    routers = [each["router"] for each in fitted]
    told = [
        f"{name} {' and '.join(f'{router[key]:.2g}' for router in routers)}"
        for key, name in (("smoothing", "domain's share of a reward"), ("decay", "decay"))
    ]
    asked = " and ".join(
        f"from {router['threshold']:.2f} on" if math.isfinite(router["threshold"]) else "never"
        for router in routers
    )
    return f"Chosen by folds in either half: {', '.join(told)}; the host is asked {asked}."


def _bytes(found: Mapping[str, Any]) -> Sheet:
    rows = [(f'align="{name}"', f"{found[name]:.3f}") for name in ("bytes", "string", "union")]
    return Sheet(
        f"Rules over tokens against the exact mixture of bytes, {found['texts']} texts",
        ("an expert and the host, even weights", "bits/byte"),
        texts(rows),
    )


def _reward(found: Mapping[str, Any]) -> Sheet:
    rows = []
    for name, values in found["gold"].items():
        lost = max(values) - values[-1]
        rows.append((name, *(f"{value:.3f}" for value in values), f"{lost:.3f}"))
    kl = ", ".join(f"{value:.2f}" for value in found["kl"])
    return Sheet(
        "Best of n by reward heads fitted to preferences, a quarter of the labels flipped: known gold score",
        ("score", *(f"n = {n}" for n in found["sizes"]), "peak − end"),
        texts(rows),
        f"{found['held']} texts, {found['candidates']} answers of the bare edge model to each; "
        f"{found['heads']} heads on {found['pairs']} pairs. Gold: chrF with the right response. The best "
        f"of n lies {kl} nats from the model. Peak − end is what choosing harder has cost.",
    )


def _speed(found: Mapping[str, Any]) -> Sheet:
    rows = []
    for name, pair in found["pairs"].items():
        seconds = pair["seconds_per_token"]
        alone = [f"{1000 * seconds[key]:.1f}" for key in ("first", "second")]
        for way, ratio in pair["ratios"].items():
            beside = pair["beside"] if way == "processes" else None
            rows.append(
                (
                    name,
                    way,
                    *alone,
                    f"{1000 * seconds[way]:.1f}",
                    f"{ratio:.2f}",
                    MISSING if beside is None else f"{beside:.2f}",
                )
            )
    union = found["union"]
    return Sheet(
        "Two members side by side, milliseconds per token",
        ("members", "read in", "first", "second", "fused", "fused to slower", "beside to alone"),
        texts(rows),
        "Medians; one thread for each member. One base, in turn: adapters of one copy of the weights, one "
        "worn at a time. Threads: a copy of the weights for each. Processes: `apart(…)` each. Beside to "
        "alone: the slower of both in their processes at once, nothing fused, to the slower alone; it is "
        "what the machine takes for having two of them. The union alone, k = 10, per place: "
        f"{union['answer']:.2f} ms along an answer whose tokens it had never met, {union['again']:.2f} when "
        f"it has, {union['random']:.2f} where every token is drawn at random, and new.",
        words=frozenset({"read in"}),
    )


def _acceptance(name: str, found: list[Mapping[str, Any]]) -> Sheet:
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
        for row in found
    ]
    return Sheet(
        f"A fused decode under speculation: {name}, the first drafts for the fusion of both",
        ("λ of the other", "α", "1 − λ(1 − α)", "rejection", "shared noise", "passes/token", "same text"),
        texts(rows),
        "Rejection and shared noise: the share of drafts agreed with at the places of the target's own "
        "answers, temperature 1. Passes of the target per token with drafts of 4; same text: as the target "
        "alone.",
    )


def _interval(pair: tuple[float, float] | list[float]) -> str:
    return f"{100 * pair[0]:+.0f} … {100 * pair[1]:+.0f}"


def _bits(pair: tuple[float, float] | list[float]) -> str:
    return f"{pair[0]:+.3f} … {pair[1]:+.3f}"


def _number(value: float | None) -> str:
    return MISSING if value is None or math.isnan(value) else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return MISSING if value is None or math.isnan(value) else f"{100 * value:.0f} %"
