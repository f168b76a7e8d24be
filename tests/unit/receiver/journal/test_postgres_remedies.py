"""What an operator reads when PostgreSQL cannot be used."""

from receiver.journal.postgres_remedies import with_remedies

REFUSED = (
    'connection failed: connection to server at "{}", port 5432 failed: Connection refused\n'
    "\tIs the server running on that host and accepting TCP/IP connections?"
)


def test_each_order_stands_once_after_all_servers() -> None:
    """Two servers of a list, for one reason."""
    assert with_remedies([REFUSED.format("10.0.0.1"), REFUSED.format("10.0.0.2")]) == (
        'connection to server at "10.0.0.1", port 5432 failed: Connection refused; '
        'connection to server at "10.0.0.2", port 5432 failed: Connection refused. '
        "Check host and port, and listen_addresses of the server"
    )


def test_two_addresses_of_one_host_are_both_there() -> None:
    """Libpq tries both in one attempt."""
    assert with_remedies([f"{REFUSED.format('::1')}\n{REFUSED.format('127.0.0.1')}"]).count("refused") == 2


def test_a_message_is_extended_once() -> None:
    """The connection extends a message, and the journal that passes it on does so again."""
    once = with_remedies(['FATAL:  database "j" does not exist'])
    assert once == 'FATAL: database "j" does not exist. Create the database: `createdb --owner USER j`'
    assert with_remedies([once]) == once


def test_other_messages_stay_as_they_are() -> None:
    """The server's own words are enough."""
    assert with_remedies(["the connection was lost"]) == "the connection was lost"
