"""The one SQL query that re-cuts a selection from its published pool, without a GPU and without this project."""

from __future__ import annotations


def quoted(name: str) -> str:
    """A column's name as SQL takes it, whatever characters it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def best_rows(
    pool: str,
    column: str,
    *,
    seed: int,
    k: int | None = None,
    minimum: float | None = None,
    ranks: tuple[int, int] | None = None,
    quotas: dict[str, int] | None = None,
    per: str | None = None,
    one_of_each: str | None = None,
) -> str:
    """Row ids of the selection, as DuckDB reads it; ties are broken by md5 of seed and row_id, as select.py does.

    one_of_each: column of near-duplicate groups, the best of each stays. quotas: rows of each value of `per`.
    ranks: positions [from, to) among the scored rows, worst first.
    """
    score = quoted(column)
    order = f"{score} DESC, md5({literal(f'{seed}:')} || row_id)"
    steps = [f"scored AS (SELECT * FROM {pool} WHERE {score} IS NOT NULL AND NOT isnan({score}::DOUBLE))"]
    table = "scored"
    if one_of_each:
        group = quoted(one_of_each)
        steps.append(
            f"apart AS (SELECT * FROM {table} QUALIFY row_number() OVER (PARTITION BY {group} ORDER BY {order}) = 1)"
        )
        table = "apart"
    if minimum is not None:
        final = f"SELECT row_id FROM {table} WHERE {score} >= {minimum!r}"
    elif ranks is not None:
        reverse = f"{score} ASC, md5({literal(f'{seed}:')} || row_id) DESC"
        final = (
            f"SELECT row_id FROM {table} QUALIFY row_number() OVER (ORDER BY {reverse}) "
            f"BETWEEN {ranks[0] + 1} AND {ranks[1]}"
        )
    elif quotas is not None and per is not None:
        values = ", ".join(f"({literal(label)}, {quota})" for label, quota in quotas.items())
        steps.append(f"quota(label, rows_kept) AS (VALUES {values})")
        label = f"coalesce({quoted(per)}::VARCHAR, 'null')"
        final = (
            f"SELECT row_id FROM {table} JOIN quota ON label = {label}\n"
            f"QUALIFY row_number() OVER (PARTITION BY label ORDER BY {order}) <= rows_kept"
        )
    else:
        final = f"SELECT row_id FROM {table} ORDER BY {order} LIMIT {k}"
    return "WITH " + ",\n".join(steps) + f"\n{final}"
