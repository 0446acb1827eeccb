"""What the datasets of the embedded world promise: shares, splits that share nothing, forms of the real ones."""

from __future__ import annotations

import ast
import csv
import gzip
import itertools
import json
import re
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hub_rows import load, rows_of
from huggingface_hub import HfApi, hf_hub_download, snapshot_download

from tamis.prompts.scale import SUBTASKS
from tamis.tiny import world
from tamis.tiny.datasets import commons, pool, products
from tamis.tiny.kinds import WORDS, kinds


def test_commons_has_kinds_from_rarely_to_mostly_typical():
    rows = rows_of("commons")
    assert Counter(row["topic"] for row in rows) == dict.fromkeys(WORDS, commons.PER_KIND)
    typical = Counter(row["topic"] for row in rows if row["truth_typical"])
    assert min(typical.values()) == 2 and max(typical.values()) == 40 and len(set(typical.values())) == 20
    assert {row["truth_source"] for row in rows} == {"typical", *commons.MISLEADING}
    assert {row["truth_matches"] for row in rows} == {0, 1, 2, 3, 4}
    assert len({row["id"] for row in rows}) == len(rows)
    assert 20 < Counter(row["licence"] for row in rows)["cc-by-nd-4.0"] < 120


def test_typical_candidates_show_the_kind_and_nothing_else():
    of = {kind.word: kind for kind in kinds()}
    for row in rows_of("commons"):
        look = {name: row[f"truth_{name}"] for name in world.ATTRIBUTES}
        if row["truth_typical"]:
            assert look == of[row["topic"]].looks[row["truth_prototype"]] and row["truth_defect"] == "none"
        if row["truth_source"] == "defect":
            assert row["truth_defect"] != "none" and row["truth_strength"] >= 0.8
        if row["truth_source"] == "lookalike":
            assert look in of[row["lookalike"]].looks
        if row["truth_source"] in ("partly", "unrelated"):
            assert row["truth_matches"] < 4


def test_four_kinds_have_two_prototypes_and_typical_candidates_of_both():
    of_both = {kind.word for kind in kinds() if len(kind.looks) == 2}
    seen = {word: Counter() for word in WORDS}
    for row in rows_of("commons"):
        if row["truth_typical"]:
            seen[row["topic"]][row["truth_prototype"]] += 1
    assert len(of_both) == 4 and {word for word, counts in seen.items() if len(counts) == 2} == of_both
    assert all(seen[word][0] == seen[word][1] for word in of_both)


def test_order_and_names_of_candidates_tell_nothing():
    rows = rows_of("commons")
    places = [place for place, row in enumerate(rows) if row["truth_typical"]]
    assert abs(sum(places) / len(places) - len(rows) / 2) < 0.05 * len(rows)
    numbers = [int(row["id"].split("-")[1]) for row in rows if row["truth_typical"]]
    assert abs(sum(numbers) / len(numbers) - commons.PER_KIND / 2) < 0.05 * commons.PER_KIND
    for word in WORDS:
        assert len({(row["article"], row["lookalike_article"]) for row in rows if row["topic"] == word}) == 1


def test_held_out_prompts_ask_for_what_no_other_prompt_asks():
    splits = load("prompts")
    texts = {split: {row["prompt"] for row in rows} for split, rows in splits.items()}
    assert not texts["train"] & texts["heldout"] and len(texts["heldout"]) == len(splits["heldout"])
    asked = {
        split: {tuple(row[f"truth_{name}"] for name in world.ATTRIBUTES) for row in rows}
        for split, rows in splits.items()
    }
    assert not asked["train"] & asked["heldout"]
    counts = Counter((row["class"], row["complexity"]) for row in splits["heldout"])
    assert counts == {(shape, how): 12 for shape in world.SHAPES for how in ("plain", "complex")}
    for row in rows_of("prompts"):
        words = re.findall(r"\w+", row["prompt"])
        assert all(row[f"truth_{name}"] in words for name in world.ATTRIBUTES)
        assert (row["truth_other"] is None) == (row["complexity"] == "plain")


def test_no_picture_of_a_product_stands_in_two_splits():
    splits = load("products", "questions")
    for one, two in itertools.combinations(splits, 2):
        for column in ("image_id", "id"):
            assert not {row[column] for row in splits[one]} & {row[column] for row in splits[two]}
        assert not {row["image"]["bytes"] for row in splits[one]} & {row["image"]["bytes"] for row in splits[two]}
    counts = Counter(row["difficulty"] for row in rows_of("products", "questions"))
    assert set(counts) == {0, 1, 2, 3, 5} and len(set(counts.values())) == 1
    assert all(len(row["answer"].split()) == 1 for row in rows_of("products", "questions"))


@pytest.fixture(scope="module")
def catalogue() -> tuple[list[dict[str, Any]], dict[str, dict[str, str]]]:
    """Listings and images by id, by plain gzip, json and csv."""
    here = Path(snapshot_download("tiny/products", repo_type="dataset", allow_patterns=["listings/*", "*.csv.gz"]))
    listings = []
    for number in range(16):
        with gzip.open(here / "listings" / "metadata" / f"listings_{number}.json.gz", "rt", encoding="utf-8") as lines:
            listings += [json.loads(line) for line in lines]
    with gzip.open(here / "images" / "metadata" / "images.csv.gz", "rt", newline="") as table:
        return listings, {row["image_id"]: row for row in csv.DictReader(table)}


def test_the_catalogue_reads_as_the_real_one_does(catalogue: tuple):
    listings, images = catalogue
    files = HfApi().list_repo_files("tiny/products", repo_type="dataset")
    assert {f"images/small/{row['path']}" for row in images.values()} == {f for f in files if f.endswith(".png")}
    assert all(row["path"][:2] == row["path"].split("/")[1][:2] for row in images.values())
    named = {one[key] for one in listings for key in ("main_image_id",) if key in one}
    named |= {image_id for one in listings for image_id in one.get("other_image_id", [])}
    assert named == set(images)
    shown = {row["image_id"]: row["image"]["bytes"] for row in rows_of("products", "questions")}
    for image_id in sorted(shown)[:3]:
        path = f"images/small/{images[image_id]['path']}"
        assert Path(hf_hub_download("tiny/products", path, repo_type="dataset")).read_bytes() == shown[image_id]


def test_the_catalogue_has_what_makes_real_ones_hard(catalogue: tuple):
    listings, _ = catalogue
    tags = [{text["language_tag"] for text in one["bullet_point"]} for one in listings]
    assert len(listings) == products.PRODUCTS + 1 and {"en_US", "en_GB", "en_IN", "de_DE"} <= set().union(*tags)
    assert sum(found == {"de_DE"} for found in tags) == 8 and sum({"en_US", "en_GB"} <= found for found in tags) > 5
    assert 3 < sum("main_image_id" not in one for one in listings) < 20
    assert any("<b>" in text["value"] for one in listings for text in one["bullet_point"])
    for optional in ("brand", "color", "other_image_id"):
        assert 0 < sum(optional not in one for one in listings) < len(listings)
    assert len({one["item_id"] for one in listings}) == products.PRODUCTS
    assert len({(one["item_id"], one["domain_name"]) for one in listings}) == len(listings)
    used = Counter(one["main_image_id"] for one in listings if "main_image_id" in one)
    assert sorted(used.values())[-3:] == [1, 2, 2]  # one product in two shops, two products with one picture


def test_votes_scatter_around_the_hidden_rule():
    for rows in load("aesthetics").values():
        for row in rows:
            assert sum(row["rating_counts"]) == row["total_votes"] and len(row["rating_counts"]) == 10
            mean = sum(vote * count for vote, count in enumerate(row["rating_counts"], start=1)) / row["total_votes"]
            assert row["mean_score"] == pytest.approx(mean, abs=1e-5) and row["score"] == round(mean)
            assert abs(mean - row["truth_merit"]) < 1
            assert set(json.loads(row["truth_traits"])) >= {"sharp", "balanced"}
    test = load("aesthetics")["test"]
    assert len({row["score"] for row in test}) >= 8
    assert 0.4 < sum(row["truth_defect"] == "none" for row in test) / len(test) < 0.6


def test_the_pool_has_known_defects_in_known_shares():
    rows = [row for config in pool.CONFIGS for row in rows_of("pool", config)]
    counts = Counter(row["truth_defect"] for row in rows)
    assert 0.37 < 1 - counts["none"] / len(rows) < 0.43
    assert set(counts) == {"none", "wrong answer", "vague text", "cut short", "blur", "mismatch"}
    assert min(counts.values()) > 0.05 * len(rows)
    for row in rows:
        assert (row["truth_strength"] or 0) > 0 if row["truth_defect"] == "blur" else not row["truth_strength"]
        assert row["truth_task"] in SUBTASKS or row["truth_task"] is None
        for level in ("informativeness", "complexity", "completeness", "clarity"):
            assert row[f"truth_{level}"] in (1, 2, 3, 4, 5, None)


def test_the_pool_keeps_its_sources_forms():
    llava = rows_of("pool", "LLaVA-1.5-mix")
    without = [row for row in llava if row["image"] is None]
    assert 3 <= len(without) <= 20 and 0.1 < sum(len(row["conversations"]) > 2 for row in llava) / len(llava) < 0.4
    for config in ("LLaVA-1.5-mix", "ShareGPT4V", "AS-V2"):
        for row in rows_of("pool", config):
            turns = row["conversations"]
            assert [turn["from"] for turn in turns] == ["human", "gpt"] * (len(turns) // 2)
            assert sum("<image>" in turn["value"] for turn in turns) == (row["image"] is not None)
    for row in rows_of("pool", "A-OKVQA"):
        assert ast.literal_eval(row["direct_answers"])[0] == row["choices"][row["correct_choice_idx"]]
        assert len(set(row["choices"])) == 4
    for row in rows_of("pool", "Geometry3K"):
        assert row["choices"]["ABCD".index(row["ground_truth"])] == row["answer"] and len(row["images"]) == 1


def test_a_mismatched_text_is_of_a_scene_with_nothing_the_same():
    for seed in range(100):
        drawn = pool._drawn(world.SEEDS["pool"].start + seed, (1, 2, 3), "mismatch", Random(seed))
        assert all(drawn.shown.value(name) != drawn.told.value(name) for name in (*world.ATTRIBUTES, "style"))
        assert not {thing.shape for thing in drawn.shown.things} & {thing.shape for thing in drawn.told.things}


def test_the_benchmark_has_as_many_questions_of_every_sub_task():
    for split, rows in load("benchmark").items():
        counts = Counter(row["category"] for row in rows)
        assert len(counts) == 7 and len(set(counts.values())) == 1
        for row in rows:
            options = [row[letter] for letter in "ABCD" if row[letter] is not None]
            assert row["answer"] in "ABCD"[: len(options)] and len(set(options)) == len(options) >= 2
            assert (row["C"] is None) == (len(options) == 2) and row["split"] == split
            assert row["l2-category"] == SUBTASKS[row["category"]].category
    assert [row["index"] for row in rows_of("benchmark")] == list(range(420))
