"""The packaged models: they load by name, can do what their cards say, and never saw what they are measured on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tamis.tiny import WEIGHTS, world
from tamis.tiny.zoo import loop, making, measuring

PACKAGED = sorted(path.parent.name for path in WEIGHTS.glob("*/README.md"))
# Scenes or texts a number rests on here; the cards' rest on more.
COUNT = {"clip": 128, "detector": 60, "blip-vqa": 128, "llm": 24, "vlm": 48, "sd": 24}


def test_all_models_are_packaged_within_their_size() -> None:
    assert sorted(making.NAMES) == PACKAGED
    files = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 32_000_000
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".jinja", ".md", ".jpg"}
    for path in WEIGHTS.glob("*/sheet.jpg"):
        assert path.stat().st_size <= 300_000
    for path in WEIGHTS.rglob("*.safetensors"):
        tensors = load_file(path)
        assert all(tensor.isfinite().all() for tensor in tensors.values())
        assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}


@pytest.mark.parametrize("name", PACKAGED)
def test_skills_are_what_the_card_says(name: str) -> None:
    """On the first few of the card's scenes: a skill may differ from the card by what so few can miss, and no more."""
    stated = json.loads((WEIGHTS / name / "skills.json").read_text())
    for skill in measuring.measure(name, WEIGHTS / name, COUNT[name]):
        told = stated[skill.name]
        error = (told["high"] - told["low"]) / 3.92 * (told["n"] / skill.measured.n) ** 0.5  # of so few, by the card's
        assert abs(skill.measured.value - told["value"]) <= max(0.03, 3 * error), (skill.name, skill.measured, told)
        assert skill.name in (WEIGHTS / name / "README.md").read_text()


@pytest.mark.parametrize("name", PACKAGED)
def test_a_card_says_what_falls_short(name: str) -> None:
    stated = json.loads((WEIGHTS / name / "skills.json").read_text())
    card = (WEIGHTS / name / "README.md").read_text()
    short = [skill for skill, row in stated.items() if row["wanted"] and not row["reached"]]
    assert ("Falls short" in card) == bool(short)
    assert all(f"`{skill}`" in card.split("Falls short")[1] for skill in short)


def _lessons() -> dict[str, loop.Lesson]:
    """All but the diffusion model's, whose scenes are drawn once and before."""
    from tamis.tiny.zoo.answering import AnsweringLesson
    from tamis.tiny.zoo.autoencoder import AutoencoderLesson
    from tamis.tiny.zoo.clip import ClipLesson
    from tamis.tiny.zoo.detector import DetectorLesson
    from tamis.tiny.zoo.language import LanguageLesson
    from tamis.tiny.zoo.tokenizers import bert_tokenizer, clip_tokenizer, language_tokenizer
    from tamis.tiny.zoo.vision_language import VisionLanguageLesson

    clip, bert, language = clip_tokenizer(), bert_tokenizer(), language_tokenizer()
    lessons: list[loop.Lesson] = [
        ClipLesson(clip),
        AutoencoderLesson(),
        DetectorLesson(clip, None),
        AnsweringLesson(bert, None),
        LanguageLesson(language),
        VisionLanguageLesson(language, None, None),
    ]
    return {lesson.name: lesson for lesson in lessons}


def test_models_learn_from_the_training_seeds_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from tamis.tiny.zoo import diffusion

    drawn: set[int] = set()
    scene = world.scene
    monkeypatch.setattr(world, "scene", lambda seed, **how: drawn.add(seed) or scene(seed, **how))
    for lesson in _lessons().values():
        for step in (0, 7, lesson.steps - 1):
            lesson.batch(step)
    diffusion.training_scenes(diffusion.SCENES)
    assert len(drawn) > diffusion.SCENES
    allowed = world.SEEDS["train"]
    assert min(drawn) >= allowed.start and max(drawn) < allowed.stop


def test_lessons_draw_from_seeds_of_their_own_up_to_their_last_step() -> None:
    """A million seeds each: a lesson made longer must not run into the next one's."""
    for lesson in _lessons().values():
        pictures = getattr(lesson, "pictures", 0)
        assert lesson.steps * pictures * 2 < 1_000_000


@pytest.mark.parametrize("name", PACKAGED)
def test_each_loads_by_name_from_the_hub(name: str) -> None:
    from diffusers import StableDiffusionPipeline
    from transformers import AutoProcessor, BlipForQuestionAnswering, CLIPModel, OwlViTForObjectDetection, pipeline

    repo_id = f"tiny/{name}"
    if name == "sd":
        loaded = StableDiffusionPipeline.from_pretrained(repo_id)
        assert loaded.unet.dtype == loaded.text_encoder.dtype == torch.float32
        return
    if name in ("llm", "vlm"):
        decide = pipeline("decision", model=repo_id)
        assert decide.model.dtype == torch.float32
        question = {"type": "choice", "instructions": "look: which is red?", "criteria": {"red": None, "blue": None}}
        assert set(decide({"state": "", "questions": {"it": question}})["it"]["probabilities"]) == {"red", "blue"}
        return
    family = {"clip": CLIPModel, "detector": OwlViTForObjectDetection, "blip-vqa": BlipForQuestionAnswering}[name]
    assert family.from_pretrained(repo_id).dtype == torch.float32
    assert AutoProcessor.from_pretrained(repo_id) is not None


def test_where_weights_are_is_no_machine_path() -> None:
    for path in WEIGHTS.rglob("*.json"):
        assert str(Path.home()) not in path.read_text() and "_name_or_path" not in path.read_text()


def test_the_vlm_sees_with_the_eyes_of_clip() -> None:
    clip, vlm = (load_file(WEIGHTS / name / "model.safetensors") for name in ("clip", "vlm"))
    eyes = {key.split("vision_model.")[1]: value for key, value in clip.items() if "vision_model." in key}
    own = {key.split("vision_tower.")[1]: value for key, value in vlm.items() if "vision_tower." in key}
    own = {key.removeprefix("vision_model."): value for key, value in own.items()}
    assert eyes and own.keys() == eyes.keys()
    assert all(torch.equal(own[key], eyes[key]) for key in eyes)
