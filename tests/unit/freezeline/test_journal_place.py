"""The options that name a journal."""

from pathlib import Path

import pytest

from freezeline.cli import main


@pytest.mark.parametrize("command", [["journal"], ["journal", "migrate"], ["incidents"]])
def test_a_connection_that_is_none_is_wrong_usage(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The words of the setting, and exit code 2."""
    assert main([*command, "--postgres", "hots=db1", "--state", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert 'argument --postgres: is no connection string of PostgreSQL: invalid connection option "hots"; write' in err
