"""Any reads of a file at a URL give its bytes, however they are cut and ordered."""

from __future__ import annotations

from unittest.mock import patch

import fsspec
from hypothesis import given
from hypothesis import strategies as st

from deltastore.checkpoints import url_files
from deltastore.checkpoints.url_files import UrlFile
from deltastore.places.place import Place

URL = "memory://property/reads"


@given(
    content=st.binary(min_size=1, max_size=400),
    chunk=st.integers(1, 64),
    first=st.integers(0, 500),
    cuts=st.lists(st.tuples(st.booleans(), st.integers(0, 400), st.integers(0, 150)), max_size=12),
)
def test_reads_give_the_bytes(
    content: bytes, chunk: int, first: int, cuts: list[tuple[bool, int, int]]
) -> None:
    fsspec.filesystem("memory").pipe_file(f"{URL}/x", content)
    place = Place(URL)
    with patch.object(url_files, "CHUNK", chunk):
        file = UrlFile(place, place.list().files[0], first=first)
        end = 0
        for goes_on, start, length in cuts:
            offset = end if goes_on else min(start, len(content))
            end = min(offset + length, len(content))
            assert file.read_at(offset, end - offset) == content[offset:end]
        file.check_unchanged()
        file.close()
