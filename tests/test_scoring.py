"""attach_scores: each promise of it, one test."""

from __future__ import annotations

import importlib
import io
import os
import random
import resource
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import killing
import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Pictures
from toy_scorers import Length, notes

from tamis import images
from tamis.journal import content_hash, source_code
from tamis.run import Run
from tamis.scoring import attach_scores

ROOT = Path(__file__).resolve().parent.parent


def texts(count: int = 100) -> Dataset:
    return Dataset.from_dict(
        {
            "row_id": [f"train-{index}" for index in range(count)],
            "text": ["" if index % 10 == 3 else "x" * (index % 31) + "y" for index in range(count)],
        }
    )


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file where toy scorers note what they were asked."""
    monkeypatch.setenv("TAMIS_TEST_NOTES", str(tmp_path / "notes"))
    return tmp_path / "notes"


def test_rows_in_are_rows_out_in_order_with_reasons(run: Run) -> None:
    dataset = texts()
    scored = attach_scores(dataset, Length(), run=run, batch_size=8)
    assert scored.column_names == ["row_id", "text", "length_characters", "length_error"]
    assert scored["row_id"][:] == dataset["row_id"][:]
    for row in scored:
        expected = (None, "text: empty") if not row["text"] else (len(row["text"]), None)
        assert (row["length_characters"], row["length_error"]) == expected
    assert scored.features["length_characters"] == Value("float32")


@pytest.mark.parametrize("batch_size", [1, 3, 8, 1000])
def test_any_batch_size_gives_the_same(run: Run, batch_size: int) -> None:
    scored = attach_scores(texts(), Length(), run=run, batch_size=batch_size)
    assert scored["length_characters"][:] == [len(text) or None for text in texts()["text"]]


def test_a_second_scorer_of_a_kind_has_its_own_columns(run: Run) -> None:
    scored = attach_scores(texts(), Length(), run=run)
    scored = attach_scores(scored, Length(name="other", factor=2.0), run=run)
    assert scored["other_characters"][1] == 2 * scored["length_characters"][1]


def test_finished_chunks_are_not_computed_again(run: Run, asked: Path) -> None:
    first = attach_scores(texts(), Length(), run=run)
    count = len(notes(asked))
    again = attach_scores(texts(), Length(), run=run)
    assert len(notes(asked)) == count > 0
    assert again.to_dict() == first.to_dict()
    assert (run.stages[-1]["chunks_computed"], run.stages[0]["chunks_computed"]) == (0, 7)


def test_one_changed_row_costs_one_chunk(run: Run, asked: Path) -> None:
    dataset = texts()
    attach_scores(dataset, Length(), run=run)
    changed = dataset.to_dict()
    changed["text"][20] = "other"
    asked.unlink()
    scored = attach_scores(Dataset.from_dict(changed), Length(), run=run)
    assert scored["length_characters"][20] == 5
    assert (run.stages[-1]["chunks_computed"], run.stages[-1]["chunks_reused"]) == (1, 6)
    assert sum(len(line.split()) for line in notes(asked)) <= 16


def test_a_changed_setting_is_a_new_column(run: Run) -> None:
    attach_scores(texts(), Length(), run=run)
    scored = attach_scores(texts(), Length(factor=3.0), run=run)
    assert scored["length_characters"][1] == 6.0
    assert run.stages[-1]["chunks_reused"] == 0


def test_a_new_column_elsewhere_costs_nothing(run: Run) -> None:
    """The key is made of what the scorer reads; the rest of the row may change."""
    attach_scores(texts(), Length(), run=run)
    attach_scores(texts().add_column("other", list(range(100))), Length(), run=run)
    assert run.stages[-1]["chunks_computed"] == 0


def _module(folder: Path, body: str) -> Any:
    """Length, with a part of its code replaced, as a module of its own."""
    source = (ROOT / "tests" / "toy_scorers.py").read_text()
    (folder / "edited.py").write_text(source.replace("self.factor * len(text)", body))
    sys.modules.pop("edited", None)
    importlib.invalidate_caches()
    return importlib.import_module("edited")


def test_an_edit_of_the_scorer_recomputes_a_comment_does_not(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = source_code(_module(tmp_path, "self.factor * len(text)").Length)
    attach_scores(texts(), _module(tmp_path, "self.factor * len(text)").Length(), run=run)
    commented = _module(tmp_path, "self.factor * len(text)  # characters, not bytes\n  ")
    assert source_code(commented.Length) == before
    attach_scores(texts(), commented.Length(), run=run)
    assert run.stages[-1]["chunks_computed"] == 0
    edited = _module(tmp_path, "self.factor * len(text.encode())")
    assert source_code(edited.Length) != before
    attach_scores(texts(), edited.Length(), run=run)
    assert run.stages[-1]["chunks_computed"] == 7


def test_code_that_a_scorer_imports_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = source_code(Length)
    source = Path(images.__file__).read_text()
    monkeypatch.setattr(
        "tamis.journal.inspect.getsource",
        lambda module: source.replace("100_000_000", "90_000_000") if module is images else "x = 1",
    )
    changed = source_code(Length)
    monkeypatch.undo()
    assert source_code(Length) == before != changed


@dataclass(frozen=True)
class OfModel(Length):
    """A scorer with a model: the repo's commit is in the key."""

    model: str = "me/toy"

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:  # type: ignore[override]
        return ((self.model, None),)


def test_a_new_commit_of_the_model_recomputes(run: Run, hub: Any) -> None:
    from huggingface_hub import HfApi

    from tamis import sources

    api = HfApi()
    api.create_repo("me/toy", exist_ok=True)
    for content, computed in ((b"one", 7), (b"one", 0), (b"two", 7)):
        api.upload_file(path_or_fileobj=content, path_in_repo="weights.txt", repo_id="me/toy")
        sources.forget()
        attach_scores(texts(), OfModel(), run=run)
        assert run.stages[-1]["chunks_computed"] == computed
        assert run.stages[-1]["models"] == {"me/toy": api.model_info("me/toy").sha}
    assert [source["repo_id"] for source in run.sources] == ["me/toy", "me/toy"]


def test_damaged_chunks_are_computed_again(run: Run) -> None:
    reference = attach_scores(texts(), Length(), run=run).to_dict()
    folder = run.journal_dir / "length"
    chunks = sorted(path for path in folder.glob("*.arrow") if not path.name.startswith("all-"))
    for path in folder.glob("all-*"):
        path.write_bytes(path.read_bytes()[:100])
    chunks[0].write_bytes(b"")
    chunks[1].write_bytes(chunks[1].read_bytes()[: chunks[1].stat().st_size // 2])
    chunks[2].unlink()
    again = attach_scores(texts(), Length(), run=run).to_dict()
    assert again == reference
    assert run.stages[-1]["chunks_computed"] == 3


@dataclass(frozen=True)
class Broken(Length):
    """Breaks its word in a chosen way."""

    how: str = ""

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        values: list[Any] = [float(len(text)) for text in batch["text"]]
        if self.how == "short":
            return {"length_characters": values[1:]}
        if self.how == "column":
            return {"length_letters": values}
        if self.how == "null":
            return {"length_characters": [None] * len(values)}
        if self.how == "reasoned null":
            return {"length_characters": [None] * len(values), "length_error": ["unparsable reply"] * len(values)}
        if self.how == "nan":
            return {"length_characters": [float("nan"), *values[1:]]}
        raise RuntimeError("the model fell over")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("short", "8 rows gave"),
        ("column", r"its columns are \['length_characters', 'length_error'\]"),
        ("null", "a null in length_characters without a reason"),
        ("fault", "the model fell over"),
    ],
)
def test_a_scorer_that_breaks_its_word_stops_the_run(run: Run, how: str, said: str) -> None:
    dataset = Dataset.from_dict({"text": ["abc"] * 16})
    with pytest.raises(RuntimeError, match=said):
        attach_scores(dataset, Broken(how=how), run=run, batch_size=8)
    assert not list(run.journal_dir.rglob("*.arrow"))


def test_nulls_from_the_model_have_reasons_and_are_counted(run: Run) -> None:
    dataset = Dataset.from_dict({"text": ["abc"] * 16 + [""]})
    scored = attach_scores(dataset, Broken(how="reasoned null"), run=run, batch_size=8)
    assert run.nulls == {"length_characters": {"unparsable reply": 16, "text: empty": 1}}
    scored = attach_scores(dataset, Broken(how="nan"), run=run, batch_size=8)
    assert scored["length_characters"][0] is None and scored["length_error"][0] == "score is not finite"
    assert run.nulls["length_characters"] == {"score is not finite": 2, "text: empty": 1}


@dataclass(frozen=True)
class Hungry(Length):
    """Has memory for three rows a call."""

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        if len(batch["text"]) > 3:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return super().__call__(batch)


@dataclass(frozen=True)
class Starved(Length):
    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")


def test_out_of_memory_halves_the_batch_and_goes_on(run: Run, asked: Path) -> None:
    scored = attach_scores(texts(), Hungry(), run=run, batch_size=16)
    assert scored["length_characters"][:] == [len(text) or None for text in texts()["text"]]
    assert run.stages[-1]["batch_size"] == 3
    with pytest.raises(RuntimeError, match="out of memory"):  # one row that does not fit is no row's fault to hide
        attach_scores(texts(), Starved(), run=run, batch_size=16)


_met = {"second prepared": threading.Event(), "first called": threading.Event()}


@dataclass(frozen=True)
class Overlapping(Length):
    """Its first call returns only once a row of the next micro-batch has been prepared."""

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        if row["text"] == "second":
            assert threading.current_thread() is not threading.main_thread()
            _met["second prepared"].set()
        return super().prepare(row)

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        assert _met["second prepared"].wait(20), "the next micro-batch was not prepared during this call"
        return super().__call__(batch)


def test_the_next_rows_are_prepared_while_the_model_works(run: Run) -> None:
    dataset = Dataset.from_dict({"text": ["first"] * 4 + ["second"] * 4})
    assert len(attach_scores(dataset, Overlapping(), run=run, batch_size=4)) == 8


@dataclass(frozen=True)
class Bucketed(Length):
    bucket_by: ClassVar[str | None] = "text"
    rows_per_chunk: int = 64


def test_micro_batches_hold_rows_of_like_size(run: Run, asked: Path) -> None:
    lengths = list(np.random.default_rng(0).permutation(64) + 1)
    scored = attach_scores(Dataset.from_dict({"text": ["x" * n for n in lengths]}), Bucketed(), run=run, batch_size=8)
    assert scored["length_characters"][:] == lengths
    spreads = [max(sizes) - min(sizes) for sizes in ([len(t) for t in line.split()] for line in notes(asked))]
    assert spreads == [7] * 8
    assert len(notes(asked)[0].split()[0]) == 64  # the largest first: memory fails at once or not at all


def test_unfit_datasets_are_refused_by_name(run: Run) -> None:
    with pytest.raises(ValueError, match="column 'text' is not in the dataset; it has: caption"):
        attach_scores(Dataset.from_dict({"caption": ["a"]}), Length(), run=run)
    scored = attach_scores(texts(), Length(), run=run)
    with pytest.raises(ValueError, match="'length_characters', 'length_error' exists already"):
        attach_scores(scored, Length(), run=run)
    with pytest.raises(ValueError, match="no rows"):
        attach_scores(texts().select([]), Length(), run=run)
    for moved in (texts().shuffle(seed=1), texts().select([5, 3]), texts().filter(lambda row: row["text"] != "")):
        with pytest.raises(ValueError, match="score first, then select"):
            attach_scores(moved, Length(), run=run)
    assert len(attach_scores(texts().select(range(10, 60)), Length(), run=run)) == 50


@dataclass(frozen=True)
class Pixels:
    """Mean brightness; an embedding beside it."""

    name: str = "pixels"
    rows_per_chunk: int = 16
    inputs: ClassVar[tuple] = ("image",)
    models: ClassVar[tuple] = ()
    bucket_by: ClassVar[str | None] = "image"

    @property
    def columns(self) -> Features:
        return Features({"pixels_brightness": Value("float32"), "pixels_vector": List(Value("float32"))})

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"pixels": np.asarray(images.decode_image(row["image"]))}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        means = [float(pixels.mean()) for pixels in batch["pixels"]]
        return {"pixels_brightness": means, "pixels_vector": [[mean, 1.0] for mean in means]}


def _pictures(folder: Path, count: int = 64) -> Dataset:
    """A dataset as a Hub download leaves it: an Arrow file on disk, memory-mapped, images inside."""

    def png(index: int) -> bytes:
        buffer = io.BytesIO()
        Pictures.effect_noise((48, 48), index).convert("RGB").save(buffer, "PNG")
        return buffer.getvalue()

    rows = {"image": [{"bytes": png(i) if i % 9 else b"broken", "path": None} for i in range(count)]}
    Dataset.from_dict(rows, features=Features({"image": Image(decode=False)})).save_to_disk(str(folder))
    return Dataset.load_from_disk(str(folder))


def test_image_bytes_are_never_rewritten(run: Run, tmp_path: Path) -> None:
    dataset = _pictures(tmp_path / "pictures")
    size = sum(path.stat().st_size for path in (tmp_path / "pictures").glob("*.arrow"))
    scored = attach_scores(dataset, Pixels(), run=run)
    written = sum(path.stat().st_size for path in run.output_dir.rglob("*") if path.is_file())
    assert written < size / 5
    assert scored.data.column("image").chunk(0).field("bytes").buffers()[2].address in {
        chunk.field("bytes").buffers()[2].address for chunk in dataset.data.column("image").chunks
    }
    assert scored["pixels_error"][:10] == ["image: not an image"] + [None] * 8 + ["image: not an image"]
    assert scored[0]["pixels_vector"] is None and scored[1]["pixels_vector"][1] == 1.0


def test_images_given_by_path_count_by_their_content(tmp_path: Path) -> None:
    features = Features({"image": Image(decode=False)})
    path = tmp_path / "a.png"
    images.allow_folder(tmp_path)

    def hashed() -> str:
        return content_hash(Dataset.from_dict({"image": [{"bytes": None, "path": str(path)}]}, features=features))

    Pictures.new("RGB", (4, 4), "red").save(path)
    red = hashed()
    assert red == hashed()
    Pictures.new("RGB", (4, 4), "blue").save(path)
    assert hashed() != red


def test_content_hash_is_of_values_not_of_storage(tmp_path: Path) -> None:
    from datasets import concatenate_datasets

    whole = texts(40)
    parts = concatenate_datasets([whole.select(range(17)), whole.select(range(17, 40))])
    reread = Dataset.from_parquet(whole.to_parquet(str(tmp_path / "a.parquet")) and str(tmp_path / "a.parquet"))
    expected = content_hash(whole.select(range(8, 30)).select_columns(["text"]))
    for other in (parts, reread, whole.rename_column("text", "words").rename_column("words", "text")):
        assert content_hash(other.select(range(8, 30)).select_columns(["text"])) == expected
    assert content_hash(whole.select(range(9, 31)).select_columns(["text"])) != expected
    joined = Dataset.from_dict({"text": ["ab", "c"]}), Dataset.from_dict({"text": ["a", "bc"]})
    assert content_hash(joined[0]) != content_hash(joined[1])
    null = Dataset.from_dict({"text": [None, "a"]}), Dataset.from_dict({"text": ["", "a"]})
    assert content_hash(null[0]) != content_hash(null[1])


def test_three_kills(tmp_path: Path) -> None:
    draw = random.Random(11)
    reference, seconds = killing.undisturbed(tmp_path / "undisturbed")
    got = killing.disturbed(tmp_path / "disturbed", [1, 2, 1], seconds, draw)
    assert got["scored"] == reference
    assert got["rows_computed"] == sum(text != "" for text in reference["text"])
    assert got["chunks_computed_again"] <= got["allowed"]
    assert got["left_behind"] == 0


def test_two_ranks_score_as_one(tmp_path: Path) -> None:
    reference, _ = killing.undisturbed(tmp_path / "one")
    os.environ["TAMIS_TEST_NOTES"] = str(tmp_path / "notes")
    assert killing.wait(killing.start(2, tmp_path / "two", tmp_path / "two.parquet")) == [0, 0]
    assert Dataset.from_parquet(str(tmp_path / "two.parquet")).to_dict() == reference


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """The kernel refuses to write past a size, as it does past the end of a disk."""

    def fill() -> None:
        sys.stderr = (tmp_path / "said").open("w")
        run = Run(tmp_path / "run")
        attach_scores(texts(40), Length(), run=run)  # fits
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (900, resource.RLIM_INFINITY))
        with pytest.raises(OSError) as raised:
            attach_scores(texts(100), Length(), run=run)
        (tmp_path / "error").write_text(str(raised.value)[:800])

    assert killing.wait([killing.fork(fill)]) == [0], (tmp_path / "said").read_text()
    assert "finished chunks are kept: free some space and start again" in (tmp_path / "error").read_text()
    run = Run(tmp_path / "run")
    scored = attach_scores(texts(100), Length(), run=run)
    assert scored["length_characters"][:] == [len(text) or None for text in texts(100)["text"]]
    assert run.stages[-1]["chunks_reused"] == 2  # the two whole chunks of the first forty rows
    run.close()


def test_the_ledger_tells_what_ran(run: Run) -> None:
    attach_scores(texts(), Length(), run=run)
    stage = run.stages[-1]
    assert stage["name"] == "score length" and stage["rows"] == 100 and stage["device"] == "cpu"
    assert stage["rows_per_second"] > 0 and stage["ranks"] == 1 and stage["batch_size"] == 32
    assert run.nulls == {"length_characters": {"text: empty": 10}}


def test_one_output_folder_is_one_run(tmp_path: Path) -> None:
    first = Run(tmp_path)
    with pytest.raises(ValueError, match="in use by another run"):
        Run(tmp_path)
    first.close()
    Run(tmp_path).close()


def test_settings_of_any_scorer_are_in_its_key() -> None:
    from tamis.journal import settings

    assert settings(Length()) != settings(replace(Length(), factor=2.0))
    assert settings(Length())["class"] == "toy_scorers.Length"


def test_a_launch_that_starts_fewer_ranks_than_asked_is_refused(tmp_path: Path) -> None:
    """accelerate starts one process here, and says nothing."""
    program = tmp_path / "program.py"
    program.write_text("from tamis.run import Run\nRun('out')\nprint('went on')\n")
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"]
    got = subprocess.run([*launch, str(program)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert got.returncode != 0 and "went on" not in got.stdout
    assert "several processes were asked for and only one was started" in got.stderr


DYING_PROGRAM = """
import os, signal, sys
from toy_scorers import Length
from killing import rows
from tamis.run import Run
from tamis.scoring import attach_scores

class Dying(Length):
    def __call__(self, batch):
        if os.environ.get("RANK") == "1" and "row-0100" in " ".join(batch["text"]):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(batch)

run = Run(sys.argv[1])
scored = attach_scores(rows(), Dying(rows_per_chunk=4), run=run, batch_size=4)
run.say("chunks", run.stages[-1]["chunks_computed"], run.stages[-1]["chunks_reused"])
run.say("scored", sum(value is not None for value in scored["length_characters"]))
run.close()
"""


def test_a_dead_rank_ends_the_launch_and_the_next_start_goes_on(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(DYING_PROGRAM)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests"), "OMP_NUM_THREADS": "1"}
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file"]
    launch += [str(ROOT / "accelerate_configs" / "multi_gpu.yaml"), "--num_processes", "2"]
    command = [str(program), str(tmp_path / "run")]
    died = subprocess.run(
        [*launch, *command], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert died.returncode != 0
    assert "SIGKILL" in died.stderr and "rank      : 1" in died.stderr, died.stderr[-2000:]  # who died, and of what
    alone = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, check=True)
    computed, reused = map(int, alone.stdout.split("chunks ")[1].split()[:2])
    assert computed + reused == killing.ROWS // 4 and reused >= 5
    assert f"scored {sum(text != '' for text in killing.rows()['text'])}" in alone.stdout


def test_a_changed_file_beside_the_table_is_scored_again(run: Run, tmp_path: Path) -> None:
    """The dataset's fingerprint may not know of it; size and times are kept by whoever copies with care."""
    images.allow_folder(tmp_path)
    path = tmp_path / "a.png"
    Pictures.new("RGB", (4, 4), "black").save(path)
    status = path.stat()
    features = Features({"image": Image(decode=False)})
    dataset = Dataset.from_dict({"image": [{"bytes": None, "path": str(path)}]}, features=features)
    assert attach_scores(dataset, Pixels(), run=run)["pixels_brightness"][0] == 0.0
    Pictures.new("RGB", (4, 4), "white").save(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert attach_scores(dataset, Pixels(), run=run)["pixels_brightness"][0] == 255.0


def test_strange_paths_cost_their_row_alone(run: Run) -> None:
    paths = ["a\0b", "x" * 300, "x/" * 3000, "", "https://example.org/a.png", "/etc/hostname"]
    features = Features({"image": Image(decode=False)})
    dataset = Dataset.from_dict({"image": [{"bytes": None, "path": path} for path in paths]}, features=features)
    scored = attach_scores(dataset, Pixels(), run=run)
    assert scored["pixels_brightness"][:] == [None] * len(paths) and all(scored["pixels_error"])


def test_hashing_does_not_hold_the_images(tmp_path: Path) -> None:
    rows = {"image": [{"bytes": os.urandom(200_000), "path": None} for _ in range(512)]}
    Dataset.from_dict(rows, features=Features({"image": Image(decode=False)})).save_to_disk(str(tmp_path / "set"))
    dataset = Dataset.load_from_disk(str(tmp_path / "set"))
    usual = pa.default_memory_pool()
    counted = pa.proxy_memory_pool(usual)  # what is asked for; the process keeps freed pages for as long as it likes
    pa.set_memory_pool(counted)
    try:
        content_hash(dataset)
    finally:
        pa.set_memory_pool(usual)
    assert 200_000 < counted.max_memory() < 30_000_000  # of 102 MB


@dataclass(frozen=True)
class Missing(Length):
    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        raise FileNotFoundError("no file named model.safetensors")


def test_a_scorers_own_oserror_is_not_called_a_full_disk(run: Run) -> None:
    with pytest.raises(FileNotFoundError, match="^no file named model.safetensors$"):
        attach_scores(texts(), Missing(), run=run)


def test_damage_anywhere_in_a_chunk_is_seen(run: Run) -> None:
    reference = attach_scores(texts(40), Length(), run=run).to_dict()
    files = sorted((run.journal_dir / "length").glob("*.arrow"))
    whole = {path: path.read_bytes() for path in files}
    draw = random.Random(3)
    for turn in range(40):
        path = draw.choice(files)
        cut = draw.randrange(len(whole[path]))
        if turn % 3 == 0:
            path.write_bytes(whole[path][:cut])
        elif turn % 3 == 1:
            path.write_bytes(whole[path][:cut] + bytes(len(whole[path]) - cut))
        else:
            path.write_bytes(whole[path][:cut] + bytes([whole[path][cut] ^ 1]) + whole[path][cut + 1 :])
        assert attach_scores(texts(40), Length(), run=run).to_dict() == reference


@dataclass(frozen=True)
class Arrays(Length):
    """Answers in NumPy's types, as many a model does."""

    value: float = 0.0

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {"length_characters": np.full(len(batch["text"]), self.value, dtype=np.float64)}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e39])
def test_what_is_no_finite_number_once_stored_is_null(run: Run, value: float) -> None:
    scored = attach_scores(Dataset.from_dict({"text": ["abc"] * 4}), Arrays(value=value), run=run)
    assert scored["length_characters"][:] == [None] * 4
    assert scored["length_error"][:] == ["score is not finite"] * 4


@pytest.mark.parametrize("cells", [[None] * 4, [1, 2, 3, 4], [["a"], ["b"], ["c"], ["d"]]])
def test_a_column_that_cannot_be_bucketed_still_gets_reasons(run: Run, cells: list) -> None:
    @dataclass(frozen=True)
    class Strict(Bucketed):
        def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
            from tamis.texts import text

            return {"text": text(row["text"], longest=10)}

    Strict.__module__ = __name__
    scored = attach_scores(Dataset.from_dict({"text": cells}), Strict(), run=run)
    assert scored["length_characters"][:] == [None] * 4 and all(scored["length_error"])


def test_settings_and_columns_are_checked_before_anything_is_scored() -> None:
    from tamis.config import ConfigError
    from tamis.scoring import refuse_unfit

    def features(*columns: str) -> Features:
        return Features({column: Value("string") for column in columns})

    ranked = {"select_by": "length_characters"}
    refuse_unfit(features("text", "source"), [Length()], ranked=ranked, used={"per": "source", "diverse": None})
    for columns, scorers, by, said in (
        (["caption"], [Length()], None, "length: column 'text' is not in the dataset"),
        (["text", "length_error"], [Length()], None, "'length_error' exists already"),
        (["text"], [Length(), Length(name="b", text_column="c")], None, "b: column 'c'"),
        (["text"], [Length()], "length_character", "did you mean 'length_characters'"),
        (["text"], [Length()], "text", "select_by: column 'text' is string, not a number"),
        (["text"], [Length(rows_per_chunk=0)], None, "rows_per_chunk: 0"),
    ):
        with pytest.raises(ConfigError, match=said):
            refuse_unfit(features(*columns), scorers, ranked={"select_by": by}, used={})
