"""What a finished chunk is found by: all that decides its values, and nothing of what bounds their cost."""

from __future__ import annotations

import dataclasses
import shutil
from typing import Any

import pytest
from quizzes import commons, judged, quiz_of, quiz_rows, second_of

from tamis import prompts, scorers
from tamis.config import COST_ONLY, ConfigError, from_values
from tamis.journal import settings
from tamis.judge import ApiJudge, LocalJudge, SpendingCapError
from tamis.prompts.scale import SUBTASKS
from tamis.scorers.caption import Caption
from tamis.scorers.quiz import Quiz
from tamis.scoring import attach_scores

SERVED = {"backend": "api", "model": "m", "base_url": "http://127.0.0.1:1"}
ASKING = {
    "quiz": "quiz/question",
    "needs_picture": "quiz/blind",
    "visual_gain": "quiz/is_answer",
    "quiz_writer": "quiz/repair",
    "pairwise": "pairwise/better",
    "chat_vqa": "product_vqa/answer",
    "self_explanation": "score_and_explain/explain",
    "product_questions": "product_vqa/repair",
    "answerable": "product_vqa/answer_from_text",
    "explained_score": "score_and_explain/explain",
    "guessed_score": "score_and_explain/guess.levels",
    "caption": "self_reward/caption",
    "rating": "scale/complexity.levels",
    "task": "scale/task",
    "multiple_choice": "scale/benchmark",
    "rated_image": "scale/image_quality.levels",
}


def key(judge: dict[str, Any], **other: Any) -> dict[str, Any]:
    return settings(Quiz(judge, **other))


@pytest.mark.parametrize(
    "change",
    [{"max_calls": 9}, {"max_tokens": 9}, {"concurrency": 1}, {"timeout": 1.0}, {"api_key_env": "OTHER_KEY"}],
)
def test_what_bounds_the_cost_is_no_part_of_the_key(change: dict[str, Any]) -> None:
    assert key(SERVED | change) == key(SERVED)
    local = {"model": "tiny/vlm"}
    assert key(local | {"max_tokens": 9}) == key(local)


@pytest.mark.parametrize(
    "change", [{"model": "n"}, {"base_url": "http://127.0.0.1:2"}, {"route": "decisions"}, {"order_seed": 1}]
)
def test_what_decides_an_answer_is(change: dict[str, Any]) -> None:
    assert key(SERVED | change) != key(SERVED)


def test_the_scorers_own_settings_and_the_kind_of_judge_are_too() -> None:
    keys = [
        key(SERVED),
        key({"model": "m"}),
        *(key(SERVED, **other) for other in ({"orders": 2}, {"wording": "short"})),
    ]
    assert all(one != other for at, one in enumerate(keys) for other in keys[:at])
    assert key(SERVED)["judge"]["class"] == "tamis.judge.api.ApiJudge"


@pytest.mark.parametrize("judge", [ApiJudge, LocalJudge])
def test_settings_left_out_are_settings_all_the_same(judge: type) -> None:
    left_out = [field.name for field in dataclasses.fields(judge) if field.metadata == COST_ONLY]
    served = ["api_key_env", "concurrency", "max_calls", "max_tokens", "timeout"]
    assert left_out == {ApiJudge: served, LocalJudge: ["adapter", "max_tokens"]}[judge]
    with pytest.raises(ConfigError, match="max_tokens: 'many' is not accepted; expected a whole number"):
        from_values(judge, {"model": "m", "max_tokens": "many"})


def test_a_higher_cap_pays_for_what_is_left_alone(run) -> None:
    rows = commons(6, typical=True)
    rows = quiz_rows(rows["image"][:], [quiz_of(topic, 1) for topic in rows["topic"]])
    with judged(second_of) as (judge, server):
        with pytest.raises(SpendingCapError):
            attach_scores(rows, Quiz(judge | {"max_calls": 5}, rows_per_chunk=2), run=run)
        assert len(server.bodies) == 5  # two chunks whole, and one call of the third
        scored = attach_scores(rows, Quiz(judge | {"max_calls": 50}, rows_per_chunk=2), run=run)
        assert len(server.bodies) == 5 + 2
    assert None not in scored["quiz_accuracy"][:]
    assert (run.stages[-1]["chunks_reused"], run.stages[-1]["chunks_computed"]) == (2, 1)


@pytest.mark.parametrize("name", ASKING)
def test_an_edited_prompt_is_another_key(name: str, tmp_path, monkeypatch) -> None:
    def made() -> dict[str, Any]:
        for cached in (prompts.source, prompts.names, prompts.variables, prompts._environment):
            cached.cache_clear()
        return settings(scorers.build([{"scorer": name, "judge": {"model": "tiny/vlm"}}])[0])

    before = made()
    shutil.copytree(prompts._HERE, tmp_path / "prompts", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(prompts, "_HERE", tmp_path / "prompts")
    path = tmp_path / "prompts" / f"{ASKING[name]}.jinja"
    path.write_text(path.read_text().replace("{#", "{# Told anew.", 1))
    assert made() == before  # a comment asks nothing
    path.write_text(path.read_text() + "Take your time.\n")
    edited = made()
    monkeypatch.undo()
    assert edited != before and made() == before


def test_captions_by_sub_task_are_keyed_by_all_their_prompts() -> None:
    by_task = settings(Caption({"model": "tiny/vlm"}, task_column="task"))["prompts"]
    assert by_task == {
        name: prompts.render(name) for name in prompts.names() if name.startswith("scale/captions/")
    } and len(by_task) == len(SUBTASKS)
    assert list(settings(Caption({"model": "tiny/vlm"}, asked="scale/general_caption"))["prompts"]) == [
        "scale/general_caption"
    ]


@pytest.mark.parametrize(("name", "field"), [("quiz", "prompt"), ("quiz_writer", "prompts")])
def test_a_prompt_is_no_setting(name: str, field: str) -> None:
    with pytest.raises(ConfigError, match=rf"unknown key '{field}'; .*accepted: judge, name") as refused:
        scorers.build([{"scorer": name, "judge": {"model": "tiny/vlm"}, field: "Guess."}])
    assert f" {field}," not in str(refused.value).split("accepted:")[1]
