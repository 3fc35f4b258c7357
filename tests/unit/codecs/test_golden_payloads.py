"""Payloads written by the first version stay readable for ever: this file is never rewritten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deltastore.codecs.blocks import as_words
from deltastore.codecs.registry import codec_named
from deltastore.specs import DTYPES

GOLDEN: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("golden_payloads.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("family", ["reference", "cpu"])
def test_golden_payloads(family: Any) -> None:
    assert {each["codec"] for each in GOLDEN} == {"dense/1", "exact/1", "sparse/1", "ternary/1"}
    for each in GOLDEN:
        dtype = DTYPES[each["dtype"]]
        inputs = [as_words(bytes.fromhex(data), dtype) for data in each["inputs"]]
        block = as_words(bytes.fromhex(each["block"]), dtype)
        codec = codec_named(each["codec"], family=family)
        payload = bytes.fromhex(each["payload"])
        back = codec.decode(payload, len(block), inputs, dtype, each["parameters"])
        assert np.array_equal(back, block)
