"""What Python's prompt shows of results: a short line, however much they hold."""

from __future__ import annotations

import pytest

from deltastore import results
from deltastore.results import (
    CommitInfo,
    Diff,
    FileChange,
    FileInfo,
    Listing,
    LogResult,
    ModelInfo,
    RevertResult,
    TensorChange,
    TensorCounts,
)

ID = "4c1f09ab23de" + "1" * 52
INFO = CommitInfo(
    ID, (ID,), None, "Ann", "2026-11-21T04:12:29Z", "sft", None, (), {}, {"acc": 0.5},
    tuple(FileInfo(f"f{i}", i, ID) for i in range(2000)), 0.5, ("me/math@main",),
)  # fmt: skip


def test_a_commit_is_a_line_with_its_short_ids() -> None:
    assert repr(INFO) == (
        "CommitInfo(commit=4c1f09ab23de, parents=[4c1f09ab23de], author='Ann', "
        "time='2026-11-21T04:12:29Z', message='sft', metrics={'acc': 0.5}, files=[2,000], "
        "preview_error=0.5, refs=['me/math@main'])"
    )


def test_long_lists_and_texts_are_cut() -> None:
    models = tuple(ModelInfo(f"a/b{i}", ("main",), ()) for i in range(300))
    assert repr(Listing(models=models)) == "Listing(models=[300])"
    assert repr(LogResult((INFO, INFO), truncated=True)) == "LogResult(commits=[2], truncated=True)"
    changes = tuple(TensorChange(f"t{i}", "changed") for i in range(291))
    diff = Diff(same=False, files=(FileChange("a", "changed"),), tensors=changes)
    assert repr(diff) == "Diff(same=False, files=[1], tensors=[291])"
    told = repr(ModelInfo("x" * 1000, (), tuple("abcde")))
    assert told == f"ModelInfo(model='{'x' * 60}...', tags=[5])"


def test_a_revert_says_that_it_is_one() -> None:
    done = RevertResult(
        ID, "me/math", "main", (), None, False, TensorCounts(1, 1, 0, 0), 10, 5, 0, None, None
    )
    assert repr(done) == "RevertResult(4c1f09..., me/math@main, 10 B in 5 B)"


@pytest.mark.parametrize("name", sorted(results.__all__))
def test_no_result_tells_all_that_it_holds(name: str) -> None:
    found = getattr(results, name)
    if isinstance(found, type) and "_repr_html_" in dir(found):
        assert found.__repr__.__qualname__.partition(".")[0] in {"InNotebooks", "Commit", "Table"}
