"""A benchmark's accuracy by option probability: as letters by hand, in any batch, with an adapter on, ties wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from datasets import Dataset, Features, Image, List, Value
from quizzes import TINY, judged, second_of, shown

from tamis.config import ConfigError
from tamis.scale_select.benchmarks import read_benchmark
from tamis.scorers import build
from tamis.scorers.multiple_choice import MultipleChoice
from tamis.scoring import attach_scores

pytestmark = pytest.mark.usefixtures("one_thread")
NAMES = ("accuracy", "probability", "answer")


@pytest.fixture
def rows(run) -> Dataset:
    """Four of each of seven sub-tasks."""
    table = read_benchmark("tiny/benchmark", split="dev", run=run).table
    tasks = table["task"][:]
    kept = sorted(at for task in set(tasks) for at in [at for at, one in enumerate(tasks) if one == task][:4])
    return table.select(kept).flatten_indices()


def by_hand(rows: Dataset) -> list[dict[str, float]]:
    """The library's own pipeline, a question at a time, options as they are given."""
    from transformers import pipeline

    decide = pipeline("decision", model="tiny/vlm")
    decoded = rows.cast_column("image", Image())
    told = []
    for row in decoded:
        question = {"type": "choice", "instructions": f"choose: {row['question']}"}
        question["criteria"] = dict.fromkeys(row["options"])
        asked = {"state": "<shown>", "assets": {"<shown>": row["image"].convert("RGB")}, "questions": {"q": question}}
        told.append(decide(asked)["q"]["probabilities"])
    return told


def test_letters_are_read_as_the_library_reads_them(run, rows) -> None:
    plain = MultipleChoice(TINY | {"order_seed": None}, wording="short")
    scored = attach_scores(rows, plain, run=run, batch_size=8)
    wanted = by_hand(rows)
    keys = rows["answer"][:]
    probabilities = [told[key] for told, key in zip(wanted, keys, strict=True)]
    assert scored["multiple_choice_probability"][:] == pytest.approx(probabilities, abs=1e-4)
    taken = [max(told, key=told.get) for told in wanted]
    assert scored["multiple_choice_answer"][:] == taken
    assert scored["multiple_choice_accuracy"][:] == [float(one == key) for one, key in zip(taken, keys, strict=True)]
    assert scored["multiple_choice_error"][:] == [None] * len(rows)
    one = attach_scores(rows, MultipleChoice(plain.judge, name="one", wording="short"), run=run, batch_size=1)
    assert one["one_probability"][:] == pytest.approx(scored["multiple_choice_probability"][:], abs=1e-5)
    assert np.mean(scored["multiple_choice_accuracy"]) > 0.75


def test_words_are_as_likely_as_by_hand(run, rows) -> None:
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    some = rows.select(range(0, 28, 4)).flatten_indices()
    scored = attach_scores(some, MultipleChoice(TINY, option_reading="words"), run=run, batch_size=7)
    processor = AutoProcessor.from_pretrained("tiny/vlm")
    model = AutoModelForImageTextToText.from_pretrained("tiny/vlm", dtype=torch.float32)
    for row, told in zip(some.cast_column("image", Image()), scored, strict=True):
        content = [{"type": "image"}, {"type": "text", "text": row["question"]}]
        asked = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        logs = []
        for option in row["options"]:
            image = row["image"].convert("RGB")
            before = processor(images=image, text=asked, return_tensors="pt", add_special_tokens=False)
            ending = processor.tokenizer(option, add_special_tokens=False, return_tensors="pt").input_ids
            ids = torch.cat([before["input_ids"], ending], dim=1)
            with torch.inference_mode():
                logits = model(input_ids=ids, pixel_values=before["pixel_values"]).logits[0, -ending.shape[1] - 1 : -1]
            logs.append(logits.log_softmax(-1).gather(1, ending[0][:, None]).sum())
        shares = torch.stack(logs).softmax(0).tolist()
        key = row["options"].index(row["answer"])
        assert told["multiple_choice_probability"] == pytest.approx(shares[key], abs=1e-4)
        assert told["multiple_choice_answer"] == row["options"][max(range(len(shares)), key=shares.__getitem__)]
    begun = attach_scores(
        some, MultipleChoice(TINY, name="begun", option_reading="words", reply_begun="it is "), run=run
    )
    assert begun["begun_probability"][:] != pytest.approx(scored["multiple_choice_probability"][:], abs=1e-3)
    with pytest.raises(ValueError, match="goes with option_reading words"):
        MultipleChoice(TINY, reply_begun="it is ")
    for unfit in ({"orders": 2}, {"judge": {"backend": "api", "base_url": "http://127.0.0.1:1/v1", "model": "m"}}):
        with pytest.raises(ValueError, match="option_reading"):
            MultipleChoice(**{"judge": TINY, "option_reading": "words"} | unfit)


def test_a_model_that_sees_beats_one_that_is_shown_another_picture(run, rows) -> None:
    other = rows.remove_columns("image").add_column(
        "image", [rows[at - 17]["image"] for at in range(len(rows))], feature=rows.features["image"]
    )
    found = [
        np.mean(attach_scores(some, MultipleChoice(TINY, name=name, wording="short"), run=run)[f"{name}_accuracy"])
        for name, some in (("own", rows), ("other", other))
    ]
    assert found[0] > found[1] + 0.25


def test_an_adapter_that_it_wears_is_asked(run, rows, tmp_path) -> None:
    from training.small_adapters import write
    from transformers import AutoModelForImageTextToText

    from tamis.sources import pin

    base = AutoModelForImageTextToText.from_pretrained("tiny/vlm")
    folder = write(base, pin("tiny/vlm", "model"), tmp_path / "lora", 0, ["q_proj", "v_proj"])
    some = rows.select(range(8))
    bare = attach_scores(some, MultipleChoice(TINY, wording="short"), run=run)
    worn = attach_scores(some, MultipleChoice(TINY | {"adapter": str(folder)}, name="worn", wording="short"), run=run)
    moved = np.abs(np.subtract(worn["worn_probability"], bare["multiple_choice_probability"]))
    assert moved.max() > 0.05


def asked(*changes: dict[str, Any], image: Any = None) -> Dataset:
    good = {"image": image, "question": "which?", "options": ["red", "blue"], "answer": "red"}
    text = Value("string")
    features = Features({"image": Image(decode=False), "question": text, "options": List(text), "answer": text})
    return Dataset.from_list([good | change for change in changes], features=features)


def test_ties_are_wrong_and_orders_are_averaged(run, rows) -> None:
    picture = rows[0]["image"]
    with judged(lambda name, question: dict.fromkeys(question["criteria"], 0.5)) as (judge, _):
        tied = attach_scores(asked({}, {"answer": "blue"}, image=picture), MultipleChoice(judge), run=run)
    assert tied["multiple_choice_accuracy"][:] == [0.0, 0.0]
    assert tied["multiple_choice_answer"][:] == ["blue", "red"]
    options = {"options": ["red", "blue", "pink"]}
    with judged(second_of, concurrency=1) as (judge, server):
        scorer = MultipleChoice(judge, name="many", orders=5)
        [row] = attach_scores(asked(options, image=picture), scorer, run=run)
    orders = shown(server, "asked")
    found = sum(order[1] == "red" for order in orders)
    assert len(orders) == 5 and 0 < found < 5
    assert row["many_probability"] == pytest.approx((0.9 * found + 0.05 * (5 - found)) / 5, abs=1e-6)
    assert "Answer the question about the picture" in server.bodies[0]["questions"]["asked"]["instructions"]


def test_every_null_has_its_reason_and_text_alone_is_asked_if_wanted(run, rows) -> None:
    odd = {
        "text: empty": {"question": " "},
        "options: not 2 to 26 different ones": {"options": ["a", "a"]},
        "options: the answer is not among them": {"answer": "C"},
        "options: not a list of texts": {"options": ["a", None]},
        "image: null": {"image": None},
        "image: zero bytes": {"image": {"bytes": b"", "path": None}},
    }
    table = asked({}, *odd.values(), image=rows[0]["image"])
    scored = attach_scores(table, MultipleChoice(TINY, wording="short"), run=run)
    assert scored["multiple_choice_error"][:] == [None, *odd]
    for name in NAMES:
        assert [value is None for value in scored[f"multiple_choice_{name}"]] == [False] + [True] * len(odd)
    blind = attach_scores(table, MultipleChoice(TINY, name="blind", wording="short", text_only=True), run=run)
    assert blind["blind_error"][:] == [None, *(None if reason == "image: null" else reason for reason in odd)]
    assert 0 < blind["blind_probability"][5] < 1


def test_a_refusal_is_a_null(run, rows) -> None:
    with judged(lambda name, question: None) as (judge, _):
        [row] = attach_scores(asked({}, image=rows[0]["image"]), MultipleChoice(judge), run=run)
    assert row["multiple_choice_error"] == "left out by the server"
    assert [row[f"multiple_choice_{name}"] for name in NAMES] == [None] * 3


def test_a_hint_of_a_page_leaves_the_question_whole(run, rows) -> None:
    page = "water boils at 100 degrees. " * 300 + "\nwhich?"
    with judged(second_of) as (judge, server):
        attach_scores(asked({"question": page}, image=rows[0]["image"]), MultipleChoice(judge), run=run)
    assert server.bodies[0]["questions"]["asked"]["instructions"].endswith("\nwhich?")


def test_no_orders_are_refused() -> None:
    with pytest.raises(ConfigError, match="orders: 0 is not accepted"):
        build([{"scorer": "multiple_choice", "judge": TINY, "orders": 0}])
