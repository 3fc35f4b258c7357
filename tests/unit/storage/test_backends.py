"""The contract, run on what needs no server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deltastore.storage.location import open_backend
from deltastore.storage.remote import RemoteBackend
from deltastore.testing.backend_contract import BackendContract, ObjectContract

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore.storage.backend import Backend


class TestLocal(BackendContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        return open_backend(tmp_path / "deep" / "store")

    def test_nothing_hidden_remains(self, backend: Backend, tmp_path: Path) -> None:
        backend.put_if_absent("log/1", b"one")
        backend.put_if_absent("log/1", b"two")
        backend.overwrite("log/HINT", b"1")
        backend.put_immutable("packs/aa/1", b"one")
        files = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
        assert files == ["1", "1", "HINT"]


class TestMemory(BackendContract):
    @pytest.fixture
    def backend(self, request: pytest.FixtureRequest) -> Backend:
        return open_backend(f"memory://contract/{request.node.name}")


class TestRemoteOverFsspecMemory(ObjectContract):
    """The same code as for S3; the file system below creates without exclusion."""

    @pytest.fixture
    def backend(self, request: pytest.FixtureRequest) -> Backend:
        return RemoteBackend(f"memory://contract/{request.node.name}", {})

    def again(self, backend: Backend) -> Backend:
        return RemoteBackend(backend.url, {})
