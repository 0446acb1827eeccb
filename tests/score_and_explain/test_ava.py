"""AVA's own files: votes become means, its test list stays, and what is no row is counted by reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tamis.config import ConfigError
from tamis.images import decode_image
from tamis.named_files import LEAVES, MISSING
from tamis.score_and_explain.ava import MALFORMED, read_ava
from tamis.score_and_explain.ratings import ELSEWHERE, NO_VOTES, TWICE, rating_features

# The first lines of AVA.txt, as it is handed out.
LINES = [
    "1 953619 0 1 5 17 38 36 15 6 5 1 1 22 1396",
    "2 953958 10 7 15 26 26 21 10 8 1 2 1 21 1396",
    "3 954184 0 0 4 8 41 56 10 3 0 4 0 0 1396",
    "4 954113 0 1 4 6 48 37 23 5 2 2 15 21 1396",
]


def peaked(score: int, votes: int = 50) -> list[int]:
    """Votes whose mean is the score."""
    return [votes if rating == score else 0 for rating in range(1, 11)]


def many(count: int = 60) -> dict[int, list[int]]:
    return {number: peaked(1 + number % 10) for number in range(1, count + 1)}


def test_lines_as_they_are_handed_out(run, ava, jpeg) -> None:
    folder = ava(many())
    (folder / "AVA.txt").write_text("\r\n".join([*LINES, *(folder / "AVA.txt").read_text().splitlines()]) + "\r\n")
    for line in LINES:
        (folder / "images" / f"{line.split()[1]}.jpg").write_bytes(jpeg(int(line.split()[1])))
    read = read_ava(str(folder), run=run)
    assert read.refused == {} and len(read.table) == 64
    assert read.table.features == rating_features() and read.table.column_names == list(rating_features())
    first = read.table[0]
    assert first["row_id"] == "953619" and first["votes"] == [0, 1, 5, 17, 38, 36, 15, 6, 5, 1]
    assert first["mean"] == pytest.approx(5.637096774193548) and first["score"] == 6
    assert [read.table[at]["score"] for at in (1, 2, 3)] == [5, 6, 6]  # 4.698, 5.675, 5.711
    assert decode_image(first["image"]).size == (24, 16)
    assert first["image"]["bytes"] is None  # a path: AVA's pictures are 32 GB
    assert set(read.table["split"][:]) == {"train", "validation", "test"}
    source = read.source
    assert (source.repo_id, source.local, source.licence, len(source.revision)) == ("AVA_dataset", True, None, 40)
    assert run.sources[0]["rows"] == 64
    assert str(folder.parent) not in str(run.sources)


def test_the_published_test_list_is_the_test_split(run, ava, jpeg) -> None:
    folder = ava(many(), tested=[3, 5, "0008", 1000])
    (folder / "images" / "40.jpg").write_bytes(jpeg(3))  # a tested picture under another id
    read = read_ava(str(folder), run=run)
    told = dict(zip(read.table["row_id"][:], read.table["split"][:], strict=True))
    assert [name for name, split in told.items() if split == "test"] == ["3", "5", "8"]
    assert set(told.values()) == {"train", "validation", "test"} and "40" not in told
    assert read.refused == {ELSEWHERE: 1}
    again = read_ava(str(folder), run=run, limit=50)
    few = dict(zip(again.table["row_id"][:], again.table["split"][:], strict=True))
    assert few == {name: told[name] for name in few} and len(few) == 49
    other = read_ava(str(folder), run=run, seed=1).table["split"][:]
    assert other != list(told.values()) and other.count("test") == 3


def test_what_is_no_row_is_counted_by_reason(run, ava, jpeg, tmp_path) -> None:
    broken = {101: "image: zero bytes", 102: "image: not an image", 103: "image: truncated or corrupt"}
    bad = [
        "61 61 0 0 0 0 0 0 0 0 0 0 1 22 1396",  # nobody voted
        "62 62 1 2 3",
        "63 63 1 2 3 4 5 6 7 8 9 10 1 22",
        "64 64 1 2 3 4 5 6 7 8 9 -1 1 22 1396",
        "65 65 1 2 3 4 5 6 7 8 9 nan 1 22 1396",
        "66 66 1 2 3 4 5 6 7 8 9 1.5 1 22 1396",
        "67 ../../../etc/passwd 1 2 3 4 5 6 7 8 9 1 1 22 1396",
        "68 68 1 2 3 4 5 6 7 8 9 ٣ 1 22 1396",  # a digit of another script
        "69 69 1 2 3 4 5 6 7 8 9 99999999999999999999 1 22 1396",
        "<html>",
        "",
        "70 7 9 0 0 0 0 0 0 0 0 0 1 22 1396",  # 7 stands above
        "71 104 9 0 0 0 0 0 0 0 0 0 1 22 1396",  # no file
        "72 105 9 0 0 0 0 0 0 0 0 0 1 22 1396",  # a link out of the folder
        *(f"73 {name} 9 0 0 0 0 0 0 0 0 0 1 22 1396" for name in (102, 103, 106)),
    ]
    folder = ava(many(), extra=bad)
    images = folder / "images"
    (images / "102.jpg").write_bytes(b"<html>not found</html>")
    (images / "103.jpg").write_bytes(jpeg(103)[:-60])
    (images / "106.jpg").write_bytes(b"")
    (tmp_path / "secret.jpg").write_bytes(jpeg(9))
    (images / "105.jpg").symlink_to(tmp_path / "secret.jpg")
    with (folder / "AVA.txt").open("ab") as file:
        file.write(b"80 \xff\xfe 1 2 3 4 5 6 7 8 9 1 1 22 1396\n")
    read = read_ava(str(folder), run=run)
    assert read.table["row_id"][:] == [str(number) for number in range(1, 61)]
    expected = {MALFORMED: 10, NO_VOTES: 1, TWICE: 1, MISSING: 2, LEAVES: 1, broken[102]: 1, broken[103]: 1}
    assert read.refused == expected
    assert all(row["image"]["bytes"] is None for row in read.table)  # paths still, of a table that was written anew
    assert list(read.refused.values()) == sorted(read.refused.values(), reverse=True)


def test_a_folder_of_pictures_may_be_a_link_but_none_beside_it_is_read(run, ava, tmp_path) -> None:
    folder = ava(many())
    (folder / "images").rename(tmp_path / "elsewhere")
    (folder / "image").symlink_to(tmp_path / "elsewhere")
    assert len(read_ava(str(folder), run=run).table) == 60


def test_folders_that_are_none_are_refused_by_name(run, ava, tmp_path) -> None:
    with pytest.raises(ConfigError, match="is no folder of this machine"):
        read_ava("somebody/AVA", run=run)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="'empty': no AVA.txt"):
        read_ava(str(tmp_path / "empty"), run=run)
    (tmp_path / "empty" / "AVA.txt").write_text("\n")
    with pytest.raises(ConfigError, match="'empty': no images, nor image"):
        read_ava(str(tmp_path / "empty"), run=run)
    (tmp_path / "empty" / "images").mkdir()
    with pytest.raises(ConfigError, match="'empty': no row can be used .there is none."):
        read_ava(str(tmp_path / "empty"), run=run)
    (tmp_path / "empty" / "AVA.txt").write_text(LINES[0] + "\n<html>\n")
    with pytest.raises(ConfigError, match=f"no row can be used .{MISSING}: 1, {MALFORMED}: 1."):
        read_ava(str(tmp_path / "empty"), run=run)
    (tmp_path / "empty" / "AVA.txt").write_text("1 " * 6000)
    with pytest.raises(ConfigError, match="AVA.txt: line 1 is of 10000 bytes or more: no label file"):
        read_ava(str(tmp_path / "empty"), run=run)
    folder = ava(many(), tested=[3])
    (folder / "aesthetics_image_lists" / "generic_test.jpgl").write_text("3\n<html>\n")
    with pytest.raises(ConfigError, match="generic_test.jpgl: '<html>' is no image id"):
        read_ava(str(folder), run=run)


def test_scores_that_do_not_differ_are_refused(run, ava) -> None:
    folder = ava({number: peaked(5) for number in range(1, 61)})
    with pytest.raises(ConfigError, match="'AVA_dataset': the score is 5 in all 60 rows"):
        read_ava(str(folder), run=run)


def test_means_that_are_all_rounded_to_one_score_are_refused(run, ava) -> None:
    near = {number: [0, 0, 0, 0, 50, number % 7, 0, 0, 0, 0] for number in range(1, 101)}
    with pytest.raises(ConfigError, match="scores to train on are 5 to 5.11 of 1 to 10, and all become 5 when rounded"):
        read_ava(str(ava(near)), run=run)


def test_a_test_split_without_differences_is_refused(run, ava) -> None:
    votes = many() | {3: peaked(7), 5: peaked(7)}
    with pytest.raises(ConfigError, match="the score is 7 in all 2 rows of split 'test'"):
        read_ava(str(ava(votes, tested=[3, 5])), run=run)


def test_the_state_of_the_folder_is_in_its_revision(run, ava, jpeg) -> None:
    folder = ava(many())
    before = read_ava(str(folder), run=run).source.revision
    assert read_ava(str(folder), run=run).source.revision == before
    (folder / "images" / "new.jpg").write_bytes(jpeg(1))
    after = read_ava(str(folder), run=run).source.revision
    text = (folder / "AVA.txt").read_text()
    (folder / "AVA.txt").write_text(text.replace(" 1396", " 1397"))
    assert len({before, after, read_ava(str(folder), run=run).source.revision}) == 3


@pytest.mark.parametrize(
    ("name", "text", "licence"),
    [
        ("README.md", "---\nlicense: cc-by-nc-4.0\ntags: [x]\n---\n# AVA", "cc-by-nc-4.0"),
        ("README.txt", "Rights to all images are retained by the photographers", None),
        ("LICENSE.txt", "under CC BY-NC-SA 4.0.", "cc-by-nc-sa-4.0"),
        ("README.md", "---\nlicense: mit\n---\nPictures: CC-BY 4.0", "cc-by-4.0, mit"),
    ],
)
def test_the_licence_is_what_its_files_state(run, ava, name, text, licence) -> None:
    folder: Path = ava(many())
    (folder / name).write_text(text)
    assert read_ava(str(folder), run=run).source.licence == licence
