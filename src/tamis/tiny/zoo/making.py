"""Which model is made how: its lesson, what it begins from, its checkpoint, and the folder it is packaged into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tamis.config import ConfigError
from tamis.tiny.zoo import loop, packaging
from tamis.tiny.zoo.tokenizers import Tokenizers, kept

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
    _made: dict[str, Any] = field(default_factory=dict)

    def make(self, name: str) -> None:
        """Trains the model, going on where a killed run stopped, and packages it."""
        model = self._trained(name)
        if name == "sd":
            packaging.save(name, model, self.tokenizers.clip, self.weights / name, autoencoder=self._autoencoder())
        else:
            packaging.save(name, model, self._tokenizer(name), self.weights / name)
        self._made.pop(name, None)  # packaging rounded its weights: who begins from it reads the package

    @property
    def tokenizers(self) -> Tokenizers:
        if "tokenizers" not in self._made:
            self.state.mkdir(parents=True, exist_ok=True)
            self._made["tokenizers"] = kept(self.state)
        return self._made["tokenizers"]

    def _tokenizer(self, name: str) -> Any:
        family = {"clip": "clip", "detector": "clip", "blip-vqa": "bert", "llm": "language", "vlm": "language"}
        return getattr(self.tokenizers, family[name])

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
            return ClipLesson(self.tokenizers.clip)
        if name == "llm":
            return LanguageLesson(self.tokenizers.language)
        clip = self._packaged("clip", name)
        if name == "detector":
            return DetectorLesson(self.tokenizers.clip, clip)
        if name == "blip-vqa":
            return AnsweringLesson(self.tokenizers.bert, clip)
        if name == "vlm":
            return VisionLanguageLesson(self.tokenizers.language, clip, self._packaged("llm", name))
        return DiffusionLesson(self.tokenizers.clip, self.state, self._autoencoder(), clip)

    def _autoencoder(self) -> Any:
        """Trained like the rest, but part of tiny/sd and not published alone."""
        if "autoencoder" not in self._made:
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
            self._made["autoencoder"] = model
        return self._made["autoencoder"]

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
        if name == "sd":
            pipeline = self._pipeline()
            model["unet"].load_state_dict(pipeline.unet.state_dict())
            model["text"].load_state_dict(pipeline.text_encoder.state_dict())
            return
        from safetensors.torch import load_file

        missing, unknown = model.load_state_dict(load_file(self.weights / name / "model.safetensors"), strict=False)
        lost = [
            name
            for name in missing
            if not name.startswith("heads.") and "lm_head" not in name and "decoder." not in name
        ]
        if lost or unknown:
            raise ValueError(f"{name}: the packaged weights have another shape ({', '.join([*lost, *unknown])})")
