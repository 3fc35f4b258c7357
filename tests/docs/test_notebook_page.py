"""Every cell of the page on notebooks runs in a real kernel, and shows what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.docs.models import small_store
from tests.unit.store.test_notebooks import a_kernel

if TYPE_CHECKING:
    from typing import Any

    import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "use-a-notebook.md"
CELLS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)

SHOWN = [
    "<b>Store</b>",
    "commits: ",
    "tensors: ",
    "24",
    "<progress",
    "<b>Checkout</b>",
    "<progress",
]
"""What each cell shows first: in HTML, or as plain text."""


def first(messages: list[dict[str, Any]]) -> str:
    data = messages[0]["content"]["data"]
    return str(data.get("text/html", data["text/plain"]))


def test_cells_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    with small_store(tmp_path), a_kernel(tmp_path) as run:
        shown = [first(run(cell)) for cell in CELLS]
    assert len(shown) == len(SHOWN)
    for found, wanted in zip(shown, SHOWN, strict=True):
        assert wanted in found
