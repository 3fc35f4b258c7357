"""What a store's place can do, and whether this process may use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltastore.errors import DeltastoreError
from deltastore.results import Doctor

if TYPE_CHECKING:
    from collections.abc import Callable

    from deltastore.materialize.session import Session

    Check = tuple[str, str, bool]

__all__ = ["doctor"]


def doctor(session: Session) -> Doctor:
    """Look at log and backend; each check is told, none raises."""
    checks = (
        _checked("log", lambda: (_log(session), True)),
        _checked("writers", lambda: _writers(session)),
        ("threads", str(session.workers.threads), True),
    )
    return Doctor(all(well for _, _, well in checks), checks)


def _checked(subject: str, look: Callable[[], tuple[str, bool]]) -> Check:
    try:
        finding, well = look()
    except DeltastoreError as error:
        return subject, f"{error.kind}: {error}", False
    return subject, finding, well


def _log(session: Session) -> str:
    state = session.log.refresh()
    models, commits = len(state.models()), len(state.commits)
    return f"store {state.store_id}, {state.v + 1} entries, {models} models, {commits} commits"


def _writers(session: Session) -> tuple[str, bool]:
    if session.log.form.single_writer:
        return "one only: this store was made with --unsafe-single-writer", True
    found = session.backend.capabilities()
    safe = found.tier == "A"
    verdict = "safe for many at once" if safe else f"not safe (tier {found.tier}): read only"
    return f"{verdict} ({found.detail})", safe
