"""CLIP and SigLIP scorers against the libraries' own models and processors."""

from __future__ import annotations

import dataclasses
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tamis import scorers
from tamis.config import ConfigError
from tamis.images import Unscorable
from tamis.scorers.clip import Clip
from tamis.scoring import attach_scores

CAPTIONS = ["a red circle", "the dog on a photo", "a red circle", "blue", "of the green square on the photo", "no"]


@pytest.fixture(scope="session")
def pictures(scenes) -> list[Image.Image]:
    """Of several shapes: wide, tall, tiny, large."""
    sizes = [(96, 96), (140, 60), (33, 90), (20, 20), (400, 300), (32, 32)]
    return [image.resize(size) for image, size in zip(scenes, sizes, strict=False)]


@pytest.fixture(scope="session")
def dataset(dataset_of, encoded, pictures):
    return dataset_of([encoded(picture) for picture in pictures], text=CAPTIONS)


@pytest.fixture
def head(tmp_path):
    def build(name: str, width: int = 24, sigmoid: bool | None = None):
        folder = tmp_path / name
        folder.mkdir()
        numbers = torch.Generator().manual_seed(sum(map(ord, name)))
        tensors = {"weight": torch.randn(1, width, generator=numbers), "bias": torch.randn(1, generator=numbers)}
        save_file(tensors, folder / "head.safetensors")
        if sigmoid is not None:
            (folder / "config.json").write_text(json.dumps({"sigmoid": sigmoid}))
        return str(folder), tensors

    return build


def test_similarity_equals_the_librarys(run, clip_folder, dataset, pictures):
    from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel, CLIPProcessor

    scored = attach_scores(dataset, Clip(model=str(clip_folder), embedding=True), run=run, batch_size=4)

    model = CLIPModel.from_pretrained(clip_folder)
    processor = CLIPProcessor(
        CLIPImageProcessorPil.from_pretrained(clip_folder), AutoTokenizer.from_pretrained(clip_folder)
    )
    inputs = processor(text=CAPTIONS, images=pictures, padding=True, return_tensors="pt")
    with torch.inference_mode():
        output = model(**inputs)
        expected = (output.logits_per_image / model.logit_scale.exp()).diagonal()
    assert np.ptp(expected.numpy()) > 0.05  # the model tells the rows apart, or the comparison would mean nothing
    np.testing.assert_allclose(scored["clip_similarity"], expected, atol=1e-5)
    np.testing.assert_allclose(np.asarray(scored["clip_embedding"][:]), output.image_embeds, atol=1e-5)
    assert scored["clip_error"] == [None] * 6


def test_siglip_similarity_equals_the_librarys(run, siglip_folder, dataset, pictures):
    from transformers import AutoTokenizer, SiglipImageProcessorPil, SiglipModel

    scored = attach_scores(dataset, Clip(model=str(siglip_folder)), run=run, batch_size=4)

    model = SiglipModel.from_pretrained(siglip_folder)
    pixels = SiglipImageProcessorPil.from_pretrained(siglip_folder)(pictures, return_tensors="pt").pixel_values
    tokenizer = AutoTokenizer.from_pretrained(siglip_folder)
    texts = tokenizer(CAPTIONS, padding="max_length", max_length=16, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        output = model(input_ids=texts.input_ids, pixel_values=pixels)
    expected = (output.image_embeds * output.text_embeds).sum(dim=-1)
    assert np.ptp(expected.numpy()) > 0.05
    np.testing.assert_allclose(scored["clip_similarity"], expected, atol=1e-5)


def test_one_at_a_time_equals_eight_at_a_time(run, tmp_path, clip_folder, dataset, head):
    scorer = Clip(model=str(clip_folder), embedding=True, heads={"aesthetic": head("aesthetic")[0]})
    eight = attach_scores(dataset, scorer, run=run, batch_size=8)
    again = dataclasses.replace(scorer, name="again", rows_per_chunk=4)
    one = attach_scores(dataset, again, run=run, batch_size=1)
    for column in ("similarity", "embedding", "aesthetic"):
        np.testing.assert_allclose(
            np.asarray(one[f"again_{column}"][:]), np.asarray(eight[f"clip_{column}"][:]), atol=1e-5
        )


def test_heads_are_linear_on_the_unit_embedding(run, clip_folder, dataset, head):
    plain, plain_tensors = head("aesthetic")
    squashed, squashed_tensors = head("safety", sigmoid=True)
    scorer = Clip(model=str(clip_folder), embedding=True, heads={"aesthetic": plain, "safety": squashed})
    scored = attach_scores(dataset, scorer, run=run)

    embeddings = torch.tensor(scored["clip_embedding"][:])
    torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(6))
    logits = embeddings @ plain_tensors["weight"][0] + plain_tensors["bias"]
    np.testing.assert_allclose(scored["clip_aesthetic"], logits, atol=1e-5)
    probabilities = (embeddings @ squashed_tensors["weight"][0] + squashed_tensors["bias"]).sigmoid()
    np.testing.assert_allclose(scored["clip_safety"], probabilities, atol=1e-5)
    assert len({repo for repo, _ in scorer.models}) == 3
    assert scored.features.keys() - dataset.features.keys() == {*scorer.columns, "clip_error"}


def test_one_pass_of_each_tower_serves_all_columns(clip_folder, dataset, head):
    from tamis import models

    scorer = Clip(model=str(clip_folder), embedding=True, heads={name: head(name)[0] for name in ("one", "two")})
    rows = [scorer.prepare(row) for row in dataset]
    batch = {key: [row[key] for row in rows] for key in rows[0]}
    scorer(batch)
    seen = []
    towers = models._held[1]
    for tower in (towers.model.vision_model, towers.model.text_model):
        tower.register_forward_hook(lambda module, inputs, output: seen.append(len(output.pooler_output)))
    scorer(batch)
    assert seen == [6, 5]  # six images; five different texts


def test_images_alone(run, clip_folder, dataset):
    scorer = Clip(model=str(clip_folder), text_column=None, embedding=True)
    assert scorer.inputs == ("image",)
    scored = attach_scores(dataset.remove_columns("text"), scorer, run=run)
    assert scored.column_names == ["row_id", "image", "clip_embedding", "clip_error"]
    assert None not in scored["clip_embedding"]


def test_odd_images_get_a_score_or_a_reason(run, clip_folder, dataset_of, odd_images):
    contents, reasons = zip(*odd_images.values(), strict=True)
    dataset = dataset_of(list(contents), text=["a red circle"] * len(contents))
    scored = attach_scores(dataset, Clip(model=str(clip_folder), embedding=True), run=run, batch_size=4)
    assert scored["clip_error"] == list(reasons)
    for column in ("clip_similarity", "clip_embedding"):
        assert [value is None for value in scored[column]] == [reason is not None for reason in reasons], column
    # Told from the plain picture by their files only, these show the same.
    plain = scored["clip_similarity"][0]
    for kind in ("animated", "alpha"):
        assert abs(scored["clip_similarity"][list(odd_images).index(kind)] - plain) < 0.02, kind


def test_rotation_by_exif_is_undone(clip_folder, odd_images):
    from tamis.images import decode_image

    scorer = Clip(model=str(clip_folder), text_column=None, embedding=True)
    content = odd_images["rotated by EXIF"][0]
    turned = scorer.prepare({"image": content})["pixels"]
    upright = scorer.prepare({"image": Image.open(io.BytesIO(content)).convert("RGB").rotate(-90)})["pixels"]
    assert decode_image(content).size == (96, 96)
    assert np.abs(turned.astype(int) - upright.astype(int)).mean() < 1.0


def test_odd_texts_lose_the_similarity_alone(run, clip_folder, dataset_of, encoded, scenes, odd_texts, head):
    texts, reasons = zip(*odd_texts.values(), strict=True)
    dataset = dataset_of([encoded(scenes[0])] * len(texts), text=list(texts))
    scorer = Clip(model=str(clip_folder), embedding=True, heads={"aesthetic": head("aesthetic")[0]})
    scored = attach_scores(dataset, scorer, run=run, batch_size=4)
    assert scored["clip_error"] == list(reasons)
    assert [value is None for value in scored["clip_similarity"]] == [reason is not None for reason in reasons]
    assert None not in scored["clip_aesthetic"] and None not in scored["clip_embedding"]
    assert run.nulls["clip_similarity"] == {"text: null": 1, "text: empty": 2}
    assert run.nulls["clip_aesthetic"] == {}


def test_text_beyond_the_models_maximum_counts_for_nothing(clip_folder, scenes):
    scorer = Clip(model=str(clip_folder))
    rows = [scorer.prepare({"image": scenes[0], "text": "red " * 100 + end}) for end in ("", "dog " * 1000)]
    near, far = scorer({key: [row[key] for row in rows] for key in rows[0]})["clip_similarity"]
    assert near == far


def test_a_strip_is_refused_before_it_is_blown_up(clip_folder):
    with pytest.raises(Unscorable, match="strip"):
        Clip(model=str(clip_folder)).prepare({"image": Image.new("RGB", (20_000, 1)), "text": "a"})


def test_other_kinds_of_model_are_refused_by_name(clip_folder, tmp_path, scenes):
    for file in clip_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text()) | {"model_type": "blip"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    scorer = Clip(model=str(tmp_path))
    row = scorer.prepare({"image": scenes[0], "text": "a"})
    with pytest.raises(ValueError, match="is a blip model; expected one of clip, siglip"):
        scorer({key: [value] for key, value in row.items()})


def test_heads_that_cannot_fit_are_refused_by_name(clip_folder, scenes, head, tmp_path):
    (tmp_path / "nothing").mkdir()
    (tmp_path / "odd").mkdir()
    save_file({"kernel": torch.zeros(3)}, tmp_path / "odd" / "head.safetensors")
    for folder, message in [
        (head("wide", width=7)[0], "reads 7 numbers, the model's embedding has 24"),
        (str(tmp_path / "nothing"), "has no head.safetensors"),
        (str(tmp_path / "odd"), "expected weight"),
    ]:
        scorer = Clip(model=str(clip_folder), heads={"aesthetic": folder})
        row = scorer.prepare({"image": scenes[0], "text": "a"})
        with pytest.raises(ValueError, match=message):
            scorer({key: [value] for key, value in row.items()})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text_column": None}, "nothing to compute"),
        ({"heads": {"similarity": "a/b"}}, "similarity names another column"),
        ({"heads_revisions": {"aesthetic": "v1"}}, "aesthetic is not among heads"),
        ({"headz": {}}, "did you mean 'heads'"),
    ],
)
def test_settings_are_refused_by_name(settings, message):
    with pytest.raises(ConfigError, match=message):
        scorers.build([{"scorer": "clip"} | settings])


def test_revisions_of_heads_are_pinned():
    scorer = Clip(heads={"aesthetic": "a/b", "safety": "c/d"}, heads_revisions={"safety": "v2"})
    assert scorer.models == (("openai/clip-vit-large-patch14", None), ("a/b", None), ("c/d", "v2"))


def test_a_head_of_the_hub_is_read_at_the_revision_asked_for(run, hub, clip_folder, dataset, head):
    from huggingface_hub import HfApi

    api = HfApi()
    repo = api.create_repo("me/clip-aesthetic-head").repo_id
    first, tensors = head("first", sigmoid=True)
    old = api.upload_folder(repo_id=repo, folder_path=first).oid
    new = api.upload_folder(repo_id=repo, folder_path=head("other", sigmoid=True)[0]).oid

    scorer = Clip(model=str(clip_folder), embedding=True, heads={"was": repo, "is": repo}, heads_revisions={"was": old})
    scored = attach_scores(dataset, scorer, run=run)
    logits = torch.tensor(scored["clip_embedding"][:]) @ tensors["weight"][0] + tensors["bias"]
    np.testing.assert_allclose(scored["clip_was"], logits.sigmoid(), atol=1e-5)
    assert np.abs(np.subtract(scored["clip_is"], scored["clip_was"])).max() > 0.01
    assert [source["revision"] for source in run.sources if source["repo_id"] == repo] == [old, new]


def test_the_ledger_names_the_kernels_that_ran(run, clip_folder, dataset_of, scenes, encoded):
    dataset = dataset_of([encoded(scene) for scene in scenes], text=["a red circle"] * len(scenes))
    attach_scores(dataset, Clip(model=str(clip_folder)), run=run)
    (stage,) = [stage for stage in run.stages if stage["name"] == "score clip"]
    assert any("scaled_dot_product" in kernel for kernel in stage["kernels"]), stage["kernels"]
    assert stage["dtype"] == "float32" and len(next(iter(stage["models"].values()))) == 40
