"""The loss of an answer: of its own tokens, whatever stands beside it in the batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_blip import ASKED, pixels, tokens

from tamis.training.vqa_model import forget_peak, load, peak_bytes


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


def test_pictures_are_scaled_by_pil_in_training_and_in_evaluation(blip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether torchvision is there or not: left alone, the library takes it where it is."""
    from PIL import Image
    from transformers import AutoImageProcessor

    from tamis.vqa import asked

    told, loads = [], AutoImageProcessor.from_pretrained

    def noted(*given: Any, **options: Any) -> Any:
        told.append(options.get("backend"))
        return loads(*given, **options)

    monkeypatch.setattr(AutoImageProcessor, "from_pretrained", noted)
    asked._processor.__wrapped__(str(blip), "")
    trained, picture = load(str(blip), ""), Image.effect_noise((40, 24), 80).convert("RGB")
    assert told == ["pil", "pil"]
    assert torch.equal(trained.pixels(picture), asked.pixels_for(str(blip), None)(picture))


def test_a_cards_peak_is_forgotten_and_a_processs_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    reset: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset.append)
    forget_peak(torch.device("cpu"))
    assert not reset and peak_bytes(torch.device("cpu")) > 0
    forget_peak(torch.device("cuda", 0))
    assert reset == [torch.device("cuda", 0)]
