"""What a page's sessions find in their folder, by the name that the page gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.docs.buckets import (
    bucket,
    bucket_of_finetunes,
    careless_bucket,
    guarded_bucket,
    silent_service,
)
from tests.docs.models import (
    chat_store,
    nightly_job,
    small_models,
    small_store,
    training_run,
    trials,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

__all__ = ["FIXTURES"]

FIXTURES: Mapping[str, Callable[[Path], AbstractContextManager[Mapping[str, str]]]] = {
    "small-models": small_models,
    "small-store": small_store,
    "chat-store": chat_store,
    "nightly-job": nightly_job,
    "training-run": training_run,
    "trials": trials,
    "bucket": bucket,
    "bucket-of-finetunes": bucket_of_finetunes,
    "careless-bucket": careless_bucket,
    "guarded-bucket": guarded_bucket,
    "silent-service": silent_service,
}
"""Each makes what its name says in a folder, and yields environment variables."""
