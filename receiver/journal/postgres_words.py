"""SQL in the words of SQLite, in the words of PostgreSQL.

The journal's SQL keeps to what both databases say alike. Three things are left: the marks of parameters, the value of a
key in JSON, and a list without members.
"""

from __future__ import annotations

import functools
import re

_MARK = re.compile(r"\?(\d*)")
_OF_JSON = re.compile(r"json_extract\(([\w.]+), '\$\.(\w+)'\)")


@functools.lru_cache(maxsize=2048)
def translated(sql: str) -> tuple[str, tuple[int, ...]]:
    """The statement for psycopg, and which of the given parameters stands at each mark.

    `?` takes the parameters in their order. A statement with `?1` numbers all of its marks.
    """
    order: list[int] = []

    def mark(found: re.Match[str]) -> str:
        order.append(int(found[1]) - 1 if found[1] else len(order))
        return "%s"

    text = _MARK.sub(mark, sql.replace("%", "%%")).replace("IN ()", "IN (SELECT NULL::text WHERE FALSE)")
    return _OF_JSON.sub(r"(\1 ->> '\2')", text), tuple(order)
