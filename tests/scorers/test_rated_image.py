"""Image quality by typed levels and by first tokens of words: as plain transformers compute it, in any batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from datasets import Image, load_dataset
from PIL import Image as Picture
from quizzes import TINY, judged
from scipy.stats import spearmanr

from tamis.config import ConfigError
from tamis.images import decode_image
from tamis.judge import Ask, LocalJudge
from tamis.scale_select.quality_words import CONVENTIONS, squared
from tamis.scorers import build
from tamis.scorers.rated_image import RatedImage
from tamis.scoring import attach_scores

pytestmark = pytest.mark.usefixtures("one_thread")
SHORT = "none", "little", "some", "much", "full"  # the levels of the short wording


@pytest.fixture(scope="module")
def pictures() -> Any:
    """Of tiny/pool, eight as they should be and eight that are blurred."""
    rows = load_dataset("tiny/pool", "ShareGPT4V", split="train")
    rows = rows.cast_column("image", Image(decode=False)).select_columns(["image", "truth_defect", "truth_strength"])
    defects = rows["truth_defect"][:]
    kept = [[at for at, defect in enumerate(defects) if defect == wanted][:8] for wanted in ("none", "blur")]
    return rows.select(sorted(sum(kept, []))).flatten_indices()


def words_by_hand(pictures: Any, convention: str) -> list[float]:
    """The card's own computation: prompt, the sentence's beginning, logits of five first tokens."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained("tiny/vlm").eval()
    processor = AutoProcessor.from_pretrained("tiny/vlm")
    asked, tokenizer = CONVENTIONS[convention], processor.tokenizer
    ids = [tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in asked.words]
    found = []
    for value in pictures["image"]:
        image = decode_image(value)
        image = squared(image) if asked.square else image
        content = [{"type": "image"}, {"type": "text", "text": asked.prompt}]
        text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        inputs = processor(images=image, text=text, return_tensors="pt")
        begun = tokenizer(asked.begun, return_tensors="pt", add_special_tokens=False)["input_ids"]
        inputs["input_ids"] = torch.cat((inputs["input_ids"], begun), dim=-1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        inputs.pop("mm_token_type_ids", None)
        with torch.inference_mode():
            logits = model(**inputs).logits[0, -1]
        found.append(float(logits[ids].softmax(-1) @ torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])))
    return found


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_first_tokens_of_words_are_read_as_the_cards_read_them(convention: str, run, pictures) -> None:
    some = pictures.select(range(6))
    scored = attach_scores(some, RatedImage(TINY, convention=convention), run=run, batch_size=4)
    found = scored["rated_image_level"][:]
    assert found == pytest.approx(words_by_hand(some, convention), abs=1e-4)
    assert len(set(found)) == 6 and all(1 < level < 5 for level in found)
    told = np.asarray(scored["rated_image_probabilities"][:])
    assert told.shape == (6, 5) and told @ [1, 2, 3, 4, 5] == pytest.approx(found, abs=1e-5)
    one = attach_scores(some, RatedImage(TINY, name="one", convention=convention), run=run, batch_size=1)
    assert one["one_level"][:] == pytest.approx(found, abs=1e-5)


def test_the_words_and_prompts_are_those_of_the_cards() -> None:
    sit, align, realign = (CONVENTIONS[name] for name in ("q_sit", "q_align", "q_realign"))
    assert sit.begun == "The quality of this image is " and sit.words[-1] == "Excellent" and sit.words[0] == "Bad"
    assert align.begun == realign.begun == "The quality of the image is"
    assert [word.strip() for word in realign.words] == list(align.words) == [word.lower() for word in sit.words]
    assert (sit.square, align.square, realign.square) == (False, True, False)


def test_typed_levels_are_the_librarys_and_tell_blur(run, pictures) -> None:
    from transformers import pipeline

    scored = attach_scores(pictures, RatedImage(TINY, wording="short"), run=run, batch_size=8)
    found = np.asarray(scored["rated_image_level"])
    decide = pipeline("decision", model="tiny/vlm")
    question = {"type": "score", "instructions": "quality?", "criteria": list(SHORT)}
    wanted = []
    for value in pictures["image"]:
        asked = {"state": "<shown>", "assets": {"<shown>": decode_image(value)}, "questions": {"q": question}}
        wanted.append(1 + decide(asked)["q"]["score"])
    assert found == pytest.approx(wanted, abs=1e-4)
    one = attach_scores(pictures, RatedImage(TINY, name="one", wording="short"), run=run, batch_size=1)
    assert one["one_level"][:] == pytest.approx(found, abs=1e-5)
    blurred = np.asarray(pictures["truth_defect"]) == "blur"
    assert found[blurred].max() < found[~blurred].min() and found[~blurred].mean() > 4
    assert spearmanr(found, pictures["truth_strength"]).statistic < -0.8


def test_every_null_has_its_reason(run, odd_images, dataset_of) -> None:
    rows = dataset_of([content for content, _ in odd_images.values()])
    for convention in ("levels", "q_align"):
        scorer = RatedImage(TINY, name=convention, wording="short", convention=convention)
        scored = attach_scores(rows, scorer, run=run)
        assert scored[f"{convention}_error"][:] == [reason for _, reason in odd_images.values()]
        levels = scored[f"{convention}_level"][:]
        assert [level is None for level in levels] == [reason is not None for _, reason in odd_images.values()]
        assert all(1 <= level <= 5 for level in levels if level is not None)


def test_a_refusal_is_a_null(run, pictures) -> None:
    with judged(lambda name, question: None) as (judge, server):
        [row] = attach_scores(pictures.select(range(1)), RatedImage(judge), run=run)
    assert (row["rated_image_level"], row["rated_image_error"]) == (None, "left out by the server")
    asked = server.bodies[0]["questions"]["quality"]
    assert asked["type"] == "score" and len(asked["criteria"]) == 5 and asked["criteria"][0].startswith("Bad:")


def test_a_server_is_not_asked_for_words() -> None:
    served = {"backend": "api", "model": "m", "base_url": "http://127.0.0.1:1"}
    with pytest.raises(ConfigError, match="convention: q_sit reads the probability of words, which a server does not"):
        build([{"scorer": "rated_image", "judge": served, "convention": "q_sit"}])
    with pytest.raises(ConfigError, match="convention: 'one_align' is not accepted; expected one of"):
        build([{"scorer": "rated_image", "judge": TINY, "convention": "one_align"}])


def test_a_picture_stands_in_the_middle_of_its_square() -> None:
    wide = squared(Picture.new("RGB", (40, 10), "red"))
    assert wide.size == (40, 40) and wide.getpixel((20, 20)) == (255, 0, 0) == wide.getpixel((0, 15))
    assert wide.getpixel((0, 14)) == (122, 116, 104) == wide.getpixel((39, 25))
    tall = squared(Picture.new("RGB", (10, 41), "red"))
    assert tall.size == (41, 41) and tall.getpixel((15, 0)) == (255, 0, 0) != tall.getpixel((14, 0))
    same = Picture.new("RGB", (9, 9))
    assert squared(same) is same


def test_words_that_begin_alike_are_refused() -> None:
    judge = LocalJudge("tiny/vlm")
    with pytest.raises(ValueError, match="two of them begin alike"):
        judge.likelihoods([Ask("how good?")], [["bad", "bald"]], first_tokens=True)
    [whole] = judge.likelihoods([Ask("how good?")], [["bad", "good"]])
    [first] = judge.likelihoods([Ask("how good?")], [["bad", "good"]], first_tokens=True)
    assert all(of_first > of_all for of_first, of_all in zip(first, whole, strict=True))
