"""moto's S3 server, one request at a time.

moto looks whether an object exists and stores it in two steps, in a thread per request: of two
conditional creations now and then both succeed, which the store's probe finds and refuses. Served
one after the other its creations are atomic, as those of S3 are.

Usage: python benchmarks/proofs/moto_server.py PORT
"""

from __future__ import annotations

import sys
from threading import Lock
from typing import TYPE_CHECKING, Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class OneAtATime:
    """A WSGI application whose requests wait for each other."""

    def __init__(self, inner: Callable[..., Iterable[bytes]]) -> None:
        self._inner = inner
        self._lock = Lock()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        """Answer one request, whole, before the next is looked at."""
        with self._lock:
            return list(self._inner(environ, start))


def main(port: int) -> None:
    """Serve until terminated."""
    application = OneAtATime(DomainDispatcherApplication(create_backend_app))
    run_simple("127.0.0.1", port, application, threaded=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
