"""AADB's own files: scores of 0..1 on the scale 1..10, its three lists as splits, of which the test list stays."""

from __future__ import annotations

import pytest

from tamis.config import ConfigError
from tamis.named_files import LEAVES, MISSING
from tamis.score_and_explain.aadb import MALFORMED, read_aadb
from tamis.score_and_explain.ratings import ELSEWHERE, NO_NUMBER, OUTSIDE, TWICE, rating_features

LINES = {
    "train": ["farm1_262_20009074919_cdd9c88d5f_b.jpg 0.35", "t1.jpg 0.0", "t2.jpg 1.0", "t3.jpg 0.5", "t4.jpg 0.55"],
    "validation": ["v1.jpg 0.25", "v2.jpg 0.8"],
    "test": ["e1.jpg 0.1", "e2.jpg 0.95"],
}


def test_lists_become_splits_and_scores_1_plus_9_times_what_they_are(run, aadb) -> None:
    read = read_aadb(str(aadb(LINES)), run=run)
    table = read.table
    assert table.features == rating_features() and read.refused == {}
    assert table["row_id"][:] == [line.split()[0] for lines in LINES.values() for line in lines]
    assert table["split"][:] == [split for split, lines in LINES.items() for _ in lines]
    assert table["mean"][:] == pytest.approx([4.15, 1, 10, 5.5, 5.95, 3.25, 8.2, 1.9, 9.55])
    assert table["score"][:] == [4, 1, 10, 6, 6, 3, 8, 2, 10]
    assert table["votes"][:] == [None] * 9
    assert all(row["image"]["bytes"] is None for row in table)
    assert (read.source.repo_id, read.source.local) == ("AADB", True)


def test_a_picture_of_the_new_test_list_is_not_trained_on(run, aadb, jpeg) -> None:
    """The lists overlap: by name, and here by bytes under another name as well."""
    lines = LINES | {"train": [*LINES["train"], "e1.jpg 0.2", "copy.jpg 0.3", "v1.jpg 0.3"]}
    folder = aadb(lines)
    test = folder / "AADB_newtest_originalSize"
    (folder / "datasetImages_originalSize" / "copy.jpg").write_bytes((test / "e2.jpg").read_bytes())
    (folder / "datasetImages_originalSize" / "e1.jpg").write_bytes(jpeg(77))  # the same photo, saved anew
    read = read_aadb(str(folder), run=run)
    assert read.refused == {ELSEWHERE: 3}
    assert read.table["row_id"][:] == [line.split()[0] for lines in LINES.values() for line in lines]
    tested = read.table[7]
    assert tested["row_id"] == "e1.jpg" and tested["mean"] == pytest.approx(1.9)
    assert tested["image"]["path"] == str(test / "e1.jpg")


def test_labels_may_lie_beside_the_folders_and_pictures_be_of_one_size(run, aadb) -> None:
    folder = aadb(LINES)
    for file in (folder / "imgListFiles_label").iterdir():
        file.rename(folder / file.name)
    (folder / "datasetImages_originalSize").rename(folder / "datasetImages_warp256")
    for file in (folder / "AADB_newtest_originalSize").iterdir():
        file.rename(folder / "datasetImages_warp256" / file.name)
    assert len(read_aadb(str(folder), run=run, image_size="warp256").table) == 9
    with pytest.raises(ConfigError, match=f"no row can be used .{MISSING}: 9."):
        read_aadb(str(folder), run=run)
    with pytest.raises(ConfigError, match="image_size: 'small' is not accepted; expected one of original, warp256"):
        read_aadb(str(folder), run=run, image_size="small")


def test_lines_that_are_no_rows_are_counted_by_reason(run, aadb, jpeg) -> None:
    bad = [
        "alone.jpg",
        "word.jpg high",
        "nan.jpg nan",
        "inf.jpg -inf",
        "above.jpg 1.01",
        "below.jpg -0.1",
        "../../etc/passwd 0.5",
        "/etc/passwd 0.5",
        "missing.png 0.5",
        f"{'long' * 100} 0.5",
        "",
        "broken.jpg 0.5",
        "t1.jpg 0.7",
    ]
    folder = aadb(LINES | {"train": [*bad, *LINES["train"], "t1.jpg 0.7"]})
    (folder / "datasetImages_originalSize" / "broken.jpg").write_bytes(jpeg(1)[:-60])
    read = read_aadb(str(folder), run=run)
    assert read.refused == {
        MALFORMED: 2,
        NO_NUMBER: 2,
        OUTSIDE: 2,
        LEAVES: 2,
        MISSING: 2,
        TWICE: 2,
        "image: truncated or corrupt": 1,
    }
    told = dict(zip(read.table["row_id"][:], read.table["mean"][:], strict=True))
    assert len(told) == 9 and told["t1.jpg"] == pytest.approx(7.3)  # the first line of two counts


def test_limit_takes_the_first_lines_of_each_list(run, aadb) -> None:
    read = read_aadb(str(aadb(LINES)), run=run, limit=2)
    assert read.table["split"][:] == ["train"] * 2 + ["validation"] * 2 + ["test"] * 2


def test_what_is_missing_of_aadb_is_named(run, aadb) -> None:
    folder = aadb(LINES)
    (folder / "imgListFiles_label" / "imgListTestNewRegression_score.txt").unlink()
    with pytest.raises(
        ConfigError, match="'AADB': no imgListFiles_label/imgListTestNewRegression_score.txt, nor imgList"
    ):
        read_aadb(str(folder), run=run)


def test_constant_scores_of_one_list_are_refused(run, aadb) -> None:
    with pytest.raises(ConfigError, match="the score is 5.5 in all 2 rows of split 'test'"):
        read_aadb(str(aadb(LINES | {"test": ["e1.jpg 0.5", "e2.jpg 0.50"]})), run=run)


def test_scores_of_another_scale_become_no_rows(run, aadb) -> None:
    tens = {split: [f"{split}{number}.jpg {number + 1}.5" for number in range(3)] for split in LINES}
    with pytest.raises(ConfigError, match=f"'AADB': no row can be used .{OUTSIDE}: 9."):
        read_aadb(str(aadb(tens)), run=run)
