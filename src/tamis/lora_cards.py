"""What the cards of all recipes that train LoRAs say alike: headers, the lines that load, how it was made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from tamis import cards
from tamis.arm_names import pooled
from tamis.curation import PRIVATE_SETTINGS, SIZES, explained, without_paths
from tamis.metrics.stats import Estimate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tamis.scoring import Scorer


def adapter_header(
    model_id: str,
    dataset_id: str,
    base: str | list[str],
    licence: str,
    results: dict[str, Any],
    metrics: Sequence[str],
    *,
    library: str = "diffusers",
    task: str = "text-to-image",
) -> dict[str, Any]:
    arms = {
        arm: {name: Estimate.of(value) for name, value in told.items() if name in metrics}
        for arm, told in results["arms"].items()
    }
    config = results["config"]
    repeated = {pooled(name) for name in config["other_seeds_arms"]}
    seeds = {arm: 1 + len(config["other_seeds"]) * (arm in repeated) for arm in arms}
    # Where not all seeds of an arm came to an end, its estimates tell how many did.
    seeds |= {arm: one["seeds"] for arm, told in results["arms"].items() for one in told.values() if "seeds" in one}
    return {
        "license": licence,
        "library_name": library,
        "pipeline_tag": task,
        "base_model": base,
        "base_model_relation": "adapter",
        "datasets": [dataset_id],
        "tags": ["tamis", "lora", task, library, "data-selection"],
        "model-index": cards.model_index(model_id, task, dataset_id, arms, revision=None, seeds=seeds),
    }


def dataset_header(dataset_id: str, licence: str, *, source: str | None, rows: int, tags: list[str]) -> dict[str, Any]:
    """source: the repo that its rows come from, where there is one."""
    return {
        "license": licence,
        "pretty_name": dataset_id.split("/")[-1],
        "source_datasets": [source] if source else ["original"],
        "annotations_creators": ["machine-generated"],
        "size_categories": [next((name for limit, name in SIZES if rows < limit), "1M<n<10M")],
        "tags": ["tamis", "data-selection", "scored", *tags],
    }


def loading(base: str, model_id: str, folder: str, prompt: str) -> str:
    """The lines that draw with one of the published LoRAs."""
    return (
        "from diffusers import AutoPipelineForText2Image\n\n"
        f"pipeline = AutoPipelineForText2Image.from_pretrained({_literal(base)})\n"
        f'pipeline.load_lora_weights("{model_id}", subfolder="{folder}", '
        'weight_name="pytorch_lora_weights.safetensors")\n'
        f"image = pipeline({_literal(prompt)}).images[0]"
    )


def loading_rows(dataset_id: str, configs: dict[str, str]) -> str:
    """The lines that load configs of the dataset, by the names they are given."""
    lines = (f'{name} = load_dataset("{dataset_id}", "{config}", split="train")' for name, config in configs.items())
    return "\n".join(["from datasets import load_dataset", "", *lines])


def how_made(results: dict[str, Any], source: str | None) -> dict[str, Any]:
    """Values of a card: settings without paths and secrets, versions, seeds, sources."""
    config = results["config"]
    shown = {k: v for k, v in config.items() if v is not None and k not in PRIVATE_SETTINGS}
    if source is not None:
        shown["dataset"] = source
    return {
        "config": cards.fenced(yaml.safe_dump(without_paths(shown), sort_keys=False, allow_unicode=True), "yaml"),
        "versions": ", ".join(f"{name} {version}" for name, version in results["versions"].items()),
        "sources": cards.sources_table(results["sources"]),
        "seed": cards.Markdown(str(config["seed"])),
        "other_seeds": cards.Markdown(", ".join(map(str, config["other_seeds"]))) or None,
        "other_seeds_arms": cards.Markdown(", ".join(map(cards.code, config["other_seeds_arms"]))) or None,
    }


def differences(ours: dict[str, Any], paper: dict[str, tuple[Any, ...]]) -> cards.Markdown:
    """Settings that are others here than in the paper; a model that lies in a folder by its name."""
    return cards.differences(without_paths(ours), paper)


def meanings(scorers: Iterable[Scorer]) -> cards.Markdown:
    """What their columns mean, one of each name: what selects may grade too."""
    return cards.Markdown("\n\n".join({scorer.name: explained(scorer) for scorer in scorers}.values()))


def loading_vqa(base: str, model_id: str, folder: str, question: str, answer_tokens: int) -> str:
    """The lines that answer a question about `image` with one of the published LoRAs."""
    return (
        "from peft import PeftModel\n"
        "from transformers import BlipForQuestionAnswering, BlipProcessor\n\n"
        f"processor = BlipProcessor.from_pretrained({_literal(base)})\n"
        f"model = BlipForQuestionAnswering.from_pretrained({_literal(base)})\n"
        f'model = PeftModel.from_pretrained(model, "{model_id}", subfolder="{folder}")\n'
        f'inputs = processor(images=image, text={_literal(question)}, return_tensors="pt")\n'
        f"answer = model.generate(**inputs, max_new_tokens={answer_tokens})\n"
        "print(processor.decode(answer[0], skip_special_tokens=True))"
    )


def loading_chat(base: str, model_id: str, folder: str) -> str:
    """The lines that load one of the published LoRAs of a chat model."""
    return (
        "from transformers import AutoModelForImageTextToText\n\n"
        f"model = AutoModelForImageTextToText.from_pretrained({_literal(base)})\n"
        f'model.load_adapter("{model_id}", adapter_kwargs={{"subfolder": "{folder}"}})'
    )


def loading_whole(model_id: str, folder: str) -> str:
    """The lines that load one of the published models, all of whose weights are there."""
    return (
        "from transformers import AutoModelForImageTextToText, AutoProcessor\n\n"
        f'processor = AutoProcessor.from_pretrained("{model_id}", subfolder="{folder}")\n'
        f'model = AutoModelForImageTextToText.from_pretrained("{model_id}", subfolder="{folder}")'
    )


def loading_critic(base: str, model_id: str, folder: str, prompt: str, max_new_tokens: int) -> str:
    """The lines that have a chat model with one of the published LoRAs reply about `image`."""
    return (
        "from peft import PeftModel\n"
        "from transformers import AutoModelForImageTextToText, AutoProcessor\n\n"
        f"processor = AutoProcessor.from_pretrained({_literal(base)})\n"
        f"model = AutoModelForImageTextToText.from_pretrained({_literal(base)})\n"
        f'model = PeftModel.from_pretrained(model, "{model_id}", subfolder="{folder}")\n'
        f"prompt = {_literal(prompt)}\n"
        'content = [{"type": "image", "image": image}, {"type": "text", "text": prompt}]\n'
        "inputs = processor.apply_chat_template(\n"
        '    [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True, return_dict=True,\n'
        '    return_tensors="pt",\n'
        ")\n"
        f"reply = model.generate(**inputs, max_new_tokens={max_new_tokens}, do_sample=False)\n"
        'print(processor.decode(reply[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))'
    )


def loading_8bit(base: str) -> str:
    """The lines that load the model in 8 bits."""
    return (
        "from transformers import BitsAndBytesConfig, BlipForQuestionAnswering\n\n"
        "eight_bit = BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=6.0)\n"
        f"model = BlipForQuestionAnswering.from_pretrained({_literal(base)}, quantization_config=eight_bit)"
    )


def _literal(text: str) -> str:
    """A text as Python takes it; what no eye sees is spelled out."""
    return f'"{text}"' if text.isprintable() and not {'"', "\\"} & set(text) else repr(text)
