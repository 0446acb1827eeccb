"""What self_reward_lora publishes of a run: whatever classes and prompts say, cards and tables only show it."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from datasets import Dataset, Value
from datasets import Image as ImageColumn
from hostile import HOSTILE, block, strings
from markdown_it import MarkdownIt
from PIL import Image

from tamis import arm_names, drawings, grading, scorers
from tamis.self_reward import choosing, rounds
from tamis.self_reward.prompts import Prompts, of_dataset
from tamis.self_reward.release import SelfRewardRelease
from tamis.self_reward.settings import SelfRewardSettings
from tamis.sources import Source

BASE = Source("a/model", "model", "2" * 40, "mit")
SOURCE = Source("a/prompts", "dataset", "1" * 40, "cc0-1.0")
SETTINGS = SelfRewardSettings(dataset="a/prompts", judge={"model": "j/j"}, clip={"model": "c/c"})
REWARDS = scorers.build(SETTINGS.rewards())
EASY = scorers.build([{"scorer": "detection", "threshold": 0.1}])
REWARD = SETTINGS.reward


def png(shade: int) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 12), (shade % 256, 80, 120)).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def prompts_of(classes: list[str], each: int = 3) -> Prompts:
    def rows(use: str) -> Dataset:
        return Dataset.from_list(
            [
                {"row_id": f"c{n}-{use}-{at}", "class": label, "prompt": f"a {use} {label} {at}"}
                for n, label in enumerate(classes)
                for at in range(each)
            ]
        )

    return of_dataset(
        {"train": rows("train"), "heldout": rows("heldout")},
        class_column="class",
        prompt_column="prompt",
        complexity_column=None,
        classes=None,
    )


def scored(drawn: Dataset) -> Dataset:
    """With a picture of a few pixels, and what the scorers would have added: numbers by rule, else nothing."""
    pictures = [png(at) for at in range(len(drawn))]
    made = drawn.add_column("image", pictures, feature=ImageColumn(decode=False))
    columns = {name: kind for one in REWARDS for name, kind in one.columns.items()} | {"diversity": Value("float32")}
    columns |= {f"{name}_error": Value("string") for name in ("image", "diversity", *(one.name for one in REWARDS))}
    for place, (name, kind) in enumerate(columns.items()):
        numbers = [((7 * at + place) % 11) / 11 for at in range(len(drawn))]
        values = numbers if getattr(kind, "dtype", "") == "float32" else [None] * len(drawn)
        made = made.add_column(name, values, feature=kind)
    return made


def graded(drawn: Dataset, metrics: list[str], best: str, prompts: Dataset) -> dict[str, Any]:
    return grading.measure(
        drawn,
        metrics,
        best=best,
        clusters=rounds.clusters(prompts),
        unrelated=None,
        contests=None,
        won=["clip_similarity"],
        parts=["complexity", "class"],
        apart=["complexity", "class"],
        seed=0,
    )


def release_of(
    classes: list[str],
    listed: tuple[str, ...] = ("none", "random-1", "top-1"),
    *,
    per_class: bool = False,
    rounds_run: int = 1,
    source: Source | None = SOURCE,
    tmp: Path,
    **changed: Any,
) -> SelfRewardRelease:
    """As the recipe makes one."""
    gathered, arms = prompts_of(classes), choosing.FORMS.expand(list(listed), 1)
    asked = gathered.table
    pools, history, choices, paths, wearing = [], [], [], {}, {}
    for number in range(1, rounds_run + 1):
        leader = rounds.leader(arms, number)
        pool = scored(rounds.to_generate(asked, 3, number=number, seed=0, wearing=wearing))
        pool = choosing.with_rank(pool, EASY, reward=REWARD)
        pools.append(pool)
        history.append(rounds.summary(pool, number, reward=REWARD))
        wanted = {0: arms} if number == 1 else {0: [leader]}
        made, _ = choosing.choose_all(pool, wanted, history[-1]["unseen"], reward=REWARD, per_class=per_class)
        choices += made
        folders = choosing.folders(choices, 0)
        for choice in made:
            paths[choice] = tmp / folders[choice]
            paths[choice].mkdir(parents=True)
            (paths[choice] / "pytorch_lora_weights.safetensors").write_bytes(folders[choice].encode())
        wearing = rounds.wearing(made, paths, leader, seed=0, classes=asked["class"][:])
    drawn = scored(rounds.to_grade(asked, choices, paths, 2))
    metrics, best = ["clip_similarity", "diversity"], arm_names.headline(arms)
    measured = graded(drawn, metrics, best, asked)
    config = {"dataset": "a/prompts", "seed": 0, "other_seeds": [], "other_seeds_arms": [], "judge": {"model": "j/j"}}
    config |= {"writer": None, "per_class": per_class, "candidates_per_prompt": 3, "pairwise": None, "grading": []}
    config |= {"pairwise_column": "prompt", "base_model": "a/model", "classes": classes, "lora_r": 16}
    results = {"config": config | changed, "versions": {"tamis": "0"}, "sources": []} | measured
    results |= {"nulls": rounds.nulls(pools, [column for one in REWARDS for column in one.columns])}
    results |= {
        "nulls_drawn": drawings.nulls(drawn, metrics, None),
        "prompts": gathered.counts(),
        "left_out": {},
        "refused": {},
        "untrained": {},
    }
    results |= {"cut": {"prompts": 0, "tokens": 77}, "rounds": history, "ended": None}
    return SelfRewardRelease(
        dataset_id="me/data",
        model_id="me/lora",
        source=source,
        base=BASE,
        prompts=asked,
        pools=pools,
        drawn=drawn,
        choices=choices,
        folders=choosing.folders(choices, 0),
        paths=paths,
        results=results,
        best=best,
        metrics=metrics,
        rewards=REWARDS,
        graders=scorers.build(SETTINGS.graders()),
        reward=REWARD,
        seed=0,
        paper={"judge": ("J2", "j/j2"), "detector": ("D",), "writer": ("W",), "lora_r": (4,)},
        claim="a win rate of 99 %",
        claims={"the paper: 99 %": 0.99},
    )


@pytest.mark.parametrize("label", HOSTILE)
def test_a_class_is_only_text_wherever_it_is_shown(label: str, tmp_path: Path) -> None:
    release = release_of([label, "moon"], per_class=True, rounds_run=2, tmp=tmp_path / "adapters")
    release.results["refused"] = {label: f"no prompts: {label}"}
    release.results["untrained"] = {f"{label}/top-1.dpo": "no picture of 3 is left to train on"}
    release.results["ended"] = f"of {label} no picture passes any more"
    for card in (release.adapter_card(), release.dataset_card()):
        text = card.render()
        header, body = text.split("---\n", 2)[1:]
        assert yaml.safe_load(header)["license"] == "mit"
        html = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(body)
        outside = re.sub(r"<(code|pre)[ >].*?</\1>", "", html, flags=re.DOTALL)
        assert "evil.example" not in outside and "<script" not in html
        assert html.count("<h1>") == 1 and html.count("<img") == text.count("](pictures/")
    folder = release.folders[release.choices[0]].split("/")[0]
    assert re.fullmatch(r"[\w-]+", folder, re.ASCII)
    code = block(release.adapter_card().render(), "python")
    wanted = {"a/model", "me/lora", f"{folder}/top-1", f"a train {label} 0", "pytorch_lora_weights.safetensors", 0}
    assert set(strings(code)) == wanted
    published = tmp_path / "scores.parquet"
    release.pool.to_parquet(str(published))
    query = block(release.dataset_card().render(), "sql")
    query = query.replace("hf://datasets/me/data/data/scores/*.parquet", str(published))
    kept = {row_id for (row_id,) in duckdb.sql(query).fetchall()}
    mine = [row for row in release.pool.select_columns(["row_id", "arms"]) if "top-1" in row["arms"]]
    assert kept == {row["row_id"] for row in mine} and len(kept) == 6
    page = release.page(release.pictures())
    assert "<script" not in page and 'src="https' not in page


def test_every_arm_is_explained_and_in_the_pool(tmp_path: Path) -> None:
    listed = ("none", "random-2", "bottom-1", "top-1", "top-20pct", "caption-1", "top-1.dpo")
    release = release_of(["moon", "arrow"], listed, rounds_run=2, tmp=tmp_path)
    text = release.adapter_card().render()
    for arm in (*listed, "top-1.round-2"):
        assert re.search(rf"^\| `{re.escape(arm)}` \| \d", text, re.MULTILINE), arm
    assert "by Diffusion\\-DPO" in text and "drew" in text
    configs = release.configs()
    arms = {"random-2.1", "bottom-1", "top-1", "top-20pct", "caption-1", "top-1.dpo", "top-1.round-2"}
    assert set(configs) == {"scores", "prompts", "drawn", *arms}
    for arm in arms:
        members = [row["row_id"] for row in release.pool.select_columns(["row_id", "arms"]) if arm in row["arms"]]
        assert configs[arm]["row_id"][:] == members
        assert all(member.split("-round-")[1][0] == ("2" if arm.endswith("round-2") else "1") for member in members)
    assert [name for name, rows in configs.items() if "worse" in rows.column_names] == ["top-1.dpo"]
    paired = configs["top-1.dpo"].cast_column("image", ImageColumn(decode=False))
    paired = paired.cast_column("worse", ImageColumn(decode=False))
    assert all(row["image"]["bytes"] != row["worse"]["bytes"] for row in paired) and len(paired)
    worn = {row["adapter"] for row in release.pool.select_columns(["adapter", "round"]) if row["round"] == "round-2"}
    assert worn == {"top-1"} and str(tmp_path) not in str(release.pool.select_columns(["adapter"])[:])


def test_what_was_drawn_can_be_graded_again_from_what_is_published(tmp_path: Path) -> None:
    release = release_of(["moon", "arrow"], ("none", "random-2", "top-1"), tmp=tmp_path / "adapters")
    for name, rows in release.configs().items():
        rows.to_parquet(str(tmp_path / f"{name}.parquet"))
    drawn, prompts = (Dataset.from_parquet(str(tmp_path / f"{name}.parquet")) for name in ("drawn", "prompts"))
    again = graded(drawn, release.metrics, release.best, prompts)
    assert again["comparisons"] and again == {name: release.results[name] for name in again}


def test_what_was_not_run_is_not_told(tmp_path: Path) -> None:
    lean = release_of(["moon"], ("top-1",), tmp=tmp_path / "lean", source=None)
    text = lean.adapter_card().render()
    for absent in (
        "`retention`:",
        "`pairwise_win_rate`:",
        "took no part",
        "starts from the base model again",
        "ComfyUI:",
    ):
        assert absent not in text
    assert lean.adapter_card().metadata["license"] == "mit" and "no further round" not in text.lower()
    full = release_of(["moon"], tmp=tmp_path / "full", rounds_run=2, pairwise={"judge": {"model": "other/j"}})
    text = full.adapter_card().render()
    assert "starts from the base model again" in text and "It is the judge that chose" not in text
    assert "wins against the base model by CLIP similarity in" in text
    assert "The paper tells a win rate of 99 %, of other models" in text


def test_the_grid_shows_nothing_chance_the_best_and_the_last_round(tmp_path: Path) -> None:
    release = release_of(["moon", "arrow"], ("none", "random-1", "bottom-1", "top-1"), rounds_run=3, tmp=tmp_path)
    assert release._grid_arms() == ["none", "random-1.1", "top-1", "top-1.round-3"]
    assert list(release._grid_lines()) == [f"c{label}-heldout-{at}" for label in (0, 1) for at in range(3)]


def test_differences_from_the_paper_name_both_values(tmp_path: Path) -> None:
    text = release_of(["moon"], tmp=tmp_path).adapter_card().render()
    assert "- judge: `j/j` here, `J2` in the paper" in text and "- lora_r: `16` here, `4` in the paper" in text
    assert "- detector: `google/owlv2-base-patch16-ensemble` here, `D` in the paper" in text
    assert "- writer: `none: prompts were read` here, `W` in the paper" in text


def test_models_in_folders_are_told_by_their_names(tmp_path: Path) -> None:
    judge = {"model": str(tmp_path / "models" / "llava")}
    release = release_of(["moon"], tmp=tmp_path / "a", judge=judge, pairwise={"judge": judge | {"max_pixels": 256}})
    text = release.adapter_card().render()
    assert "- judge: `llava` here, `J2` in the paper" in text and str(tmp_path) not in text
    assert release._values("")["same_judge"]  # another setting of it is no other judge


def test_a_class_left_out_is_told_where_its_pictures_are_and_not_among_what_was_learnt(tmp_path: Path) -> None:
    release = release_of(["moon", "arrow"], tmp=tmp_path)
    release.results["refused"] = {"arrow": "none of its 9 pictures passes"}
    assert "of 1 class (moon)" in release.adapter_card().render()
    text = release.dataset_card().render()
    assert "of 2 classes (moon, arrow)" in text and "none of its 9 pictures passes" in text
    assert set(release.configs()["prompts"]["class"]) == {"moon", "arrow"}


def test_pictures_a_prompt_and_the_largest_of_several_tops_are_told(tmp_path: Path) -> None:
    text = release_of(["moon"], ("top-1", "top-2"), tmp=tmp_path).adapter_card().render()
    assert "`top-2` learnt from the best 2 pictures of each prompt, of 3 that were drawn" in text


def test_the_grid_says_which_classes_it_shows(tmp_path: Path) -> None:
    many = release_of([f"class {number}" for number in range(8)], ("none", "top-1"), tmp=tmp_path)
    assert len(many._grid_lines()) == 16 and "of 6 of 8 classes" in many._grid_caption()
