"""The commands of private prompting: sanitise, restore, vault."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from renga.cli_options import DEFAULT_MODEL, MODEL_HELP, AsJson, Debug, print_json, tell
from renga.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from renga.client.sanitisation.conversation import Conversation
    from renga.client.sanitisation.desk import Desk
    from renga.models.contract import Clearance, Sampling
    from renga.reviewing import Review

vault = typer.Typer(suggest_commands=False, rich_markup_mode=None, help="What stands for what, sealed.")

Input = Annotated[Path, typer.Argument(metavar="[FILE]")]
VaultFile = Annotated[
    Path | None,
    typer.Option("--vault", metavar="FILE", help="[default: $RENGA_VAULT or ~/.local/state/renga/vault.db]"),
]
Name = Annotated[str, typer.Argument(metavar="ID")]
STDIN = Path("-")


def add_private(app: typer.Typer) -> None:
    """Put these commands into the `renga` command."""
    app.command(epilog="Example: renga sanitise notes.txt --conversation clinic > clean.txt")(sanitise)
    app.command(epilog="Example: renga restore answer.txt --conversation clinic")(restore)
    app.command(epilog="Example: renga chat --plan host")(chat)
    app.add_typer(vault, name="vault")


def sanitise(
    file: Input = STDIN,
    as_json: Annotated[
        bool, typer.Option("--json", help="A line of JSON per line of input: text, entities.")
    ] = False,
    conversation: Annotated[
        str | None,
        typer.Option("--conversation", metavar="ID", help="Keep in the vault what stands for what."),
    ] = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="With --json: the original values too.")] = False,
    names: Annotated[
        bool, typer.Option("--names/--no-names", help="Look for names of persons; without, it is faster.")
    ] = True,
    vault_file: VaultFile = None,
    debug: Debug = False,
) -> int:
    """Replace what is private in a text by surrogates.

    FILE is the text, or JSONL of {"id", "text", "conv"?}, which gives JSONL with the same id as it comes;
    - reads stdin. Without --conversation nothing is kept, and nothing can be restored.
    """
    from renga.client.sanitisation.desk import Desk
    from renga.sanitising import sanitise as run

    with _opened(file) as source:
        return run(
            source, _write, Desk(_vault(vault_file), names), conversation, as_json=as_json, reveal=reveal
        )


def restore(
    file: Input = STDIN,
    conversation: Annotated[
        str | None, typer.Option("--conversation", metavar="ID", help="Whose surrogates are restored.")
    ] = None,
    into: Annotated[
        list[str] | None,
        typer.Option("--into", metavar="SINK", help="Restore there too: link, target, attribute; repeat it."),
    ] = None,
    vault_file: VaultFile = None,
    debug: Debug = False,
) -> None:
    """Put the original values back into a text, as it streams.

    FILE is the text, or JSONL with a "text" and perhaps the "conv" that it was sanitised with; - reads stdin.
    Surrogates in links, link targets and HTML attributes stay, unless they stood there in what was sanitised.
    """
    from functools import cache

    from renga.client.sanitisation.desk import Desk
    from renga.sanitising import restore as run

    sinks = {"link", "target", "attribute"}
    if wrong := sorted(set(into or ()) - sinks):
        raise UsageError(f"--into {wrong[0]}: there is no such place", hint=did_you_mean(wrong[0], sinks))
    desk = Desk(_vault(vault_file))

    @cache
    def opened(named: str | None) -> Conversation:
        both = f"{conversation}/{named}" if conversation and named else None
        names = [name for name in (both, conversation or named) if name]
        if not names:
            raise UsageError("which conversation is it of?", hint="--conversation ID; renga vault list")
        for name in names if desk.path.exists() else ():
            if desk.vault.has(name):
                return desk.vault.conversation(name)
        raise UsageError(f"there is no conversation {names[0]!r}", hint="renga vault list")

    with _opened(file) as source:
        left = run(source, _write, opened, (*desk.rules.restore_into, *(into or ())))
    unknown = left.pop("unknown", 0)
    stayed = sum(left.values())
    if stayed:
        tell(f"{stayed} surrogates stay: they stand in links or attributes (--into)")
    if unknown:
        tell(f"{unknown} look like surrogates of this conversation, and are none")


def chat(
    plan: Annotated[
        str,
        typer.Option("--plan", metavar="PLAN", help="Who answers: host, edge, or a plan (docs/plans.md)."),
    ] = "host",
    conversation: Annotated[
        str, typer.Option("--conversation", metavar="ID", help="Go on with one.  [default: a new one]")
    ] = "",
    review: Annotated[bool, typer.Option("--review", help="Look before each message leaves.")] = False,
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="REF", help=f"What `edge` is. {MODEL_HELP}")
    ] = DEFAULT_MODEL,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 256,
    temperature: Annotated[
        float, typer.Option(min=0.0, help="0 always takes the most probable token.")
    ] = 0.7,
    state: Annotated[Path, typer.Option("--state", metavar="DIR", help="The client's state folder.")] = Path(
        "client"
    ),
    vault_file: VaultFile = None,
    debug: Debug = False,
) -> None:
    """Talk with the federation; what is private is replaced on the way out and put back on the way in.

    /help says what else can be typed.
    """
    import secrets
    from functools import cache

    from renga.chatting import Chat
    from renga.client.federation import Federation
    from renga.endpoint_models import Edge, Offered
    from renga.loading import load
    from renga.models.contract import Sampling

    def read() -> str | None:
        try:
            return input("> " if sys.stdin.isatty() else "")
        except EOFError:
            return None
        except UnicodeDecodeError:
            raise UsageError("stdin is no UTF-8 text", hint="convert it first: iconv -t utf-8") from None

    opened = cache(lambda: load(model, None))
    models = Offered(state, Federation(state), Edge(model, opened, lambda: opened().weights))
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens, seed=secrets.randbelow(2**31))
    Chat(
        models, desk_of(vault_file), sampling, read, _write, tell, plan, conversation, reviewing=review
    ).run()


@vault.command(name="list", epilog="Example: renga vault list")
def list_conversations(vault_file: VaultFile = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """Conversations, the last used first."""
    from dataclasses import asdict
    from datetime import UTC, datetime

    from renga.client.sanitisation.desk import Desk

    path = _vault(vault_file)
    found = Desk(path).vault.conversations() if path.exists() else []
    if as_json:
        print_json([asdict(one) for one in found])
        return
    for one in found:
        used = datetime.fromtimestamp(one.used, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
        print(f"{used}  {one.name}  " + ", ".join(f"{n} {kind}" for kind, n in sorted(one.counts.items())))


@vault.command(epilog="Example: renga vault erase clinic")
def erase(name: Name, vault_file: VaultFile = None, debug: Debug = False) -> None:
    """Erase a conversation for good: what it stands for can't be restored any more.

    ID is the conversation's.
    """
    from renga.client.sanitisation.desk import Desk

    if not Desk(_vault(vault_file)).vault.erase(name):
        raise UsageError(f"there is no conversation {name!r}", hint="renga vault list")
    tell(f"{name} is erased")


@vault.command(name="export", epilog="Example: renga vault export clinic clinic.renga")
def export_conversation(
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    vault_file: VaultFile = None,
    debug: Debug = False,
) -> None:
    """Write a conversation to a file, sealed with a passphrase (asked for, or RENGA_EXPORT_PASSPHRASE).

    ID is the conversation's, FILE where it goes.
    """
    from renga.client.sanitisation.desk import Desk
    from renga.protocol.key_files import write_secret

    write_secret(file, Desk(_vault(vault_file)).vault.export(name, _export_passphrase()))
    tell(f"{name} is in {file}")


@vault.command(name="import", epilog="Example: renga vault import clinic.renga")
def import_conversation(
    file: Annotated[Path, typer.Argument(metavar="FILE")], vault_file: VaultFile = None, debug: Debug = False
) -> None:
    """Take in a conversation that was exported.

    FILE is what `renga vault export` wrote.
    """
    from renga.client.sanitisation.desk import Desk

    with _opened(file) as source:
        name = Desk(_vault(vault_file)).vault.take(source.read(64 << 20), _export_passphrase())
    tell(f"{name} is in the vault")


@vault.command(epilog="Example: renga vault relock")
def relock(vault_file: VaultFile = None, debug: Debug = False) -> None:
    """Give the vault a new key.

    It is kept as for a new vault: with a passphrase if RENGA_NEW_PASSPHRASE is set, else in the system's
    keyring if RENGA_KEYRING is, else in a file beside the vault.
    """
    import os

    from renga.client.sanitisation.desk import Desk

    Desk(_vault(vault_file)).relock(os.environ.get("RENGA_NEW_PASSPHRASE"))
    tell("the vault has a new key")


def desk_of(vault_file: Path | None) -> Desk:
    """The vault and rules of a command."""
    from renga.client.sanitisation.desk import Desk

    return Desk(_vault(vault_file))


def review_of(say: Callable[[str], None], *, terminal: bool) -> Review:
    """A review at the terminal; `terminal`: stdin was read already, ask there all the same."""
    from renga.reviewing import Review

    def read() -> str | None:
        try:
            if terminal:
                with open("/dev/tty", encoding="utf-8") as tty:
                    return tty.readline() or None
            return sys.stdin.readline() or None
        except OSError:
            return None

    return Review(read, say)


def is_client(folder: Path) -> bool:
    """Whether `folder` is the state of a client that has joined."""
    return (folder / "keys" / "certificate.pem").exists() and (folder / "server.json").exists()


def refuse_unless_indirect(
    leaves: bool,
    public: bool,
    review: bool,
    conversation: str | None,
    rewrite: bool,
    words_epsilon: float | None,
) -> None:
    """Raises UsageError for options that go together with no question that is asked indirectly."""
    if rewrite and words_epsilon is not None:
        raise UsageError("--rewrite and --words-epsilon: one of them")
    if public or review or conversation is not None:
        raise UsageError("a question that is rewritten here goes without --public, --review, --conversation")
    if not leaves:
        raise UsageError(
            "nothing would leave this machine anyway", hint="in a client's state folder, without --model"
        )


def by_federation(
    state: Path, sampling: Sampling, say: Callable[[str], None]
) -> Callable[[str, Clearance, Callable[[str], None]], None]:
    """What has a prompt answered by the federation of the client in `state`."""

    def answered(prompt: str, clearance: Clearance, write: Callable[[str], None]) -> None:
        from renga.asking import ask

        used = ask(state, prompt, clearance, sampling, write)
        write("\n")
        say(f"{used.tokens_written} tokens in {used.seconds:.1f} s by {used.plan}")

    return answered


def _vault(given: Path | None) -> Path:
    from renga.client.sanitisation.vault import default_vault

    return given or default_vault()


def _export_passphrase() -> str:
    import os
    from getpass import getpass

    if said := os.environ.get("RENGA_EXPORT_PASSPHRASE"):
        return said
    if not sys.stdin.isatty():
        raise UsageError("an export needs a passphrase", hint="set RENGA_EXPORT_PASSPHRASE")
    return getpass("passphrase of the export: ")


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    if file == STDIN:
        yield sys.stdin.buffer
        return
    if not file.is_file():
        raise UsageError(f"{file} is no file")
    with open(file, "rb") as source:
        yield source


def _write(text: str) -> None:
    if text:
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()
