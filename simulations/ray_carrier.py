"""`--carrier ray`: the same federation on Flower's simulation engine, for more than one process bears.

A SuperLink in simulation mode is started on loopback, and `flwr run` starts a bundle without code: Ray's
actors hold the clients, the ServerApp lends its grid to this process, which plays the rounds as it always
does.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from flwr.serverapp import Grid

from renga.config import Config
from renga.errors import UsageError
from renga.protocol.flower_bundle import write_bundle
from renga.protocol.flower_programs import Home, answers, free_port, start, wait_until
from renga.protocol.flower_run import relayed
from renga.protocol.named_grid import NamedGrid
from renga.simulations.faults import carrier_faults
from renga.simulations.progress_socket import OnProgress, listening


def require_ray() -> None:
    """Raises UsageError if Ray is not installed."""
    try:
        found = importlib.util.find_spec("ray")
    except ImportError:
        found = None
    if found is None:
        raise UsageError("Ray is not installed", hint="pip install 'renga[ray]', or leave out --carrier ray")


@contextmanager
def ray_grid(config: Config, written: Path, folder: Path, report: OnProgress) -> Iterator[Grid]:
    """A grid over the config's clients, each an actor of Ray's. `written`: the config as a file, absolute.

    `folder` is the run's; it gets Flower's logs, in `flower/`. Raises UsageError if Ray is not installed,
    RengaError if Flower does not start or the run fails.
    """
    about = {"config": str(written), "clients": str((folder / "clients").absolute())}
    client = "renga.simulations.ray_apps:client"
    with (
        tempfile.TemporaryDirectory(prefix="renga-") as short,  # a UNIX socket's path must be short
        listening(Path(short) / "progress", report),
        simulated(
            folder, client, {**about, "progress": str(Path(short) / "progress")}, _resources(config)
        ) as grid,
    ):
        yield NamedGrid(grid, fault=carrier_faults(config.faults, config.network, config.seed))


@contextmanager
def simulated(
    folder: Path, client: str, about: Mapping[str, str], resources: Mapping[str, object]
) -> Iterator[Grid]:
    """The grid of a run on Flower's simulation engine. client: its ClientApp; about: what that finds in the
    run config; resources: Flower's federation config. Logs go to `folder/flower`.

    Raises UsageError if Ray is not installed, RengaError if Flower does not start or the run fails.
    """
    require_ray()
    logs = folder / "flower"
    home = Home(logs / "home", ("flower-superlink", "flower-superexec", "flwr"))
    address = f"127.0.0.1:{free_port()}"
    home.connect(address, None)
    host, port = address.split(":")
    try:
        superlink = start(
            "flower-superlink",
            ["--insecure", "--simulation", "--host", host, "--port", port],
            home,
            logs / "superlink.log",
        )
        wait_until(lambda: answers(f"http://{address}/health"), superlink, "Flower's SuperLink")
        bundle = write_bundle(
            logs / "bundle", client=client, config={"socket": "", **dict.fromkeys(about, "")}
        )
        with (
            tempfile.TemporaryDirectory(prefix="renga-") as short,
            relayed(bundle, home, superlink, Path(short) / "grid", about, resources) as grid,
        ):
            yield grid
        superlink.stop()
    finally:
        home.close()


def _resources(config: Config) -> dict[str, object]:
    ray = config.ray
    resources: dict[str, object] = {
        "num-supernodes": len(config.clients),
        "client-resources-num-cpus": ray.cpus,
        "client-resources-num-gpus": ray.gpus,
    }
    return resources | ({"init-args-num-cpus": ray.cluster_cpus} if ray.cluster_cpus else {})
