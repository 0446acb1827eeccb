"""Publishing: one commit, whole or not at all; a busy, failing or moving Hub is met; nothing private leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, Features, Image, Value, load_dataset
from huggingface_hub import HfApi

from tamis import hub as publishing
from tamis.cards import Card
from tamis.run import Run

PNG = None


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "card.md.jinja"
    path.write_text("---\n{{ metadata }}---\n# {{ title }}\n")
    return path


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr("tamis.retries.time.sleep", waited.append)
    return waited


def table(rows: int = 30, tag: str = "a") -> Dataset:
    return Dataset.from_dict(
        {"row_id": [f"train-{i}" for i in range(rows)], "text": [f"{tag}{i}" for i in range(rows)]}
    )


def publish(run: Run, template: Path, repo: str, configs: dict[str, Dataset], **files: Any) -> publishing.Published:
    card = Card(template, {"license": "mit"}, {"title": "A set"})
    return publishing.publish_dataset(
        run, repo, configs, card, {"pictures/a.txt": "first", **files}, push=True, private=False
    )


def test_everything_is_one_commit_and_loads(run: Run, hub: Any, template: Path) -> None:
    before = len(hub.requests)
    published = publish(run, template, "me/one-commit", {"scores": table(), "top-5": table(5)})
    posts = [request for request in hub.requests[before:] if request.method == "POST" and "/commit/" in request.path]
    assert len(posts) == 1
    assert load_dataset("me/one-commit", split="train")["text"][:] == table()["text"][:]  # scores is the default
    assert len(load_dataset("me/one-commit", "top-5", split="train")) == 5
    assert published.commit == HfApi().dataset_info("me/one-commit").sha
    listed = {file.rfilename for file in HfApi().dataset_info("me/one-commit").siblings}
    local = {path.relative_to(published.folder).as_posix() for path in published.folder.rglob("*") if path.is_file()}
    assert local <= listed


def test_a_second_push_refreshes_and_clears_what_is_gone(run: Run, hub: Any, template: Path) -> None:
    publish(run, template, "me/twice", {"scores": table(), "top-5": table(5)})
    HfApi().upload_file(path_or_fileobj=b"mine", path_in_repo="notes.txt", repo_id="me/twice", repo_type="dataset")
    publish(run, template, "me/twice", {"scores": table(40, "b"), "top-7": table(7)})
    files = {file.rfilename for file in HfApi().dataset_info("me/twice").siblings}
    assert "notes.txt" in files and not any("top-5" in name for name in files)
    assert len(load_dataset("me/twice", split="train")) == 40


@pytest.mark.parametrize("status", [412, 429, 500, 503])
def test_a_stale_busy_or_failing_hub_is_tried_again(
    run: Run, hub: Any, template: Path, status: int, no_waiting: list[float]
) -> None:
    hub.faults.fail(r"POST .*/commit/", status, times=2, retry_after=3 if status == 429 else None)
    published = publish(run, template, f"me/faulty-{status}", {"scores": table()})
    assert HfApi().dataset_info(published.repo_id).sha == published.commit
    assert hub.faults.pending == 0 and len(no_waiting) == 2
    assert no_waiting[0] >= 3 if status == 429 else no_waiting == [1.0, 2.0]


def test_a_dropped_connection_before_and_after_the_commit(run: Run, hub: Any, template: Path) -> None:
    hub.faults.drop(r"POST .*/commit/", times=1)
    publish(run, template, "me/dropped", {"scores": table()})
    hub.faults.drop(r"POST .*/commit/", times=1, after=True)  # done, but we never heard of it
    published = publish(run, template, "me/dropped", {"scores": table(20, "c")})
    assert load_dataset("me/dropped", split="train", revision=published.commit)["text"][:] == table(20, "c")["text"][:]
    assert published.commit == HfApi().dataset_info("me/dropped").sha


def test_a_hub_that_stays_down_leaves_the_files_and_says_so(run: Run, hub: Any, template: Path) -> None:
    hub.faults.fail(r"POST .*/commit/", 500, times=100)
    with pytest.raises(RuntimeError, match=r"me/down: gave up after 7 tries \(HTTP 500.*start again to push"):
        publish(run, template, "me/down", {"scores": table()})
    hub.faults.clear()
    assert list((run.output_dir / "hub" / "datasets" / "me" / "down").rglob("*.parquet"))
    published = publish(run, template, "me/down", {"scores": table()})
    assert len(load_dataset(published.repo_id, split="train")) == 30


@pytest.mark.parametrize(("repo", "said"), [("tiny/mine", "403"), ("nobody/mine", "403")])
def test_where_we_may_not_write_is_told_at_once(run: Run, template: Path, repo: str, said: str) -> None:
    with pytest.raises(RuntimeError, match=said):
        publish(run, template, repo, {"scores": table()})


def test_rows_lost_on_the_way_are_noticed(run: Run, hub: Any, template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = publishing._commit

    def short(api: HfApi, folder: Path, repo_id: str, repo_type: str, *, parent: Any) -> Any:
        done = commit(api, folder, repo_id, repo_type, parent=parent)
        table(29).to_parquet(str(next(folder.rglob("*.parquet"))))  # what is here is not what arrived
        return done

    monkeypatch.setattr(publishing, "_commit", short)
    with pytest.raises(RuntimeError, match="has 30 rows on the Hub, 29 were sent"):
        publish(run, template, "me/short", {"scores": table()})


def test_nothing_private_is_published(run: Run, hub: Any, template: Path) -> None:
    for secret, what in ((hub.token, "the Hub token"), (f"{Path.cwd()}/x.png", "the working folder")):
        with pytest.raises(ValueError, match=what):
            publish(run, template, "me/leaky", {"scores": table()}, **{"report.html": f"<p>{secret}</p>"})
    assert not HfApi().repo_exists("me/leaky", repo_type="dataset")


def test_images_go_inside_and_paths_stay_home(run: Run, hub: Any, template: Path, tmp_path: Path) -> None:
    from PIL import Image as Pictures

    from tamis.images import allow_folder

    folder = tmp_path / "set"
    folder.mkdir()
    Pictures.new("RGB", (6, 6), "red").save(folder / "a.png")
    Pictures.new("RGB", (6, 6), "blue").save(tmp_path / "private.png")
    allow_folder(folder)
    cells = [
        {"bytes": (folder / "a.png").read_bytes(), "path": str(tmp_path / "b.png")},
        {"bytes": None, "path": str(folder / "a.png")},
        {"bytes": None, "path": str(tmp_path / "private.png")},
        None,
    ]
    features = Features({"row_id": Value("string"), "image": Image(decode=False)})
    dataset = Dataset.from_dict({"row_id": list("wxyz"), "image": cells}, features=features)
    publish(run, template, "me/pictures", {"scores": dataset})
    got = load_dataset("me/pictures", split="train")
    assert [image and image.getpixel((0, 0)) for image in got["image"]] == [(255, 0, 0), (255, 0, 0), None, None]
    stored = got.cast_column("image", Image(decode=False))["image"]
    assert [cell and cell["path"] for cell in stored] == ["b.png", "a.png", None, None]


def test_a_folder_of_large_images_is_written_little_by_little(
    run: Run, hub: Any, template: Path, tmp_path: Path
) -> None:
    """Images beside the table: how large they are shows only as they are read, and all at once would not fit."""
    import os
    import subprocess
    import sys

    program = f"""
import sys; sys.path.insert(0, {str(Path(__file__).resolve().parent.parent / "benchmarks")!r})
import io
from pathlib import Path
from datasets import Dataset, Features, Image
from PIL import Image as Pictures
from measuring import anonymous_bytes, peak_anonymous
from tamis.images import allow_folder
from tamis.parquet import write_config
folder = Path({str(tmp_path)!r}); (folder / "set").mkdir(); allow_folder(folder / "set")
buffer = io.BytesIO()
Pictures.new("RGB", (1, 1)).save(buffer, "PNG")
for index in range(150):
    (folder / "set" / f"{{index}}.png").write_bytes(buffer.getvalue() + index.to_bytes(4, "big") * 500_000)
cells = [{{"bytes": None, "path": str(folder / "set" / f"{{index}}.png")}} for index in range(150)]
dataset = Dataset.from_dict({{"image": cells}}, features=Features({{"image": Image(decode=False)}}))
before = anonymous_bytes()
with peak_anonymous() as peak:
    info = write_config(folder / "out", "scores", {{"train": dataset}})
print(peak[0] - before, info["dataset_size"])
"""
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ)
    peak, size = map(int, out.stdout.split())
    assert size > 150 * 2_000_000  # as large as the files, not as their names
    assert peak < 250_000_000  # of 300 MB in all; a few row groups


def test_a_repo_of_someone_elses_data_is_left_alone(run: Run, hub: Any, template: Path) -> None:
    api = HfApi()
    api.create_repo("me/theirs", repo_type="dataset")
    api.upload_file(path_or_fileobj=b"a,b", path_in_repo="data/a.csv", repo_id="me/theirs", repo_type="dataset")
    for attempt in (
        lambda: publishing.claim(run, "me/theirs", "dataset", private=False),
        lambda: publish(run, template, "me/theirs", {"scores": table()}),
    ):
        with pytest.raises(publishing.HubError, match="holds data that tamis did not publish"):
            attempt()
    assert "data/a.csv" in api.list_repo_files("me/theirs", repo_type="dataset")


def test_private_is_meant(run: Run, hub: Any) -> None:
    publishing.claim(run, "me/secret", "dataset", private=True)
    assert HfApi().dataset_info("me/secret").private
    HfApi().create_repo("me/open", repo_type="dataset", private=False)
    with pytest.raises(publishing.HubError, match="exists and is public"):
        publishing.claim(run, "me/open", "dataset", private=True)
    with pytest.raises(publishing.HubError, match="403"):
        publishing.claim(run, "tiny/mine", "dataset", private=True)


def test_a_working_folder_named_like_ours_does_not_stop_a_push(
    run: Run, hub: Any, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "cwd", lambda: Path("/data"))
    query = "SELECT row_id FROM 'hf://datasets/me/set/data/scores/*.parquet'"
    publish(run, template, "me/in-data", {"scores": table()}, **{"report.html": query})
    with pytest.raises(ValueError, match="the working folder"):
        publish(run, template, "me/in-data", {"scores": table()}, **{"report.html": "from /data/photos/a.png"})


def test_many_shards_hold_all_rows(run: Run, hub: Any, template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tamis.parquet.SHARD_BYTES", 200)
    monkeypatch.setattr("tamis.parquet.ROW_GROUP_BYTES", 100)
    monkeypatch.setattr("tamis.parquet.PLAIN_ROWS", 10)
    published = publish(
        run, template, "me/shards", {"scores": table(100), "top-9": table(100).select(range(1, 99, 11))}
    )
    assert len(list((published.folder / "data" / "scores").iterdir())) > 3
    assert load_dataset("me/shards", "scores", split="train")["text"][:] == table(100)["text"][:]
    assert len(load_dataset("me/shards", "top-9", split="train")) == 9


@pytest.mark.parametrize("repo", ["scenes", "me/../x", "a/b/c", "/etc/x", "me/"])
def test_strange_ids_are_refused(run: Run, template: Path, repo: str) -> None:
    with pytest.raises(ValueError, match="expected OWNER/NAME"):
        publish(run, template, repo, {"scores": table()})


def test_adapters_load_with_from_pretrained_and_carry_their_metrics(
    run: Run, hub: Any, template: Path, tmp_path: Path
) -> None:
    """A real LoRA of a small real model, one subfolder an arm; the card names metrics with n and interval."""
    import torch
    from huggingface_hub import ModelCard
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    from tamis import cards
    from tamis.metrics.stats import Estimate

    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, vocab_size=50
    )
    base = LlamaForCausalLM(config)
    base.save_pretrained(tmp_path / "base")
    adapted = get_peft_model(base, LoraConfig(r=2, lora_alpha=8, target_modules=["q_proj"], init_lora_weights=False))
    adapted.save_pretrained(tmp_path / "saved")
    (tmp_path / "saved" / "optimizer.pt").write_bytes(b"a pickle")
    expected = adapted(torch.arange(8)[None]).logits

    metrics = {
        "top-15": {"quiz_accuracy": Estimate(0.6, 0.5, 0.7, 40)},
        "none": {"quiz_accuracy": Estimate(None, None, None, 0, 40)},
    }
    index = cards.model_index(
        "adapter", "text-generation", "me/quiz", metrics, revision="0" * 40, seeds=dict.fromkeys(metrics, 3)
    )
    card = cards.Card(template, {"license": "mit", "model-index": index}, {"title": "me/adapter"})
    saved = {"dax/top-15": tmp_path / "saved"}
    publishing.publish_adapter(run, "me/adapter", saved, card, {}, push=True, private=False)

    loaded = PeftModel.from_pretrained(
        LlamaForCausalLM.from_pretrained(tmp_path / "base"), "me/adapter", subfolder="dax/top-15"
    )
    assert torch.allclose(loaded(torch.arange(8)[None]).logits, expected, atol=1e-6)
    assert not any(name.endswith((".pt", ".bin")) for name in HfApi().list_repo_files("me/adapter"))
    (result,) = ModelCard.load("me/adapter").data.eval_results
    assert (result.metric_type, result.metric_value, result.metric_args["n"]) == ("quiz_accuracy", 0.6, 40)
