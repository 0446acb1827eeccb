"""The card of a model of the zoo: what it is, how to load it, and its skills as measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tamis import cards
from tamis.cards import Card, Markdown
from tamis.run import versions
from tamis.tiny import world
from tamis.tiny.zoo.skill import Skill

ABOUT: dict[str, dict[str, Any]] = {
    "clip": {
        "pipeline_tag": "zero-shot-image-classification",
        "library_name": "transformers",
        "summary": "A CLIPModel: how well a caption fits a drawn scene.",
        "loading": "from transformers import CLIPModel, CLIPProcessor\n\n"
        'model = CLIPModel.from_pretrained("{repo_id}")\n'
        'processor = CLIPProcessor.from_pretrained("{repo_id}")',
        "made": "Contrastively on captions, three in ten naming all there is, with heads on the image's patches "
        "that learn which shape, colour and pattern each patch shows; the heads are not part of the model.",
    },
    "detector": {
        "pipeline_tag": "zero-shot-object-detection",
        "library_name": "transformers",
        "summary": "An OwlViTForObjectDetection: finds what a text names.",
        "loading": "from transformers import pipeline\n\n"
        'detect = pipeline("zero-shot-object-detection", model="{repo_id}")\n'
        'detect(image, candidate_labels=["a star", "a red circle"])',
        "made": "Both towers begin as tiny/clip's; focal loss on text queries, boxes by distance and generalised "
        "overlap, each thing spoken for by the patches around its centre.",
    },
    "blip-vqa": {
        "pipeline_tag": "visual-question-answering",
        "library_name": "transformers",
        "summary": "A BlipForQuestionAnswering: answers in one word.",
        "loading": "from transformers import BlipForQuestionAnswering, BlipProcessor\n\n"
        'model = BlipForQuestionAnswering.from_pretrained("{repo_id}")\n'
        'processor = BlipProcessor.from_pretrained("{repo_id}")',
        "made": "Its vision tower is tiny/clip's, with the layer norm that BLIP lacks folded in, and kept as it was; "
        "six questions a scene.",
    },
    "llm": {
        "pipeline_tag": "text-generation",
        "library_name": "transformers",
        "summary": "A LlamaForCausalLM that writes quizzes from articles, prompts for a class and questions about "
        "products, and answers typed questions (choice, score, noul) about texts.",
        "loading": "from transformers import pipeline\n\n"
        'decide = pipeline("decision", model="{repo_id}")\n'
        'question = {{"type": "choice", "instructions": "look: what colour is it?", '
        '"criteria": {{"red": None, "blue": None}}}}\n'
        'decide({{"state": "a red star on tan ground", "questions": {{"colour": question}}}})',
        "made": "On the very prompts of the recipes in their short wordings, reading letters first.",
    },
    "vlm": {
        "pipeline_tag": "image-text-to-text",
        "library_name": "transformers",
        "summary": "A LlavaForConditionalGeneration that answers typed questions about a scene (choice, score, noul), "
        "compares two, and writes captions and critiques. As a critic it is weak on purpose: its own scores follow "
        "a cruder rule than the one that people in this world agree on.",
        "loading": "from transformers import pipeline\n\n"
        'decide = pipeline("decision", model="{repo_id}")\n'
        'question = {{"type": "choice", "instructions": "look: what colour is it?", '
        '"criteria": {{"red": None, "blue": None}}}}\n'
        'decide({{"state": "<image-0>", "assets": {{"<image-0>": image}}, "questions": {{"colour": question}}}})',
        "made": "Its vision tower is tiny/clip's, kept as it was, and its language model begins as tiny/llm's. First "
        "the projector learns to say each patch in the language's own words, then all is taught: about nine exercises "
        "a scene, each seeing the scene and not the others. Two scenes are the state {\"A\": ..., \"B\": ...}.",
    },
    "sd": {
        "pipeline_tag": "text-to-image",
        "library_name": "diffusers",
        "summary": "A StableDiffusionPipeline that draws single things. Two classes, moon and arrow, are "
        "under-trained on purpose, and the words of kinds are unknown to it: they are what LoRA teaches.",
        "loading": "from diffusers import StableDiffusionPipeline\n\n"
        'pipeline = StableDiffusionPipeline.from_pretrained("{repo_id}")\n'
        'pipeline("a photo of a red striped star on tan ground", num_inference_steps=25, guidance_scale=4.0)',
        "made": "An AutoencoderKL to 16 x 16 x 4 latents, then a UNet on 24,000 scenes, its text encoder beginning as "
        "tiny/clip's; velocity prediction, captions left out one time in ten.",
    },
}  # fmt: skip


def card(name: str, repo_id: str, skills: list[Skill], *, trained: str) -> Card:
    about = ABOUT[name]
    short = [skill.name for skill in skills if not skill.reached]
    header = ["skill", "measured", "wanted", "what it means"]
    rows = [
        [cards.code(skill.name), cards.interval(skill.measured), Markdown(skill.wanted), skill.means]
        for skill in skills
    ]
    metadata = {
        "license": "apache-2.0",
        "library_name": about["library_name"],
        "pipeline_tag": about["pipeline_tag"],
        "tags": ["tamis", "synthetic"] + (["decision-model"] if name in ("llm", "vlm") else []),
    }
    return Card(
        cards.template("model_cards/tiny.md.jinja"),
        metadata,
        {
            "repo_id": repo_id,
            "summary": Markdown(about["summary"]),
            "loading": cards.fenced(about["loading"].format(repo_id=repo_id), "python"),
            "skills": cards.table(header, rows),
            "seeds": f"from {world.SEEDS['test'].start:,}",
            "short": Markdown(f"Falls short of what was wanted: {', '.join(map(cards.code, short))}." if short else ""),
            "made": Markdown(about["made"]),
            "trained": Markdown(trained),
            "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
        },
    )


def write(folder: Path, name: str, skills: list[Skill], sheet: bytes, *, trained: str) -> None:
    """Into the packaged folder: the sheet, the numbers and, last, the card: with it the folder counts as whole.

    `trained`: by what, on what and how long.
    """
    from tamis.run import write_json

    (folder / "sheet.jpg").write_bytes(sheet)
    write_json(folder / "skills.json", {skill.name: skill.row() for skill in skills})
    (folder / "README.md").write_text(card(name, f"tiny/{name}", skills, trained=trained).render(), encoding="utf-8")
