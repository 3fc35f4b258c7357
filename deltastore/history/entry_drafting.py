"""From what a writer wants to the entry that may follow a state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltastore.errors import ConflictError, CorruptError, InvalidError
from deltastore.history.entries import Body, CheckpointRef, Draft, Entry, Head, StoreRecord
from deltastore.history.entry_decoding import decode_entry
from deltastore.history.entry_encoding import body_lists, encode_body, encode_head
from deltastore.history.spilling import encode_fitting
from deltastore.ids import bytes_digest

if TYPE_CHECKING:
    from deltastore.history.entries import Spilled
    from deltastore.history.state import LogState
    from deltastore.storage.backend import Backend
    from deltastore.storage.records import PackId

__all__ = ["draft_entry", "first_entry"]


def draft_entry(
    draft: Draft,
    state: LogState,
    ckpt: CheckpointRef | None,
    made: tuple[PackId, ...],
    *,
    backend: Backend,
    writer: str,
) -> tuple[Entry, LogState]:
    """The entry after `state`, and the state after that entry.

    Args:
        draft: what the writer wants.
        state: at the tip.
        ckpt: the checkpoint to name.
        made: packs made for that checkpoint.
        backend: takes lists that are too long for the entry.
        writer: program and version.

    Raises:
        ConflictError: a pack of the draft was condemned meanwhile.
        InvalidError: the entry would be too long or illegal.
    """
    _check_packs(draft, state)
    wanted = Body(draft.txns, (*draft.add, *made), draft.condemn, draft.absent)
    line, spilled = encode_fitting(wanted, backend, writer)
    head = Head(
        v=state.v + 1,
        prev=state.head_hash,
        store_id=state.store_id,
        body=bytes_digest(line),
        needs=tuple(sorted({*state.needs, *draft.needs})),
        ckpt=ckpt,
        writer=writer,
    )
    entry = _entry(head, line, wanted, spilled)
    try:
        return entry, state.apply(entry)
    except CorruptError as reason:
        raise InvalidError(f"refused to write an illegal entry: {reason}") from None


def first_entry(draft: Draft, store: StoreRecord, store_id: str, writer: str) -> Entry:
    """Entry 0 of a new store.

    Raises:
        InvalidError: text that is no NFC Unicode, or too long.
    """
    line = encode_body(Body(draft.txns, store=store))
    head = Head(
        v=0,
        prev=None,
        store_id=store_id,
        body=bytes_digest(line),
        needs=tuple(sorted(draft.needs)),
        ckpt=None,
        writer=writer,
    )
    return _entry(head, line, Body(draft.txns), {})


def _entry(head: Head, line: bytes, body: Body, spilled: dict[str, Spilled]) -> Entry:
    """The entry as any reader will see it: whatever a reader refuses is not written."""
    lists = body_lists(body)
    known = {each: lists[place] for place, each in spilled.items()}

    def read_list(each: Spilled) -> list[Any]:
        return known[each]

    head_line = encode_head(head)
    data = b"%s\n%s\n%s\n" % (head_line, line, bytes_digest(head_line).encode())
    return decode_entry(data, v=head.v, read_list=read_list, error=InvalidError)


def _check_packs(draft: Draft, state: LogState) -> None:
    died = sorted(pack for pack in draft.add if pack in state.condemned)
    if died:
        raise ConflictError(
            f"pack {died[0]} was condemned (entry {state.condemned[died[0]]}) before the entry "
            "that names it was written",
            hint="run the same command again; it stores anew what is gone",
        )
