"""S3 services that a page's sessions talk to, each a process on this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import deltastore
from tests.docs.models import finetunes, small_models

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "bucket",
    "bucket_of_finetunes",
    "careless_bucket",
    "guarded_bucket",
    "silent_service",
]

BUCKET = "team-models"
MOTO = [sys.executable, "-c", "from moto.server import main; main(['-p', '0'])"]
REGION = {"AWS_DEFAULT_REGION": "us-east-1"}
NOBODY = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing", **REGION}
OPEN_REQUESTS = 4
"""The guarded service asks no credentials of its first ones: bucket, user, key and policy."""

Clients = Any
"""What makes botocore's clients, which have no types."""


@contextmanager
def bucket(folder: Path) -> Iterator[Mapping[str, str]]:
    """An S3 service with the empty bucket `team-models`, in a process of its own."""
    with moto(folder.parent / "moto.log") as address:
        if request(address, "PUT", f"/{BUCKET}") != HTTPStatus.OK:
            msg = f"{address}: no bucket could be made"
            raise RuntimeError(msg)
        yield {"AWS_ENDPOINT_URL": f"http://{address}", **NOBODY}


@contextmanager
def bucket_of_finetunes(folder: Path) -> Iterator[Mapping[str, str]]:
    """The bucket with a tree of fine-tunes in it, whose base is `llama/` in the folder."""
    with bucket(folder) as variables, finetunes(folder):
        s3 = client(variables["AWS_ENDPOINT_URL"], "s3")
        tree = folder / "finetunes"
        for path in sorted(tree.rglob("*.*")):
            key = path.relative_to(folder).as_posix()
            s3.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())
        shutil.rmtree(tree)
        yield variables


@contextmanager
def guarded_bucket(folder: Path) -> Iterator[Mapping[str, str]]:
    """A store in a bucket that the profile `ml-ro` may read and the profile `ml` also write.

    The store holds `meta/llama`; the small models are in the folder, the profile in force is `ml`.
    """
    open_requests = {"INITIAL_NO_AUTH_ACTION_COUNT": str(OPEN_REQUESTS)}
    with moto(folder.parent / "guarded.log", **open_requests) as address, small_models(folder):
        endpoint = f"http://{address}"
        client(endpoint, "s3").create_bucket(Bucket=BUCKET)
        writer = new_user(client(endpoint, "iam"), "ml", ["s3:*", "iam:*"])
        reading = ["s3:GetObject", "s3:ListBucket"]
        reader = new_user(client(endpoint, "iam", *writer), "ml-ro", reading)
        write_profiles(folder / ".aws" / "credentials", {"ml": writer, "ml-ro": reader})
        url, (key, secret) = f"s3://{BUCKET}/models.ds", writer
        with deltastore.init(url, key=key, secret=secret, endpoint_url=endpoint) as store:
            store.commit(folder / "llama", to="meta/llama", message="as released")
        yield {"AWS_ENDPOINT_URL": endpoint, "AWS_PROFILE": "ml", **REGION}


@contextmanager
def careless_bucket(folder: Path) -> Iterator[Mapping[str, str]]:
    """A bucket of a service that accepts conditional creation and ignores the condition."""
    home = folder.parent / "rclone"
    (home / BUCKET).mkdir(parents=True)
    beside = Path(sys.executable).with_name("rclone")
    program = str(beside) if beside.exists() else shutil.which("rclone") or "rclone"
    address = f"127.0.0.1:{free_port()}"
    command = [program, "serve", "s3", "--addr", address, str(home)]
    with process(command, folder.parent / "rclone.log", RCLONE_CONFIG=str(home / "none")):
        wait_until(lambda: request(address, "GET", "/") is not None, "the careless service")
        yield {"OLD_GATEWAY": f"http://{address}", **REGION}


@contextmanager
def silent_service(folder: Path) -> Iterator[Mapping[str, str]]:
    """An address of this machine that accepts connections and never answers."""
    del folder
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield {"SILENT": f"http://127.0.0.1:{listening.getsockname()[1]}"}


def client(endpoint: str, service: str, key: str = "nobody", secret: str = "nothing") -> Clients:  # noqa: S107  # no secret
    """A botocore client that takes nothing from the environment."""
    import botocore.session

    return botocore.session.get_session().create_client(
        service,
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name=REGION["AWS_DEFAULT_REGION"],
    )


def new_user(iam: Clients, name: str, actions: Sequence[str]) -> tuple[str, str]:
    """Make a user who may do some actions on everything; the key and its secret."""
    iam.create_user(UserName=name)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    allowed = [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]
    policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
    iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=policy)
    return made["AccessKeyId"], made["SecretAccessKey"]


def write_profiles(place: Path, keys: Mapping[str, tuple[str, str]]) -> None:
    """The file in which AWS programs find the profiles of a user."""
    place.parent.mkdir()
    place.write_text(
        "".join(
            f"[{name}]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
            for name, (key, secret) in keys.items()
        )
    )


@contextmanager
def process(command: Sequence[str], log: Path, **variables: str) -> Iterator[None]:
    """A program that runs beside the sessions and is ended with them."""
    with log.open("w") as stream:
        running = subprocess.Popen(
            command, stdout=stream, stderr=subprocess.STDOUT, env={**os.environ, **variables}
        )
    try:
        yield
    finally:
        running.terminate()
        running.wait()


@contextmanager
def moto(log: Path, **variables: str) -> Iterator[str]:
    """The host and port of moto's server, once it answers."""
    with process(MOTO, log, **variables):
        found: list[str] = []

        def answers() -> bool:
            match = re.search(r"http://(127\.0\.0\.1:\d+)", log.read_text())
            found[:] = [match[1]] if match else []
            return bool(found) and request(found[0], "GET", "/moto-api/") == HTTPStatus.OK

        wait_until(answers, "moto")
        yield found[0]


def wait_until(ready: Any, name: str) -> None:
    """Ask ten times a second.

    Raises:
        TimeoutError: it was not within a minute.
    """
    end = time.monotonic() + 60
    while not ready():
        if time.monotonic() > end:
            msg = f"{name} did not answer within a minute"
            raise TimeoutError(msg)
        time.sleep(0.1)


def request(address: str, method: str, path: str) -> int | None:
    """The status of an HTTP request, or None when nobody listens."""
    connection = HTTPConnection(address, timeout=30)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    except ConnectionError:
        return None
    finally:
        connection.close()


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
