"""Pictures and folders in the forms that AVA and AADB are handed out in."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_folder_stays_readable() -> Iterator[None]:
    from tamis import images

    before = set(images._readable_folders)
    yield
    images._readable_folders.clear()
    images._readable_folders.update(before)


@pytest.fixture(scope="session")
def jpeg() -> Callable[[int], bytes]:
    """A picture of a number: another number is another picture."""
    import io

    from PIL import Image

    def encode(number: int) -> bytes:
        file = io.BytesIO()
        colour = (number * 37 % 256, number * 91 % 256, number // 256 % 256)
        Image.new("RGB", (24, 16), colour).save(file, "JPEG", comment=f"{number}".encode())
        return file.getvalue()

    return encode


@pytest.fixture
def ava(tmp_path: Path, jpeg: Callable[[int], bytes]) -> Callable[..., Path]:
    """AVA's folder: of votes by image id, with every picture; other lines as they are told."""

    def write(
        votes: dict[int, Sequence[int]], extra: Sequence[str] = (), tested: Sequence[int | str] | None = None
    ) -> Path:
        folder = tmp_path / "AVA_dataset"
        (folder / "images").mkdir(parents=True)
        told = [
            f"{at} {name} {' '.join(map(str, counts))} 1 22 1396" for at, (name, counts) in enumerate(votes.items(), 1)
        ]
        (folder / "AVA.txt").write_text("\n".join([*told, *extra]) + "\n")
        for name in votes:
            (folder / "images" / f"{name}.jpg").write_bytes(jpeg(name))
        if tested is not None:
            (folder / "aesthetics_image_lists").mkdir()
            (folder / "aesthetics_image_lists" / "generic_test.jpgl").write_text(
                "".join(f"{name}\n" for name in tested)
            )
        return folder

    return write


@pytest.fixture
def aadb(tmp_path: Path, jpeg: Callable[[int], bytes]) -> Callable[..., Path]:
    """AADB's folder: of lines by split, with the picture of every name that ends in .jpg."""

    def write(lines: dict[str, Sequence[str]]) -> Path:
        folder = tmp_path / "AADB"
        (folder / "imgListFiles_label").mkdir(parents=True)
        for where in ("datasetImages_originalSize", "AADB_newtest_originalSize"):
            (folder / where).mkdir()
        for split, named in (("train", "Train"), ("validation", "Validation"), ("test", "TestNew")):
            where = folder / ("AADB_newtest_originalSize" if split == "test" else "datasetImages_originalSize")
            told = lines[split]
            (folder / "imgListFiles_label" / f"imgList{named}Regression_score.txt").write_text("\n".join(told) + "\n")
            for line in filter(None, told):
                name = line.split()[0]
                if name.endswith(".jpg") and "/" not in name:
                    (where / name).write_bytes(jpeg(zlib.crc32(name.encode())))
        return folder

    return write
