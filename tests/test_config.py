"""Settings: the file, then the command line; whatever is wrong is refused by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from tamis.config import ConfigError, RunConfig, from_values, parse, plain_errors


@dataclass(kw_only=True)
class Example(RunConfig):
    output_dir: str = "outputs/example"
    dataset: str
    learning_rate: Annotated[float, "step size"] = 1e-4
    lora_r: int | None = None
    scale: Literal["rank", "raw"] = "rank"
    names: list[str] = field(default_factory=list)
    weights: dict[str, float] | None = None
    band: tuple[float, float] | None = None
    scorers: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
def written(tmp_path: Path):
    def write(text: str) -> str:
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_defaults_then_file_then_command_line(written) -> None:
    path = written("dataset: from-file\nlora_r: 8\nseed: 3\n")
    config = parse(Example, ["--config", path, "--seed", "4"])
    assert (config.dataset, config.lora_r, config.seed, config.learning_rate) == ("from-file", 8, 4, 1e-4)


def test_every_kind_of_value_from_the_command_line() -> None:
    config = parse(
        Example,
        ["--dataset", "1e5", "--learning_rate", "3e-5", "--names", "a", "7", "--weights", "{clip: 2, q: 0.5}"]
        + ["--band", "-1e-3", "0.9", "--dry_run", "--no_hub_private_repo", "--report_to", "wandb", "trackio"]
        + ["--scorers", "{scorer: clip, model: x}", "--lora_r", "010"],
    )
    assert config.dataset == "1e5"  # text stays text, even where YAML would read a number
    assert config.learning_rate == 3e-5
    assert config.names == ["a", "7"]
    assert config.weights == {"clip": 2.0, "q": 0.5}
    assert config.band == (-0.001, 0.9)
    assert (config.dry_run, config.hub_private_repo) == (True, False)
    assert config.report_to == ["wandb", "trackio"]
    assert config.lora_r == 10
    assert config.scorers == [{"scorer": "clip", "model": "x"}]


def test_null_unsets(written) -> None:
    path = written("dataset: d\nlora_r: 8\nhub_model_id: me/x\n")
    config = parse(Example, ["--config", path, "--lora_r", "null", "--hub_model_id", "null"])
    assert (config.lora_r, config.hub_model_id) == (None, None)


@pytest.mark.parametrize(
    "arguments", [["--limit", "0"], ["--limit", "-3"], ["--hub_model_id", "name"], ["--hub_dataset_id", "a/../b"]]
)
def test_bounds_and_ids_are_checked_first(capsys, arguments: list) -> None:
    with pytest.raises(SystemExit):
        parse(Example, ["--dataset", "d", *arguments])
    assert f"{arguments[0].removeprefix('--')}: " in capsys.readouterr().err


def test_a_learning_rate_without_a_dot_is_a_number(written) -> None:
    assert parse(Example, ["--config", written("dataset: d\nlearning_rate: 1e-4\n")]).learning_rate == 1e-4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dataset: d\nlora_rank: 8", "unknown key 'lora_rank'; did you mean 'lora_r'?"),
        ("dataset: d\nlora_r: eight", "lora_r: 'eight' is not accepted; expected a whole number or null"),
        ("dataset: d\nlora_r: true", "lora_r: True is not accepted"),
        ("dataset: d\nlearning_rate: fast", "learning_rate: 'fast' is not accepted; expected a number"),
        ("dataset: d\nscale: log", "scale: 'log' is not accepted; expected one of 'rank', 'raw'"),
        ("dataset: d\nnames: clip", "names: 'clip' is not accepted; expected a list of text"),
        ("dataset: d\nweights: [a]", "expected a mapping of text to a number"),
        ("dataset: d\nband: [0.1]", "expected a list [a number, a number]"),
        ("dataset: d\ndry_run: 1", "dry_run: 1 is not accepted; expected true or false"),
        ("dataset: d\nseed: 1\nseed: 2", "key 'seed' is given twice"),
        ("dataset: d\nreport_to: [mlflow]", "expected a list of one of 'trackio', 'wandb', 'tensorboard'"),
        ("- dataset", "expected 'key: value' lines"),
        ("dataset: [", "while parsing"),
        ("seed: 1", "dataset: needed"),
    ],
)
def test_wrong_settings_are_refused_by_name(written, capsys, text: str, said: str) -> None:
    with pytest.raises(SystemExit) as stop:
        parse(Example, ["--config", written(text)])
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_a_missing_file_and_an_unknown_flag(capsys, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        parse(Example, ["--config", str(tmp_path / "none.yaml")])
    assert "No such file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse(Example, ["--dataset", "d", "--sed", "1"])
    assert "--sed" in capsys.readouterr().err


def test_a_python_tag_in_yaml_is_not_run(written, capsys) -> None:
    with pytest.raises(SystemExit):
        parse(Example, ["--config", written("dataset: !!python/object/apply:os.system ['true']")])
    assert "could not determine a constructor" in capsys.readouterr().err


def test_from_values_names_where(capsys) -> None:
    with pytest.raises(ConfigError, match=r"scorers\[0\]: unknown key 'x'"):
        from_values(Example, {"x": 1}, "scorers[0]")
    with pytest.raises(SystemExit) as stop, plain_errors():
        from_values(Example, {})
    assert stop.value.code == 2 and "error: dataset" in capsys.readouterr().err
