"""What product_vqa publishes of a run: whatever questions and answers say, cards and tables only show it."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import Dataset, Features, Value, concatenate_datasets
from hostile import HOSTILE, block, strings
from markdown_it import MarkdownIt
from PIL import Image

from tamis import scorers
from tamis.product_vqa import arm_forms, gathering, measuring, sittings, tuning
from tamis.product_vqa.release import ProductVqaRelease
from tamis.sources import Source

BASE = Source("a/blip", "model", "2" * 40, "bsd-3-clause")
SOURCE = Source("a/questions", "dataset", "1" * 40, "cc-by-nc-4.0")
SHAPE = "r8-query-value"
LEVELS = (0, 1, 2, 3, 5)


def picture(shade: int) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 12), (shade % 256, 80, 120)).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def asked(text: str, rows: int = 30) -> Dataset:
    """Five questions a picture; half of the texts are the given one."""
    features = gathering.features() | {"seen": Value("float32")}
    made = []
    for at in range(rows):
        question = text if at % 2 else f"what colour is thing {at}?"
        row = dict.fromkeys(features) | {"row_id": f"q{at}", "image": picture(at // 5), "image_id": f"p{at // 5}"}
        row |= {"question": question, "answer": "red", "difficulty": LEVELS[at % 5], "bullets": [text]}
        made.append(row | {"picture": f"p{at // 5}", "seen": at / rows})
    return Dataset.from_list(made, features=Features(features))


def release_of(
    text: str, tmp: Path, arms: tuple[str, ...] = ("base", SHAPE, f"{SHAPE}.by-row"), chats: Any = None, **changed: Any
):
    """As the recipe makes one, of answers that are the hostile text where they are wrong."""
    questions = asked(text)
    names = ["train"] * 10 + ["validation"] * 10 + ["test"] * 10
    parts, listed = gathering.dealt(questions, names), [arm_forms.parse(name) for name in arms]
    given = {"train_by_row": parts["train"], "select_by": "seen", "main_seed": 0}
    subsets = tuning.wanted({0: listed}, parts["train"], **given, on_8bit=False)
    for number, arm in enumerate(subsets):
        (tmp / arm).mkdir(parents=True)
        (tmp / arm / "adapter_model.safetensors").write_bytes(bytes([number]))
    told = []
    for split, arm, base in (
        ("validation", SHAPE, "base"),
        ("test", SHAPE, "base"),
        ("test by row", f"{SHAPE}.by-row", "base.by-row"),
    ):
        rows = parts["validation" if split == "validation" else "test"]
        for name, every in ((arm, 1), (base, 2)):
            column = ["red" if at % every == 0 else text for at in range(len(rows))]
            scored = rows.add_column("x_y", column).add_column("x_error", [None] * len(rows))
            [scorer] = scorers.build([{"scorer": "chat_vqa", "name": "x", "judge": {"model": "j/j"}}])
            told.append(sittings.Sitting(split, scorer, {"x_y": (name, 0)}).answers(scored))
    answers = concatenate_datasets(told)
    right = [float(one == "red") for one in answers["prediction"][:]]
    answers = answers.add_column("exact_match", right, feature=Value("float32"))
    best, chosen = measuring.best_shape(sittings.of_split(answers, "validation"), listed)
    measured = measuring.measure(sittings.of_split(answers, "test", "test by row"), ["exact_match"], best=best, seed=0)
    config = {"dataset": "a/questions", "seed": 0, "other_seeds": [], "other_seeds_arms": [], "writer": None}
    config |= {"question_prefix": "", "answer_tokens": 5, "split_by": "image", "arms": list(arms)}
    share = {"rows": {"share": 0.0, "n": 10}, "images": {"share": 0.0, "n": 2}}
    metrics = {"rows": 10, "steps": 1, "trainable_parameters": 8, "loss_first": 2.0, "loss_last": 1.0}
    metrics |= {"rows_per_hour": 10.0, "peak_memory_gb": 0.5}
    results = {"config": config | changed, "versions": {"tamis": "0"}, "sources": [], "nulls": {}, "nulls_answers": {}}
    results |= measured | {"chosen": chosen, "best": best, "eight_bit": None, "not_run": {text or "x": text}}
    results |= {"stages": [{"name": "train", "device": "cpu"}]}
    results |= {"leak": {"image": share, "row": share}, "refused": {text or "x": 1}, "silent": {}}
    results |= {"asked": measuring.by_level(questions, ["seen"], seed=0), "training": dict.fromkeys(subsets, metrics)}
    return ProductVqaRelease(
        dataset_id="me/data",
        model_id="me/lora",
        sources=[SOURCE],
        base=BASE,
        chats=chats or {},
        splits=parts,
        answers=answers,
        arms=listed,
        subsets=subsets,
        paths={arm: tmp / arm for arm in subsets},
        results=results,
        best=best,
        metrics=["exact_match"],
        described=["seen"],
        scorers=[],
        metric_scorers=scorers.build(["exact"]),
        answerers=scorers.build(["blip_vqa"]),
        seed=0,
        paper={"base_model": ("other/blip",), "split_by": ("row",)},
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_a_question_is_only_text_wherever_it_is_shown(text: str, tmp_path: Path) -> None:
    release = release_of(text, tmp_path)
    for card in (release.adapter_card(), release.dataset_card()):
        rendered = card.render()
        header, body = rendered.split("---\n", 2)[1:]
        assert yaml.safe_load(header)["license"] == "cc-by-nc-4.0"
        html = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(body)
        outside = re.sub(r"<(code|pre)[ >].*?</\1>", "", html, flags=re.DOTALL)
        assert "evil.example" not in outside and "<script" not in html
        assert html.count("<h1>") == 1 and html.count("<img") == rendered.count("](pictures/")
    shown = release.pictures()
    assert all(content.startswith(b"\x89PNG") for content in shown.values())
    page = release.page(shown)
    assert "<script" not in page and 'src="https' not in page


@pytest.mark.parametrize("text", HOSTILE)
def test_the_code_on_the_card_asks_a_question_of_the_test_split_and_nothing_else(text: str, tmp_path: Path) -> None:
    release = release_of(text, tmp_path)
    release.splits["test"] = release.splits["test"].select([1])  # the hostile one
    asked_in = set(strings(block(release.adapter_card().render(), "python")))
    assert asked_in == {"a/blip", "me/lora", SHAPE, text, "pt", 5, 0, True}


def test_splits_answers_and_halves_are_published(tmp_path: Path) -> None:
    release = release_of("what is it?", tmp_path, ("base", SHAPE, f"{SHAPE}.by-row", f"{SHAPE}.top-50pct"))
    configs = release.configs()
    assert {split: len(rows) for split, rows in configs["questions"].items()} == dict.fromkeys(release.splits, 10)
    assert len(configs[f"{SHAPE}.top-50pct"]) == 5 and set(configs) == {"questions", "answers", f"{SHAPE}.top-50pct"}
    assert set(configs["answers"]["split"][:]) == {"validation", "test", "test by row"}


def test_the_card_tells_gain_leak_and_differences(tmp_path: Path) -> None:
    text = release_of("what is it?", tmp_path).adapter_card().render()
    assert re.search(r"\| `r8-query-value` \| `base` \| \+0\.500 \[", text)
    assert re.search(r"\| `r8-query-value.by-row` \| `base.by-row` \| \+0\.500 \[", text)
    assert "- base_model: `a/blip` here, `other/blip` in the paper" in text
    assert "- split_by: `image` here, `row` in the paper" in text
    assert re.search(r"\| `r8-query-value.by-row` \| `r8-query-value` \| 0\.000 \[?", text) and "In 8 bits" not in text
    assert "none of whose pictures was trained on" in text and "`wups_report_0.9`" not in text
    leaking = release_of("what is it?", tmp_path / "own", split_by="own")
    leaking.results["leak"]["image"] = {"rows": {"share": 0.2, "n": 10}, "images": {"share": 0.5, "n": 2}}
    own = leaking.adapter_card().render()
    assert "split as the source has it" in own and "No picture stands in two splits" not in own


def test_loras_of_chat_models_are_told_apart_with_their_base_and_its_licence(tmp_path: Path) -> None:
    research = Source("b/chat", "model", "3" * 40, "other-research")
    release = release_of("what is it?", tmp_path, chats={"b.tuned": research})
    card = release.adapter_card()
    assert card.metadata["base_model"] == ["a/blip", "b/chat"] and card.metadata["license"] == "other"
    text = card.render()
    assert "LoRAs of `a/blip` and 1 of `b/chat`" in text and '"subfolder": "b.tuned"' in text
    assert re.search(r"\| `b.tuned` \| 10 \| b/chat tuned", text)


def test_seeds_are_told_of_each_arm(tmp_path: Path) -> None:
    release = release_of("what is it?", tmp_path, other_seeds=[1, 2], other_seeds_arms=[SHAPE])
    told = {one["args"]["arm"]: one["args"]["seeds"] for one in _metrics(release.adapter_card().metadata)}
    assert told == {"base": 1, SHAPE: 3, f"{SHAPE}.by-row": 1, "base.by-row": 1}


def _metrics(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    return [metric for one in metadata["model-index"][0]["results"] for metric in one["metrics"]]
