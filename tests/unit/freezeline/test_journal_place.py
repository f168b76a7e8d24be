"""The options that name a journal."""

from pathlib import Path

import pytest

from freezeline.cli import main
from receiver.state import locked


@pytest.mark.parametrize("command", [["journal"], ["journal", "migrate"], ["incidents"]])
def test_a_connection_that_is_none_is_wrong_usage(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The words of the setting, and exit code 2."""
    assert main([*command, "--postgres", "hots=db1", "--state", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert 'argument --postgres: is no connection string of PostgreSQL: invalid connection option "hots"; write' in err


@pytest.mark.parametrize("command", ["journal", "incidents"])
def test_a_state_without_a_journal_asks_for_the_database(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The journal of this receiver is in PostgreSQL, and the command was not told."""
    assert main([command, "--state", str(tmp_path)]) == 3
    err = capsys.readouterr().err
    assert f"{tmp_path}/journal.db: there is no journal. If the receiver has a database, name it with --postgres" in err


def test_a_journal_moves_only_while_its_receiver_is_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The lock says that a receiver runs, and the message what to do."""
    with locked(tmp_path):
        assert main(["journal", "migrate", "--state", str(tmp_path), "--postgres", "host=db1"]) == 3
    assert f"{tmp_path}: another receiver runs with this state. Stop the receiver first" in capsys.readouterr().err
