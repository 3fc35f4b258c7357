"""Opening an fsspec file system, and what its many exceptions mean."""

from __future__ import annotations

import errno
import inspect
from typing import TYPE_CHECKING, Any

from deltastore.errors import (
    AccessDeniedError,
    DeltastoreError,
    UnreachableError,
    UsageError,
)
from deltastore.places.failures import failure_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["connect", "is_transient", "remote_failure", "supported_options"]

# these take other URLs, look inside files, or keep nothing
_WRAPPERS = frozenset(
    {"async_wrapper", "asyncwrapper", "asynclocal", "blockcache", "cached", "dask", "data", "dir"}
    | {"dvc", "filecache", "generic", "gist", "git", "github", "jlab", "jupyter", "libarchive"}
    | {"pyscript", "reference", "root", "simplecache", "tar", "zip"}
)
_HUBS = frozenset({"hf"})
_S3 = frozenset({"s3", "s3a"})
_S3_CONFIG = {
    "max_pool_connections": 32,
    # some servers send the whole object's checksum with a range, which then never matches; every
    # byte is checked against its own hash anyway
    "response_checksum_validation": "when_required",
    # s3fs and this package retry; a third layer multiplies the time until a failure is reported
    "retries": {"total_max_attempts": 1},
}
_CREDENTIAL_ERRORS = (
    "Credential",
    "ProfileNotFound",
    "TokenRetrieval",
    "SSO",
    "Unauthorized",
    "Auth",
)
_PERMANENT = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENAMETOOLONG, errno.EMSGSIZE})


def connect(
    scheme: str, url: str, options: Mapping[str, Any], *, purpose: str = "a store"
) -> tuple[Any, str]:
    """An fsspec file system without caches, and the path of a URL in it.

    Args:
        scheme: of the URL, in lower case.
        url: without credentials.
        options: for the file system.
        purpose: what the place is for, in messages.

    Raises:
        UsageError: a scheme that fsspec does not know, that cannot hold what it is for, or whose
            package is not installed; options it does not take.
    """
    import fsspec  # noqa: PLC0415 - only who goes elsewhere pays for it

    known = set(fsspec.available_protocols()) - _WRAPPERS - _HUBS
    if scheme not in known:
        raise UsageError(
            f"{scheme}:// is no place for {purpose}", hint=f"known: {', '.join(sorted(known))}"
        )
    settings = {"use_listings_cache": False, "skip_instance_cache": True, **options}
    if scheme in _S3:
        settings["config_kwargs"] = {**_S3_CONFIG, **settings.get("config_kwargs", {})}
    try:
        filesystem, root = fsspec.core.url_to_fs(url, **settings)
    except ImportError as reason:
        raise UsageError(
            f"{scheme}:// needs a package that is not installed: {reason}",
            hint="pip install 'deltastore[s3]'" if scheme in _S3 else "install it with pip",
        ) from reason
    except (TypeError, ValueError) as reason:
        raise UsageError(f"{scheme}:// cannot be opened with these options: {reason}") from reason
    return filesystem, str(root).rstrip("/")


def supported_options(filesystem: Any, method: str, **wanted: Any) -> dict[str, Any]:
    """Those of the wanted arguments that this file system's method names."""
    function = getattr(filesystem, f"_{method}", None) or getattr(filesystem, method)
    names = inspect.signature(function).parameters
    return {name: value for name, value in wanted.items() if name in names}


def remote_failure(reason: Exception, where: str) -> DeltastoreError:
    """The error to raise for whatever a file system raised."""
    if isinstance(reason, DeltastoreError):
        return reason
    if isinstance(reason, PermissionError):
        return AccessDeniedError(
            f"{where}: access denied: {reason}",
            hint="check the credentials; without s3:ListBucket, S3 answers like this for absent "
            "objects too",
        )
    if isinstance(reason, OSError):
        return failure_of(reason, where)
    name = type(reason).__name__
    if any(part in name for part in _CREDENTIAL_ERRORS):
        return AccessDeniedError(
            f"{where}: no usable credentials: {name}",
            hint="set AWS_PROFILE or the variables and files of your provider",
        )
    return UnreachableError(
        f"{where}: {name}: {reason}", hint="check the network and the endpoint, and try again"
    )


def is_transient(reason: Exception, failure: DeltastoreError) -> bool:
    """Whether the same request may well work a moment later."""
    if not isinstance(failure, UnreachableError) or isinstance(reason, (TypeError, ValueError)):
        return False
    return not (isinstance(reason, OSError) and reason.errno in _PERMANENT)
