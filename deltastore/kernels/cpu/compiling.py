"""Turns loops into machine code on first use, cached on disk where there is a place for it."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import numba
import numpy as np
from numba.core.caching import FunctionCache

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Array", "compiled", "f64", "i32", "i64", "inlined", "readable", "u8", "writable"]

Array: TypeAlias = Any
"""Inside loops types are what `compiled` declares; numpy's annotations know less."""

i32: Any = np.int32
i64: Any = np.int64
u8: Any = np.uint8
f64: Any = np.float64

Loop = TypeVar("Loop", bound="Callable[..., Any]")


def readable(kind: str) -> Any:
    """A contiguous one-dimensional array that the loop only reads; callers' may be read-only."""
    return numba.types.Array(getattr(numba.types, kind), 1, "C", readonly=True)


def writable(kind: str) -> Any:
    """A contiguous one-dimensional array that the loop writes."""
    return numba.types.Array(getattr(numba.types, kind), 1, "C")


_FunctionCache: Any = FunctionCache


class _Cache(_FunctionCache):  # type: ignore[misc]  # numba's own classes are not annotated
    """A full or read-only disk costs the next process a compilation, not this one its work."""

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        with contextlib.suppress(OSError):
            return super().load_overload(sig, target_context)
        return None


class _Lazy:
    """Compiles for the declared types when first called: importing costs nothing."""

    def __init__(self, loop: Callable[..., Any], signatures: tuple[Any, ...]) -> None:
        self._loop = loop
        self._signatures = signatures
        self._lock = threading.Lock()
        self._ready: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        ready = self._ready
        if ready is None:
            ready = self._compile_once()
        return ready(*arguments)

    def _compile_once(self) -> Callable[..., Any]:
        with self._lock:
            if self._ready is None:
                self._ready = self._compile()
            return self._ready

    def _compile(self) -> Callable[..., Any]:
        dispatcher: Any = numba.njit(nogil=True, error_model="numpy")(self._loop)
        # RuntimeError: numba found no folder that it may write to
        with contextlib.suppress(RuntimeError):
            dispatcher._cache = _Cache(self._loop)
        for signature in self._signatures:
            dispatcher.compile(signature)
        dispatcher.disable_compile()
        return cast("Callable[..., Any]", dispatcher)


def compiled(*signatures: tuple[Any, ...]) -> Callable[[Loop], Loop]:
    """Decorate a loop with the argument types it is compiled for, and no others.

    Declared rather than inferred types, because numba would compile again for every mixture of
    read-only and writable arguments.
    """

    def decorate(loop: Loop) -> Loop:
        return cast("Loop", _Lazy(loop, signatures))

    return decorate


def inlined(function: Loop) -> Loop:
    """Decorate a function that only compiled loops of the same file call."""
    return cast("Loop", numba.njit(nogil=True, error_model="numpy", inline="always")(function))
