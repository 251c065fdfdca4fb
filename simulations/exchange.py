"""The parts of a report that say what passed between the participants, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from renga.simulations.charts import Flow, flow_chart, stacked_bar
from renga.simulations.markup import Html, element, join
from renga.simulations.metrics import HOST, Metrics, Record, mapping, number, numbers, series, words
from renga.simulations.results import colour, heads, note, table, who_cell
from renga.simulations.units import MISSING, bits, count, listing, percent, size

KINDS = ("adapter", "rows", "losses", "answers", "texts")
MOST_NAMES = 12  # in a drawing; the rest are taken together
MOST_ROWS = 60
KEPT = {
    "own": "kept its own adapter",
    "merged": "took the cohort's merged adapter",
    "mixed": "mixed its own adapter with the merged one",
}


def learned_from(metrics: Metrics) -> Html:
    """Teacher to learner: the whole run as a flow, every round as a matrix of texts."""
    lessons = {turn: _lessons(record) for turn, record in metrics.rounds.items()}
    whole: Counter[tuple[str, str]] = sum(lessons.values(), Counter())
    if not whole:
        return note("Nobody has learned from anybody yet.")
    names = _most_active(metrics, whole)
    folded, order = _fold(whole, names), [*names, "others"]
    flows = [Flow(t, s, folded[t, s], colour(metrics, t)) for t in order for s in order if folded[t, s]]
    explained = (
        "Teachers on the left, learners on the right; as wide as the number of public texts on which the "
        "teacher knew better and the learner learned from it. Below, the same by round."
    )
    drawing = flow_chart(flows, order, "Public texts taught, from teacher to learner")
    top = max(n for lesson in lessons.values() for n in _fold(lesson, names).values() or [1])
    grids = [_matrix(metrics, f"Round {turn}", _fold(lesson, names), top) for turn, lesson in lessons.items()]
    shown = element("div", *grids[-6:], class_="matrices")
    earlier = element(
        "details", element("summary", "Earlier rounds"), element("div", *grids[:-6], class_="matrices")
    )
    return join(
        note(explained),
        element("div", drawing, class_="scroll", tabindex="0"),
        shown,
        earlier if grids[:-6] else None,
    )


def _lessons(record: Record) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for learner, done in mapping(record.get("clients")).items():
        found.update(
            {(teacher, learner): int(n) for teacher, n in numbers(mapping(done).get("learned")).items()}
        )
    found.update({(t, HOST): int(n) for t, n in numbers(mapping(record.get(HOST)).get("teachers")).items()})
    return +found


def _most_active(metrics: Metrics, lessons: Counter[tuple[str, str]]) -> list[str]:
    """Names in the run's order, the host last; of many clients those that taught and learned most."""
    active: Counter[str] = Counter()
    for pair, n in lessons.items():
        active.update(dict.fromkeys(pair, n))
    kept = {name for name, _ in active.most_common(MOST_NAMES)} | {HOST}
    known = [c.name for c in metrics.clients]
    return [
        n for n in (*known, *sorted(set(active) - set(known) - {HOST}), HOST) if n in kept and n in active
    ]


def _fold(lessons: Counter[tuple[str, str]], names: Sequence[str]) -> Counter[tuple[str, str]]:
    folded: Counter[tuple[str, str]] = Counter()
    for (teacher, learner), n in lessons.items():
        folded[teacher if teacher in names else "others", learner if learner in names else "others"] += n
    return folded


def _matrix(metrics: Metrics, title: str, lessons: Counter[tuple[str, str]], top: int) -> Html:
    pairs = [p for p, n in lessons.items() if n]
    known = [*(c.name for c in metrics.clients), HOST]
    place = {name: i for i, name in enumerate(known)}
    teachers, learners = (
        sorted({p[i] for p in pairs}, key=lambda n: (place.get(n, len(known)), n)) for i in (0, 1)
    )
    head = element(
        "tr", element("td", "learner ↓ teacher →"), *(element("th", t, scope="col") for t in teachers)
    )
    rows = []
    for learner in learners:
        cells = []
        for teacher in teachers:
            n = lessons[teacher, learner]
            share = f"--share:{n / top:.2f}" if n else None
            cells.append(element("td", f"{n}" if n else "·", class_="heat" if n else "n none", style=share))
        rows.append(element("tr", who_cell(metrics, learner), *cells))
    grid = table(element("thead", head), element("tbody", *rows), class_="matrix")
    return element(
        "figure", element("figcaption", title), grid if rows else note("Nobody learned from anybody.")
    )


def answers(metrics: Metrics) -> Html | None:
    """What became of the bare prompts."""
    rows = []
    for turn, record in metrics.rounds.items():
        told = mapping(record.get("answers"))
        if number(told.get("asked")):
            by = ", ".join(f"{who} {n:.0f}" for who, n in numbers(told.get("by")).items()) or MISSING
            cells = (count(number(told.get(key))) for key in ("asked", "settled", "unsettled"))
            rows.append(element("tr", element("th", f"{turn}", scope="row"), *_n(*cells), element("td", by)))
    if not rows:
        return None
    head = heads("round", "asked", "settled", "unsettled", "answers taken from", numbers=(1, 2, 3))
    explained = (
        "Public prompts without an answer went to the clients; one is settled when enough of them agree."
    )
    return join(
        element("h3", "Open questions"),
        note(explained),
        table(head, element("tbody", *rows)),
    )


def merges(metrics: Metrics) -> Html:
    """Per round and cohort: whose adapters became one, at which weights, at what loss."""
    rows = []
    for turn, record in metrics.rounds.items():
        for cohort, told in mapping(record.get("merges")).items():
            merge = mapping(told)
            people, weights = words(merge.get("clients")), series(merge.get("weights"))
            shares = list(zip(people, weights, strict=True)) if len(people) == len(weights) else []
            whole = sum(w for _, w in shares) or 1.0
            said = (
                " · ".join(f"{who} {percent(w / whole)}" for who, w in shares) or listing(people) or MISSING
            )
            bar = stacked_bar(
                [(f"{who} {percent(w / whole)}", w, colour(metrics, who)) for who, w in shares],
                whole,
                "",
                said,
            )
            rank = number(merge.get("rank"))
            cells = [element("td", element("code", str(cohort))), element("td", bar, element("small", said))]
            cells += _n(count(rank), percent(number(merge.get("error")), 1))
            rows.append(
                element("tr", element("th", f"{turn}", scope="row"), *cells, element("td", _chip(merge)))
            )
    if not rows:
        return note("No adapters were merged.")
    head = heads("round", "cohort", "weight of each client", "rank", "lost in the merge", "", numbers=(3, 4))
    return table(head, element("tbody", *rows), class_="merges")


def gates(metrics: Metrics) -> Html:
    """Round by round: what was taken over, what was not, and why."""
    items = []
    for turn, record in metrics.rounds.items():
        host = mapping(record.get(HOST))
        told = [_decision(f"Cohort {name}", mapping(m)) for name, m in mapping(record.get("merges")).items()]
        told.append(_decision("Host", host))
        decisions = [t for t in told if t is not None]
        kept = [(who, mapping(c).get("kept")) for who, c in mapping(record.get("clients")).items()]
        for choice, meaning in KEPT.items():
            if people := [who for who, k in kept if k == choice]:
                decisions.append(element("li", element("span", f"{_listed(people)} {meaning}")))
        if decisions:
            items.append(element("li", element("h3", f"Round {turn}"), element("ul", *decisions)))
        named = (("mapped mass", "mapped_mass"), ("masked share", "masked_share"))
        shares = [(label, number(host.get(key))) for label, key in named]
        taught = [f"{label} {percent(value)}" for label, value in shares if value is not None]
        if taught and items:
            items.append(
                element("li", element("small", f"The host's lessons in round {turn}: {', '.join(taught)}."))
            )
    explained = (
        "What would make a model worse on validation text is not taken over; numbers are bits per byte."
    )
    return (
        join(note(explained), element("ol", *items, class_="timeline"))
        if items
        else note("Nothing was decided.")
    )


def _decision(what: str, told: Record) -> Html | None:
    if not isinstance(told.get("adopted"), bool):
        return None
    before, after = number(told.get("before")), number(told.get("after"))
    moved = element("span", f"{bits(before)} → {bits(after)}", class_="moved") if before is not None else None
    reason = element("span", str(told["reason"]), class_="reason") if told.get("reason") else None
    return element("li", _chip(told), element("b", what), moved, reason)


def _chip(told: Record) -> Html | None:
    adopted = told.get("adopted")
    if not isinstance(adopted, bool):
        return None
    return element(
        "span", "✓ adopted" if adopted else "✕ not adopted", class_=f"chip {'yes' if adopted else 'no'}"
    )


def traffic(metrics: Metrics) -> Html:
    """Bytes per client and round, by kind."""
    rows = [
        (turn, who, numbers(mapping(done).get("bytes_up")), numbers(mapping(done).get("bytes_down")))
        for who in (c.name for c in metrics.clients)
        for turn, record in metrics.rounds.items()
        if (done := mapping(record.get("clients")).get(who)) is not None
    ]
    full = max((sum(p.values()) for r in rows for p in r[2:]), default=0.0)
    if not full:
        return note("Nothing has travelled yet.")
    kinds = [*KINDS, *sorted({k for r in rows for p in r[2:] for k in p} - set(KINDS))]
    hue = {kind: f"k{min(i, len(KINDS))}" for i, kind in enumerate(kinds)}
    sums = {kind: sum(parts.get(kind, 0.0) for row in rows for parts in row[2:]) for kind in kinds}
    marks = (
        element("li", element("i", class_=f"mark {hue[kind]}"), f"{kind} ", element("small", size(total)))
        for kind, total in sums.items()
        if total
    )
    head = heads("client", "round", "sent", "", "received", "", numbers=(1, 3, 5))
    drawn = [_traffic_row(metrics, row, kinds, hue, full) for row in rows]
    shown = table(head, element("tbody", *drawn[:MOST_ROWS]), class_="traffic")
    more = element(
        "details",
        element("summary", f"{len(drawn) - MOST_ROWS} more"),
        table(head, element("tbody", *drawn[MOST_ROWS:])),
    )
    return join(element("ul", *marks, class_="legend"), shown, more if drawn[MOST_ROWS:] else None)


def _traffic_row(
    metrics: Metrics,
    row: tuple[int, str, dict[str, float], dict[str, float]],
    kinds: Sequence[str],
    hue: dict[str, str],
    full: float,
) -> Html:
    turn, who, up, down = row
    cells = []
    for direction, parts in (("sent", up), ("received", down)):
        told = ", ".join(f"{k} {size(parts[k])}" for k in kinds if parts.get(k)) or "nothing"
        pieces = [(f"{k} {size(parts[k])}", parts[k], hue[k]) for k in kinds if parts.get(k)]
        bar = stacked_bar(pieces, full, "", f"{who}, round {turn}, {direction}: {told}")
        cells += [element("td", bar), element("td", size(sum(parts.values())), class_="n")]
    return element("tr", who_cell(metrics, who), element("td", f"{turn}", class_="n"), *cells)


def left_out(metrics: Metrics) -> Html:
    """Who missed a round, and why."""
    if not metrics.rounds:
        return note("No round has been finished yet.")
    rows = []
    for turn, record in metrics.rounds.items():
        for who, told in mapping(record.get("clients")).items():
            done = mapping(told)
            status = str(done.get("status") or "")
            if status not in ("", "ok"):
                cells = (
                    element("td", f"{turn}", class_="n"),
                    element("td", status),
                    element("td", str(done.get("reason") or MISSING)),
                )
                rows.append(element("tr", who_cell(metrics, who), *cells))
    if not rows:
        return note("Nobody: every client took part in every round that was written down.")
    return table(heads("client", "round", "status", "reason", numbers=(1,)), element("tbody", *rows))


def _listed(names: Sequence[str]) -> str:
    return (
        listing(list(names))
        if len(names) <= 6
        else f"{', '.join(names[:5])} and {len(names) - 5} more clients"
    )


def _n(*values: str) -> list[Html]:
    return [element("td", v, class_="n") for v in values]
