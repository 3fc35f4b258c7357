"""Where settings come from: options, environment, the workspace, `config.toml` of the user."""

from __future__ import annotations

import logging
import os
import tempfile
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deltastore.config import (
    SETTING_KEYS,
    Layer,
    Settings,
    check_key,
    parse_setting,
    resolve_settings,
)
from deltastore.errors import InvalidError
from deltastore_cli.credentials import refuse_credentials
from deltastore_cli.whereabouts import workspace_store

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["read_settings", "remove_setting", "settings_file", "write_setting"]

LOGGER = logging.getLogger("deltastore")

_OPTIONS = {"store": "-s", "progress": "--progress", "threads": "-j"}
_PLACES = frozenset({"store", "cache"})
_VARIABLES = {key: f"DELTASTORE_{key.upper()}" for key in SETTING_KEYS}


def settings_file() -> Path:
    """`config.toml` in the platform's user folder."""
    return Path(click.get_app_dir("deltastore")) / "config.toml"


def read_settings(options: Mapping[str, object]) -> Settings:
    """The settings in force: options, then environment, then workspace, then the user's file.

    Raises:
        InvalidError: a value cannot be, or the file is no TOML.
    """
    environment = {key: os.environ.get(name) for key, name in _VARIABLES.items()}
    path = settings_file()
    layers = [
        Layer("option", {key: options.get(key) for key in _OPTIONS}, _OPTIONS),
        Layer("environment", environment, _VARIABLES),
    ]
    # a workspace that is damaged, or another user's, is nobody's concern who has named a store
    found = None if any(layer.values.get("store") for layer in layers) else workspace_store()
    workspace = [Layer(found[1], {"store": found[0]})] if found else []
    return resolve_settings([*layers, *workspace, Layer(str(path), _parsed(path))])


def _parsed(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as reason:
        raise InvalidError(
            f"{path}: cannot be read: {reason}", hint="mend the file, or remove it"
        ) from None
    for key in sorted(found.keys() - set(SETTING_KEYS)):  # a newer version's are nobody's mistake
        for close in get_close_matches(key, SETTING_KEYS, n=1):
            LOGGER.warning("%s: there is no setting %r; did you mean %s?", path, key, close)
    return found


def write_setting(key: str, text: str) -> None:
    """Keep a setting in the user's file; other lines stay as they are.

    Raises:
        UsageError: there is no such key, or the value holds a credential.
        InvalidError: the key cannot hold it, or the file cannot be changed.
    """
    parse_setting(key, text, where="config")
    refuse_credentials([text], where=f"the value of {key}")
    kept = _anywhere(text) if key in _PLACES else text
    _rewrite(key, [f"{key} = {_toml(key, kept)}"])


def _anywhere(place: str) -> str:
    """A path that means the same from every folder; URLs stay as they are."""
    return place if "://" in place else str(Path(place).expanduser().absolute())


def remove_setting(key: str) -> None:
    """Take a setting out of the user's file.

    Raises:
        UsageError: there is no such key.
        InvalidError: the file cannot be changed.
    """
    check_key(key)
    _rewrite(key, [])


def _rewrite(key: str, new: list[str]) -> None:
    """Replace one key's line, among those before the first table."""
    path = settings_file()
    _parsed(path)
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    top = next((at for at, line in enumerate(lines) if line.startswith("[")), len(lines))
    kept = [line for line in lines[:top] if line.partition("=")[0].strip(" \t\"'") != key]
    _replace(path, "".join(f"{line}\n" for line in [*kept, *new, *lines[top:]]))


def _toml(key: str, text: str) -> str:
    if key == "threads":
        return str(int(text))
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _replace(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=".config-", delete=False
        ) as file:
            file.write(text)
        Path(file.name).replace(path)
    except OSError as reason:
        raise InvalidError(f"{path}: cannot be written: {reason.strerror}") from None
