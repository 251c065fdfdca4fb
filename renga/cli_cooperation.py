"""`renga index`, `renga review` and `renga train-attribute`: what models that work together need made."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from renga.cli_options import DEFAULT_MODEL, MODEL_HELP, AsJson, Debug, print_json, tell

if TYPE_CHECKING:
    from renga.models.cooperation.review import Item, ReviewQueue


def add_to(app: typer.Typer) -> None:
    """Give the command line these commands."""
    app.command(epilog="Example: renga index notes/ manual.pdf --out notes.db")(index)
    app.command(epilog="Example: renga review review.db")(review)
    app.command(
        name="train-attribute",
        epilog="Example: renga train-attribute formal.jsonl casual.jsonl --out formal.safetensors",
    )(train_attribute)
    app.command(
        name="train-soft", epilog="Example: renga train-soft passages.jsonl --out slots.safetensors --slots 8"
    )(train_soft)


def index(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE...")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The index; updated if it is there.")
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="REF", help=f"Vectors, too, by a model. {MODEL_HELP}"),
    ] = None,
    complete: Annotated[
        bool, typer.Option("--complete", help="Remove what is no longer among the files.")
    ] = False,
    ask: Annotated[
        str | None, typer.Option("--ask", metavar="TEXT", help="Then show what is found to this question.")
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Make or update an index of passages, for `retrieve` in plans.

    FILE is a PDF, HTML, Markdown or text file, or a folder of these. Only what has changed is read again. The
    index stays on this machine, readable by its owner alone.
    """
    from renga.models.cooperation.documents import read_documents
    from renga.models.cooperation.index import PassageIndex

    documents = read_documents(paths)
    embedder = None
    if model is not None:
        from renga.loading import load
        from renga.models.cooperation.dense import TokenVectors

        embedder = TokenVectors(load(model, None))
    made = PassageIndex(out, embedder)
    changes = made.update(documents, complete=complete)
    hits = made.search(ask) if ask else []
    if as_json:
        found = [
            {"text": h.passage.text, "citation": str(h.passage.citation), "score": h.score} for h in hits
        ]
        print_json({**vars(changes), "passages": len(made), **({"found": found} if ask else {})})
        return
    tell(
        f"{len(made)} passages; {changes.added} documents added, {changes.changed} changed, "
        f"{changes.removed} removed, {changes.kept} as they were"
    )
    for hit in hits:
        print(f"{hit.passage.citation}\n  {' '.join(hit.passage.text.split())}")


def review(
    queue: Annotated[Path, typer.Argument(metavar="QUEUE")],
    listed: Annotated[bool, typer.Option("--list", help="Show what waits, and ask nothing.")] = False,
    train: Annotated[
        Path | None,
        typer.Option("--train", metavar="FILE", help="Weigh the detectors by the verdicts; written there."),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option("--export", metavar="FILE", help="Write the answers that hold as JSONL, to learn from."),
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Look at answers that wait for a person, those first of which the detectors are least sure.

    QUEUE is the file that a plan names: guard(…, then="ask", queue="review.db"). y: right, n: wrong, c:
    wrong, and here is what is right, s: skip, q: stop.
    """
    from renga.errors import UsageError
    from renga.models.cooperation.review import ReviewQueue

    if not queue.is_file():
        raise UsageError(f"{queue}: no such queue", hint='a plan makes it: guard(…, then="ask", queue="…")')
    held = ReviewQueue(queue)
    if train is not None:
        from renga.models.cooperation.verdicts import fit

        weights = fit(held.verdicts())
        weights.save(train)
        tell(f"{len(held.verdicts())} verdicts weigh {', '.join(sorted(weights.weights))}")
    if export is not None:
        _export(held, export)
    if listed or as_json:
        waiting = held.waiting()
        if as_json:
            print_json([{**vars(item), "uncertainty": item.uncertainty} for item in waiting])
            return
        for item in waiting:
            print(_shown(item))
        return
    if train is None and export is None:
        _asked(held)


def train_attribute(
    having: Annotated[Path, typer.Argument(metavar="HAVING")],
    lacking: Annotated[Path, typer.Argument(metavar="LACKING")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The predictor.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="What it is called.  [default: HAVING's]")] = "",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same predictor.")] = 0,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Fit a predictor of an attribute, for `guide` in plans.

    HAVING and LACKING are JSONL files of texts with and without it: their responses, and the prompts of lines
    without a response. A fifth of the texts is held out to measure it.
    """
    from renga.models.cooperation.attributes import auroc, train
    from renga.models.data import read_jsonl, split

    texts = []
    for path in (having, lacking):
        learned, held = split(read_jsonl(path), 0.2, seed)
        texts.append(([e.response or e.prompt for e in learned], [e.response or e.prompt for e in held]))
    (yes, yes_held), (no, no_held) = texts
    made = train(name or having.stem, yes, no, seed=seed)
    made.save(out)
    scores = [[made.odds(text.encode()) for text in held] for held in (yes_held, no_held)]
    right = [s > 0 for s in scores[0]] + [s <= 0 for s in scores[1]]
    facts = {
        "name": made.name,
        "texts": len(yes) + len(no),
        "held_out": len(right),
        "accuracy": sum(right) / len(right) if right else None,
        "auroc": auroc(*scores) if all(scores) else None,
    }
    if as_json:
        print_json(facts)
        return
    measured = f", accuracy {facts['accuracy']:.1%}" if right else ", none held out to measure it"
    area = f", AUROC {facts['auroc']:.3f}" if all(scores) else ""
    print(f"{made.name}: {facts['texts']} texts learned, {len(right)} held out{measured}{area}")


def train_soft(
    data: Annotated[Path, typer.Argument(metavar="FILE")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The compressor.")],
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="REF", help=f"Who reads passages. {MODEL_HELP}")
    ] = DEFAULT_MODEL,
    host: Annotated[
        str, typer.Option("--host", metavar="REF", help="For whom: only its base weights are used.")
    ] = "gemma-3-270m",
    slots: Annotated[int, typer.Option(min=1, max=256, help="Slots of a passage.")] = 8,
    epochs: Annotated[int, typer.Option(min=1, help="Times that every text is read.")] = 2,
    limit: Annotated[int, typer.Option(min=0, help="Texts that are read; 0: all.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same compressor.")] = 0,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Fit a compressor of passages to slots, for `soft` in plans.

    FILE is JSONL: a prompt's last paragraph (or line) is the question, what stands above it the passage. A
    slot is as wide as the host and made for it alone; it spares the host reading, not bytes.
    """
    from renga.errors import UsageError
    from renga.loading import load
    from renga.models.cooperation.soft import train_soft as fit
    from renga.models.data import read_jsonl
    from renga.models.session_codec import id_width

    lessons = []
    for example in read_jsonl(data):
        text = example.prompt.rstrip()
        passage, found, question = text.rpartition("\n\n" if "\n\n" in text else "\n")
        if found and passage.strip() and example.response:
            lessons.append((passage, question, example.response))
    if not lessons:
        raise UsageError(f"{data}: no text has a passage above its question, and a response")
    lessons = lessons[: limit or None]
    edge, there = load(model, None), load(host, None)
    made = fit(edge, there, lessons, slots=slots, epochs=epochs, seed=seed)
    made.save(out)
    facts = {
        "texts": len(lessons),
        "slots": slots,
        "bytes_per_slot": made.bytes_per_slot,
        "bytes_per_token": id_width(there.vocabulary.size),
    }
    if as_json:
        print_json(facts)
        return
    worth = slots * made.bytes_per_slot // facts["bytes_per_token"]
    print(
        f"{slots} slots from {len(lessons)} texts: {made.bytes_per_slot} bytes each on the wire, together as "
        f"much as {worth} tokens; they take {slots} places of the host's context"
    )


def _asked(queue: ReviewQueue) -> None:
    """Ask about each item once, until there is none or the person stops."""
    skipped: set[int] = set()
    while True:
        waiting = [item for item in queue.waiting() if item.id not in skipped]
        if not waiting:
            tell("nothing waits")
            return
        item = waiting[0]
        print(_shown(item))
        said = _line("right? [y]es [n]o [c]orrect [s]kip [q]uit: ")
        if said in ("q", ""):
            return
        if said == "y":
            queue.judge(item.id, True)
        elif said == "n":
            queue.judge(item.id, False)
        elif said == "c":
            better = _line("the right answer: ")
            if better:
                queue.judge(item.id, False, better)
        else:
            skipped.add(item.id)


def _line(ask: str) -> str:
    print(ask, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def _shown(item: Item) -> str:
    reasons = "".join(f"\n    {_plain(reason)}" for reason in item.reasons)
    asked, answer = _plain(item.question), _plain(item.answer)
    return f"{item.id}  doubt {item.score:.2f}\n  asked: {asked}\n  answer: {answer}{reasons}"


def _plain(text: str) -> str:
    """Other people's text for a terminal: no control characters, one line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _export(queue: ReviewQueue, path: Path) -> None:
    import json

    from renga.errors import RengaError

    lines = [json.dumps(example, ensure_ascii=False) for example in queue.examples()]
    try:
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise RengaError(f"can't write {path}: {error.strerror}") from error
    tell(f"{len(lines)} examples written to {path}")
