"""Which model is made how: its lesson, what it begins from, its checkpoint, and the folder it is packaged into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tamis.config import ConfigError
from tamis.tiny.zoo import loop, packaging
from tamis.tiny.zoo.tokenizers import kept

if TYPE_CHECKING:
    from torch import nn

    from tamis.tiny.zoo.loop import Lesson


def device() -> str:
    """What trains: said on the cards."""
    import os

    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"{os.cpu_count()} CPU cores"


# In an order in which each finds what it begins from.
NAMES = ("clip", "detector", "blip-vqa", "llm", "vlm", "sd")
Start = Literal["scratch", "packaged"]


@dataclass
class Workshop:
    """Where models are made. `state` holds checkpoints and logs, `weights` the packaged models."""

    state: Path
    weights: Path
    init_from: Start = "scratch"
    steps: int | None = None  # fewer than a lesson has: to try the way, not to get a model
    say: Callable[[str], None] = print

    def make(self, name: str) -> None:
        """Trains the model, going on where a killed run stopped, and packages it."""
        model = self._trained(name)
        parts = {"autoencoder": self._autoencoder} if name == "sd" else {}
        packaging.save(name, model, self._tokenizer(name), self.weights / name, **parts)

    def _tokenizer(self, name: str) -> Any:
        """Who begins with trained weights must read with the words that they were trained on."""
        from transformers import AutoTokenizer

        elder = {"detector": "clip", "sd": "clip", "vlm": "llm"}.get(name, name)
        if elder != name or self.init_from == "packaged":
            return AutoTokenizer.from_pretrained(self.weights / elder)
        return kept(self.state, {"clip": "clip", "blip-vqa": "bert", "llm": "language"}[name])

    def _trained(self, name: str) -> nn.Module:
        lesson = self._lesson(name)
        model = lesson.model()
        if self.init_from == "packaged":
            self._begin_as_packaged(name, model)
        return self._train(lesson, model)

    def _train(self, lesson: Lesson, model: nn.Module) -> nn.Module:
        if self.steps is not None:
            lesson.steps = min(lesson.steps, self.steps)
        return loop.train(lesson, model, self.state, say=self.say, begun_from=self.init_from)

    def _lesson(self, name: str) -> Lesson:
        from tamis.tiny.zoo.answering import AnsweringLesson
        from tamis.tiny.zoo.clip import ClipLesson
        from tamis.tiny.zoo.detector import DetectorLesson
        from tamis.tiny.zoo.diffusion import DiffusionLesson
        from tamis.tiny.zoo.language import LanguageLesson
        from tamis.tiny.zoo.vision_language import VisionLanguageLesson

        if name == "clip":
            return ClipLesson(self._tokenizer(name))
        if name == "llm":
            return LanguageLesson(self._tokenizer(name))
        clip = self._packaged("clip", name)
        if name == "detector":
            return DetectorLesson(self._tokenizer(name), clip)
        if name == "blip-vqa":
            return AnsweringLesson(self._tokenizer(name), clip)
        if name == "vlm":
            llm = self._packaged("llm", name)
            return VisionLanguageLesson(self._tokenizer(name), clip, llm)
        return DiffusionLesson(self._tokenizer(name), self.state, self._autoencoder, clip)

    @cached_property
    def _autoencoder(self) -> Any:
        """Trained like the rest, but part of tiny/sd and not published alone."""
        import torch

        from tamis.tiny.zoo.autoencoder import AutoencoderLesson
        from tamis.tiny.zoo.diffusion import latent_spread

        lesson = AutoencoderLesson()
        model = lesson.model()
        if self.init_from == "packaged":
            model.load_state_dict(self._pipeline().vae.state_dict())
        model = self._train(lesson, model)
        with torch.inference_mode():
            model.register_to_config(scaling_factor=round(1 / latent_spread(model), 4))
        return model

    def _packaged(self, name: str, wanted_by: str) -> Any:
        """A model that another begins as, from its package."""
        import torch
        from transformers import AutoModelForCausalLM, CLIPModel

        if not (self.weights / name / "config.json").exists():
            raise ConfigError(f"{name} is not made yet, and {wanted_by} begins as its copy: make it first")
        family = {"clip": CLIPModel, "llm": AutoModelForCausalLM}[name]
        return family.from_pretrained(self.weights / name, dtype=torch.float32)

    def _pipeline(self) -> Any:
        from diffusers import StableDiffusionPipeline

        return StableDiffusionPipeline.from_pretrained(self.weights / "sd")

    def _begin_as_packaged(self, name: str, model: Any) -> None:
        import torch

        if name == "sd":
            pipeline = self._pipeline()
            model["unet"].load_state_dict(pipeline.unet.state_dict())
            model["text"].load_state_dict(pipeline.text_encoder.state_dict())
            return
        packaged = type(model).from_pretrained(self.weights / name, dtype=torch.float32)
        missing, unknown = model.load_state_dict(packaged.state_dict(), strict=False)
        lost = [key for key in missing if not key.startswith("heads.")]  # part of CLIP's teaching, not of the package
        if lost or unknown:
            raise ValueError(f"{name}: the packaged weights have another shape ({', '.join([*lost, *unknown])})")
