"""The Flower ServerApp: one federation, played over whatever grid carries it."""

from __future__ import annotations

from collections.abc import Callable

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from renga.server.strategy import Federation


def server_app(build: Callable[[Context], Federation]) -> ServerApp:
    """A ServerApp that builds its federation when it is started, and plays it."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        build(context).start(grid)

    return app
