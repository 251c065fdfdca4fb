"""A Flower app bundle that carries no code: it names the apps of the installed package, and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import tomli_w

SERVER_APP = "renga.flower_apps:server"
CLIENT_APP = "renga.flower_apps:client"

NOTICE = "Apache-2.0. This bundle holds settings only; the code is that of the installed package `renga`.\n"


def write_bundle(
    folder: Path, *, config: Mapping[str, str | int | float | bool], client: str = CLIENT_APP
) -> Path:
    """Write a bundle with these keys of the run config and their defaults; returns its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    described = {
        "project": {
            "name": "renga-federation",
            "version": "0.1.0",
            "description": "Language models that learn from each other",
            "license": {"file": "LICENSE"},
            "dependencies": ["flwr>=1.41.0,<1.43.0"],
        },
        "tool": {
            "flwr": {
                "app": {
                    "publisher": "renga",
                    "fab-format-version": 1,
                    "flwr-version-target": "1.41.0",
                    "components": {"serverapp": SERVER_APP, "clientapp": client},
                    "config": dict(config),
                }
            }
        },
    }
    (folder / "pyproject.toml").write_text(tomli_w.dumps(described), encoding="utf-8")
    (folder / "LICENSE").write_text(NOTICE, encoding="utf-8")
    return folder
