"""What `doctor` looks at: this program and its settings, then the store."""

from __future__ import annotations

import platform
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import deltastore
from deltastore.errors import DeltastoreError
from deltastore.results import Doctor
from deltastore_cli.credentials import redact
from deltastore_cli.tables import table_text
from deltastore_cli.terminal import paint
from deltastore_cli.user_settings import settings_file

if TYPE_CHECKING:
    from deltastore_cli.invocation import Invocation

    Check = tuple[str, str, bool]

__all__ = ["examine", "text"]

NOT_WELL = 7
_OPTIONAL = ("torch", "s3fs", "gcsfs", "adlfs")


def examine(call: Invocation) -> tuple[Doctor, int]:
    """All checks, and the exit code that goes with them."""
    checks = [_program(), _optional_parts(), _settings_file()]
    try:
        settings = call.settings()
        if settings.store is None:
            return Doctor(True, (*checks, ("store", "none chosen", True))), 0
        checks.append(("store", _origin(settings.store, settings.origins["store"]), True))
        checks += _credentials(settings.store)
        with call.open() as store:
            found = store.doctor()
    except DeltastoreError as error:
        return Doctor(False, (*checks, (error.kind, redact(str(error)), False))), error.exit_code
    return replace(found, checks=(*checks, *found.checks)), 0 if found.ok else NOT_WELL


def _program() -> Check:
    versions = f"deltastore {deltastore.__version__}, Python {platform.python_version()}"
    return ("program", f"{versions}, {platform.platform()}", True)


def _optional_parts() -> Check:
    found = []
    for name in _OPTIONAL:
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return ("extras", ", ".join(found) or "none of torch, s3fs", True)


def _credentials(url: str) -> list[Check]:
    """Where the SDK finds credentials for a bucket; never what they are."""
    if not url.startswith(("s3://", "s3a://")):
        return []
    try:
        import botocore.session
        from botocore.exceptions import BotoCoreError
    except ImportError:
        return [("credentials", "s3fs is not installed: pip install 'deltastore[s3]'", False)]
    try:
        found = botocore.session.get_session().get_credentials()
    except BotoCoreError as reason:
        return [("credentials", redact(str(reason)), False)]
    return [("credentials", f"from {found.method}" if found else "none found", True)]


def _settings_file() -> Check:
    path = settings_file()
    return ("settings", f"{path}{'' if path.exists() else ' (not there)'}", True)


def _origin(value: str, origin: str) -> str:
    return f"{redact(value)} (from {origin})"


def text(found: Doctor) -> str:
    """A table and a verdict."""
    rows = [("ok" if well else "BAD", subject, finding) for subject, finding, well in found.checks]
    bad = sum(not well for _, _, well in found.checks)
    verdict = paint("all is well", "good") if found.ok else paint(f"{bad} not well", "bad")
    return table_text(("", "", ""), rows, styles=("", "name")) + f"{verdict}\n"
