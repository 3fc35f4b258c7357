"""The table of codecs: what the names in representations mean."""

from __future__ import annotations

from importlib.metadata import entry_points
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from deltastore.codecs.dense import Dense
from deltastore.codecs.exact import Exact
from deltastore.codecs.sparse import Sparse
from deltastore.codecs.ternary import Ternary
from deltastore.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deltastore.codecs.protocol import Codec
    from deltastore.kernels.dispatch import Family

__all__ = ["CODECS", "codec_named"]

PLUGIN_GROUP = "deltastore.codecs"
PLUGIN_PREFIX = "x-"

CODECS: Mapping[str, Callable[[Family], Codec]] = MappingProxyType(
    {"dense/1": Dense, "exact/1": Exact, "sparse/1": Sparse, "ternary/1": Ternary}
)
"""Built-in codecs by name, sorted; each is made for a family of kernels."""


def codec_named(name: str, *, family: Family = "cpu") -> Codec:
    """The codec of that name, running on that family of kernels.

    Names that begin with `x-` are plug-ins: entry points of the group `deltastore.codecs`, each a
    callable that takes the family.

    Raises:
        UnsupportedError: there is none.
    """
    make = CODECS.get(name)
    if make is None and name.startswith(PLUGIN_PREFIX):
        make = _plugin(name)
    if make is None:
        raise UnsupportedError(
            f"unknown codec {name!r}",
            hint=f"this version has {', '.join(CODECS)}; a newer one or a plug-in may have it",
        )
    return make(family)


def _plugin(name: str) -> Callable[[Family], Codec] | None:
    for entry in entry_points(group=PLUGIN_GROUP, name=name):
        return cast("Callable[[Family], Codec]", entry.load())
    return None
