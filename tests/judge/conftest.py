"""Judges to ask, and what they are asked. Imports stand in the fixtures: pytest may read this file before the Hub's
address is set, and the Hub's libraries read that once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from PIL import Image

    from tamis.judge.asking import Request
    from tamis.judge.loading import Loaded


@pytest.fixture(scope="module", autouse=True)
def _one_thread(one_thread: None) -> None: ...


@pytest.fixture(autouse=True)
def _no_model_held(no_model_held: None) -> None: ...


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    from tamis.tiny.zoo.tokenizers import language_tokenizer

    return language_tokenizer()


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> dict[str, Path]:
    """Untrained tiny/llm and tiny/vlm, packaged as trained ones are."""
    from judging import stirred

    from tamis.tiny.zoo import packaging
    from tamis.tiny.zoo.language import LanguageLesson
    from tamis.tiny.zoo.vision_language import VisionLanguageLesson

    home = tmp_path_factory.mktemp("packaged")
    lessons = {"llm": LanguageLesson(tokenizer), "vlm": VisionLanguageLesson(tokenizer, None, None)}
    for name, lesson in lessons.items():
        packaging.save(name, stirred(lesson.model()), tokenizer, home / name)
    return {name: home / name for name in lessons}


@pytest.fixture(scope="session")
def judge(folders: dict[str, Path]) -> Callable[[str], Loaded]:
    """A model by name, its parts put together as they are for use; each is built once."""
    import torch
    from families import BUILT
    from judging import stirred
    from transformers import AutoProcessor
    from transformers.decision import DecisionConfig

    from tamis.judge import loading

    made: dict[str, Loaded] = {}

    def build(name: str) -> Loaded:
        if name not in made:
            if name in folders:
                folder = folders[name]
                model = loading._class_for(str(folder), None, _config(folder)).from_pretrained(folder)
                parts = model, AutoProcessor.from_pretrained(folder), DecisionConfig.from_pretrained(folder)
            else:
                torch.manual_seed(0)
                model, processor = BUILT[name]()
                parts = stirred(model), processor, DecisionConfig()
            made[name] = loading.assemble(*parts)
        return made[name]

    return build


def _config(folder: Path) -> Any:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder)


@pytest.fixture(scope="session")
def unshared() -> Callable[[Loaded], Loaded]:
    from dataclasses import replace

    return lambda loaded: replace(loaded, whole="asked not to")


@pytest.fixture(scope="session", name="picture")
def picture_fixture() -> Callable[..., Image.Image]:
    from families import picture

    return picture


@pytest.fixture(scope="session")
def questions() -> dict[str, dict[str, Any]]:
    from families import QUESTIONS

    return QUESTIONS


@pytest.fixture(scope="session")
def with_images() -> list[Request]:
    """Images of several sizes, one, two or none a request, one to three questions, text before or behind."""
    from families import QUESTIONS, picture

    from tamis.judge.asking import Request

    names = list(QUESTIONS)
    shown = [picture(0), picture(1, 64, 32), picture(2, 32, 64), picture(3, 80, 80)]
    return [
        Request(shown[0], QUESTIONS),
        Request(shown[1], {name: QUESTIONS[name] for name in names[:2]}),
        Request({"A": shown[2], "B": shown[3]}, QUESTIONS),
        Request({"picture": shown[1], "text": "a blue star on the left"}, QUESTIONS),
        Request({"caption": "a red star", "image": shown[0]}, {"star": QUESTIONS["star"]}),
        Request("no picture at all", QUESTIONS),
        Request(shown[2], {"twice": QUESTIONS["colour"], **QUESTIONS}),
    ]


@pytest.fixture(scope="session")
def of_text() -> list[Request]:
    from families import QUESTIONS

    from tamis.judge.asking import Request

    names = list(QUESTIONS)
    return [
        Request("a red star on a green ground", QUESTIONS),
        Request("a blue circle", {name: QUESTIONS[name] for name in names[1:]}),
        Request({"title": "Stars", "text": "There are many stars. " * 8}, QUESTIONS),
        Request(["one", "two", 3], {"star": QUESTIONS["star"]}),
        Request("a red star on a white ground", QUESTIONS),
    ]
