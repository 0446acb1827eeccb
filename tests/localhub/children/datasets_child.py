"""Unmodified `datasets` against the Hub of the environment; every line is an assertion of the calling test."""

import sys
from pathlib import Path

import numpy as np
from datasets import Dataset, Features, Image, Value, get_dataset_config_names, load_dataset
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from PIL import Image as Pillow

out = Path(sys.argv[1])
pixels = np.random.default_rng(0)
pictures = [Pillow.fromarray(pixels.integers(0, 255, (24, 24, 3), dtype=np.uint8)) for _ in range(60)]
rows = {
    "row_id": [f"r{number:03d}" for number in range(60)],
    "image": [None if number == 7 else picture for number, picture in enumerate(pictures)],
    "caption": [f"picture {number} of <b>sixty</b>" for number in range(60)],
    "clip_similarity": [None if number % 10 == 3 else float((number * 37) % 60) for number in range(60)],
}
features = Features(row_id=Value("string"), image=Image(), caption=Value("string"), clip_similarity=Value("float32"))
dataset = Dataset.from_dict(rows, features=features)

dataset.push_to_hub("me/pictures", config_name="scores", set_default=True)
dataset.select(range(5)).push_to_hub("me/pictures", config_name="top-5", max_shard_size="1MB")
dataset.select(range(3)).push_to_hub("me/pictures", config_name="top-5", split="test")
assert sorted(get_dataset_config_names("me/pictures")) == ["scores", "top-5"]

back = load_dataset("me/pictures", split="train")
assert back.features == features and len(back) == 60
assert back["row_id"][:] == rows["row_id"] and back["clip_similarity"][:] == rows["clip_similarity"]
assert back[7]["image"] is None
assert np.array_equal(np.asarray(back[5]["image"]), np.asarray(pictures[5]))
assert {name: len(split) for name, split in load_dataset("me/pictures", "top-5").items()} == {"train": 5, "test": 3}

streamed = list(load_dataset("me/pictures", "scores", split="train", streaming=True).take(2))
assert streamed[1]["caption"] == rows["caption"][1] and streamed[1]["image"].size == (24, 24)

dataset.select(range(4)).push_to_hub("me/private-rows", private=True)
assert len(load_dataset("me/private-rows", split="train")) == 4
assert HfApi().dataset_info("me/private-rows").private is True
dataset.select(range(2)).push_to_hub("me/pictures", config_name="branch", revision="draft/one", create_pr=False)
assert "draft/one" in [branch.name for branch in HfApi().list_repo_refs("me/pictures", repo_type="dataset").branches]
assert len(load_dataset("me/pictures", "branch", revision="draft/one", split="train")) == 2

dataset.select(range(2)).push_to_hub("me/pictures", config_name="proposed", create_pr=True)
assert len(load_dataset("me/pictures", "proposed", revision="refs/pr/1", split="train")) == 2

try:
    dataset.select(range(2)).push_to_hub("tiny/pictures")
except HfHubHTTPError as error:
    assert error.response.status_code == 403
else:
    raise AssertionError("the organisation tiny is read-only")
(out / "done").write_text("datasets")
