"""What the project says of itself is held to: every YAML, header, command, flag, link and layering rule."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from huggingface_hub.cli._uv_script_header import parse_uv_script_header
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
RECIPES = sorted((ROOT / "recipes").glob("*.py"))
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "AGENTS.md", "benchmarks/README.md")]


def _module(path: Path):
    import importlib.util

    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _config_class(path: Path) -> type:
    from tamis.config import RunConfig

    module = _module(path)
    return next(
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, RunConfig) and value is not RunConfig
    )


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda path: path.name)
def test_every_yaml_parses_and_its_scorers_exist(path: Path) -> None:
    from tamis import config, scorers

    recipe = ROOT / "recipes" / f"{path.name.split('.')[0]}.py"
    settings = config.parse(_config_class(recipe), ["--config", str(path)])
    if "scorers" in settings.__dataclass_fields__:
        scorers.build(settings.scorers)
    if ".tiny" not in path.name and ".study" not in path.name:
        assert "tiny/" not in path.read_text()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_recipe_can_be_started_by_hf_jobs(path: Path) -> None:
    text = path.read_text()
    assert parse_uv_script_header(text) is not None
    block = re.search(r"^# /// script\n(.*?)^# ///$", text, re.DOTALL | re.MULTILINE).group(1)
    import tomllib

    header = tomllib.loads("\n".join(line.removeprefix("#").removeprefix(" ") for line in block.splitlines()))
    setup = (ROOT / "setup.cfg").read_text()
    assert f"python_requires = {header['requires-python']}" in setup
    own = next(Requirement(line) for line in header["dependencies"] if line.startswith("tamis"))
    version = re.search(r"^version = (.*)$", setup, re.MULTILINE).group(1)
    assert str(own.specifier) == f"=={version}"
    assert all(f"\n{extra} =" in setup for extra in own.extras)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_recipe_reads_in_five_acts(path: Path) -> None:
    text = path.read_text()
    acts = re.findall(r"^(?:    )+# -+ \d\. (\w+) -+$", text, re.MULTILINE)
    assert acts == ["Read", "Score", "Select", "Train", "Publish"]
    tree = ast.parse(text)
    config = next(node for node in tree.body if isinstance(node, ast.ClassDef))
    assert len(text.splitlines()) - (config.end_lineno - config.lineno) <= 225
    assert ast.get_docstring(tree)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_help_answers_at_once_and_needs_nothing_heavy(path: Path) -> None:
    code = (
        f"import runpy, sys; sys.argv = ['{path.name}', '--help']\n"
        "try: runpy.run_path(sys.argv[0] if False else r'" + str(path) + "', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'datasets', 'accelerate', 'diffusers'} & set(sys.modules)\n"
        "print('heavy:', heavy)"
    )
    started = time.monotonic()
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "heavy: set()" in got.stdout and "--dry_run" in got.stdout
    assert time.monotonic() - started < 3


def _commands() -> list[tuple[str, str]]:
    """Every command that starts a recipe: a line of its own, or between backticks."""
    found = []
    for path in [*DOCUMENTS, *RECIPES, *(ROOT / "recipes").glob("*.yaml")]:
        text = re.sub(r"\\\n#? *", " ", path.read_text())
        lines = [line.strip().removeprefix("# ").strip() for line in text.splitlines()]
        for line in [*lines, *re.findall(r"`([^`\n]+)`", text)]:
            starts = line.startswith(("accelerate launch", "python ", ".venv/bin/"))
            if starts and "`" not in line and re.search(r"recipes/\w+\.py", line):
                found.append((path.name, line))
    assert len(found) > 5
    return found


@pytest.mark.parametrize(("where", "command"), _commands())
def test_documented_commands_name_files_and_flags_that_exist(where: str, command: str) -> None:
    words = shlex.split(command)
    recipe = next(word for word in words if word.startswith("recipes/") and word.endswith(".py"))
    files = [word for word in words if re.match(r"(recipes|accelerate_configs)/", word)]
    assert all((ROOT / word).exists() for word in files), f"{where}: {files}"
    fields = _config_class(ROOT / recipe).__dataclass_fields__
    flags = [word.split("=")[0] for word in words[words.index(recipe) :] if word.startswith("--")]
    known = {f"--{name}" for name in fields} | {f"--no_{name}" for name in fields} | {"--config", "--help"}
    assert set(flags) <= known, f"{where}: {set(flags) - known}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documented_files_targets_and_links_exist(path: Path) -> None:
    text = path.read_text()
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make (\w+)", text)) | set(re.findall(r"^make (\w+)", text, re.MULTILINE)) <= targets
    for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
        assert (path.parent / link).exists(), link


@pytest.mark.parametrize("path", sorted((ROOT / "accelerate_configs").glob("*.yaml")), ids=lambda path: path.name)
def test_launch_configs_are_read_by_accelerate(path: Path) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(path))
    written = yaml.safe_load(path.read_text())
    assert config.num_processes == written["num_processes"]
    assert config.distributed_type.name in ("NO", written["distributed_type"])
    assert "at this commit" in path.read_text() or path.name == "cpu.yaml"  # run, or not run: each says so


def test_layers() -> None:
    """Recipes never import each other, tamis never a recipe, and what promises to need no torch needs none."""
    for path in [*(ROOT / "src").rglob("*.py"), *RECIPES]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "recipes" or name in {p.stem for p in RECIPES} for name in names), path
    light = "tamis.select, tamis.cards, tamis.sql, tamis.metrics.stats, tamis.near_duplicates, tamis.scorers"
    code = f"import sys, {light}\nassert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_constraints_pin_what_setup_names() -> None:
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            pins[name.lower().replace("_", "-")] = version
    setup = (ROOT / "setup.cfg").read_text()
    needed = re.findall(r"^    ([A-Za-z][\w.-]*)>=([\d.]+)$", setup, re.MULTILINE)
    assert len(needed) > 15
    for name, floor in needed:
        pinned = pins.get(name.lower().replace("_", "-"))
        if pinned is None:
            assert name in ("torchvision", "wandb"), name  # extras that no test installs
        else:
            assert tuple(map(int, pinned.split("."))) >= tuple(map(int, floor.split("."))), name
    assert pins["torch"] == "2.13.0"


def test_the_scorer_of_contributing_runs_as_it_stands(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    from datasets import Dataset, Features, Image
    from PIL import Image as Pictures

    from tamis import scorers
    from tamis.scoring import attach_scores

    code = re.search(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL).group(1)
    (tmp_path / "red_eye.py").write_text(code)
    monkeypatch.setattr(scorers, "__path__", [*scorers.__path__, str(tmp_path)])
    (scorer,) = scorers.build(["red_eye"])
    buffer = io.BytesIO()
    Pictures.new("RGB", (4, 4), (255, 0, 0)).save(buffer, "PNG")
    cells = [{"bytes": buffer.getvalue(), "path": None}, {"bytes": b"no image", "path": None}]
    dataset = Dataset.from_dict({"image": cells}, features=Features({"image": Image(decode=False)}))
    scored = attach_scores(dataset, scorer, run=run)
    assert scored["red_eye_openness"][:] == [0.0, None] and scored["red_eye_error"][1] == "image: not an image"
    sys.modules.pop("tamis.scorers.red_eye", None)


def test_every_folder_of_the_package_is_one() -> None:
    """A folder without __init__.py works from a checkout and is missing from what pip installs."""
    folders = {path.parent for path in (ROOT / "src" / "tamis").rglob("*.py")}
    assert [str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").is_file()] == []
