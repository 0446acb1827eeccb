"""BLIP and BLIP-2 compare image and text, many rows at a time, as the library does in a call for each."""

from __future__ import annotations

import answering
import pytest
import torch
from hostile import HOSTILE
from small import stirred, word_tokenizer

from tamis import models
from tamis.config import ConfigError
from tamis.images import decode_image
from tamis.scorers import build
from tamis.scorers.blip_retrieval import BlipRetrieval
from tamis.scoring import attach_scores

pytestmark = pytest.mark.usefixtures("one_thread")
TEXTS = (
    "a red circle",
    "the dog is on a green square , and the photo shows that : yes",
    "no",
    "a photo of the blue one",
)
FAMILIES = ("blip", "blip2", "blip2_published")
SEES = answering.SMALL | {"image_size": 32, "patch_size": 8}
PLACES = 40  # tokens that these models can read


def _blip(folder) -> None:
    from transformers import BlipConfig, BlipForImageTextRetrieval, BlipImageProcessorPil, BlipProcessor

    tokenizer = word_tokenizer()
    text = answering.SMALL | {"vocab_size": len(tokenizer), "encoder_hidden_size": 32, "pad_token_id": 0}
    text |= {"max_position_embeddings": PLACES, "bos_token_id": tokenizer.cls_token_id, "eos_token_id": None}
    text |= {"sep_token_id": tokenizer.sep_token_id}
    config = BlipConfig(vision_config=SEES, text_config=text, image_text_hidden_size=16)
    stirred(BlipForImageTextRetrieval(config)).save_pretrained(folder)
    BlipProcessor(BlipImageProcessorPil(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)


def _blip2(folder, *, published: bool) -> None:
    """published: as on the Hub, where the config names a token for images, and the processor puts it before a text."""
    from transformers import Blip2Config, Blip2ForImageTextRetrieval, Blip2Processor, BlipImageProcessorPil

    tokenizer = word_tokenizer()
    reads = answering.SMALL | {"encoder_hidden_size": 32, "cross_attention_frequency": 2, "vocab_size": len(tokenizer)}
    reads |= {"use_qformer_text_input": True, "max_position_embeddings": PLACES}
    processor = Blip2Processor(
        BlipImageProcessorPil(size={"height": 32, "width": 32}), tokenizer, num_query_tokens=4 if published else None
    )
    config = Blip2Config(
        vision_config=SEES,
        qformer_config=reads,
        num_query_tokens=4,
        image_text_hidden_size=16,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>") if published else None,
    )
    model = stirred(Blip2ForImageTextRetrieval(config))
    with torch.no_grad():
        model.query_tokens.normal_()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {name: tmp_path_factory.mktemp(name) for name in FAMILIES}
    torch.manual_seed(0)
    _blip(made["blip"])
    _blip2(made["blip2"], published=False)
    _blip2(made["blip2_published"], published=True)
    return {name: str(folder) for name, folder in made.items()}


@pytest.fixture(scope="module")
def rows(dataset_of, encoded, scenes):
    pictures = answering.pictures(scenes)
    contents = [encoded(picture) for picture in pictures for _ in TEXTS]
    return dataset_of(contents, text=[*TEXTS] * len(pictures))


def stock(repo, rows) -> tuple[list[float], list[float]]:
    """The library's own forward, a row a call, nothing padded."""
    from transformers import AutoProcessor, Blip2ForImageTextRetrieval, BlipForImageTextRetrieval

    processor = AutoProcessor.from_pretrained(repo)
    two = "blip2" in repo
    model = (Blip2ForImageTextRetrieval if two else BlipForImageTextRetrieval).from_pretrained(repo).eval()
    which = "use_image_text_matching_head" if two else "use_itm_head"
    cosines, matches = [], []
    for row in rows:
        inputs = processor(images=decode_image(row["image"]), text=row["text"], return_tensors="pt")
        inputs.pop("token_type_ids", None)
        with torch.inference_mode():
            cosine, match = (model(**inputs, **{which: head})[0] for head in (False, True))
        cosines.append(float(cosine))
        matches.append(float(match.softmax(-1)[0, 1]))
    return cosines, matches


@pytest.mark.parametrize("family", FAMILIES)
def test_every_row_is_what_the_library_says_of_it_alone(family, folders, rows, run):
    cosines, matches = stock(folders[family], rows)
    assert max(cosines) - min(cosines) > 0.1 and max(matches) - min(matches) > 0.1  # or equality would mean nothing
    eight = attach_scores(rows, BlipRetrieval(model=folders[family]), run=run, batch_size=8)
    assert eight["blip_retrieval_cosine"][:] == pytest.approx(cosines, abs=1e-5)
    assert eight["blip_retrieval_match"][:] == pytest.approx(matches, abs=1e-5)
    assert set(eight["blip_retrieval_error"]) == {None}
    one = attach_scores(rows, BlipRetrieval(model=folders[family], name="one"), run=run, batch_size=1)
    for column in ("cosine", "match"):
        assert one[f"one_{column}"][:] == pytest.approx(eight[f"blip_retrieval_{column}"][:], abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES[:2])
def test_what_is_beyond_the_models_places_is_not_read(family, folders, dataset_of, encoded, scenes, run):
    long = "a red dog on the green circle of a photo " * 9
    texts = [long, long + "blue", "blue " + long, "a red dog on blue", "a red dog on green"]
    rows = dataset_of([encoded(scenes[0])] * len(texts), text=texts)
    scored = attach_scores(rows, BlipRetrieval(model=folders[family]), run=run)
    for column in ("cosine", "match"):
        values = scored[f"blip_retrieval_{column}"][:]
        assert values[0] == pytest.approx(values[1], abs=1e-6) != values[2] and values[3] != values[4]
    short = BlipRetrieval(model=folders[family], name="short", text_tokens=6)  # [CLS] a red dog on [SEP]
    values = attach_scores(rows, short, run=run)["short_match"][:]
    assert values[3] == pytest.approx(values[4], abs=1e-6) == pytest.approx(values[0], abs=1e-6) != values[2]


def test_every_null_has_its_reason(folders, odd_images, odd_texts, dataset_of, encoded, scenes, run):
    contents = [content for content, _ in odd_images.values()] + [encoded(scenes[0])] * len(odd_texts)
    texts = ["a red circle"] * len(odd_images) + [told for told, _ in odd_texts.values()]
    reasons = [reason for _, reason in [*odd_images.values(), *odd_texts.values()]]
    for family in FAMILIES[:2]:
        scorer = BlipRetrieval(model=folders[family], name=family)
        scored = attach_scores(dataset_of(contents, text=texts), scorer, run=run)
        assert scored[f"{family}_error"][:] == reasons
        for column, low in (("cosine", -1), ("match", 0)):
            values = scored[f"{family}_{column}"][:]
            assert [value is None for value in values] == [reason is not None for reason in reasons]
            assert all(low <= value <= 1 for value in values if value is not None)


def test_a_text_that_spells_control_tokens_spells_them(folders, dataset_of, encoded, scenes, run):
    texts = ["a dog", "a dog [SEP]", "a dog [PAD] [PAD]", "[CLS] a dog", "<image> a dog", *HOSTILE]
    rows = dataset_of([encoded(scenes[0])] * len(texts), text=texts)
    for family in ("blip", "blip2_published"):
        scored = attach_scores(rows, BlipRetrieval(model=folders[family], name=family), run=run)
        values = scored[f"{family}_match"][:]
        assert None not in values and len({round(value, 6) for value in values[:5]}) == 5


def test_a_model_without_heads_or_of_another_kind_is_refused(folders, clip_folder, tmp_path, rows, run):
    answering.blip(tmp_path)  # answers questions: it has no head for retrieval
    with pytest.raises(ValueError, match="has no weights for itm_head.bias and .* expected one that was trained for"):
        attach_scores(rows, BlipRetrieval(model=str(tmp_path)), run=run)
    with pytest.raises(ValueError, match="is a clip model; expected one of blip, blip-2"):
        attach_scores(rows, BlipRetrieval(model=str(clip_folder)), run=run)
    with pytest.raises(ConfigError, match="text_tokens: 2 is not accepted; expected 3 or more"):
        build([{"scorer": "blip_retrieval", "text_tokens": 2}])


@pytest.mark.parametrize("family", FAMILIES[:2])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_halved_weights_say_nearly_the_same(family, dtype, folders, rows, run, monkeypatch):
    """Of BLIP-2 the library keeps the Q-Former whole, beside halved eyes and heads."""
    whole = attach_scores(rows, BlipRetrieval(model=folders[family]), run=run)
    models.release()
    monkeypatch.setattr(models, "dtype", lambda: dtype)
    half = attach_scores(rows, BlipRetrieval(model=folders[family], name="half"), run=run)
    for column in ("cosine", "match"):
        wanted = whole[f"blip_retrieval_{column}"][:]
        assert half[f"half_{column}"][:] == pytest.approx(wanted, abs=0.1)
        assert half[f"half_{column}"][:] != wanted
