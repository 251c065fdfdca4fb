"""The commands of a federation between machines: serve, join, train, status, keys, ledger."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from renga.cli_options import MODEL_HELP, AsJson, Debug, print_json, tell
from renga.errors import UsageError

keys = typer.Typer(suggest_commands=False, rich_markup_mode=None, help="Who may speak to a server.")

State = Annotated[Path, typer.Option("--state", metavar="DIR", help="The server's state folder.")]
ConfigOption = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="TOML; docs/deploy.md.")]
PrintConfig = Annotated[bool, typer.Option("--print-config", help="Show the config that holds, and stop.")]
Model = Annotated[str | None, typer.Option("--model", "-m", metavar="REF", help=MODEL_HELP)]
Carrier = Annotated[
    str | None,
    typer.Option("--carrier", metavar="NAME", help="What carries rounds: link, superlink.  [default: link]"),
]
Server = Annotated[
    str | None, typer.Option("--server", metavar="HOST:PORT", help="Where it is.  [default: as --state says]")
]
Token = Annotated[
    Path | None, typer.Option("--token", metavar="FILE", help="The operator's token.  [default: in --state]")
]
DEFAULT_STATE = Path("state")
DEFAULT_CLIENT = Path("client")
DEFAULT_PORT = 9443


def add_to(app: typer.Typer) -> None:
    """Put these commands into the `renga` command."""
    app.command(epilog="Example: renga serve --model gemma-3-270m --transfer public.jsonl")(serve)
    app.command(epilog="Example: renga join grpcs://server:9443 --invite LINE --model REF --data a.jsonl")(
        join
    )
    app.command(epilog="Example: renga train --rounds 10")(train)
    app.command(epilog="Example: renga status --json")(status)
    app.command(epilog="Example: renga ledger --client-state client")(ledger)
    app.add_typer(keys, name="keys")


def serve(
    model: Model = None,
    state: State = DEFAULT_STATE,
    host: Annotated[str | None, typer.Option("--host", metavar="ADDRESS", help="Listen on this one.")] = None,
    port: Annotated[int | None, typer.Option("--port", help="Port.  [default: 9443]")] = None,
    transfer: Annotated[
        list[Path] | None, typer.Option("--transfer", metavar="FILE", help="Public texts, JSONL; repeat it.")
    ] = None,
    dev: Annotated[
        bool, typer.Option("--dev", help="On this machine only: clients enrol by themselves.")
    ] = False,
    carrier: Carrier = None,
    config: ConfigOption = None,
    print_config: PrintConfig = False,
    debug: Debug = False,
) -> None:
    """Start the coordinating server of a federation.

    The first start makes a certificate authority, keys and an operator's token in the state folder.
    """
    from renga.deployment import ServerConfig, read_deployment, shown

    options: dict[str, Any] = {
        "host.model": model,
        "listen.host": host or ("127.0.0.1" if dev else None),
        "listen.port": port,
        "carrier": carrier,
        "transfer.data": [str(path.absolute()) for path in transfer] if transfer else None,
    }
    if dev:
        options["listen.names"] = ["localhost"]
    read = read_deployment(ServerConfig, config, options)
    if print_config:
        print(shown(read), end="")
        return
    from renga.handshakes import overheard

    with overheard():
        _log(debug)
        from renga.serving import serve as run

        run(read, state, dev=dev, tell=tell)


def join(
    address: Annotated[str, typer.Argument(metavar="[ADDRESS]")] = "",
    invite: Annotated[
        str | None,
        typer.Option("--invite", metavar="LINE", help="The line of `renga keys invite`; - reads it."),
    ] = None,
    model: Model = None,
    data: Annotated[Path | None, typer.Option("--data", metavar="FILE", help="Private text, JSONL.")] = None,
    state: Annotated[Path, typer.Option("--state", metavar="DIR", help="The client's state folder.")] = Path(
        "client"
    ),
    policy: Annotated[
        Path | None, typer.Option("--policy", metavar="FILE", help="What may leave.  [default: in --state]")
    ] = None,
    dev: Annotated[
        bool, typer.Option("--dev", help="Enrol with `renga serve --dev` on this machine.")
    ] = False,
    name: Annotated[str, typer.Option("--name", help="With --dev: the name to enrol under.")] = "",
    carrier: Carrier = None,
    fleet: Annotated[
        str | None,
        typer.Option("--fleet", metavar="HOST:PORT", help="Its SuperLink.  [default: the port after]"),
    ] = None,
    config: ConfigOption = None,
    print_config: PrintConfig = False,
    debug: Debug = False,
) -> None:
    """Join a federation, and stay attached.

    ADDRESS is the server's, `grpcs://HOST:PORT`; an invitation holds it too, and it is remembered.
    """
    from renga.deployment import ClientConfig, read_deployment, shown

    options = {
        "edge.model": model,
        "data": str(data.absolute()) if data else None,
        "carrier": carrier,
        "fleet": fleet,
    }
    read = read_deployment(ClientConfig, config, options)
    if print_config:
        print(shown(read), end="")
        return
    from renga.protocol.invitations import read_ticket

    line = sys.stdin.readline() if invite == "-" else invite
    ticket = read_ticket(line) if line else None
    _log(debug)
    from renga.joining import join as run

    own = name or (data.parent.name if data and data.stem == "train" else data.stem if data else "client")
    run(
        read,
        state,
        where(address, dev=dev),
        ticket,
        dev=own.lower() if dev else "",
        policy=policy,
        tell=tell,
    )


def train(
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Rounds to play.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run that was stopped.")] = False,
    state: State = DEFAULT_STATE,
    server: Server = None,
    token: Token = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> int:
    """Let the federation learn, and watch. Ctrl-C detaches: the run goes on without you."""
    from renga.operating import Operator

    operator = Operator.of(state, server, token)
    return operator.train(rounds, resume, as_json=as_json)


def status(
    state: State = DEFAULT_STATE,
    server: Server = None,
    token: Token = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Who is here, in which cohorts, the last round, versions, health.

    With the state folder of a client: who it is, what may leave it, and what has left.
    """
    from renga.client_status import client_status
    from renga.client_status import render as render_client
    from renga.operating import Operator, render

    own = _client_folder(state) if server is None and token is None else None
    found = client_status(own) if own else Operator.of(state, server, token).status()
    if as_json:
        print_json(found)
        return
    from rich.console import Console

    Console().print(render_client(found) if own else render(found))


def _client_folder(state: Path) -> Path | None:
    """The client's state that is meant: the folder given, or the one of its name if there is no server's."""
    from renga.client_status import is_client

    here = [state] if state.exists() else [DEFAULT_CLIENT]
    return next(filter(is_client, here), None)


def ledger(
    state: Annotated[
        Path, typer.Option("--client-state", "--state", metavar="DIR", help="The client's state folder.")
    ] = Path("client"),
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """What has left this device: when, to whom, how much, and what it could reveal."""
    from dataclasses import asdict

    from renga.client.ledger import Ledger

    path = state / "ledger.jsonl"
    if not state.exists():
        raise UsageError(f"there is no client state in {state}", hint="--state DIR")
    entries = list(Ledger(path).entries())
    if as_json:
        print_json([asdict(entry) for entry in entries])
        return
    from rich.console import Console

    from renga.operating import ledger_table

    Console().print(ledger_table(entries))


@keys.command(epilog="Example: renga keys invite clinic_a")
def invite(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    state: State = DEFAULT_STATE,
    hours: Annotated[float, typer.Option(min=0.01, help="Good for so long.")] = 24.0,
    address: Annotated[
        str | None, typer.Option("--address", metavar="HOST:PORT", help="Where the client finds the server.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Print a single-use line that lets one client in. It is a secret: hand it over as one.

    NAME is what the client will be called.
    """
    from renga.protocol.invitations import write_ticket
    from renga.server.identity import load

    found = load(state)
    reachable = address or operator_address(state)
    print(write_ticket(found.invite(name, reachable, hours)))


@keys.command(name="list", epilog="Example: renga keys list")
def list_keys(state: State = DEFAULT_STATE, as_json: AsJson = False, debug: Debug = False) -> None:
    """Certificates and open invitations."""
    from dataclasses import asdict

    from renga.operating import keys_table
    from renga.server.identity import load

    registry = load(state).registry
    if as_json:
        rows = [{**asdict(known), "signing": known.signing.hex()} for known in registry.everybody()]
        invitations = [{"name": name, "expires": expires} for name, expires in registry.invitations()]
        print_json({"certificates": rows, "invitations": invitations})
        return
    from rich.console import Console

    Console().print(keys_table(registry.everybody(), registry.invitations()))


@keys.command(epilog="Example: renga keys revoke clinic_a")
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME")], state: State = DEFAULT_STATE, debug: Debug = False
) -> None:
    """Shut a client out, at once and for good; a running server need not be restarted.

    NAME is the client's.
    """
    from renga.server.identity import load

    if not load(state).registry.revoke(name):
        raise UsageError(f"no certificate of {name!r} is in force", hint="renga keys list")
    tell(f"{name} is shut out")


@keys.command(epilog="Example: renga keys rotate")
def rotate(state: State = DEFAULT_STATE, debug: Debug = False) -> None:
    """Give the operator a new token; the old one is refused at once."""
    from renga.server.identity import load, rotate_operator

    rotate_operator(load(state))
    tell(f"the operator has a new token: {state / 'operator.token'}")


def where(address: str, *, dev: bool = False) -> str:
    """`host:port` of what a person typed. Raises UsageError for another kind of address."""
    scheme, _, rest = address.rpartition("://")
    if scheme not in ("", "grpcs"):
        raise UsageError(f"{address!r}: the link speaks grpcs:// only", hint=f"grpcs://{rest}")
    if not rest:
        return f"localhost:{DEFAULT_PORT}" if dev else ""
    host, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        return f"{rest}:{DEFAULT_PORT}"
    if not port.isdecimal() or not host:
        raise UsageError(f"{address!r} is not HOST:PORT")
    return rest


def operator_address(state: Path) -> str:
    """Where the server of a state folder is found from here, as it wrote down when it last started."""
    from renga.protocol.invitations import OPERATOR, read_ticket
    from renga.server.identity import operator_token

    return read_ticket(operator_token(state), OPERATOR).address


def _log(debug: bool) -> None:
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING,
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
    )
    for name in ("renga.server", "renga.client"):
        logging.getLogger(name).setLevel(logging.INFO)
    for name in ("grpc", "asyncio", "flwr"):
        logging.getLogger(name).setLevel(logging.ERROR)
