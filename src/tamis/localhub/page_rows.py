"""The rows of a dataset as a page: sorted by a click on a column, pictures as thumbnails."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from tamis.localhub import card, cells
from tamis.localhub.commits import Commit
from tamis.localhub.errors import HubError, bad_request, entry_not_found
from tamis.localhub.pages import frame, page, page_number, page_repo, page_route
from tamis.localhub.parquet_rows import Column, ParquetRows, Position, picture_bytes
from tamis.localhub.repo import MAIN, Repo
from tamis.localhub.routing import route
from tamis.localhub.splits import Split, find_splits
from tamis.localhub.thumbnails import thumbnail

ROWS = 25


def _splits(repo: Repo, commit: Commit) -> list[Split]:
    return find_splits(commit, card.read_card(repo, commit)[0])


def first_split(request: Request) -> Response:
    repo = page_repo(request)
    splits = _splits(repo, repo.resolve(MAIN))
    if not splits:
        raise HubError(404, "This dataset has no parquet files to show rows of")
    return RedirectResponse(_address(repo, splits[0]), 302, {"Cache-Control": "no-store"})


def _address(repo: Repo, split: Split) -> str:
    return f"{repo.name.page}/viewer/{quote(split.config, safe='')}/{quote(split.split, safe='')}"


def show_rows(request: Request) -> Response:
    repo, query = page_repo(request), request.query_params
    commit = repo.resolve(MAIN)
    splits = _splits(repo, commit)
    wanted = (request.path_params["config"], request.path_params["split"])
    split = next((one for one in splits if (one.config, one.split) == wanted), None)
    if split is None:
        raise entry_not_found("/".join(wanted))
    rows = ParquetRows([repo.objects.path(commit.files[path].object) for path in split.paths])
    sort, order, number = query.get("sort"), query.get("order", "asc"), page_number(request)
    if order not in ("asc", "desc"):
        raise bad_request("order is asc or desc")
    start = number * ROWS
    if start >= len(rows) and number:
        raise entry_not_found(f"page {number}")
    numbers = range(len(rows)) if sort is None else rows.order(sort, descending=order == "desc")
    numbers = [int(one) for one in numbers[start : start + ROWS]]
    shown = [
        [_cell(repo, commit, split, column, values[column.name]) for column in rows.columns]
        for values in rows.page(numbers)
    ]
    address = _address(repo, split)
    sorting = {"sort": sort, "order": order} if sort is not None else {}
    pages = -(-len(rows) // ROWS)
    return page(
        "rows.html",
        **frame(repo, commit, MAIN, "rows"),
        splits=[(one, _address(repo, one)) for one in splits],
        split=split,
        columns=[_header(column, address, sort, order) for column in rows.columns],
        rows=list(zip(numbers, shown, strict=True)),
        total=len(rows),
        number=number,
        pages=pages,
        previous=f"{address}?{urlencode({**sorting, 'page': number - 1})}" if number else None,
        next=f"{address}?{urlencode({**sorting, 'page': number + 1})}" if number + 1 < pages else None,
        unsorted=address if sort is not None else None,
    )


def _header(column: Column, address: str, sort: str | None, order: str) -> dict:
    """A column's header: sorts by it, the best first for numbers, and the other way at the second click."""
    header = {"name": column.name, "type": column.type, "is_number": column.is_number, "sorted": None, "link": None}
    if column.is_sortable:
        usual, other = ("desc", "asc") if column.is_number else ("asc", "desc")
        if sort == column.name:
            header["sorted"] = order
            usual = other if order == usual else usual
        header["link"] = f"{address}?{urlencode({'sort': column.name, 'order': usual})}"
    return header


def _cell(repo: Repo, commit: Commit, split: Split, column: Column, value: object) -> dict:
    if value is None:
        return {"kind": "null"}
    if isinstance(value, Position):
        query = urlencode({"file": split.paths[value.file], "column": column.name, "row": value.row})
        return {"kind": "picture", "address": f"{repo.name.page}/thumbnail/{commit.oid}?{query}"}
    if column.is_number:
        return {"kind": "number", "text": cells.show(value, column)}
    return {"kind": "text", "text": cells.show(value, column)}


def show_thumbnail(request: Request) -> Response:
    repo, query = page_repo(request), request.query_params
    commit = repo.resolve(request.path_params["rev"])
    path, row = query.get("file", ""), query.get("row", "")
    entry = commit.files.get(path)
    if entry is None or not path.endswith(".parquet"):
        raise entry_not_found(path, commit.oid)
    if not row.isdecimal() or len(row) > 12:
        raise bad_request(f"{row[:40]!r} is no row")
    content = picture_bytes(repo.objects.path(entry.object), query.get("column", ""), int(row))
    if content is None:
        raise entry_not_found(f"row {row}")
    headers = {
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
        # The address names a commit, so what it shows never changes.
        "Cache-Control": "private, max-age=86400, immutable",
    }
    return Response(thumbnail(content), media_type="image/png", headers=headers)


_DATASET = "/{type:plural}/{ns:segment}/{name:segment}"
routes: list[BaseRoute] = [
    page_route(_DATASET + "/viewer", first_split),
    page_route(_DATASET + "/viewer/{config:segment}/{split:segment}", show_rows),
    route(_DATASET + "/thumbnail/{rev:segment}", show_thumbnail),
]
