"""Settings from a YAML file: below the flags, above the defaults."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from docendo.core.errors import DataError, SettingError

FLAG = "--config"


def config_flags(tokens: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the flags that stand for the file named by ``--config``; none where there is no such flag.

    They are to be put before the user's own, which then win. Keys are the flags' names, with ``-`` or ``_``.

    Args:
        tokens: The command line after the recipe's name.
        known: The flags that there are, without dashes in front.

    Raises:
        DataError: The file is missing or no YAML mapping.
        SettingError: It has keys that are no settings, or values that are neither plain nor lists.
    """
    path = _named(tokens)
    if path is None:
        return []
    given = {token.split("=", 1)[0] for token in tokens if token.startswith("--")}
    flags: list[str] = []
    faults: list[str] = []
    for key, value in _mapping(path).items():
        name = str(key).replace("_", "-")
        if name not in known or name == FLAG.removeprefix("--"):
            near = get_close_matches(name, known, n=1)
            meant = f"; did you mean {near[0].replace('-', '_')!r}?" if near else ""
            faults.append(f"{path}: unknown setting {str(key)!r}{meant}")
        elif {f"--{name}", f"--no-{name}"} & given or value is None:
            continue
        elif isinstance(value, bool):
            flags.append(f"--{name}" if value else f"--no-{name}")
        elif isinstance(value, (str, int, float)):
            flags.append(f"--{name}={value}")
        elif isinstance(value, list):
            flags.append(f"--{name}={','.join(str(one) for one in cast('list[Any]', value))}")
        else:
            faults.append(
                f"{path}: setting {key!r} is {value!r}; expected a text, a number, true, false or a list"
            )
    if faults:
        raise SettingError.of_all(faults)
    return flags


def _named(tokens: Sequence[str]) -> Path | None:
    for place, token in enumerate(tokens):
        if token == FLAG and place + 1 < len(tokens):
            return Path(tokens[place + 1])
        if token.startswith(f"{FLAG}="):
            return Path(token.split("=", 1)[1])
    return None


def _mapping(path: Path) -> dict[Any, Any]:
    import yaml

    try:
        value: Any = yaml.safe_load(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"there is no config file {str(path)!r}") from error
    except OSError as error:
        raise DataError(f"config file {str(path)!r} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        told = " ".join(str(error).split())
        raise DataError(f"config file {str(path)!r} is no YAML: {told}") from error
    if not isinstance(value, dict):
        raise DataError(
            f"config file {str(path)!r} holds no settings; expected lines such as `rounds: 3`",
            hint="name settings as the flags of `docendo run RECIPE --help`",
        )
    return cast("dict[Any, Any]", value)
