"""The TOML files that a device's owner writes: read whole, and told plainly what is wrong with them."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from renga.errors import UsageError, did_you_mean

M = TypeVar("M", bound=BaseModel)


def read_owners_file(
    path: Path, model: type[M], check: Callable[[dict[str, Any]], None] = lambda written: None
) -> M:
    """What a file says, or the defaults if there is none.

    check: raises UsageError for what it can say better than pydantic. Raises UsageError for what is wrong; it
    names the place and never what stands there, which may be private.
    """
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return model()
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise UsageError(f"can't read {path}: it is no UTF-8 text", hint="save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {error}") from error
    for key in sorted(set(written) - set(model.model_fields)):
        raise UsageError(f"{path}: there is no {key!r}", hint=did_you_mean(key, model.model_fields))
    try:
        check(written)
        return model.model_validate(written)
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", hint=error.hint) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ").replace("Input", "it").replace("tuple", "list")
        raise UsageError(f"{path}: {where}: {said}") from None
