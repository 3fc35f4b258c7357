"""Moving a workspace between versions: nobody's own changes are lost, and any interruption heals.

Files are paths with a letter for their content. Upper case: some version's. Lower case: somebody's
own.
"""

from __future__ import annotations

import hashlib
from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from deltastore.history.manifests import Manifest, ManifestFile
from deltastore.store.working_files import Plan, WorkingFiles, _Content, changes, plan_move

Tree: TypeAlias = dict[str, str]

PATHS = ("a", "b", "c/d")
versions = st.dictionaries(st.sampled_from(PATHS), st.sampled_from("ABC"))
folders = st.dictionaries(st.sampled_from([*PATHS, "mine"]), st.sampled_from("ABCxy"))


def sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def manifest(tree: Tree) -> Manifest:
    return Manifest(tuple(ManifestFile(path, 1, sha256(tree[path])) for path in sorted(tree)))


def looked_at(tree: Tree) -> WorkingFiles:
    return WorkingFiles({path: _Content(1, sha256(content)) for path, content in tree.items()})


def planned(here: Tree, target: Tree, head: Tree, pending: Tree | None = None) -> Plan:
    return plan_move(
        looked_at(here),
        manifest(target),
        head=manifest(head),
        pending=None if pending is None else manifest(pending),
    )


def steps(plan: Plan, target: Tree) -> list[tuple[str, str | None]]:
    """What is done to the folder, in order: a path and its new content, None to remove it."""
    removed: list[tuple[str, str | None]] = [(path, None) for path in plan.remove]
    return [*removed, *((file.path, target[file.path]) for file in plan.write)]


def after(here: Tree, done: list[tuple[str, str | None]]) -> Tree:
    found = dict(here)
    for path, content in done:
        if content is None:
            del found[path]
        else:
            found[path] = content
    return found


@given(here=folders, head=versions, target=versions)
def test_what_is_nobodys_version_stays_unless_the_move_is_refused(
    here: Tree, head: Tree, target: Tree
) -> None:
    plan = planned(here, target, head)
    own = {path: content for path, content in here.items() if head.get(path) != content}
    touched = {path for path, _ in steps(plan, target)}
    assert not touched & {path for path, content in own.items() if target.get(path) != content}
    refused = {
        path
        for path, content in own.items()
        if target.get(path) != content and (path in target or path in head)
        if target.get(path) != head.get(path)
    }
    assert set(plan.lost) == refused


@given(here=folders, head=versions, target=versions)
def test_an_accepted_move_leads_to_the_version_and_what_was_changed_before(
    here: Tree, head: Tree, target: Tree
) -> None:
    plan = planned(here, target, head)
    if plan.lost:
        return
    there = after(here, steps(plan, target))
    before = {change.path: change.status for change in changes(looked_at(here), manifest(head))}
    differing = {file.path for file in changes(looked_at(there), manifest(target))}
    assert differing <= before.keys()
    assert set(plan.keep) == differing & target.keys()
    assert {path: content for path, content in there.items() if path not in target} == {
        path: content
        for path, content in here.items()
        if path not in target and head.get(path) != content
    }


@given(head=versions, target=versions, mine=st.booleans(), data=st.data())
def test_a_move_that_was_interrupted_anywhere_is_finished_by_the_next_one(
    head: Tree, target: Tree, mine: bool, data: st.DataObject
) -> None:
    here = {**head, **({"mine": "x"} if mine else {})}
    done = steps(planned(here, target, head), target)
    stopped = after(here, done[: data.draw(st.integers(0, len(done)))])
    again = planned(stopped, target, head, pending=target)
    assert again.lost == again.keep == ()
    wanted = {**target, **({"mine": "x"} if mine else {})}
    assert after(stopped, steps(again, target)) == wanted
    # nor is the branch's next version, which came meanwhile, taken for a change of one's own
    later = data.draw(versions)
    onward = planned(stopped, later, head, pending=target)
    assert onward.lost == ()
    assert after(stopped, steps(onward, later)) == {**later, **({"mine": "x"} if mine else {})}
