"""`renga merge`: many models into one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from renga.cli_options import AsJson, Debug, print_json, tell


def add_to(app: typer.Typer) -> None:
    """Give the command line its `merge`."""
    app.command(
        epilog="Example: renga merge maths code --method ties --base SmolLM2-135M-Instruct -o merged"
    )(merge)


def merge(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the result; a new one.")],
    method: Annotated[str, typer.Option(metavar="NAME", help="How; docs/merging.md lists them.")] = "linear",
    weights: Annotated[
        str | None, typer.Option(metavar="W,W,...", help="One for each input; relative.  [default: equal]")
    ] = None,
    base: Annotated[
        str | None, typer.Option(metavar="REF", help="The model that the inputs were tuned from.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An option of the method; repeat it."),
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(metavar="NAME", help="Number format of the result.  [default: the input's]")
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            metavar="REF",
            help="Whose tokenizer is carried, a model's or union; embeddings' rows follow their tokens."
            "  [default: the base's; all must have it]",
        ),
    ] = None,
    rank: Annotated[
        int | None, typer.Option(min=1, help="Adapters: the best of this rank.  [default: exact]")
    ] = None,
    energy: Annotated[
        float | None, typer.Option(help="Adapters: each module keeps this share of its energy.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="PATTERN", help="Adapters: merge attention, mlp, or what matches."),
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option("--rule", metavar="PATTERN=W,W,...", help="Adapters: other weights where it matches."),
    ] = None,
    judged_on: Annotated[
        Path | None,
        typer.Option("--eval", metavar="FILE", help="Score inputs and result on these texts."),
    ] = None,
    texts: Annotated[
        list[Path] | None,
        typer.Option("--texts", metavar="FILE", help="Adapters: what methods look at; one, or one each."),
    ] = None,
    surgery: Annotated[
        list[Path] | None,
        typer.Option("--surgery", metavar="FILE", help="Adapters: mend for each one's task; one each."),
    ] = None,
    match: Annotated[
        Path | None,
        typer.Option("--match", metavar="FILE", help="Models: match neurons to the first's on these texts."),
    ] = None,
    vocabulary: Annotated[
        str | None,
        typer.Option("--vocabulary", metavar="REF", help="Models: give all this one's tokenizer first."),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Only the first texts of a file; 0: all.")] = 0,
    shard_size: Annotated[str, typer.Option(metavar="SIZE", help="Largest file of the result.")] = "5GB",
    seed: Annotated[int, typer.Option(min=0, help="For methods that drop at random.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="0: all cores.")] = 0,
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Models: auto, cpu or cuda[:N].  [default: auto]"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a merge that was interrupted.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Merge models, or adapters, into one.

    INPUT is a model (a folder, or a name from `renga models list`), each tuned from one base; or one recipe,
    a .toml of ours or a .yml of mergekit's; or the folder of an adapter, as PEFT saves it. Models are
    streamed: memory stays far below a model's size. Adapters need no base model unless they are to be scored
    (--eval). The method auto tries several and keeps what scores best; adapters also merge by greedy, cmaes
    and bayes. A weight may
    be a gradient over the depth: --weights 1:0,0:1.
    """
    from renga.errors import UsageError
    from renga.merging_adapters import are_adapters
    from renga.merging_checkpoints import is_recipe, of_command, read_recipe, run, run_auto, run_judged

    if are_adapters(inputs):
        foreign: dict[str, Any] = {
            "--dtype": dtype, "--tokenizer": tokenizer, "--resume": resume or None,
            "--match": match, "--vocabulary": vocabulary, "--device": device,
        }  # fmt: skip
        for flag, value in foreign.items():
            if value is not None:
                raise UsageError(f"{flag} is not for adapters", hint="leave it out")
        from renga.merging_adapters import lines
        from renga.merging_adapters import run as run_adapters

        record = run_adapters(
            inputs,
            out,
            method=method,
            weights=gradients(weights),
            options=settings(option or []),
            rank=rank,
            energy=energy,
            only=only or (),
            rules=rules(rule or []),
            seed=seed,
            threads=threads or None,
            data=judged_on,
            texts=texts or (),
            surgery=surgery or (),
            model=base,
            limit=limit,
            tell=tell,
        )
        if as_json:
            print_json(record)
        else:
            print("\n".join(lines(record, out)))
        return
    given: dict[str, Any] = {"--rank": rank, "--energy": energy, "--only": only, "--rule": rule}
    for flag, value in {**given, "--texts": texts, "--surgery": surgery}.items():
        if value is not None:
            raise UsageError(f"{flag} is for adapters alone", hint="leave it out")
    from renga.server.merging.checkpoints.merge import How
    from renga.server.merging.checkpoints.shards import size_in_bytes

    how = How(seed, size_in_bytes(shard_size), threads, resume, _Bar().show, tell, device or "auto")
    if any(is_recipe(name) for name in inputs):
        if len(inputs) > 1:
            raise UsageError("a recipe stands alone", hint="name the models inside it")
        said: dict[str, Any] = {
            "--weights": weights,
            "--base": base,
            "--set": option,
            "--dtype": dtype,
            "--tokenizer": tokenizer,
        }
        for flag, value in said.items():
            if value is not None:
                raise UsageError(f"{flag} can't be given beside a recipe", hint="write it into the recipe")
        recipe = read_recipe(Path(inputs[0]))
    elif method == "auto":
        if match or vocabulary:
            raise UsageError("auto merges models of one shape", hint="name a method")
        if option:
            raise UsageError("auto takes no --set: it tries methods with options of its own")
        record = run_auto(
            inputs, numbers(weights), base, out, how, judged_on, limit, dtype=dtype, tokenizer=tokenizer
        )
        return _show(record, out, as_json)
    else:
        recipe = of_command(
            inputs, method, numbers(weights), base, settings(option or []), dtype=dtype, tokenizer=tokenizer
        )
    shapes: dict[str, Any] = {"match": match, "vocabulary": vocabulary}
    if judged_on is None:
        record = run(recipe, out, how, **shapes)
    else:
        record = run_judged(recipe, out, how, judged_on, limit, **shapes)
    return _show(record, out, as_json)


def _show(record: dict[str, Any], out: Path, as_json: bool) -> None:
    """The result of a merge of whole models: its scores, if it was judged, and where it lies."""
    from renga.merging_adapters import score_lines

    if as_json:
        print_json(record)
        return
    if "chosen" in record:
        print(f"{record['chosen']}, the best of {len(record['tried'])} on these texts")
    if scores := record.get("scores"):
        print("\n".join(score_lines(scores)))
    print(out)


def numbers(text: str | None) -> list[float] | None:
    """The numbers in "1,1,2"."""
    from renga.errors import UsageError

    if text is None:
        return None
    try:
        return [float(word) for word in text.split(",")]
    except ValueError as error:
        raise UsageError(f"weights {text!r} are not numbers", hint="write them as 1,1,2") from error


def gradients(text: str | None) -> list[Any] | None:
    """The weights in "1,1:0,2"; with a colon, several over the depth."""
    if text is None:
        return None
    found = [numbers(word.replace(":", ",")) or [] for word in text.split(",")]
    return [anchors if len(anchors) > 1 else anchors[0] for anchors in found]


def rules(pairs: list[str]) -> dict[str, list[Any]]:
    """The rules in PATTERN=W,W pairs."""
    from renga.errors import UsageError

    found = {}
    for pair in pairs:
        pattern, equals, weights = pair.rpartition("=")
        if not equals:
            raise UsageError(f"--rule {pair!r} is no PATTERN=W,W", hint="for example --rule down_proj=1,0")
        found[pattern] = gradients(weights) or []
    return found


def settings(pairs: list[str]) -> dict[str, Any]:
    """The options in KEY=VALUE pairs; values as JSON where they are that, else as text."""
    from renga.errors import UsageError

    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {pair!r} is no KEY=VALUE", hint="for example --set density=0.3")
        try:
            found[key.strip()] = json.loads(value)
        except ValueError:
            found[key.strip()] = value.strip()
    return found


class _Bar:
    """Progress in bytes, on a terminal only."""

    def __init__(self) -> None:
        self._shown = -1

    def show(self, stage: str, done: int, total: int) -> None:
        share = 100 * done // total if total else 100
        if sys.stderr.isatty() and share != self._shown:
            self._shown = share
            print(f"\r{stage or 'merging'} {share:3} %", end="\n" if share == 100 else "", file=sys.stderr)
