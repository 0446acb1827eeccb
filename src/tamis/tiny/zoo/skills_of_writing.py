"""What tiny/llm can do: typed answers by the library's own decision pipeline, texts by generate."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tamis.prompts.scale import SUBTASKS
from tamis.tiny import articles, kinds, questions, world
from tamis.tiny.zoo import exercises
from tamis.tiny.zoo.exercises import LEVELS, Draw, ask
from tamis.tiny.zoo.skill import Skill, batches, rank, share


def writing(folder: Path, count: int) -> list[Skill]:
    from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

    decide = pipeline("decision", model=str(folder))
    write = writer(AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder))
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
            lookalikes = [{"topic": other, "article": articles.article(other, category, alike, draw)}]
        article = articles.article(word, category, look, draw)
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
    talk, told = exercises.rated_talk, exercises.rated_description
    for name, make in (
        ("informativeness", talk),
        ("complexity", talk),
        ("completeness", talk),
        ("informativeness", told),
        ("completeness", told),
    ):
        talks = [make(draw) for _ in range(count)]
        found = [_level(decide, ask(f"scale/{name}", conversation=talk.text)) for talk in talks]
        levels = [getattr(talk, name) for talk in talks]
        of = f"{name}_of_descriptions" if make is told else name
        skills.append(rank(of, "rank correlation of the expected level with the known one", found, levels, least=0.8))
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


def _parsed(reply: str) -> list[Any] | None:
    try:
        made = json.loads(reply)
    except ValueError:
        return None
    return made if isinstance(made, list) and made else None


def writer(model: Any, tokenizer: Any) -> Callable[..., list[str]]:
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
