"""Properties of the history package over generated input."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from deltastore.history.ancestry import ancestors, common_ancestors, graph_rows, log_order
from deltastore.history.commits import CommitHeader, PreviewRef, commit_id
from deltastore.history.entries import Absent, Body, CheckpointRef, RefMove, Spilled, Transaction
from deltastore.history.entry_decoding import decode_entry
from deltastore.history.entry_encoding import body_lists, encode_body, encode_head
from deltastore.history.invariant import depths, resolvable
from deltastore.history.manifests import Manifest, ManifestFile
from deltastore.history.refs import branch_ref, check_ref_name, parse_ref
from deltastore.history.representations import PlacedRepresentation, PlacedSection
from deltastore.history.segments import Segment, merge, state_of, stretches, summarize
from deltastore.history.state import EMPTY
from deltastore.ids import CommitId, Digest, bytes_digest
from deltastore.storage.records import PackId
from tests.unit.history.samples import TIME, body, entry_after, genesis, header, pack, transaction

if TYPE_CHECKING:
    from deltastore.history.entries import Entry

hexes = st.binary(min_size=32, max_size=32).map(bytes.hex)
digests = hexes.map(Digest)
commits = hexes.map(CommitId)
packs = hexes.map(PackId)
tokens = st.binary(min_size=16, max_size=16).map(bytes.hex)
texts = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs", "Cc"])).map(
    partial(unicodedata.normalize, "NFC")
)
decimals = st.decimals(allow_nan=False, allow_infinity=False).map(lambda value: f"{value:f}")


@st.composite
def headers(draw: st.DrawFn) -> CommitHeader:
    return CommitHeader(
        parents=tuple(draw(st.lists(commits, max_size=4))),
        manifest=draw(digests),
        base=draw(st.none() | commits),
        inputs=tuple(draw(st.lists(commits, max_size=4))),
        preview=draw(st.none() | st.builds(PreviewRef, digests, st.just("ternary/1"), decimals)),
        author=draw(texts),
        time=TIME,
        message=draw(texts),
        recipe=draw(st.none() | digests),
        metadata=draw(st.dictionaries(texts, texts, max_size=4)),
        metrics=draw(st.dictionaries(texts, decimals, max_size=4)),
        producer=draw(texts),
    )


@given(headers())
def test_headers_come_back_with_one_id(head: CommitHeader) -> None:
    data = head.encode()
    assert CommitHeader.decode(data) == head
    assert commit_id(CommitHeader.decode(data).encode()) == commit_id(data)


names = st.text("bdfgxyzBZ019-_é", min_size=1, max_size=6)  # no device can be spelled with these
paths = st.lists(names, min_size=1, max_size=3).map("/".join)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    # files and folders cannot clash: files have an extension, folders have none
    files = []
    for path in sorted({f"{path}.x" for path in draw(st.lists(paths, max_size=6))}):
        size, sha = draw(st.integers(0, 2**53)), draw(st.none() | hexes)
        if draw(st.booleans()):
            files.append(ManifestFile(path, size, sha, blob=draw(digests)))
        else:
            tensors = tuple(draw(st.lists(digests, max_size=4)))
            files.append(ManifestFile(path, size, sha, header=draw(digests), tensors=tensors))
    return Manifest(tuple(files))


@given(manifests())
def test_manifests_come_back(manifest: Manifest) -> None:
    data = manifest.encode()
    assert Manifest.decode(data) == manifest
    assert Manifest.decode(data).encode() == data


refs = st.sampled_from([branch_ref("me/x"), branch_ref("me/y", "a/b"), "models/me/x/tags/v1"])
moves = st.builds(RefMove, refs, commits, st.none() | commits)
absents = st.builds(
    Absent, digests, st.sampled_from(["archived", "forgotten", "filtered"]), st.none() | texts
)


@st.composite
def transactions(draw: st.DrawFn) -> Transaction:
    return Transaction(
        txn=draw(tokens),
        op=draw(st.sampled_from(["commit", "gc", "branch-move"])),
        actor=draw(texts),
        time=TIME,
        message=draw(texts),
        refs=tuple(draw(st.lists(moves, max_size=4))),
        commits=tuple(draw(st.lists(commits, max_size=4))),
        meta=draw(packs),
    )


bodies = st.builds(
    Body,
    st.lists(transactions(), min_size=1, max_size=3).map(tuple),
    st.lists(packs, max_size=4, unique=True).map(tuple),
    st.lists(packs, max_size=4, unique=True).map(tuple),
    st.lists(absents, max_size=3).map(tuple),
)


@given(bodies, st.data())
def test_entries_come_back_wherever_their_lists_are(content: Body, data: st.DataObject) -> None:
    lists = body_lists(content)
    places = data.draw(st.sets(st.sampled_from(sorted(lists))))
    spilled = {
        place: Spilled(pack("spill"), bytes_digest(place.encode()), len(lists[place]))
        for place in places
    }
    known = {each: lists[place] for place, each in spilled.items()}

    def read_list(each: Spilled) -> list[Any]:
        return known[each]

    line = encode_body(content, spilled)
    before = genesis()
    ckpt = CheckpointRef(0, pack("c"), bytes_digest(b"root"))
    head = replace(
        before.head, v=1, prev=before.hash, body=bytes_digest(line), needs=("w:x",), ckpt=ckpt
    )
    first = encode_head(head)
    stored = b"%s\n%s\n%s\n" % (first, line, bytes_digest(first).encode())
    entry = decode_entry(stored, v=1, read_list=read_list)
    added = (*content.add, pack("spill")) if "add" in places else content.add
    assert entry.head == head
    assert entry.body == replace(content, add=added)
    assert entry.data == stored


@given(st.text(max_size=12))
def test_a_name_that_is_accepted_is_taken_apart_into_itself(name: str) -> None:
    try:
        check_ref_name(name)
    except ValueError:
        return
    parsed = parse_ref(branch_ref("me/x", name))
    assert (parsed.model, parsed.name) == ("me/x", name)


@st.composite
def histories(draw: st.DrawFn) -> list[Entry]:
    """Legal entries: commits, deletions, condemnations, on a few refs."""
    entries = [genesis()]
    for v in range(1, draw(st.integers(1, 12))):
        state = EMPTY.apply_all(entries)
        ref = draw(refs)
        old = state.ref(ref)
        kind = draw(st.sampled_from(["commit", "delete", "condemn"]))
        if kind == "condemn" and state.live:
            content = body(transaction(v), condemn=[draw(st.sampled_from(sorted(state.live)))])
        elif kind == "delete" and old is not None:
            content = body(transaction(v, [RefMove(ref, old, None)]))
        elif "/tags/" in ref and ref in state.refs:
            last = state.refs[ref].last
            content = body(transaction(v, [RefMove(ref, old, last)] if old is None else []))
        else:
            new = CommitId(bytes_digest(b"%d" % v))
            txn = transaction(v, [RefMove(ref, old, new)], [new], pack(v))
            content = body(txn, add=[pack(v)])
        entries.append(entry_after(entries[-1], content))
    return entries


@given(histories(), st.data())
def test_summaries_say_what_replaying_says(entries: list[Entry], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(entries)))
    parts = [summarize(part) for part in (entries[:cut], entries[cut:]) if part]
    parts = [Segment.of(part.first, part.last, part.sections()) for part in parts]
    assert merge(parts) == summarize(entries)
    state = EMPTY.apply_all(entries)
    assert state_of(parts, state.store_id, entries[-1].hash) == state
    assert (
        state_of(parts[:1], state.store_id, entries[cut - 1].hash).apply_all(entries[cut:]) == state
    )


@given(st.integers(0, 5000))
def test_stretches_cover_everything_once(count: int) -> None:
    last = count * 64 + 63
    found = stretches(0, last)
    assert [v for first, end in found for v in (first, end)] == sorted(
        v for first, end in found for v in (first, end)
    )
    assert found[0][0] == 0
    assert found[-1][1] == last
    for first, end in found:
        assert end - first + 1 in (64, 4096, 262144)
        assert first % (end - first + 1) == 0
    assert all(a[1] + 1 == b[0] for a, b in pairwise(found))


@st.composite
def stored_forms(draw: st.DrawFn) -> tuple[list[PlacedRepresentation], set[PackId]]:
    things = [bytes_digest(b"%d" % n) for n in range(draw(st.integers(1, 6)))]
    places = [pack(n) for n in range(4)]
    forms = draw(
        st.lists(
            st.builds(
                PlacedRepresentation,
                st.sampled_from(things),
                st.lists(st.sampled_from(things), max_size=2).map(tuple),
                st.just(1),
                st.sampled_from(places).map(lambda where: (PlacedSection(where, 0, 1),)),
            ),
            max_size=10,
        )
    )
    return forms, draw(st.sets(st.sampled_from(places)))


def naive(forms: list[PlacedRepresentation], live: set[PackId]) -> set[Digest]:
    found: set[Digest] = set()
    for _ in range(len(forms) + 1):
        for form in forms:
            if form.sections[0].pack in live and all(each in found for each in form.inputs):
                found.add(form.digest)
    return found


@given(stored_forms())
def test_resolvable_is_the_least_fixpoint(
    world: tuple[list[PlacedRepresentation], set[PackId]],
) -> None:
    forms, live = world
    assert resolvable(forms, live) == naive(forms, live)
    for digest, depth in depths(forms, live).items():
        ways = [
            max((depths(forms, live)[each] + 1 for each in form.inputs), default=0)
            for form in forms
            if form.digest == digest
            and form.covering(live)
            and all(each in depths(forms, live) for each in form.inputs)
        ]
        assert depth == min(ways)


@given(stored_forms(), st.data())
def test_condemning_never_makes_anything_resolvable(
    world: tuple[list[PlacedRepresentation], set[PackId]], data: st.DataObject
) -> None:
    forms, live = world
    dead = data.draw(st.sets(st.sampled_from(sorted(live)))) if live else set()
    assert resolvable(forms, live - dead) <= resolvable(forms, live)


@st.composite
def graphs(draw: st.DrawFn) -> dict[CommitId, CommitHeader]:
    made: dict[CommitId, CommitHeader] = {}
    for number in range(draw(st.integers(1, 9))):
        known = sorted(made)
        some = st.lists(st.sampled_from(known), max_size=3, unique=True) if known else st.just([])
        minute = draw(st.integers(0, 59))
        made[CommitId(bytes_digest(b"%d" % number))] = header(
            parents=draw(some), inputs=draw(some), time=f"2026-01-01T00:{minute:02}:00Z"
        )
    return made


@given(graphs())
def test_a_log_shows_every_ancestor_once_and_children_first(
    graph: dict[CommitId, CommitHeader],
) -> None:
    read = graph.__getitem__
    for tip in graph:
        order = list(log_order([tip], read))
        assert len(order) == len(set(order))
        assert set(order) == ancestors([tip], read)
        place = {commit: number for number, commit in enumerate(order)}
        assert all(place[each] < place[parent] for each in order for parent in graph[each].parents)


@given(graphs())
def test_the_graph_draws_every_line_from_its_child_to_its_parent(
    graph: dict[CommitId, CommitHeader],
) -> None:
    order = list(log_order(graph, graph.__getitem__))
    rows = list(graph_rows(order, graph.__getitem__))
    lines: dict[int, set[tuple[CommitId, bool]]] = {}
    arrived: set[tuple[CommitId, CommitId]] = set()
    for row in rows:
        for origin, _ in lines.get(row.column, set()):
            arrived.add((origin, row.commit))
        lines.setdefault(row.column, set())
        lines[row.column] = set()
        following: dict[int, set[tuple[CommitId, bool]]] = {}
        for edge in row.edges:
            goes = {(row.commit, edge.dashed)} if edge.start == row.column else lines[edge.start]
            following.setdefault(edge.end, set()).update(goes)
        lines = following
    wanted = {(child, parent) for child in graph for parent in graph[child].parents}
    assert wanted <= arrived
    later = {commit: number for number, commit in enumerate(order)}
    inputs = {(c, i) for c in graph for i in graph[c].inputs if later[i] > later[c]}
    assert arrived <= wanted | inputs
    assert inputs <= arrived


@given(graphs(), st.data())
def test_common_ancestors_are_common_and_best(
    graph: dict[CommitId, CommitHeader], data: st.DataObject
) -> None:
    read = graph.__getitem__
    first, second = (data.draw(st.sampled_from(sorted(graph))) for _ in range(2))
    best = common_ancestors(first, second, read)
    common = ancestors([first], read) & ancestors([second], read)
    assert set(best) <= common
    assert {each for each in common if any(each in ancestors([b], read) for b in best)} == common
    assert all(a == b or a not in ancestors([b], read) for a in best for b in best)
