"""Settings: the keys there are, what each may hold, and which of several layers wins.

Values come as mappings (options, environment, a parsed `config.toml`); nothing here reads a file
or the environment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal, TypeAlias

from deltastore.errors import InvalidError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "DEFAULT_CACHE_BYTES",
    "PROGRESS_MODES",
    "SETTING_KEYS",
    "Layer",
    "ProgressMode",
    "SettingValue",
    "Settings",
    "check_key",
    "parse_bytes",
    "parse_setting",
    "resolve_settings",
]

ProgressMode: TypeAlias = Literal["auto", "bar", "plain", "none"]
SettingValue: TypeAlias = str | int

PROGRESS_MODES: tuple[ProgressMode, ...] = ("auto", "bar", "plain", "none")
DEFAULT_CACHE_BYTES = 20_000_000_000
MAX_TEXT = 4096
MAX_BYTES = 1 << 62
MAX_THREADS = 1024
MAX_DIGITS = 32

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(I?)B?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Layer:
    """One place settings come from.

    Attributes:
        origin: names the place in errors and listings, such as `environment`.
        values: by key; absent keys, None and empty texts are not set here.
        names: what a key is called in this place, such as `DELTASTORE_STORE`.
    """

    origin: str
    values: Mapping[str, object]
    names: Mapping[str, str] = field(default_factory=dict)

    def where(self, key: str) -> str:
        """The place of one key, for people."""
        return self.names.get(key, self.origin)


@dataclass(frozen=True, slots=True)
class Settings:
    """What is in force.

    Attributes:
        store: URL or path of the store, or None.
        author: who commits, or None: the caller finds out.
        progress: how work under way is shown.
        threads: to work with; None: as many as there are processors.
        cache: folder of the cache; None: the platform's.
        cache_size: bytes that it may have; 0: no cache; None: 20 GB.
        origins: where each key that is set was set.
    """

    store: str | None = None
    author: str | None = None
    progress: ProgressMode = "auto"
    threads: int | None = None
    cache: str | None = None
    cache_size: int | None = None
    origins: Mapping[str, str] = field(default_factory=dict)


def resolve_settings(layers: Sequence[Layer]) -> Settings:
    """The settings in force; earlier layers win. Unknown keys are ignored.

    Raises:
        InvalidError: a value that its key cannot hold; the message names the place.
    """
    values: dict[str, SettingValue] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        for key in SETTING_KEYS:
            raw = layer.values.get(key)
            if key not in values and raw is not None and raw != "":
                values[key] = parse_setting(key, raw, where=layer.where(key))
                origins[key] = layer.where(key)
    return Settings(**values, origins=origins)  # type: ignore[arg-type]  # checked per key


def parse_setting(key: str, raw: object, *, where: str) -> SettingValue:
    """The value of one key.

    Args:
        key: one of `SETTING_KEYS`.
        raw: text, or what TOML made of it.
        where: the place, for the error.

    Raises:
        UsageError: there is no such key.
        InvalidError: the key cannot hold that.
    """
    check_key(key)
    value, wanted = _CHECKS[key](raw)
    if value is None:
        raise InvalidError(f"{where}: {key} must be {wanted}, not {raw!r}")
    return value


def check_key(key: str) -> None:
    """Check that there is a setting of that name.

    Raises:
        UsageError: there is not; the hint names the nearest.
    """
    if key not in _CHECKS:
        close = get_close_matches(key, SETTING_KEYS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"settings: {', '.join(SETTING_KEYS)}"
        raise UsageError(f"there is no setting {key!r}", hint=hint)


def parse_bytes(text: str) -> int | None:
    """Bytes from `5GB`, `512 MiB` or `1000`; None if it is none of these."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        return None
    power = " KMGT".index(found[2].upper() or " ")
    return int(float(found[1]) * (1024 if found[3] else 1000) ** power)


def _bytes(raw: object) -> tuple[SettingValue | None, str]:
    wanted = "a size such as 20GB, 512MiB or a number of bytes, 0 for none"
    if isinstance(raw, str) and len(raw) <= MAX_DIGITS:
        raw = parse_bytes(raw)
    if isinstance(raw, bool) or not isinstance(raw, int):
        return None, wanted
    return (raw if 0 <= raw <= MAX_BYTES else None), wanted


def _text(raw: object) -> tuple[SettingValue | None, str]:
    fits = isinstance(raw, str) and 0 < len(raw) <= MAX_TEXT and raw.isprintable()
    return (raw if isinstance(raw, str) and fits else None), "one line of text"


def _progress(raw: object) -> tuple[SettingValue | None, str]:
    return next((mode for mode in PROGRESS_MODES if mode == raw), None), (
        f"one of {', '.join(PROGRESS_MODES)}"
    )


def _threads(raw: object) -> tuple[SettingValue | None, str]:
    wanted = f"a whole number from 1 to {MAX_THREADS}"
    if isinstance(raw, str) and raw.isascii() and raw.isdecimal() and len(raw) < 8:
        raw = int(raw)
    if isinstance(raw, bool) or not isinstance(raw, int):
        return None, wanted
    return (raw if 1 <= raw <= MAX_THREADS else None), wanted


_CHECKS: Mapping[str, Callable[[object], tuple[SettingValue | None, str]]] = {
    "store": _text,
    "author": _text,
    "progress": _progress,
    "threads": _threads,
    "cache": _text,
    "cache_size": _bytes,
}

SETTING_KEYS: tuple[str, ...] = tuple(_CHECKS)
