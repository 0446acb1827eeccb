"""The only code that writes to a Hub. What is published is first a folder under output_dir/hub; the push is one commit.

Without --push_to_hub the folder is all there is, byte for byte what a push would have sent.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow.parquet as pq

from tamis.config import HUB_ID, ConfigError
from tamis.parquet import write_config
from tamis.retries import HubError, first_line, patiently
from tamis.sources import is_embedded

if TYPE_CHECKING:
    from collections.abc import Callable

    from datasets import Dataset

    from tamis.cards import Card
    from tamis.run import Run

OURS = ("data/", "pictures/")  # folders a push replaces whole; other files of the repo are left alone
TAG = "tamis"  # in the card of every repo we publish: what says that its data/ is ours to replace
OF_MODELS = (".safetensors", ".json", ".jinja", ".model")  # weights, settings, chat templates, sentencepiece's tokens
TEXT = (".md", ".html", ".json", ".yaml", ".yml", ".txt", ".csv")


@dataclass(frozen=True)
class Published:
    folder: Path
    repo_id: str
    commit: str | None = None  # None: not pushed
    url: str | None = None


def publish_dataset(
    run: Run,
    repo_id: str,
    configs: dict[str, Dataset | dict[str, Dataset]],
    card: Card,
    files: dict[str, bytes | str],
    *,
    push: bool,
    private: bool,
) -> Published | None:
    """Writes every config as parquet with card and pictures, and pushes them as one commit. Main process only.

    A config is a dataset, whose split is called train, or several by the names of their splits. The card's header gains
    `configs` (the first one is the default) and `dataset_info`.
    """
    if not run.is_main:
        return None
    splits = {name: given if isinstance(given, dict) else {"train": given} for name, given in configs.items()}
    with run.stage("publish", rows=sum(len(dataset) for some in splits.values() for dataset in some.values())):
        folder = _empty_folder(run, "datasets", repo_id)
        infos = [write_config(folder, name, some) for name, some in splits.items()]
        paths = [
            {
                "config_name": name,
                "data_files": [{"split": split, "path": f"data/{name}/{split}-*"} for split in some],
                **({"default": True} if position == 0 else {}),
            }
            for position, (name, some) in enumerate(splits.items())
        ]
        card = dataclasses.replace(card, metadata=card.metadata | {"configs": paths, "dataset_info": infos})
        return _finish(folder, repo_id, "dataset", card, files, push=push, private=private)


def publish_adapter(
    run: Run,
    repo_id: str,
    adapters: dict[str, Path],
    card: Card,
    files: dict[str, bytes | str],
    *,
    push: bool,
    private: bool,
) -> Published | None:
    """Publishes saved adapters, each in the subfolder its key names ("" is the root), with card and pictures."""
    if not run.is_main:
        return None
    with run.stage("publish"):
        folder = _empty_folder(run, "models", repo_id)
        for subfolder, saved in adapters.items():
            for path in sorted(saved.iterdir()):
                if path.suffix not in OF_MODELS:
                    continue  # the library's own card, and anything that could be a pickle
                target = folder / subfolder / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        return _finish(folder, repo_id, "model", card, files, push=push, private=private)


def publish_folder(
    run: Run,
    repo_id: str,
    repo_type: Literal["dataset", "model"],
    build: Callable[[Path], None],
    *,
    push: bool,
    private: bool,
) -> Published | None:
    """Publishes a repository that `build` writes whole into a folder, card included. Main process only."""
    if not run.is_main:
        return None
    with run.stage(f"publish {repo_id}"):
        folder = _empty_folder(run, f"{repo_type}s", repo_id)
        build(folder)
        return _sent(folder, repo_id, repo_type, push=push, private=private)


def unpushed_id(path: str, made: str) -> str:
    """What a repo is called that is not pushed and was given no name."""
    name = re.sub(r"[^\w.-]+", "-", Path(path).resolve().name).strip("-.")
    return f"your-name/{name or 'dataset'}-{made}"


def _name(repo_id: str) -> None:
    if not HUB_ID.fullmatch(repo_id) or ".." in repo_id:
        raise ConfigError(f"hub id: {repo_id!r} is not accepted; expected OWNER/NAME")


def show(run: Run, published: Published, *, load: list[str]) -> None:
    """Where it is, and the lines that load it: what a user copies next."""
    pushed = _show_address(run, published)
    run.say("\nfrom datasets import load_dataset")
    for config in load:
        run.say(f'load_dataset("{published.repo_id if pushed else published.folder}", "{config}", split="train")')


def show_adapter(run: Run, published: Published, loading: str) -> None:
    """The same of adapters; `loading` names them on the Hub."""
    if not _show_address(run, published):
        loading = loading.replace(f'"{published.repo_id}"', f'"{published.folder}"')
    run.say(f"\n{loading}")


def _show_address(run: Run, published: Published) -> bool:
    pushed = published.url is not None
    run.say(
        f"\npublished {published.url} at {published.commit[:12]}" if pushed else "\nnot pushed (--push_to_hub does)"
    )
    if pushed and is_embedded():
        run.say("on the embedded Hub, which these lines find under: python -m tamis.localhub run -- python")
    return pushed


def claim(run: Run, repo_id: str, repo_type: Literal["dataset", "model"], *, private: bool) -> None:
    """Makes the repo to publish to before hours are spent: may we write there, is it ours, is it private as meant?"""
    if run.is_main:
        _name(repo_id)
        _owned(repo_id, repo_type, private)
    run.wait()


def _owned(repo_id: str, repo_type: str, private: bool) -> Any:
    """The repo's state, created if need be; refused where a push would overwrite or expose what is not ours to."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi()

    def state() -> Any:
        api.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True)
        return api.repo_info(repo_id, repo_type=repo_type)

    try:
        info = patiently(state, repo_id)
    except HfHubHTTPError as error:
        raise HubError(f"{repo_id}: the Hub refused ({error.response.status_code}): {first_line(error)}") from error
    if private and not info.private:
        raise HubError(f"{repo_id} exists and is public: make it private, or pass --no_hub_private_repo")
    tags = (info.card_data or {}).get("tags") or []
    if TAG not in tags and any(file.rfilename.startswith(OURS) for file in info.siblings or []):
        raise HubError(f"{repo_id} exists and holds data that tamis did not publish: choose another hub id")
    return info


def _empty_folder(run: Run, kind: str, repo_id: str) -> Path:
    _name(repo_id)
    folder = run.output_dir / "hub" / kind / repo_id
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _finish(
    folder: Path,
    repo_id: str,
    repo_type: Literal["dataset", "model"],
    card: Card,
    files: dict[str, bytes | str],
    *,
    push: bool,
    private: bool,
) -> Published:
    tags = list(dict.fromkeys([*card.metadata.get("tags", []), TAG]))
    card = dataclasses.replace(card, metadata=card.metadata | {"tags": tags})
    (folder / "README.md").write_text(card.render(), encoding="utf-8")
    for name, content in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            target.write_text(content, encoding="utf-8")
        else:
            target.write_bytes(content)
    return _sent(folder, repo_id, repo_type, push=push, private=private)


def _sent(
    folder: Path, repo_id: str, repo_type: Literal["dataset", "model"], *, push: bool, private: bool
) -> Published:
    refuse_leaks(folder)
    if not push:
        return Published(folder, repo_id)
    commit = _push(folder, repo_id, repo_type, private)
    _count_again(folder, repo_id, repo_type, commit.oid)
    return Published(folder, repo_id, commit.oid, str(commit.repo_url))


def refuse_leaks(folder: Path) -> None:
    """Stops before anything is published that holds the token or a path of this machine."""
    from huggingface_hub import get_token

    secrets = {
        "the Hub token": re.escape(get_token() or "\0"),
        # Where a path starts: data/ in an address is not the folder /data/.
        "the home folder": rf"(?<![\w/.~-]){re.escape(str(Path.home()))}/",
        "the working folder": rf"(?<![\w/.~-]){re.escape(str(Path.cwd()))}/",
    }
    for path in sorted(folder.rglob("*")):
        if path.suffix not in TEXT:
            continue
        text = path.read_text(encoding="utf-8")
        for what, pattern in secrets.items():
            if re.search(pattern, text):
                raise ValueError(f"{path.relative_to(folder)} would publish {what}; nothing was pushed")


def _push(folder: Path, repo_id: str, repo_type: str, private: bool) -> Any:
    """One commit with everything; each try starts from a fresh parent (the datasets library's own push does not)."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi()

    def push() -> Any:
        return _commit(api, folder, repo_id, repo_type, parent=_owned(repo_id, repo_type, private))

    kept = f"the files are whole under {Path(*folder.parts[-4:])}: start again to push them"
    try:
        return patiently(push, repo_id)
    except HubError as error:
        raise HubError(f"{error}; {kept}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        raise HubError(f"{repo_id}: the Hub refused ({status}): {first_line(error)}; {kept}") from error


def _commit(api: Any, folder: Path, repo_id: str, repo_type: str, *, parent: Any) -> Any:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    new = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    there = [sibling.rfilename for sibling in parent.siblings or []]
    # A card that names an older subset must not outlive it, nor its files.
    gone = [name for name in there if name.startswith(OURS) and name not in new]
    return api.create_commit(
        repo_id,
        [CommitOperationAdd(name, str(path)) for name, path in new.items()]
        + [CommitOperationDelete(name) for name in gone],
        commit_message=f"Publish {repo_type}, card and pictures",
        repo_type=repo_type,
        parent_commit=parent.sha,
    )


def _count_again(folder: Path, repo_id: str, repo_type: str, commit: str) -> None:
    """Reads the published parquet footers and compares rows: silent loss on the way is what nobody would notice."""
    from huggingface_hub import HfFileSystem

    if repo_type != "dataset":
        return
    files = HfFileSystem()
    for path in sorted(folder.rglob("*.parquet")):
        name = path.relative_to(folder).as_posix()
        with files.open(f"datasets/{repo_id}@{commit}/{name}", "rb") as remote:
            there = pq.read_metadata(remote).num_rows
        here = pq.read_metadata(path).num_rows
        if there != here:
            raise RuntimeError(f"{repo_id}: {name} has {there} rows on the Hub, {here} were sent")
