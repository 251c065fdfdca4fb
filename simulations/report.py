"""A run on one page: `report.html`, self-contained, readable on paper, in the light and in the dark."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from renga.errors import RengaError
from renga.simulations.exchange import answers, gates, learned_from, left_out, merges, traffic
from renga.simulations.markup import Html, element, join, prose
from renga.simulations.metrics import HOST, Metrics, mapping, number, read_metrics
from renga.simulations.report_style import STYLE
from renga.simulations.results import curves, held_out, results
from renga.simulations.units import MISSING, count, duration, printable, size
from renga.simulations.verdict import summary

# nothing is fetched and nothing runs, whatever a client's name or reason contains
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

DEFINITIONS = {
    "Bits per byte": (
        "How surprised a model is by a held-out text, in bits, divided by the text's bytes. Lower is "
        "better. Unlike loss per token, it can be compared between models that cut text differently."
    ),
    "Accuracy": (
        "The share of held-out questions answered rightly. With choices: the one that the model finds "
        "likeliest for its length. Without: the answer must equal the right one, apart from case, "
        "spacing and punctuation."
    ),
    "Own domain, other domains": (
        "Held-out text of a client's own kind, and the mean over the kinds that only other clients have."
    ),
    "Before, alone, federated": (
        "The model as it came; trained on its own private text and nothing else; and after the last round."
    ),
    "Public only, centralised": (
        "Two bounds for the host: trained on the public texts without the clients, and on all text in "
        "one place, which a federation exists to avoid."
    ),
    "Training loss": (
        "What the optimiser saw, in nats per token: to be compared along one curve, not between models."
    ),
    "Adapter, losses, rows, answers, texts": (
        "What travels: the trained low-rank update of a model; how well it knows each public text; its "
        "likeliest next tokens along a text; an answer it wrote; the public texts themselves."
    ),
    "Cohort": "The clients whose models have the same base weights. Only their adapters can be merged.",
    "Lost in the merge": (
        "The share of the exact average of the adapters that does not fit into the merged rank."
    ),
    "Gate": (
        "What makes a model worse on validation text is not adopted; the model of the round before stays."
    ),
    "Mapped mass, masked share": (
        "Between models with different tokens: how much of the teacher's probability found a "
        "counterpart, and the share of places where the two never meet and nothing is taught."
    ),
}


def write_report(folder: Path) -> Path:
    """Write `report.html` from `metrics.jsonl` and `config.toml` in a run's folder, whole or not at all.

    A run that was killed gives a report of what there is. Raises RengaError if there are no metrics to read,
    or if the page can't be written.
    """
    folder = Path(folder)
    metrics = read_metrics(folder)
    try:
        config = (folder / "config.toml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        config = ""
    path = folder / "report.html"
    try:
        _replace(path, page(metrics, config))
    except OSError as error:
        raise RengaError(
            f"can't write {path}: {error.strerror}", hint="free some space or check the folder's permissions"
        ) from error
    return path


def page(metrics: Metrics, config: str) -> Html:
    """The whole document."""
    name = str(metrics.run.get("name") or "federation")
    sections = (
        ("results", "Results", results(metrics)),
        ("held-out", "Round by round", held_out(metrics)),
        ("curves", "Learning curves", curves(metrics)),
        ("learned", "Who learned from whom", join(learned_from(metrics), answers(metrics))),
        ("merged", "What was merged", merges(metrics)),
        ("gate", "What was adopted", gates(metrics)),
        ("bytes", "What travelled", traffic(metrics)),
        ("left-out", "Who was left out", left_out(metrics)),
        ("config", "Configuration", _config(config)),
        ("measures", "What the measures mean", _definitions()),
    )
    links = [element("a", title, href=f"#{key}") for key, title, _ in sections]
    bodies = [
        element(
            "section", element("h2", title, id=f"{key}-title"), body, id=key, aria_labelledby=f"{key}-title"
        )
        for key, title, body in sections
    ]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("link", rel="icon", href="data:,"),
        element("title", f"{name} – Renga"),
        element("style", Html(STYLE)),
    )
    eyebrow = element("p", "Renga · a simulated federation", class_="eyebrow")
    header = element("header", eyebrow, element("h1", name), *_lead(metrics), _facts(metrics))
    main = element("main", header, element("nav", *links, aria_label="Sections"), *bodies)
    return join(Html("<!doctype html>\n"), element("html", head, element("body", main), lang="en"), "\n")


def _lead(metrics: Metrics) -> list[Html]:
    first, *rest = summary(metrics)
    lead = [
        element("p", prose(first), class_="lead"),
        *(element("p", prose(said), class_="verdict") for said in rest),
    ]
    if not metrics.end:
        words = "This run did not end, or is still going on: the page shows what there is."
        lead.append(element("p", words, class_="warning"))
    if metrics.unreadable:
        lines = (
            f"{metrics.unreadable} line{'s' * (metrics.unreadable > 1)} of metrics.jsonl could not be read."
        )
        lead.append(element("p", lines, class_="warning"))
    return lead


def _facts(metrics: Metrics) -> Html:
    """Numbers about the run as a whole."""
    end, run = metrics.end, metrics.run
    models = sorted({c.model for c in metrics.clients if c.model})
    spent, torch = number(end.get("seconds")), number(end.get("torch_seconds"))
    overhead = f", {spent / torch:.2f} × the time inside torch" if spent and torch else ""
    planned = number(run.get("rounds"))
    facts = (
        ("Clients", f"{len(metrics.clients)} × {', '.join(models) or MISSING}"),
        ("Host", str(mapping(run.get(HOST)).get("model") or MISSING)),
        ("Rounds", f"{len(metrics.rounds)}" + (f" of {planned:.0f}" if planned is not None else "")),
        ("Seed", count(number(run.get("seed"))).replace(",", "")),
        ("Time", duration(spent) + overhead),
        ("Peak memory", size(number(end.get("peak_memory_bytes")))),
        ("Clients sent", size(metrics.traffic(HOST, "up"))),
        ("Clients received", size(metrics.traffic(HOST, "down"))),
    )
    return element(
        "dl", *(element("div", element("dt", k), element("dd", v)) for k, v in facts), class_="facts"
    )


def _config(config: str) -> Html:
    if not config.strip():
        return element("p", "There is no config.toml in the run's folder.", class_="note")
    clean = "\n".join(printable(line, 2000) for line in config.expandtabs(4).splitlines())
    return element("pre", element("code", clean), tabindex="0")


def _definitions() -> Html:
    rows = (join(element("dt", term), element("dd", prose(meaning))) for term, meaning in DEFINITIONS.items())
    return element("dl", *rows, class_="definitions")


def _replace(path: Path, text: str) -> None:
    """Write beside and rename, so that a reader never meets half a page."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".report-", suffix=".html")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
