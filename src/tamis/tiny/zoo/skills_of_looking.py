"""What tiny/vlm can do: typed answers by the library's own decision pipeline, texts by generate."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tamis.tiny import captions, critiques, questions, world
from tamis.tiny.questions import Question
from tamis.tiny.world import Scene
from tamis.tiny.zoo import exercises
from tamis.tiny.zoo.exercises import LEVELS, SCORES, ask
from tamis.tiny.zoo.looking import quality_level
from tamis.tiny.zoo.skill import Skill, batches, picture, rank, scenes, share

IMAGE = "<image-0>"  # a placeholder in a decision request


def looking(folder: Path, count: int) -> list[Skill]:
    from transformers import AutoModelForImageTextToText, AutoProcessor, pipeline

    decide = pipeline("decision", model=str(folder))
    model, processor = AutoModelForImageTextToText.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)
    write = describer(model, processor)
    return [
        *_choices(decide, count),
        _by_words(model, processor, count),
        *_yes_no(decide, count),
        *_captions(write, count),
        *_scores(decide, count),
        *_critiques(write, count),
    ]


def _choices(decide: Any, count: int) -> list[Skill]:
    clean = scenes(count, start=500_000, things=(1, 1, 2, 3))
    skills = [share("choice", "the right option of a multiple-choice question", _chosen(decide, clean), least=0.92)]
    single = scenes(count, start=510_000)
    skills.append(share("choice_single", "the same about scenes of one thing", _chosen(decide, single)))
    for defect in ("blur", "clutter"):
        spoilt = scenes(count, start=520_000, defects=(defect,))
        skills.append(share(f"choice_{defect}", f"the same with {defect}", _chosen(decide, spoilt)))
    blind = _chosen(decide, single, blind=True)
    skills.append(share("choice_blind", "the same four options without the picture", blind, most=0.35))
    return skills


def _by_words(model: Any, processor: Any, count: int) -> Skill:
    """No letters: asked in words, the option whose own words are likeliest to be the whole reply."""
    import torch

    shown = scenes(count, start=500_000, things=(1, 1, 2, 3))
    draw = random.Random(len(shown))
    right = []
    for scene in shown:
        question = questions.ask(scene, draw)
        options = question.options(draw)
        content = [{"type": "image"}, {"type": "text", "text": ask("product_vqa/answer", question=question.text)}]
        asked = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        texts = [f"{asked}{option}<|end|>" for option in options]
        inputs = processor(text=texts, images=[picture(scene)] * len(texts), padding=True, return_tensors="pt")
        with torch.inference_mode():
            likely = model(**inputs).logits[:, :-1].log_softmax(dim=-1)
        said = inputs["input_ids"][:, 1:]
        begins = processor(text=asked, images=[picture(scene)])["input_ids"][0]
        widths = inputs["attention_mask"].sum(dim=1) - len(begins)  # of the replies, which stand last
        each = likely.gather(2, said[..., None])[..., 0]
        totals = [float(one[-width:].sum()) for one, width in zip(each, widths.tolist(), strict=True)]
        right.append(options[totals.index(max(totals))] == question.answer)
    return share("choice_by_words", "the same read by how likely each option's own words are, not by letters", right)


def _chosen(decide: Any, shown: list[Scene], *, blind: bool = False) -> list[bool]:
    draw = random.Random(len(shown))
    right = []
    for scene in shown:
        question = _four(scene, draw) if blind else questions.ask(scene, draw)
        options = question.options(draw)
        asked = {"type": "choice", "instructions": ask("quiz/question", question=question.text)}
        asked["criteria"] = dict.fromkeys(options)
        request = {"state": "" if blind else IMAGE, "questions": {"it": asked}}
        if not blind:
            request["assets"] = {IMAGE: picture(scene)}
        right.append(decide(request)["it"]["choice"] == question.answer)
    return right


def _four(scene: Scene, draw: random.Random) -> Question:
    while True:
        question = questions.ask(scene, draw)
        if len(question.wrong) >= 3:
            return question


def _yes_no(decide: Any, count: int) -> list[Skill]:
    draw, right = random.Random(1), []
    for scene in scenes(count, start=530_000, things=(1, 1, 2, 3)):
        truth = draw.random() < 0.5
        if draw.random() < 0.5:
            asked = ask("self_reward/prompt_respected", prompt=questions.statement(scene, draw, truth))
        else:
            there = {thing.shape for thing in scene.things}
            named = draw.choice([shape for shape in world.SHAPES if (shape in there) == truth])
            asked = ask("self_reward/class_visible", class_name=named)
        request = {"state": IMAGE, "assets": {IMAGE: picture(scene)}, "questions": {"it": {"type": "noul"}}}
        request["questions"]["it"]["instructions"] = asked
        right.append((decide(request)["it"]["noul"] > 0.5) == truth)
    pairs, first = [], scenes(count, start=535_000)
    for a, b in zip(first, scenes(count, start=537_000), strict=True):
        swap = draw.random() < 0.5
        shown = {"A": "<image-0>", "B": "<image-1>"}
        assets = {"<image-0>": picture(b if swap else a), "<image-1>": picture(a if swap else b)}
        question = {"type": "choice", "criteria": dict.fromkeys(("first", "second"))}
        question["instructions"] = ask("pairwise/better", prompt=captions.brief(a))
        answer = decide({"state": shown, "assets": assets, "questions": {"it": question}})["it"]["choice"]
        pairs.append(answer == ("second" if swap else "first"))
    return [
        share("yes_no", "yes or no to a class or a whole prompt, half and half", right, least=0.92),
        share("pairwise", "which of two pictures shows a prompt", pairs),
    ]


def _captions(write: Callable[..., list[str]], count: int) -> list[Skill]:
    shown = scenes(count, start=540_000)
    replies = write(shown, ask("self_reward/caption"))
    known = {word for values in world.ATTRIBUTES.values() for word in values}
    right = [
        set(reply.replace(",", "").split()) & known == {scene.value(name) for name in world.ATTRIBUTES}
        for scene, reply in zip(shown, replies, strict=True)
    ]
    whole = [reply == captions.caption(scene) for scene, reply in zip(shown, replies, strict=True)]
    words = [questions.ask(scene, random.Random(scene.seed)) for scene in shown]
    answers = write(shown, [ask("product_vqa/answer", question=question.text) for question in words])
    same = [reply == question.answer for reply, question in zip(answers, words, strict=True)]
    return [
        share("caption", "shape, colour, pattern and ground are named right, and no others", right, least=0.85),
        share("caption_whole", "style, size and place are right too", whole),
        share("word", "the single-word answer is right", same),
    ]


def _scores(decide: Any, count: int) -> list[Skill]:
    shown = scenes(count, start=550_000, defects=exercises.DEFECTS_MOSTLY_NONE)
    asked = {
        "score": {"type": "score", "instructions": ask("score_and_explain/score"), "criteria": SCORES},
        "quality": {"type": "score", "instructions": ask("scale/image_quality"), "criteria": LEVELS},
    }
    answers = [decide({"state": IMAGE, "assets": {IMAGE: picture(scene)}, "questions": asked}) for scene in shown]
    merit, level = [critiques.merit(scene) for scene in shown], [quality_level(scene) for scene in shown]
    own, quality = [one["score"]["score"] for one in answers], [one["quality"]["score"] for one in answers]
    return [
        rank(
            "score",
            "rank correlation of its own score with the hidden rule: weak at first",
            own,
            merit,
            least=0.35,
            most=0.6,
        ),
        rank("quality", "rank correlation of its quality level with the known defect's", quality, level),
    ]


def _critiques(write: Callable[..., list[str]], count: int) -> list[Skill]:
    shown = scenes(count, start=560_000, defects=exercises.DEFECTS_MOSTLY_NONE)
    forced = [1 + index % 10 for index in range(len(shown))]
    begun = [f"#Score: {score}\n#Explanation:" for score in forced]
    replies = write(shown, ask("score_and_explain/explain", lowest=1, highest=10), begun=begun)
    praise = {good for good, _, _ in critiques.TRAITS.values()}
    blame = {bad for _, bad, _ in critiques.TRAITS.values()}
    formed, praised = [], []
    for reply in replies:
        remarks = reply.strip().rstrip(".").split(", ")
        formed.append(bool(remarks) and all(remark in praise | blame for remark in remarks))
        praised.append(sum(remark in praise for remark in remarks) / max(1, len(remarks)))
    return [
        share("critique", "a critique in known remarks for a score it is given", formed, least=0.9),
        rank("critique_argues", "rank correlation of the share of praise with the score given", praised, forced),
    ]


def describer(model: Any, processor: Any) -> Callable[..., list[str]]:
    import torch

    def write(shown: list[Scene], asked: str | list[str], *, begun: list[str] | None = None) -> list[str]:
        prompts = [asked] * len(shown) if isinstance(asked, str) else asked
        replies: list[str] = []
        for group in batches(list(range(len(shown))), 32):
            texts, images = [], []
            for index in group:
                content = [{"type": "image"}, {"type": "text", "text": prompts[index]}]
                talk = [{"role": "user", "content": content}]
                texts.append(processor.apply_chat_template(talk, add_generation_prompt=True))
                texts[-1] += begun[index] if begun else ""
                images.append(picture(shown[index]))
            inputs = processor(text=texts, images=images, padding=True, return_tensors="pt")
            with torch.inference_mode():
                written = model.generate(**inputs, max_new_tokens=80, do_sample=False)
            new = written[:, inputs["input_ids"].shape[1] :]
            replies += processor.batch_decode(new, skip_special_tokens=True)
        return replies

    return write
