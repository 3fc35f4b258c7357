"""The settings in force as a table: key, value, origin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.config import SETTING_KEYS, check_key
from deltastore_cli.authors import find_author
from deltastore_cli.credentials import redact
from deltastore_cli.quantities import size_text
from deltastore_cli.tables import table_text
from deltastore_cli.terminal import printable
from deltastore_cli.user_settings import settings_file

if TYPE_CHECKING:
    from deltastore.config import Settings, SettingValue

__all__ = ["SettingRow", "SettingsInForce", "collect", "text"]

_UNSET = {
    "threads": "all processors",
    "cache": "the platform's",
    "cache_size": "20 GB",
    "store": "none",
}


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting; a value of None is the program's own choice."""

    key: str
    value: SettingValue | None
    origin: str


@dataclass(frozen=True, slots=True)
class SettingsInForce:
    """What `config` shows: the user's file and the settings."""

    file: str
    settings: tuple[SettingRow, ...]


def collect(settings: Settings, key: str | None = None) -> SettingsInForce:
    """All settings, or one.

    Raises:
        UsageError: there is no such setting.
    """
    if key is not None:
        check_key(key)
    rows = tuple(_row(settings, name) for name in SETTING_KEYS if key in (None, name))
    return SettingsInForce(str(settings_file()), rows)


def _row(settings: Settings, key: str) -> SettingRow:
    value: SettingValue | None = getattr(settings, key)
    origin = settings.origins.get(key, "default")
    if key == "author" and value is None:
        value, origin = find_author()
    return SettingRow(key, redact(value) if isinstance(value, str) else value, origin)


def text(found: SettingsInForce) -> str:
    """A table; of a single setting the bare value."""
    if len(found.settings) == 1:
        return f"{printable(_shown(found.settings[0]))}\n"
    rows = [(row.key, _in_table(row), row.origin) for row in found.settings]
    return table_text(("setting", "value", "from"), rows, styles=("name",)) + (
        f"  user's file: {printable(found.file)}\n"
    )


def _shown(row: SettingRow) -> str:
    return _UNSET.get(row.key, "") if row.value is None else str(row.value)


def _in_table(row: SettingRow) -> str:
    """For reading; of a single setting scripts get the number."""
    counts = row.key == "cache_size" and isinstance(row.value, int)
    return size_text(float(row.value or 0)) if counts else _shown(row)
