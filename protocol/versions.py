"""The version of the link's protocol, and who can speak with whom."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from renga.errors import RefusedPayload

PROTOCOL = 3  # 2: ids are as wide as the vocabulary needs; 3: short payloads say their version


def software() -> str:
    """What a side calls itself."""
    try:
        return f"renga {version('renga')}"
    except PackageNotFoundError:
        return "renga"


def speaks(protocol: int) -> None:
    """Raises RefusedPayload unless the other side's version is ours; nothing older is spoken, so that nobody
    can be talked down to it."""
    if protocol != PROTOCOL:
        raise RefusedPayload(
            f"the other side speaks version {protocol} of the protocol, this one version {PROTOCOL}: "
            "update the older one"
        )
