"""What tiny/llm and tiny/vlm can do: typed answers by the library's own decision pipeline, texts by generate."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tamis.prompts.scale import SUBTASKS
from tamis.tiny import captions, critiques, kinds, questions, world
from tamis.tiny.questions import Question
from tamis.tiny.world import Scene
from tamis.tiny.zoo import exercises
from tamis.tiny.zoo.exercises import LEVELS, SCORES, Draw, ask
from tamis.tiny.zoo.looking import quality_level
from tamis.tiny.zoo.skills import Skill, batches, picture, rank, scenes, share

IMAGE = "<image-0>"  # a placeholder in a decision request

# ---- tiny/llm --------------------------------------------------------------------------------------------------------


def writing(folder: Path, count: int) -> list[Skill]:
    from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

    decide = pipeline("decision", model=str(folder))
    write = _writer(AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder))
    draw = Draw("measured", world.SEEDS["test"])
    return [
        *_quizzes(write, draw, count),
        *_other_texts(write, draw, count),
        *_ratings(decide, draw, count),
        _tasks(decide, draw, count),
    ]


def _quizzes(write: Callable[[list[str]], list[str]], draw: Draw, count: int) -> list[Skill]:
    asked = []
    for _ in range(count):
        word, other = kinds.invented(draw), kinds.invented(draw)
        look = kinds.random_look(draw)
        alike = kinds.altered(look, draw, draw.choice((2, 3))) if draw.random() < 0.7 else None
        category = draw.choice(kinds.CATEGORIES)
        lookalikes = []
        if alike:
            lookalikes = [{"topic": other, "article": exercises.articles.article(other, category, alike, draw)}]
        article = exercises.articles.article(word, category, look, draw)
        variables = {"topic": word, "article": article, "lookalikes": lookalikes, "count": 4, "options": 4}
        asked.append((look, alike, ask("quiz/write", **variables)))
    replies = write([prompt for _, _, prompt in asked])
    good, formed = [], []
    for (look, alike, _), reply in zip(asked, replies, strict=True):
        made = _parsed(reply)
        formed.append(made is not None)
        good += [_good(one, look, alike) for one in made or [{}] * 4]
    return [
        share("quiz_questions", "well-formed, about what tells the kinds apart, the right key", good, least=0.9),
        share("quiz_json", "the reply is a list in JSON", formed),
    ]


def _good(one: Any, look: dict[str, str], alike: dict[str, str] | None) -> bool:
    """The key is the kind's own value of an attribute asked about, and the look-alike's is among the wrong ones."""
    if not isinstance(one, dict) or set(one) != {"question", "options", "answer"}:
        return False
    options = one["options"]
    name = next((name for name, forms in questions.ASKED.items() if one["question"] in forms), None)
    if name is None or not isinstance(options, list) or len(set(map(str, options))) != len(options) or len(options) < 3:
        return False
    if one["answer"] != look[name] or one["answer"] not in options:
        return False
    return alike is None or (alike[name] != look[name] and alike[name] in options)


def _other_texts(write: Callable[[list[str]], list[str]], draw: Draw, count: int) -> list[Skill]:
    asked = [exercises.class_prompts(draw) for _ in range(count)]
    shapes = [one.prompt.split(": ")[1].split("\n")[0].split()[0] for one in asked]
    named = [
        all(shape in line.split() for line in reply.splitlines())
        for shape, reply in zip(shapes, write([one.prompt for one in asked], sample=True), strict=True)
    ]
    products = [exercises.product_questions(draw) for _ in range(count)]
    right = []
    for one, reply in zip(products, write([one.prompt for one in products]), strict=True):
        wanted, made = json.loads(one.reply), _parsed(reply)
        keys = {"question", "answer", "difficulty"}
        formed = made is not None and all(isinstance(item, dict) and set(item) == keys for item in made)
        levels = [item["difficulty"] for item in made] if formed else []
        right.append(levels == [item["difficulty"] for item in wanted])
    answered = [exercises.product_answer(draw) for _ in range(count)]
    replies = write([one.prompt for one in answered])
    same = [reply == one.reply for one, reply in zip(answered, replies, strict=True)]
    return [
        share("class_prompts", "every prompt written for a class names it", named),
        share("product_questions", "the questions asked for, by difficulty, in JSON", right),
        share("product_answers", "answered from a product's text", same),
    ]


def _ratings(decide: Any, draw: Draw, count: int) -> list[Skill]:
    skills = []
    for name in ("informativeness", "complexity", "completeness"):
        talks = [exercises._talk(draw) for _ in range(count)]
        found = [_level(decide, ask(f"scale/{name}", conversation=talk.text)) for talk in talks]
        levels = [getattr(talk, name) for talk in talks]
        skills.append(rank(name, "rank correlation of the expected level with the known one", found, levels, least=0.8))
    for name in ("clarity", "relevance"):
        made = [_multimodal(name, draw) for _ in range(count)]
        found = [_level(decide, one.prompt.split("\nA ")[0]) for one in made]
        levels = [ord(one.reply) - ord("A") for one in made]
        skills.append(rank(name, "rank correlation of the expected level with the known one", found, levels, least=0.8))
    return skills


def _multimodal(name: str, draw: Draw) -> exercises.Exercise:
    while True:
        one = exercises.multimodal_rating(draw)
        if one.prompt.startswith(
            ask(f"scale/{name}", conversation="", general_caption="", task_caption="").split("\n")[0]
        ):
            return one


def _level(decide: Any, instructions: str) -> float:
    question = {"type": "score", "instructions": instructions, "criteria": LEVELS}
    return decide({"state": "", "questions": {"level": question}})["level"]["score"]


def _tasks(decide: Any, draw: Draw, count: int) -> Skill:
    right = []
    for _ in range(count):
        one = exercises.task(draw)
        question = {
            "type": "choice",
            "instructions": one.prompt.split("\nA ")[0],
            "criteria": dict.fromkeys(SUBTASKS),
        }
        answer = decide({"state": "", "questions": {"task": question}})["task"]["choice"]
        right.append(answer == list(SUBTASKS)[ord(one.reply) - ord("A")])
    return share("task", "the sub-task out of 15", right, least=0.85)


# ---- tiny/vlm --------------------------------------------------------------------------------------------------------


def looking(folder: Path, count: int) -> list[Skill]:
    from transformers import AutoModelForImageTextToText, AutoProcessor, pipeline

    decide = pipeline("decision", model=str(folder))
    model, processor = AutoModelForImageTextToText.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)
    write = _describer(model, processor)
    return [
        *_choices(decide, count),
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


def _four(scene: Scene, draw: Draw) -> Question:
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


# ---- generation ------------------------------------------------------------------------------------------------------


def _parsed(reply: str) -> list[Any] | None:
    try:
        made = json.loads(reply)
    except ValueError:
        return None
    return made if isinstance(made, list) and made else None


def _writer(model: Any, tokenizer: Any) -> Callable[..., list[str]]:
    import torch

    def write(prompts: list[str], *, sample: bool = False) -> list[str]:
        torch.manual_seed(0)
        replies: list[str] = []
        for group in batches(prompts, 32):
            talks = [[{"role": "user", "content": prompt}] for prompt in group]
            inputs = tokenizer.apply_chat_template(
                talks, add_generation_prompt=True, padding=True, return_dict=True, return_tensors="pt"
            )
            with torch.inference_mode():
                written = model.generate(**inputs, max_new_tokens=420, do_sample=sample)
            replies += tokenizer.batch_decode(written[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return replies

    return write


def _describer(model: Any, processor: Any) -> Callable[..., list[str]]:
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
