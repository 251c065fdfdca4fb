"""The parts of a report that say how well the models do: the table of results, and curves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from renga.simulations.charts import Line, line_chart, scale_strip
from renga.simulations.markup import Child, Html, element, join, prose
from renga.simulations.metrics import HOST, Metrics, Part, Record, mapping, number, series
from renga.simulations.units import MISSING, bits, count, percent
from renga.simulations.verdict import SAME

HUES = 8
STAGES = ("before", "alone", "federated")


def colour(metrics: Metrics, who: str) -> str:
    """The CSS class that gives a participant its colour."""
    names = [c.name for c in metrics.clients]
    return f"c{names.index(who) % HUES}" if who in names else "ch"


def who_cell(metrics: Metrics, who: str, rows: int | None = None, note: str = "") -> Html:
    """A row's header: the participant's name beside its colour."""
    mark = element("i", class_=f"mark {colour(metrics, who)}")
    small = element("small", note) if note else None
    return element("th", mark, who, small, scope="row" if not rows else "rowgroup", rowspan=rows)


def legend(metrics: Metrics, names: Iterable[str]) -> Html:
    """Which colour is whom."""
    items = (element("li", element("i", class_=f"mark {colour(metrics, n)}"), n) for n in names)
    return element("ul", *items, class_="legend")


def heads(*names: str, numbers: Sequence[int] = ()) -> Html:
    """A table's head; the columns in `numbers` stand to the right."""
    cells = (element("th", n, scope="col", class_="n" if i in numbers else None) for i, n in enumerate(names))
    return element("thead", element("tr", *cells))


def table(*children: Child, class_: str | None = None) -> Html:
    """A table that scrolls sideways where the page is narrow."""
    return element("div", element("table", *children, class_=class_), class_="scroll", tabindex="0")


def note(words: str) -> Html:
    """A sentence or two that explain a table or a drawing, or stand for an empty one."""
    return element("p", prose(words), class_="note")


def results(metrics: Metrics) -> Html:
    """Before, alone and federated, for everybody, in numbers and on a common scale."""
    if not metrics.scores:
        return note("Nothing has been scored yet.")
    limits = _limits(metrics)
    bodies = [_client_results(metrics, c.name, limits) for c in metrics.clients]
    bodies.append(_host_results(metrics, limits))
    top = element(
        "tr",
        element("td", colspan=2),
        element("th", "bits per byte ", element("small", "lower is better"), colspan=5, scope="colgroup"),
        element("th", "accuracy ", element("small", "higher is better"), colspan=3, scope="colgroup"),
    )
    scale = f"{bits(limits[0])} … {bits(limits[1])}"
    names = ("", "held-out text", *STAGES, "against alone", scale, *STAGES)
    cells = [element("th", n, scope="col", class_="n" if 2 <= i != 6 else None) for i, n in enumerate(names)]
    cells[0] = element("td")
    head = element("thead", top, element("tr", *cells))
    key = (
        "On the scale: a ring before, a bar for learning alone, a disc after the federation, and for the "
        "host a cross for all text in one place. For the host, alone means the public texts alone. "
        f"Differences under {percent(SAME)} are left without colour. This is one run with one seed: "
        f"take small differences for chance.{_how_many(metrics)}"
    )
    return join(table(head, *bodies, class_="results"), note(key))


def _client_results(metrics: Metrics, who: str, limits: tuple[float, float]) -> Html:
    client = metrics.client(who)
    rank = f"rank {client.rank:.0f}" if client.rank is not None else ""
    texts = f"{count(client.texts)} texts" if client.texts is not None else ""
    note = " · ".join(filter(None, (texts, rank)))
    own = element("tr", who_cell(metrics, who, 2, note), *_result_cells(metrics, who, "own", limits))
    others = element("tr", *_result_cells(metrics, who, "others", limits))
    return element("tbody", own, others)


def _host_results(metrics: Metrics, limits: tuple[float, float]) -> Html:
    rows = [element("tr", who_cell(metrics, HOST), *_result_cells(metrics, HOST, "all", limits))]
    best = metrics.measure(HOST, "centralised", "all")
    if best.bits_per_byte is not None:
        blank = element("td", class_="n")
        loss, right = (
            element("td", v, class_="n") for v in (bits(best.bits_per_byte), percent(best.accuracy))
        )
        cells = [
            element("td", "all text in one place"),
            blank,
            blank,
            loss,
            blank,
            blank,
            blank,
            blank,
            right,
        ]
        rows.append(element("tr", element("td"), *cells, class_="bound"))
    return element("tbody", *rows)


def _result_cells(metrics: Metrics, who: str, part: Part, limits: tuple[float, float]) -> list[Html]:
    before, last = (metrics.measure(who, stage, part) for stage in ("before", "federated"))
    alone = metrics.learned_alone(who, part)
    measures = (before, alone, last)
    change, class_ = _change(alone.bits_per_byte, last.bits_per_byte)
    values = {name: m.bits_per_byte for name, m in zip(STAGES, measures, strict=True)}
    if who == HOST:
        values["centralised"] = metrics.measure(who, "centralised", part).bits_per_byte
    told = ", ".join(f"{name} {bits(v)}" for name, v in values.items() if v is not None)
    strip = scale_strip(
        values, limits, colour(metrics, who), f"{who}, bits per byte: {told or 'not measured'}"
    )
    words = {"own": "own domain", "others": "other domains", "all": "all domains"}[part]
    numbers = [element("td", bits(m.bits_per_byte), class_="n") for m in measures]
    numbers[2] = element("td", element("b", bits(last.bits_per_byte)), class_="n")
    rights = [element("td", percent(m.accuracy), class_="n") for m in measures]
    rights[2] = element("td", element("b", percent(last.accuracy)), class_="n")
    moved = element("td", change, class_=f"n {class_}".strip())
    return [element("td", words), *numbers, moved, element("td", strip), *rights]


def _change(alone: float | None, last: float | None) -> tuple[str, str]:
    if not alone or last is None:
        return MISSING, ""
    change = last / alone - 1
    sign = "−" if change < 0 else "+"
    return f"{sign}{percent(abs(change), 1)}", "good" if change < -SAME else "bad" if change > SAME else ""


def _limits(metrics: Metrics) -> tuple[float, float]:
    rows: list[tuple[str, Part]] = [(HOST, "all")]
    rows += [(c.name, part) for c in metrics.clients for part in ("own", "others")]
    stages = (*STAGES, "public", "centralised")
    found = [metrics.measure(who, stage, part).bits_per_byte for who, part in rows for stage in stages]
    known = [v for v in found if v is not None] or [0.0, 1.0]
    return min(known), max(known)


def _how_many(metrics: Metrics) -> str:
    score = metrics.score(HOST, "federated") or metrics.scores[-1]
    texts = [v for v in (number(r.get("texts")) for r in score.domains.values()) if v is not None]
    if not texts:
        return ""
    most = f"{min(texts):.0f}" if min(texts) == max(texts) else f"{min(texts):.0f} to {max(texts):.0f}"
    return f" Every domain is tested on {most} texts."


def held_out(metrics: Metrics) -> Html:
    """Held-out bits per byte after every round."""
    names = [c.name for c in metrics.clients]
    panels: tuple[tuple[str, Sequence[str], Part], ...] = (
        ("Clients, own domain", names, "own"),
        ("Clients, other domains", names, "others"),
        ("Host, all domains", [HOST], "all"),
    )
    turns = sorted({s.round for s in metrics.scores if s.stage == "federated"})
    if not turns:
        return note("No round has been scored yet.")
    figures, last = [], turns[-1]
    for title, people, part in panels:
        lines = []
        for who in people:
            points = [(0.0, metrics.measure(who, "before", part).bits_per_byte)]
            points += [(float(r), metrics.measure(who, "federated", part, r).bits_per_byte) for r in turns]
            known = [(x, y) for x, y in points if y is not None]
            if known:
                lines.append(Line(who, colour(metrics, who), [known], "dots"))
        marks = [
            (float(r), "before" if r == 0 else f"round {r}")
            for r in range(0, last + 1, max(1, -(-last // 4)))
        ]
        figures.append(_figure(title, lines, (-0.25, last + 0.25), marks, f"{title}: bits per byte by round"))
    words = note("Bits per byte of held-out text after each round; lower is better.")
    return join(words, legend(metrics, [*names, HOST]), element("div", *figures, class_="panels"))


def curves(metrics: Metrics) -> Html:
    """Training loss, step by step; every round is equally wide, whoever took more steps."""
    if not metrics.rounds:
        return note("No round has been finished yet.")
    names = [c.name for c in metrics.clients]
    first, last = min(metrics.rounds), max(metrics.rounds)
    marks = [(r - 0.5, f"round {r}") for r in range(first, last + 1, -(-(last - first + 1) // 5))]
    figures = []
    for title, people, key in (
        ("Clients, on private text", names, "private_loss"),
        ("Clients, on others' knowledge", names, "transfer_loss"),
        ("Host, on clients' knowledge", [HOST], "loss"),
    ):
        lines: list[Line] = []
        for who in people:
            pieces = [(turn, series(_turn(record, who).get(key))) for turn, record in metrics.rounds.items()]
            raw = [_steps(turn, values) for turn, values in pieces if values]
            smooth = [_steps(turn, moving_mean(values)) for turn, values in pieces if values]
            lines += [Line(who, colour(metrics, who), raw, "faint"), Line(who, colour(metrics, who), smooth)]
        label = f"{title}: training loss in nats per token by step"
        figures.append(_figure(title, lines, (float(first - 1), float(last)), marks, label))
    words = "Training loss in nats per token: the steps faint, their moving mean strong."
    return join(note(words), legend(metrics, [*names, HOST]),
                element("div", *figures, class_="panels"))  # fmt: skip


def _turn(record: Record, who: str) -> Record:
    return mapping(record.get(HOST)) if who == HOST else mapping(mapping(record.get("clients")).get(who))


def _steps(turn: int, values: Sequence[float], most: int = 240) -> list[tuple[float, float]]:
    """Steps of a round spread over [turn - 1, turn], thinned to what a drawing can show."""
    every = -(-len(values) // most)
    return [(turn - 1 + (i + 0.5) / len(values), values[i]) for i in range(0, len(values), every)]


def moving_mean(values: Sequence[float]) -> list[float]:
    """Centred mean over about a fifth of the values, narrower at the ends."""
    reach = max(1, len(values) // 10)
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    spans = [(max(0, i - reach), min(len(values), i + reach + 1)) for i in range(len(values))]
    return [(sums[b] - sums[a]) / (b - a) for a, b in spans]


def _figure(
    title: str,
    lines: Sequence[Line],
    span: tuple[float, float],
    marks: Sequence[tuple[float, str]],
    label: str,
) -> Html:
    known = [line for line in lines if line.pieces]
    drawn = line_chart(known, span, marks, label) if known else note("Nothing was written down.")
    return element("figure", element("figcaption", prose(title)), drawn)
