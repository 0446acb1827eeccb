"""Pages for people: what is here, each repository's card with its metrics, files, history and discussions.

Every page is a GET without side effects and works without JavaScript; its policy lets a browser load this server's
own stylesheet and pictures and nothing else.

Who reads a page? A browser sends no token. Where the server listens on this machine alone, a page shows what the
default user may see, private repositories included: the state folder is theirs, and the check of the Host header (see
`app`) keeps web pages of other origins from reading it under a name of their own. Where the server listens further,
pages show what is public. The API never makes this assumption.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from tamis.localhub import card, card_html, cells, metrics_table, pulls
from tamis.localhub.api_files import serve_file
from tamis.localhub.api_tree import children
from tamis.localhub.auth import DEFAULT_USER, User, can_read, check_read
from tamis.localhub.commits import Commit
from tamis.localhub.errors import HubError, bad_request, revision_not_found
from tamis.localhub.file_kinds import PICTURES, extension
from tamis.localhub.hub import hub_of, name_of, user_of
from tamis.localhub.names import REPO_TYPES
from tamis.localhub.repo import MAIN, Repo
from tamis.localhub.routing import route
from tamis.localhub.splits import find_splits

_HERE = Path(__file__).parent
_POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_MOST_PICTURES = 60
COMMITS_PAGE = 50


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"size": cells.size, "day": lambda date: date[:16].replace("T", " "), "segment": _segment}
    environment.filters["path"] = quote
    return environment


def _segment(text: str) -> str:
    return quote(text, safe="")


def page(template: str, status: int = 200, **values: object) -> Response:
    text = _templates().get_template(template).render(status=status, **values)
    return HTMLResponse(text, status, HEADERS)


def page_route(path: str, handler: Callable[[Request], Response]) -> BaseRoute:
    """A route whose refusals are pages too."""

    def answer(request: Request) -> Response:
        try:
            return handler(request)
        except HubError as error:
            return page("error.html", error.status, message=error.message)

    return route(path, answer)


def reader_of(request: Request) -> User | None:
    hub = hub_of(request)
    return user_of(request) or (hub.users.by_name(DEFAULT_USER) if hub.pages_as_default_user else None)


def page_repo(request: Request) -> Repo:
    repo = hub_of(request).store.repo(name_of(request))
    check_read(reader_of(request), repo)
    return repo


def page_revision(request: Request) -> str:
    return request.path_params.get("rev") or MAIN


def frame(repo: Repo, commit: Commit, revision: str, tab: str) -> dict:
    """What every page of a repository shows around its own content."""
    data, _, _ = card.read_card(repo, commit)
    has_rows = repo.name.type == "dataset" and bool(find_splits(commit, data))
    return {
        "repo": repo.name,
        "private": repo.private,
        "commit": commit,
        "revision": revision,
        "tab": tab,
        "has_rows": has_rows,
        "tags": card.tags(repo.name.type, data, commit),
        "branches": repo.refs("heads"),
        "open_discussions": sum(pulls.read(repo, number)["status"] == "open" for number in pulls.numbers(repo)),
    }


def home(request: Request) -> Response:
    reader, search = reader_of(request), request.query_params.get("search", "")
    found = []
    for repo_type in REPO_TYPES:
        for repo, head in hub_of(request).store.heads(repo_type):
            if can_read(reader, repo) and search.lower() in repo.name.id.lower():
                found.append(_line(repo, head))
    found.sort(key=lambda line: line["commit"].date, reverse=True)
    return page("home.html", lines=found, search=search)


def _line(repo: Repo, commit: Commit) -> dict:
    data, body, _ = card.read_card(repo, commit)
    return {
        "repo": repo.name,
        "private": repo.private,
        "commit": commit,
        "size": sum(entry.size for entry in commit.files.values()),
        "description": card_html.first_words(body) or str(data.get("pretty_name") or ""),
    }


def show_card(request: Request) -> Response:
    repo, revision = page_repo(request), page_revision(request)
    commit = repo.resolve(revision)
    data, body, problem = card.read_card(repo, commit)
    model_index, metadata = data.get("model-index"), {key: data[key] for key in data if key != "model-index"}
    pictures = [path for path in commit.files if extension(path) in PICTURES]
    return page(
        "card.html",
        **frame(repo, commit, revision, "card"),
        card=card_html.render(body, f"{repo.name.page}/raw/{commit.oid}"),
        problem=problem,
        metadata={key: card_html.as_yaml(value) for key, value in metadata.items()},
        metrics=metrics_table.from_model_index(model_index, card.eval_results(repo, commit)),
        pictures=pictures[:_MOST_PICTURES],
        more_pictures=max(0, len(pictures) - _MOST_PICTURES),
        size=sum(entry.size for entry in commit.files.values()),
    )


def show_files(request: Request) -> Response:
    repo, revision = page_repo(request), page_revision(request)
    commit = repo.resolve(revision)
    folder = request.path_params.get("path", "").strip("/")
    lines = []
    for path in children(commit, folder, recursive=False):
        inside = (
            {path: commit.files[path]}
            if path in commit.files
            else {name: entry for name, entry in commit.files.items() if name.startswith(path + "/")}
        )
        last = max((repo.commit(oid) for oid in {entry.commit for entry in inside.values()}), key=lambda one: one.date)
        lines.append(
            {
                "path": path,
                "name": path.rpartition("/")[2],
                "is_folder": path not in commit.files,
                "is_lfs": path in commit.files and commit.files[path].is_lfs,
                "size": sum(entry.size for entry in inside.values()),
                "last": last,
            }
        )
    lines.sort(key=lambda line: (not line["is_folder"], line["name"]))
    parts = folder.split("/") if folder else []
    trail = [(part, "/".join(parts[: index + 1])) for index, part in enumerate(parts)]
    return page("files.html", **frame(repo, commit, revision, "files"), lines=lines, trail=trail)


def show_file(request: Request) -> Response:
    """A file's bytes for a page or a person, guarded as /resolve/ guards them."""
    repo = page_repo(request)
    return serve_file(request, repo, repo.resolve(page_revision(request)), request.path_params["path"])


def show_commits(request: Request) -> Response:
    repo, revision = page_repo(request), page_revision(request)
    commit = repo.resolve(revision)
    number = page_number(request)
    history = list(repo.history(commit))
    shown = history[number * COMMITS_PAGE : (number + 1) * COMMITS_PAGE]
    more = len(history) > (number + 1) * COMMITS_PAGE
    return page("commits.html", **frame(repo, commit, revision, "commits"), history=shown, number=number, more=more)


def page_number(request: Request) -> int:
    text = request.query_params.get("page", "0")
    if not text.isdecimal() or len(text) > 9:
        raise bad_request(f"{text[:40]!r} is no page number")
    return int(text)


def show_commit(request: Request) -> Response:
    repo = page_repo(request)
    commit = repo.resolve(request.path_params["oid"])
    before = repo.commit(commit.parent).files if commit.parent else {}
    changes = [
        (path, before.get(path), commit.files.get(path))
        for path in sorted(before.keys() | commit.files.keys())
        if (before.get(path) and before[path].object) != (commit.files.get(path) and commit.files[path].object)
    ]
    return page("commit.html", **frame(repo, commit, commit.oid, "commits"), changes=changes)


def show_discussions(request: Request) -> Response:
    repo = page_repo(request)
    found = [pulls.read(repo, number) for number in reversed(pulls.numbers(repo))]
    return page("discussions.html", **frame(repo, repo.resolve(MAIN), MAIN, "discussions"), discussions=found)


def show_discussion(request: Request) -> Response:
    repo, number = page_repo(request), request.path_params["num"]
    if not number.isdecimal() or len(number) > 9:
        raise revision_not_found(number)
    discussion = pulls.read(repo, int(number))
    shown = frame(repo, repo.resolve(MAIN), MAIN, "discussions")
    return page("discussion.html", **shown, discussion=discussion, conflicts=pulls.conflicts(repo, discussion))


def repo_routes(path: str, handler: Callable[[Request], Response]) -> list[BaseRoute]:
    """A page of a repository: models live at the root, the other types under their plural."""
    return [
        page_route("/{type:plural}/{ns:segment}/{name:segment}" + path, handler),
        page_route("/{ns:segment}/{name:segment}" + path, handler),
    ]


routes: list[BaseRoute] = [
    page_route("/", home),
    Mount("/static", StaticFiles(directory=_HERE / "static")),
    *repo_routes("/tree/{rev:segment}", show_files),
    *repo_routes("/tree/{rev:segment}/{path:rest}", show_files),
    *repo_routes("/raw/{rev:segment}/{path:rest}", show_file),
    *repo_routes("/commits/{rev:segment}", show_commits),
    *repo_routes("/commit/{oid:segment}", show_commit),
    *repo_routes("/discussions", show_discussions),
    *repo_routes("/discussions/{num:segment}", show_discussion),
    *repo_routes("/revision/{rev:segment}", show_card),
    *repo_routes("", show_card),
]
