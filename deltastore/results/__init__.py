"""What the public calls return: frozen values whose fields are those of the JSON documents.

Sizes are bytes, times RFC 3339 UTC text, ids full hex. Fields are added, never renamed or removed.
"""

from __future__ import annotations

from deltastore.results.caching import CacheInfo
from deltastore.results.care import Doctor, Finding, Fsck
from deltastore.results.changes import Diff, FileChange, TensorChange
from deltastore.results.importing import FailedItem, ImportedItem, ImportResult
from deltastore.results.looking import (
    CommitInfo,
    FileInfo,
    Listing,
    LogResult,
    ModelInfo,
    RefInfo,
    Stats,
    TensorInfo,
)
from deltastore.results.moves import (
    MovedRef,
    ReflogEntry,
    ReflogResult,
    RemoveResult,
    RenameResult,
    RevertResult,
    UndoResult,
)
from deltastore.results.recording import (
    Commit,
    FoundBase,
    InitResult,
    KeptWhole,
    RefMoveResult,
    TensorCounts,
)
from deltastore.results.tables import Reindexed, Table
from deltastore.results.weights import CheckoutResult, ExportResult, Fidelity
from deltastore.results.workspaces import CloneResult, RestoreResult, Status, SwitchResult

__all__ = [
    "CacheInfo",
    "CheckoutResult",
    "CloneResult",
    "Commit",
    "CommitInfo",
    "Diff",
    "Doctor",
    "ExportResult",
    "FailedItem",
    "Fidelity",
    "FileChange",
    "FileInfo",
    "Finding",
    "FoundBase",
    "Fsck",
    "ImportResult",
    "ImportedItem",
    "InitResult",
    "KeptWhole",
    "Listing",
    "LogResult",
    "ModelInfo",
    "MovedRef",
    "RefInfo",
    "RefMoveResult",
    "ReflogEntry",
    "ReflogResult",
    "Reindexed",
    "RemoveResult",
    "RenameResult",
    "RestoreResult",
    "RevertResult",
    "Stats",
    "Status",
    "SwitchResult",
    "Table",
    "TensorChange",
    "TensorCounts",
    "TensorInfo",
    "UndoResult",
]
