"""Text cells: readable, or a reason."""

from __future__ import annotations

import pytest

from tamis.images import Unscorable
from tamis.texts import text


def test_text_cells() -> None:
    assert text("سلام " * 3, longest=8) == "سلام سلا"
    assert len(text("x" * 1_000_000, longest=2000)) == 2000
    for value, reason in ((None, "text: null"), ("", "text: empty"), (" \n", "text: empty"), (3, "text: a int")):
        with pytest.raises(Unscorable, match=reason):
            text(value, longest=10)
