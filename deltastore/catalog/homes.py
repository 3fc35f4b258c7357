"""Under which model each commit is counted: that of the nearest branch or tag."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

from deltastore.catalog.connecting import ask

if TYPE_CHECKING:
    from deltastore.catalog.connecting import Connection

__all__ = ["homes"]

_ROOTS = """
    SELECT c.n, r.model FROM {views}.refs r JOIN {views}.commits c USING (k0, k1, k2, k3)
    WHERE r.model <> '' ORDER BY r.model, c.n
"""

_PARENTS = """
    SELECT l.n, c.n FROM {views}.links l JOIN {views}.commits c USING (k0, k1, k2, k3)
    WHERE l.role = 'parent'
"""


def homes(connection: Connection, views: str = "main") -> dict[int, str]:
    """The model of every commit that a branch or tag has in its history, by number.

    Steps are counted along all parents; of models equally near the first one by name.

    Args:
        connection: with base and tail.
        views: schema of the views that join the two.
    """
    behind: defaultdict[int, list[int]] = defaultdict(list)
    for n, parent in ask(connection, _PARENTS.format(views=views)):
        behind[n].append(parent)
    found: dict[int, str] = {}
    pending = deque(ask(connection, _ROOTS.format(views=views)))
    while pending:
        n, model = pending.popleft()
        if n not in found:
            found[n] = model
            pending.extend((parent, model) for parent in behind[n])
    return found
