"""A judge's model as it is used: weights, processor, decision config, and whether prompts may share a prefix."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tamis import models
from tamis.judge.pictures import look_once
from tamis.language_model import in_4bit

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel
    from transformers.decision import DecisionConfig


@dataclass(frozen=True, eq=False)
class Loaded:
    model: PreTrainedModel
    processor: Any  # or the tokenizer, where the model reads text alone
    config: DecisionConfig
    whole: str | None  # why prompts of this model never share a prefix; None: they may

    @property
    def tokenizer(self) -> Any:
        return getattr(self.processor, "tokenizer", self.processor)

    @property
    def reads_images(self) -> bool:
        return self.tokenizer is not self.processor

    @property
    def device(self) -> torch.device:
        return self.model.device

    @functools.cached_property
    def label_ids(self) -> Any:
        from transformers.decision import label_token_ids

        return functools.cache(functools.partial(label_token_ids, self.tokenizer))

    @functools.cached_property
    def takes_positions(self) -> bool:
        return "position_ids" in inspect.signature(self.model.forward).parameters

    def encoded(self, seen: dict[str, torch.Tensor]) -> dict[str, Any]:
        """Images as the model takes them once its eyes have read them; as they are, where it takes no others."""
        backbone = self.model.base_model
        if "pixel_values" not in seen or "mm_encoder_outputs" not in inspect.signature(backbone.forward).parameters:
            return seen
        wanted = inspect.signature(backbone.get_image_features).parameters
        read = {name: value for name, value in seen.items() if name in wanted}
        outputs = backbone.get_image_features(**read, return_dict=True)
        left = {name: value for name, value in seen.items() if name != "pixel_values"}
        return left | {"mm_encoder_outputs": {"image": outputs}}


def load(
    repo: str, revision: str, *, quantization: str | None, attn_implementation: str, adapter: str | None = None
) -> Loaded:
    """The model of a repo at a commit, or of a folder: safetensors only, no code of the repo's own. adapter: the folder
    of a LoRA that it wears."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(repo, revision=revision)
    if config.is_encoder_decoder:
        raise ValueError(f"judge: {repo!r} is an encoder-decoder ({config.model_type}); expected a chat model")
    options: dict[str, Any] = {"revision": revision, "use_safetensors": True, "dtype": models.dtype()}
    options |= {"attn_implementation": attn_implementation, "device_map": {"": models.device()}}
    if quantization is not None:
        options["quantization_config"] = _quantized(quantization, config)
    model = _class_for(repo, revision, config).from_pretrained(repo, **options)
    decision = _decision_config(model, repo, revision)
    if decision.adapter:
        model.load_adapter(repo, adapter_kwargs={"subfolder": decision.adapter, "revision": revision})
    if adapter is not None:
        model.load_adapter(adapter, adapter_name="worn")
    return assemble(model, _processor(repo, revision), decision)


def assemble(model: PreTrainedModel, processor: Any, config: DecisionConfig) -> Loaded:
    """The parts put together, each asked what it can do."""
    from transformers import Idefics3Processor

    if isinstance(processor, Idefics3Processor):
        # Its processor counts image tokens by character (char_to_token), which text made safe does not have (5.23).
        raise ValueError("judge: Idefics3's processor cannot keep a row's text from writing control tokens")
    model.eval()
    loaded = Loaded(model, processor, config, None)
    if loaded.reads_images:
        look_once(processor.image_processor)
    return replace(loaded, whole=_why_never(loaded))


def _class_for(repo: str, revision: str, config: PreTrainedConfig) -> Any:
    from transformers import (
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
        AutoModelForCausalLM,
        AutoModelForImageTextToText,
    )
    from transformers.models.auto.modeling_auto import MODEL_FOR_DECISION_MAPPING

    if type(config) in MODEL_FOR_DECISION_MAPPING:
        decision = MODEL_FOR_DECISION_MAPPING[type(config)]
        # Many plain chat models are of a type that may have a decision head: the files of the repo tell.
        own = config.model_type == decision.config_class.model_type
        if own or decision.checkpoint_config(repo, revision=revision)[0] is not None:
            return decision
    sees = type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
    return AutoModelForImageTextToText if sees else AutoModelForCausalLM


def _processor(repo: str, revision: str) -> Any:
    from transformers import AutoProcessor, AutoTokenizer, PreTrainedTokenizerBase, ProcessorMixin

    processor = AutoProcessor.from_pretrained(repo, revision=revision)  # the tokenizer, where there is nothing else
    if isinstance(processor, ProcessorMixin) and "image_processor" in processor.get_attributes():
        return processor
    if isinstance(processor, PreTrainedTokenizerBase):
        return processor
    return AutoTokenizer.from_pretrained(repo, revision=revision)


def _decision_config(model: PreTrainedModel, repo: str, revision: str) -> DecisionConfig:
    from transformers.decision import DecisionConfig
    from transformers.decision.modeling_utils import DecisionMixin

    if isinstance(model, DecisionMixin):
        return model.decision_config
    return DecisionConfig.from_pretrained(repo, revision=revision)


def _quantized(quantization: str, config: PreTrainedConfig) -> Any:
    """4 bits as LoRAs are trained on. 8 bits, which no chat model is trained in here, of the eyes too."""
    from transformers import BitsAndBytesConfig

    if quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return in_4bit(config, models.dtype())


def _why_never(loaded: Loaded) -> str | None:
    """Asks the model: two prompts that differ in their last token alone; does what stands before see the difference?

    Configs tell of some models that attend in both directions, and not of all.
    """
    import torch
    from transformers import Cache
    from transformers.decision.modeling_utils import DecisionMixin

    model = loaded.model
    if isinstance(model, DecisionMixin):
        return "its decision head reads whole prompts"
    if not getattr(model.config.get_text_config(), "is_causal", True):  # as the library's masks ask it
        return "its attention is not causal"
    first, second = loaded.label_ids(tuple((loaded.config.labels.get("choice") or ["A", "B"])[:2]))
    ids = torch.tensor([[first, first, first], [first, first, second]], device=loaded.device)
    with torch.inference_mode():
        outputs = model(input_ids=ids, use_cache=True)
    before = outputs.logits[:, 1].float()
    if (before[0] - before[1]).abs().max() > 0.01 * before.abs().max():
        return "its attention is not causal"
    if not isinstance(outputs.get("past_key_values"), Cache):
        return "its cache cannot be forked"
    return None
