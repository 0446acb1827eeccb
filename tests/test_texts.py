"""Text cells: readable, or a reason."""

from __future__ import annotations

import pytest

from tamis.images import Unscorable
from tamis.texts import prediction_and_answer, text


def test_text_cells() -> None:
    assert text("سلام " * 3, longest=8) == "سلام سلا"
    assert len(text("x" * 1_000_000, longest=2000)) == 2000
    for value, reason in ((None, "text: null"), ("", "text: empty"), (" \n", "text: empty"), (3, "text: a int")):
        with pytest.raises(Unscorable, match=reason):
            text(value, longest=10)


def test_an_empty_prediction_is_an_answer_and_an_empty_answer_is_none() -> None:
    def prepared(prediction: object, answer: object) -> dict[str, str]:
        return prediction_and_answer({"said": prediction, "true": answer}, "said", "true", longest=4)

    assert prepared(" \n", "None") == {"prediction": "", "answer": "None"}
    assert prepared("NA", "crimson") == {"prediction": "NA", "answer": "crim"}
    for pair, reason in (((None, "a"), "said: null"), (("a", None), "true: null"), (("a", " "), "true: empty")):
        with pytest.raises(Unscorable, match=reason):
            prepared(*pair)
