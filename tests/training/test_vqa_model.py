"""The loss of an answer: of its own tokens, whatever stands beside it in the batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_blip import ASKED, pixels, tokens

from tamis.training.vqa_model import load


def test_a_batchs_losses_are_those_of_its_rows_alone(blip: Path) -> None:
    """And those are what the library's own forward says of a row without padding."""
    model, seen = load(str(blip), ""), pixels([1, 2, 3])
    asked, written = tokens(model, [ASKED[2], ASKED[1], ASKED[4]], ["red", "striped ring star", "two red"])
    assert len({len(ids) for ids in asked}) > 1 < len({len(ids) for ids in written})
    with torch.no_grad():
        together = model.losses(model.features(seen), asked, written)
        for place in range(3):
            ids, answer = torch.tensor([asked[place]]), torch.tensor([written[place]])
            alone = model.blip(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                pixel_values=seen[place : place + 1],
                decoder_input_ids=answer,
                labels=answer,
            )
            assert together[place].item() == pytest.approx(alone.loss.item(), rel=1e-5)


def test_an_answer_begins_as_generation_does(blip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(str(blip), "")
    began: list[Any] = []
    monkeypatch.setattr(model.blip.text_decoder, "generate", lambda input_ids, **told: began.append((input_ids, told)))
    (asked,), (written,) = tokens(model, ["what is it?"], ["red"])
    model.blip.generate(input_ids=torch.tensor([asked]), pixel_values=pixels([1]))
    (ids, told), *_ = began
    assert ids.tolist() == [written[:1]]
    assert told["eos_token_id"] == written[-1]
