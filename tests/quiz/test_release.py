"""What quiz_lora publishes of a run: whatever topics, authors and licences say, cards and tables only show it."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from datasets import Dataset, Features, List, Value
from datasets import Image as ImageColumn
from hostile import HOSTILE, block, strings
from markdown_it import MarkdownIt
from PIL import Image

from tamis import arm_names, arms, candidates, drawings, scorers, topic_arms
from tamis.candidates import Columns
from tamis.quiz import attribution, measuring
from tamis.quiz.making import QuizSet
from tamis.quiz.release import QuizRelease
from tamis.quiz.settings import QuizSettings
from tamis.sources import Source

TOPICS = ["dax", "wug", "zib"]
SOURCE = Source("a/candidates", "dataset", "1" * 40, "cc0-1.0")
BASE = Source("a/model", "model", "2" * 40, "mit")
COLUMNS = Columns("topic", "article", "image", "author", "licence")
ANSWER = List({"id": Value("string"), "answer": Value("string"), "right": Value("bool"), "key": Value("float32")})


def png(shade: int) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 12), (shade % 256, 80, 120)).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def pool_of(topics: list[str], each: int = 5, **changed: Any) -> Dataset:
    rows = []
    for number, topic in enumerate(topics):
        for at in range(each):
            row = {"row_id": f"r{number}-{at}", "topic": topic, "author": f"author of {topic}", "licence": "cc0-1.0"}
            row |= {name: make(number, at) for name, make in changed.items()}
            row |= {"left_out": None, "quiz_error": None, "quiz_answers": []}
            row |= {f"quiz_{what}": ((number + 3 * at) % 5) / 5 for what in ("accuracy", "confidence", "gain", "score")}
            rows.append(row)
    texts = ("row_id", "topic", "author", "licence", "left_out", "quiz_error")
    shares = (f"quiz_{what}" for what in ("accuracy", "confidence", "gain", "score"))
    features = dict.fromkeys(texts, Value("string")) | dict.fromkeys(shares, Value("float32"))
    return Dataset.from_list(rows, features=Features(features | {"quiz_answers": ANSWER}))


def release_of(
    topics: list[str],
    listed: tuple[str, ...] = ("none", "random-2", "top-2"),
    *,
    pool: Dataset | None = None,
    other_seeds: tuple[int, ...] = (),
    heldout: int = 2,
    second: str | None = None,
    base: Source = BASE,
) -> QuizRelease:
    """As the recipe makes one, with pictures of a few pixels and scores by rule."""
    pool = pool or pool_of(topics)
    seeds = {0: topic_arms.FORMS.expand(list(listed), 1)} | dict.fromkeys(
        other_seeds, topic_arms.FORMS.expand(["random-2"], 1)
    )
    by_topic = {name: pool.filter(lambda row, name=name: row["topic"] == name) for name in topics}
    choices, _ = topic_arms.choose_all(by_topic, seeds, by="quiz_score", weaker_by=None, answers="quiz_answers")
    named = candidates.folder_names(topics)
    folders = {choice: choice.folder(named[choice.topic], 0) for choice in choices}
    subsets = topic_arms.union(choices, pool, 0)
    rows = []
    worn = [(one.topic, one.arm.name, one.seed) for one in choices]
    for number, (topic, arm, seed) in enumerate(
        [*worn, *((topic, "none", seed) for topic in topics for seed in seeds)]
    ):
        score = (number % 7) / 7 if arm != "none" else 0.1
        row = {"topic": topic, "arm": arm, "seed": seed, "style": "photo", "turn": 0, "prompt": f"a photo of a {topic}"}
        row |= {"image": png(number), "image_error": None, "quiz_accuracy": score, "quiz_error": None}
        rows.append(row | {"heldout_quiz_accuracy": score, "heldout_quiz_error": None})
    texts = ("topic", "arm", "style", "prompt", "image_error", "quiz_error", "heldout_quiz_error")
    features = dict.fromkeys(texts, Value("string")) | dict.fromkeys(("seed", "turn"), Value("int64"))
    metrics = ["quiz_accuracy", *(["heldout_quiz_accuracy"] if heldout else [])]
    features |= dict.fromkeys(("quiz_accuracy", "heldout_quiz_accuracy"), Value("float32"))
    drawn = Dataset.from_list(rows, features=Features(features | {"image": ImageColumn(decode=False)}))
    best = arm_names.headline(seeds[0])
    measured = measuring.measure(
        drawn,
        metrics,
        best=best,
        trained_on=topic_arms.trained_on(choices, "quiz_accuracy", seed=0),
        clusters=["topic"],
        second=second,
        unrelated=None,
        contests=None,
        seed=0,
    )
    settings = QuizSettings(writer={"model": "w/w"}, judge={"model": "j/j"}, heldout_questions=heldout)
    config = {"dataset": "a/candidates", "seed": 0, "other_seeds": list(other_seeds), "judge": {"model": "j/j"}}
    config |= {"other_seeds_arms": ["random-2"] if other_seeds else [], "heldout_questions": heldout}
    config |= {"pairwise_column": "prompt", "base_model": "a/model", "topics": topics}
    table = Dataset.from_dict(
        {"topic": topics, "use": ["quiz"] * len(topics)},
        features=Features({"topic": Value("string"), "use": Value("string")}),
    )
    results = {"config": config, "nulls": {"quiz_score": {"no questions": 1}}, "versions": {"tamis": "0"}} | measured
    results |= {"nulls_drawn": drawings.nulls(drawn, metrics, None), "refused": {}, "sources": []}
    results |= {"quizzes": {"quiz": len(topics), "heldout": 0, "dropped": 0, "unchecked": 0}}
    _, _, taker = scorers.build(settings.reading())
    return QuizRelease(
        dataset_id="me/data",
        model_id="me/loras",
        source=SOURCE,
        base=base,
        columns=COLUMNS,
        pool=arms.with_arms(pool, subsets),
        quizzes=QuizSet(table, {}),
        drawn=drawn,
        subsets=subsets,
        arms=seeds[0],
        choices=choices,
        folders=folders,
        results=results,
        best=best,
        metrics=metrics,
        takers=[taker],
        graders=scorers.build(settings.graders(), image_column="image"),
        seed=0,
        paper={"judge": ("J2", "j/j2"), "base_model": ("A model", "a/Model")},
    )


@pytest.mark.parametrize("topic", HOSTILE)
def test_a_topic_is_only_text_wherever_it_is_shown(topic: str, tmp_path: Path) -> None:
    release = release_of([topic, "dax", "wug"])
    release.results["refused"] = {topic: f"no quiz: {topic}"}
    for card in (release.adapter_card(), release.dataset_card()):
        text = card.render()
        header, body = text.split("---\n", 2)[1:]
        assert yaml.safe_load(header)["license"] == card.metadata["license"] == "mit"
        html = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(body)
        outside = re.sub(r"<(code|pre)[ >].*?</\1>", "", html, flags=re.DOTALL)
        assert "evil.example" not in outside and "<script" not in html
        assert html.count("<h1>") == 1 and html.count("<img") == text.count("](pictures/")
    code = block(release.adapter_card().render(), "python")
    folder = candidates.folder_names([topic, "dax", "wug"])[topic]
    assert re.fullmatch(r"[\w-]+", folder, re.ASCII)
    wanted = {"a/model", "me/loras", f"{folder}/top-2", f"a photo of a {topic}", "pytorch_lora_weights.safetensors"}
    assert set(strings(code)) == wanted | {0}
    published = tmp_path / "scores.parquet"
    release.pool.to_parquet(str(published))
    query = block(release.dataset_card().render(), "sql").replace(
        "hf://datasets/me/data/data/scores/*.parquet", str(published)
    )
    kept = {row_id for (row_id,) in duckdb.sql(query).fetchall()}
    assert kept == set(release.subsets["top-2"]["row_id"]) and len(kept) == 6
    page = release.page(release.pictures())
    assert "<script" not in page and 'src="https' not in page


def test_no_cell_of_the_credits_is_a_formula() -> None:
    cells = ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\uff1d1", 'two\nlines, and "quotes"', None, "ann"]
    pool = pool_of(TOPICS, author=lambda number, at: cells[(5 * number + at) % len(cells)])
    release = release_of(TOPICS, ("top-5",), pool=pool)
    told = list(csv.DictReader(io.StringIO(release.credits())))
    assert [one["row_id"] for one in told] == pool["row_id"][:]
    for one, author in zip(told, pool["author"][:], strict=True):
        plain = author in (None, "ann", cells[7])
        assert one["author"] == ((author or "") if plain else f"'{author}")
        assert not one["author"].lstrip().startswith(attribution.FORMULA)


def test_pictures_that_another_seed_used_are_credited_and_count_for_the_licence() -> None:
    """A random arm of seed 2 takes others than that of the main seed."""
    alone, both = release_of(TOPICS), release_of(TOPICS, other_seeds=(2,))
    new = set(both.credits().splitlines()) - set(alone.credits().splitlines())
    told = {one["row_id"]: one["adapters"].split() for one in csv.DictReader(io.StringIO(both.credits()))}
    used = {choice.seed: set(choice.rows["row_id"]) for choice in both.choices if choice.arm.way == "random"}
    assert used[2] and new and all("random-2.1.seed-2" in told[row_id] for row_id in used[2])
    only_there = sorted(
        {row for one in both.choices if one.seed == 2 for row in one.rows["row_id"]}
        - set(attribution.adapters_by_row(alone.folders))
    )
    assert only_there
    changed = pool_of(
        TOPICS, licence=lambda number, at: "CC BY-SA 4.0" if f"r{number}-{at}" == only_there[0] else "cc0-1.0"
    )
    assert release_of(TOPICS, pool=changed).adapter_card().metadata["license"] == "mit"
    assert release_of(TOPICS, pool=changed, other_seeds=(2,)).adapter_card().metadata["license"] == "cc-by-sa-4.0"
    assert "with `.seed-N` behind it" in both.adapter_card().render()


@pytest.mark.parametrize(
    ("stated", "adapters", "dataset", "said"),
    [
        ({}, "mit", "mit", "its pictures \\(cc0\\-1.0\\)"),
        ({"top": "CC BY 4.0"}, "cc-by-4.0", "cc-by-4.0", "cc\\-by\\-4.0"),
        ({"other": "CC BY-ND 4.0"}, "mit", "other", "apply together"),  # published, though nothing was trained on it
        ({"top": None}, "unknown", "unknown", "of its pictures state no licence"),
        ({"top": "  "}, "unknown", "unknown", "of its pictures state no licence"),
        ({"top": "CC BY-SA 4.0", "other": "CC BY-NC 4.0"}, "cc-by-sa-4.0", "other", "apply together"),
        ({"top": "who | knows\n---\nlicense: mit"}, "other", "other", "who\\-\\|\\-knows"),
    ],
)
def test_licences_of_pictures(stated: dict, adapters: str, dataset: str, said: str) -> None:
    plain = release_of(TOPICS, ("top-2",))
    used = set(attribution.adapters_by_row(plain.folders))
    pool = pool_of(
        TOPICS,
        licence=lambda number, at: stated.get("top" if f"r{number}-{at}" in used else "other", "cc0-1.0"),
    )
    release = release_of(TOPICS, ("top-2",), pool=pool)
    one, other = release.adapter_card(), release.dataset_card()
    assert (one.metadata["license"], other.metadata["license"]) == (adapters, dataset)
    assert said in other.render()
    assert yaml.safe_load(one.render().split("---\n", 2)[1])["license"] == adapters


def test_what_was_not_measured_is_not_explained() -> None:
    full, lean = release_of(TOPICS), release_of(["dax"], ("top-2",), heldout=0)
    for text in (lean.adapter_card().render(), lean.dataset_card().render()):
        for absent in ("heldout_quiz", "`retention`:", "`pairwise_win_rate`:", "Do two judges", "took no part"):
            assert absent not in text
    assert "`heldout_quiz_…` asks" in full.adapter_card().render()
    alone = lean.results["arms"]["top-2"]["quiz_accuracy"]
    assert (alone["low"], alone["n"]) == (None, 1)  # of one topic there is no interval
    assert "(n = 1, 0 null)" in lean.adapter_card().render()  # nor a correlation


def test_every_arm_is_explained_and_every_number_has_its_place() -> None:
    listed = ("none", "random-2", "bottom-2", "top-2", "top-1.matched", "full", "clustered-2", "top-spread")
    release = release_of(TOPICS, listed, second="heldout_quiz_accuracy")
    text = release.adapter_card().render()
    for arm in listed:
        assert re.search(rf"^\| `{re.escape(arm)}` \| \d", text, re.MULTILINE), arm
    assert "as many steps as an arm of the largest K" in text and "Do two judges agree" in text
    assert "`quiz_accuracy_topic_sd`" in text.split("## What the numbers mean")[0]
    head, _, *lines = next(part for part in text.split("\n\n") if part.startswith("| arm | `quiz")).splitlines()
    assert len(lines) == len(listed) and {line.count("|") for line in lines} == {head.count("|")}
    index = release.adapter_card().metadata["model-index"][0]["results"]
    told = {(one["args"]["arm"], one["type"]) for result in index for one in result["metrics"]}
    assert {(arm, "quiz_accuracy") for arm in listed} <= told
    assert all("revision" not in result["dataset"] for result in index)  # it has no commit before it is published
    assert set(release.configs()) == {"scores", "questions", "drawn", *release.subsets}


def test_nulls_are_told_of_candidates_and_of_drawn_pictures_apart() -> None:
    release = release_of(TOPICS)
    release.results["nulls_drawn"] = {"image": {"drawing: not finite": 2}, "quiz_accuracy": {"image: null": 2}}
    text = release.dataset_card().render()
    assert f"| 1 | {1 / 15:.2%} | no questions |" in text
    assert f"| `image` | 2 | {2 / len(release.drawn):.2%} | drawing: not finite |" in text


def test_no_query_where_sql_would_take_another_column() -> None:
    pool = pool_of(TOPICS).add_column("Topic", ["x"] * 15)
    release = release_of(TOPICS, pool=pool)
    assert "```sql" not in release.dataset_card().render() and "Cut it again" not in release.dataset_card().render()


def test_the_grid_shows_chance_of_the_same_number() -> None:
    """random-1 is no beginning of random-15."""
    release = release_of(TOPICS, ("none", "random-3", "random-1", "top-1"))
    assert release._grid()[0] == ["none", "random-1.1", "top-1"]
    release = release_of(TOPICS, ("top-1",))
    assert release._grid()[0] == ["none", "top-1"]
    assert "`random" not in release._grid_caption()


def test_cards_of_a_local_base_name_it_and_no_path() -> None:
    base = Source('my "own" model', "model", "3" * 40, None, local=True)
    release = release_of(TOPICS, base=base)
    code = block(release.adapter_card().render(), "python")
    assert 'my "own" model' in strings(code) and release.adapter_card().metadata["license"] == "unknown"
