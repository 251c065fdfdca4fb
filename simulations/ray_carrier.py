"""`--carrier ray`: the same federation on Flower's simulation engine, for more than one process bears.

A SuperLink in simulation mode is started on loopback, and `flwr run` starts a bundle without code: Ray's
actors hold the clients, the ServerApp lends its grid to this process, which plays the rounds as it always
does.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator
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


@contextmanager
def ray_grid(config: Config, written: Path, folder: Path, report: OnProgress) -> Iterator[Grid]:
    """A grid over the config's clients, each an actor of Ray's. `written`: the config as a file, absolute.

    `folder` is the run's; it gets Flower's logs, in `flower/`. Raises UsageError if Ray is not installed,
    RengaError if Flower does not start or the run fails.
    """
    if importlib.util.find_spec("ray") is None:
        raise UsageError("Ray is not installed", hint="pip install 'renga[ray]', or leave out --carrier ray")
    logs = folder / "flower"
    with tempfile.TemporaryDirectory(prefix="renga-") as short:
        sockets = Path(short)  # short: the path of a UNIX socket has room for some hundred bytes
        home = Home(logs / "home", ("flower-superlink", "flower-superexec", "flwr"))
        address = f"127.0.0.1:{free_port()}"
        home.connect(address, None)
        host, port = address.split(":")
        superlink = start(
            "flower-superlink",
            ["--insecure", "--simulation", "--host", host, "--port", port],
            home,
            logs / "superlink.log",
        )
        try:
            wait_until(lambda: answers(f"http://{address}/health"), superlink, "Flower's SuperLink")
            bundle = write_bundle(
                logs / "bundle",
                client="renga.simulations.ray_apps:client",
                config={"socket": "", "config": "", "clients": "", "progress": ""},
            )
            about = {
                "config": str(written),
                "clients": str((folder / "clients").absolute()),
                "progress": str(sockets / "progress"),
            }
            with (
                listening(sockets / "progress", report),
                relayed(bundle, home, superlink, sockets / "grid", about, _resources(config)) as grid,
            ):
                yield NamedGrid(grid, fault=carrier_faults(config.faults, config.network, config.seed))
        finally:
            superlink.stop()
            home.close()


def _resources(config: Config) -> dict[str, object]:
    ray = config.ray
    resources: dict[str, object] = {
        "num-supernodes": len(config.clients),
        "client-resources-num-cpus": ray.cpus,
        "client-resources-num-gpus": ray.gpus,
    }
    return resources | ({"init-args-num-cpus": ray.cluster_cpus} if ray.cluster_cpus else {})
