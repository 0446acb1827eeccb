"""Stock transformers scores a picture by three lines as our own reading does; what cannot be read so is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tamis import hub as publishing
from tamis.config import ConfigError
from tamis.metrics.temperature import softmax
from tamis.prompts import render
from tamis.score_and_explain import decision
from tamis.score_and_explain.calibrating import as_published
from tamis.score_and_explain.score_lines import LINES, SCORES, expected
from tamis.training.adapter import PEFT

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.usefixtures("no_model_held")]
BASE = "tiny/vlm"
PROMPT = render("score_and_explain/explain", wording="short", lowest=1, highest=10)
WARM = {"score": 1.7, "noul": 0.6}
PLAIN = {"score": 1.0}
NEAR = 0.01  # of 1 to 10: what it makes that the library does not look whether a line ends behind its number


@pytest.fixture(scope="module")
def photos() -> list[Any]:
    """The first of each of nine scores."""
    from datasets import load_dataset

    rows = load_dataset("tiny/aesthetics", split="test")
    scores = rows["score"][:]
    return [rows[scores.index(score)]["image"].convert("RGB") for score in sorted(set(scores))]


@pytest.fixture(scope="module")
def processor() -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(BASE)


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of tiny/vlm that changes what it says, and not the form in which it says it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    from tamis.sources import pin
    from tamis.training.peft_files import save

    model = AutoModelForImageTextToText.from_pretrained(BASE)
    targets = [
        name for name, layer in model.model.language_model.named_modules() if name.endswith(("q_proj", "v_proj"))
    ]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        worn = get_peft_model(model, LoraConfig(r=2, target_modules=targets))
        for name, weight in worn.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.3)
    folder = tmp_path_factory.mktemp("lora")
    save(worn, folder, pin(BASE, "model"))
    return folder


def shares(photos: list[Any], **settings: Any) -> np.ndarray:
    """Of whole score lines, by our judge."""
    from tamis.judge import Ask, LocalJudge

    judge = LocalJudge(BASE, **settings)
    told = judge.likelihoods([Ask(PROMPT, (photo,)) for photo in photos], [LINES] * len(photos))
    return np.asarray([expected(one)[0] for one in told])


def by_hand(photos: list[Any], temperature: dict[str, float], **settings: Any) -> list[float]:
    """The two steps that the library takes, of the same labels, by our judge."""
    from tamis.judge import Ask, LocalJudge

    judge, found = LocalJudge(BASE, **settings), []
    for begun, labels, kind in (("#Score: ", list("123456789"), "score"), ("#Score: 1", ["0", "\n"], "noul")):
        told = judge.likelihoods([Ask(PROMPT, (photo,), begun) for photo in photos], [labels] * len(photos))
        found.append(softmax(np.asarray(told), temperature.get(kind, 1.0)))
    first, ten = found
    return (first @ np.arange(1, 10) + 9 * first[:, 0] * ten[:, 0]).tolist()


def write(folder: Path, files: dict[str, str], adapter: Path | None) -> None:
    """The decision model in a folder, beside the model or with its LoRA."""
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    if adapter is not None:
        (folder / "worn").mkdir()
        for name in PEFT:
            shutil.copyfile(adapter / name, folder / "worn" / name)


def said(lines: str, photo: Any, folder: Path, monkeypatch: Any, capsys: Any) -> float:
    """What the lines print, run as they stand beside a photo.jpg."""
    folder.mkdir(exist_ok=True)
    photo.save(folder / "photo.jpg", "PNG")
    monkeypatch.chdir(folder)
    capsys.readouterr()
    exec(compile(lines, "card", "exec"), {})
    return float(capsys.readouterr().out.strip().splitlines()[-1])


def test_three_lines_from_the_hub_score_a_picture(run, photos, processor, lora, tmp_path, monkeypatch, capsys) -> None:
    files = decision.decision_files(processor, PROMPT, WARM, adapter="worn")
    published = publishing.publish_folder(
        run, "me/scorer", "model", lambda folder: write(folder, files, lora), push=True, private=False
    )
    assert {path.name for path in published.folder.iterdir()} == {"decision.json", "decision_template.jinja", "worn"}
    read = decision.reading(processor.tokenizer)
    lines = decision.three_lines("me/scorer", read, base=BASE)
    assert len(lines.splitlines()) == 3 and lines.startswith("from transformers import pipeline\n")
    worn, bare = shares(photos, adapter=str(lora)), shares(photos)
    assert np.abs(worn - bare).max() > 0.02  # the adapter makes a difference
    some = photos[::3]
    found = [said(lines, photo, tmp_path / "here", monkeypatch, capsys) for photo in some]
    assert found == pytest.approx(by_hand(some, WARM, adapter=str(lora)), abs=1e-3)
    wanted = as_published(worn[::3], WARM, apart=True) @ SCORES
    assert found == pytest.approx(wanted.tolist(), abs=10 * NEAR)  # weights of chance have hurt the form


def test_at_temperature_one_it_is_our_own_expected_score(photos, processor, lora, tmp_path) -> None:
    """For a whole model in a folder, and for all types of question it takes."""
    from transformers import AutoModelForImageTextToText, pipeline

    folder = tmp_path / "whole"
    AutoModelForImageTextToText.from_pretrained(BASE).save_pretrained(folder)
    processor.save_pretrained(folder)
    write(folder, decision.decision_files(processor, PROMPT, PLAIN, adapter=None), None)
    decide = pipeline("decision", model=str(folder))
    read = decision.reading(processor.tokenizer)
    questions = {"score": {"type": "score", "criteria": read.levels}, "ten": {"type": "noul"}}
    ours = shares(photos) @ SCORES
    for photo, wanted in zip(photos, ours, strict=True):
        answers = decide({"state": "photo", "assets": {"photo": photo}, "questions": questions})
        ten = answers["score"]["probabilities"]["0"] * answers["ten"]["noul"]
        assert 1 + answers["score"]["score"] + 9 * ten == pytest.approx(wanted, abs=NEAR)
    for state, asked, why in (
        ("a picture", questions, "the state is to be one image"),
        ("photo and more", questions, "the state is to be one image"),
        ("photo", {"score": {"type": "score", "criteria": ["bad", "good"]}}, "a score has these 9 levels: 1 or 10, 2"),
        ("photo", {"score": {"type": "score", "criteria": list("abcdefghij")}}, "reads at most 9 options"),
        ("photo", {"x": {"type": "choice", "criteria": {"a": None}}}, "scores pictures, and answers nothing else"),
    ):
        with pytest.raises(Exception, match=why):
            decide({"state": state, "assets": {"photo": photos[0]}, "questions": asked})


def test_our_judge_reads_the_published_model_too(photos, processor, tmp_path) -> None:
    from transformers import AutoModelForImageTextToText

    from tamis.judge import LocalJudge, Request

    folder = tmp_path / "whole"
    AutoModelForImageTextToText.from_pretrained(BASE).save_pretrained(folder)
    processor.save_pretrained(folder)
    write(folder, decision.decision_files(processor, PROMPT, WARM, adapter=None), None)
    levels = decision.reading(processor.tokenizer).levels
    questions = {"score": {"type": "score", "criteria": levels}, "ten": {"type": "noul"}}
    answers = LocalJudge(str(folder)).decide([Request(photo, questions) for photo in photos])
    found = [1 + one["score"]["score"] + 9 * one["score"]["probabilities"]["0"] * one["ten"]["noul"] for one in answers]
    assert found == pytest.approx(by_hand(photos, WARM), abs=1e-3)


def tokenizer(cut: str, words: list[str], **merged: Any) -> Any:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known = ["<unk>", "#", "Score", ":", " ", "\n", *map(str, range(10)), *words]
    made = Tokenizer(models.WordLevel({word: at for at, word in enumerate(known)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(cut), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>")


def test_ten_may_be_one_token_or_two_or_the_digit_with_its_space() -> None:
    two = decision.reading(tokenizer(r"\d|\w+|\s|[^\w\s]", []))
    assert two == decision.Reading("#Score: ", tuple("123456789"), ("1", "0", "\n"))
    assert two.levels == ["1 or 10", *"23456789"]
    one = decision.reading(tokenizer(r"\d+|\w+|\s|[^\w\s]", ["10"]))
    assert one == decision.Reading("#Score: ", tuple(map(str, SCORES))) and one.levels == list(map(str, SCORES))
    spaced = decision.reading(tokenizer(r" ?\d+|\w+|\s|[^\w\s]", [f" {score}" for score in SCORES]))
    assert spaced == decision.Reading("#Score:", tuple(f" {score}" for score in SCORES))
    with pytest.raises(ConfigError, match="does not cut score lines into digits"):
        decision.reading(tokenizer(r"\d+\s|\w+|\s|[^\w\s]", [f"{score}\n" for score in SCORES]))
    lines = decision.three_lines("me/scorer", one)
    assert "noul" not in lines and lines.endswith('print(1 + said["score"]["score"])')
    assert 'model="me/scorer")(' in lines
    assert 'model="a/b", decision_config="me/scorer")' in decision.three_lines("me/scorer", one, base="a/b")


def test_ten_levels_in_one_question_where_the_tokenizer_allows(monkeypatch, tmp_path) -> None:
    """A model of text: its shares of whole lines are what the library's labels give."""
    import torch
    from transformers import DecisionPipeline, LlamaConfig, LlamaForCausalLM
    from transformers.decision import DecisionConfig

    made = tokenizer(r"<\w+>|\d+|\w+|\s|[^\w\s]", ["10", "explain", "to", "<user>", "<image>", "<reply>"])
    made.chat_template = (
        "{% for message in messages %}<user>{% if message.content is string %}{{ message.content }}{% else %}"
        "{% for part in message.content %}{{ '<image>' if part.type == 'image' else part.text }}{% endfor %}{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}<reply>{% endif %}\n"
    )
    found = decision.decision_files(made, PROMPT, PLAIN, adapter=None)
    config = DecisionConfig(**json.loads(found["decision.json"]), chat_template=found["decision_template.jinja"])
    assert config.labels == {"score": list(map(str, SCORES))} and config.adapter is None
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(LlamaConfig(**small, vocab_size=len(made) + 4)).eval()
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.3)
    ids = made(f"<user><image>{PROMPT}<reply>#Score: ", return_tensors="pt")["input_ids"]
    labels = made.convert_tokens_to_ids([str(score) for score in SCORES])
    with torch.no_grad():
        wanted = model(ids).logits[0, -1, labels].softmax(-1)
    # A model of text is shown no picture: what stands for one here is the template's own word for it.
    config.chat_template = config.chat_template.replace("state is string or", "")
    asked = {"state": [{"type": "image"}], "questions": {"q": {"type": "score", "criteria": list(map(str, SCORES))}}}
    answers = DecisionPipeline(model=model, tokenizer=made, decision_config=config)(asked)
    assert list(answers["q"]["probabilities"].values()) == pytest.approx(wanted.tolist(), abs=1e-5)


def test_a_template_that_would_ask_otherwise_is_refused(processor, monkeypatch) -> None:
    own = processor.chat_template
    for bad, why in (
        ("{{ now }}" + own.replace("add_generation_prompt", "false"), None),
        (own + "{% if question is defined %}!{% endif %}", "cannot be asked as it was trained"),
        (None, "no chat template, or several"),
        ({"default": own}, "no chat template, or several"),
    ):
        monkeypatch.setattr(processor, "chat_template", bad)
        if why is None:
            decision.decision_files(processor, PROMPT, PLAIN, adapter=None)
        else:
            with pytest.raises(ConfigError, match=why):
                decision.decision_files(processor, PROMPT, PLAIN, adapter=None)


@pytest.mark.parametrize("prompt", ['say "it" {{ now }} {% raw %} \\n #}', "two\nlines of\tthis: 'é' 鳥 😀"])
def test_any_prompt_is_told_as_it_stands(processor, prompt: str) -> None:
    decision.decision_files(processor, prompt, PLAIN, adapter=None)  # refused, were it another text
