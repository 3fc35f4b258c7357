"""moto's server process: an S3 that honors conditional creation, for proofs without a cloud."""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["fetch", "moto_store"]

BUCKET = "deltastore-proofs"
PATIENCE = 60.0
SERVER = Path(__file__).with_name("moto_server.py")


@contextmanager
def moto_store() -> Iterator[tuple[str, dict[str, Any]]]:
    """Run a server; the URL of an empty place in it, and the options to reach it."""
    import fsspec  # noqa: PLC0415 - proofs on a local disk do without

    port = _free_port()
    options = {
        "key": "test-key",
        "secret": "test-secret",
        "client_kwargs": {
            "endpoint_url": f"http://127.0.0.1:{port}",
            "region_name": "eu-west-1",
        },
    }
    with tempfile.TemporaryDirectory() as home, (Path(home) / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, str(SERVER), str(port)],
            stdout=log,
            stderr=log,
            env={"HOME": home, "PATH": "/usr/bin:/bin"},
        )
        try:
            _wait_for(port)
            fsspec.filesystem("s3", **options).mkdir(BUCKET)
            yield f"s3://{BUCKET}/{secrets.token_hex(6)}", options
        finally:
            server.terminate()
            server.wait(PATIENCE)


def fetch(url: str, options: dict[str, Any], folder: Path) -> Path:
    """Copy a store into a folder, object by object, without the library."""
    import fsspec  # noqa: PLC0415 - as above

    system = fsspec.filesystem("s3", **options, use_listings_cache=False)
    place = url.removeprefix("s3://")
    for key in system.find(place):
        target = folder / key.removeprefix(place).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(system.cat_file(key))
    return folder


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
