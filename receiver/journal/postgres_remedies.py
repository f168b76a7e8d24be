"""What to do when PostgreSQL refuses: the server says what is wrong, and an operator wants to know what to type."""

from __future__ import annotations

import re
from collections.abc import Iterable

_REMEDIES = (
    (
        r"password authentication failed|no password supplied",
        "Write the password into ~/.pgpass of the user who runs this command, or into the variable PGPASSWORD",
    ),
    (r'database "(.+)" does not exist', "Create the database: `createdb --owner USER {0}`"),
    (r'role "(.+)" does not exist', "Create the user: `createuser --pwprompt {0}`"),
    (r"pg_hba\.conf", "Allow the receiver's host in pg_hba.conf of the server, and reload the server"),
    (
        r"permission denied",
        "Let the user own a database without other tables: `ALTER DATABASE NAME OWNER TO USER`",
    ),
    (r"Connection refused", "Check host and port, and listen_addresses of the server"),
    (r"resolve host|translate host name", "Correct the name of the host"),
    (
        r"invalid page in block|could not read block|unexpected data beyond EOF|contains (unexpected|corrupted)",
        "Look at the server's disk. Then promote a standby, or restore a backup",
    ),
    (r"session is read-only", "Add the primary to the list of hosts, or promote this standby"),
    (r"too many clients|remaining connection slots", "Raise max_connections of the server"),
)
"""What a message of the server or of libpq holds, and the order. The order may name what the message quotes."""


_QUESTION = re.compile(r"\n\tIs the server running[^?]*\?")


def with_remedies(messages: Iterable[str]) -> str:
    """The messages in one line, and after them each order once."""
    said = list(dict.fromkeys(_in_one_line(one) for one in messages))
    orders = {order: None for one in said for order in _orders(one) if order not in one}
    return ". ".join(("; ".join(said), *orders))


def _in_one_line(message: str) -> str:
    """A message without libpq's own question, which has an order here."""
    return " ".join(_QUESTION.sub("", message).split()).removeprefix("connection failed: ")


def _orders(message: str) -> list[str]:
    found = ((re.search(pattern, message), order) for pattern, order in _REMEDIES)
    return [order.format(*match.groups()) for match, order in found if match]
