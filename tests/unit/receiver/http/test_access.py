"""Tokens, hosts and files: who may do what."""

from pathlib import Path

import pytest

from receiver.http.access import allowed_hosts
from receiver.http.tokens import Role, TokenError, ensure_tokens, read_token
from receiver.policy.guard import UnsafeFileError, check_command, check_file


def test_tokens_are_made_once_and_alone_in_their_files(tmp_path: Path) -> None:
    """Mode 0600 in a directory of mode 0700; the second start finds the same."""
    first = ensure_tokens(tmp_path / "tokens")
    assert ensure_tokens(tmp_path / "tokens") == first
    files = sorted((tmp_path / "tokens").iterdir())
    assert [path.name for path in files] == ["operate", "read", "webhook"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert (tmp_path / "tokens").stat().st_mode & 0o777 == 0o700
    assert len({path.read_text() for path in files}) == 3
    assert read_token(tmp_path / "tokens", Role.READ) == first.by_role[Role.READ]


@pytest.mark.parametrize(
    "given,wanted,expected",
    [
        (Role.WEBHOOK, Role.WEBHOOK, True),
        (Role.WEBHOOK, Role.READ, False),
        (Role.READ, Role.READ, True),
        (Role.READ, Role.WEBHOOK, False),
        (Role.READ, Role.OPERATE, False),
        (Role.OPERATE, Role.READ, True),
        (Role.OPERATE, Role.OPERATE, True),
        (Role.OPERATE, Role.WEBHOOK, False),
    ],
)
def test_what_each_token_opens(given: Role, wanted: Role, tmp_path: Path, *, expected: bool) -> None:
    """Operate opens what read opens; nothing else crosses."""
    tokens = ensure_tokens(tmp_path / "tokens")
    assert tokens.allows(tokens.by_role[given], wanted) is expected
    assert tokens.allows("", wanted) is False
    assert tokens.allows("ü", wanted) is False


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """So is one that is damaged."""
    ensure_tokens(tmp_path / "tokens")
    (tmp_path / "tokens" / "read").chmod(0o644)
    with pytest.raises(TokenError, match="0600"):
        ensure_tokens(tmp_path / "tokens")
    (tmp_path / "tokens" / "read").chmod(0o600)
    (tmp_path / "tokens" / "read").write_text("x")
    with pytest.raises(TokenError, match="holds no token"):
        ensure_tokens(tmp_path / "tokens")


def test_hosts_are_the_public_name_the_address_and_loopback() -> None:
    """And what the settings add."""
    hosts = allowed_hosts("https://freeze.example.org:8443", "::1", ("Proxy.example.org",))
    assert hosts == {
        "freeze.example.org:8443",
        "freeze.example.org",
        "proxy.example.org",
        "[::1]",
        "127.0.0.1",
        "localhost",
    }


def test_files_that_others_can_write_are_refused(tmp_path: Path) -> None:
    """A policy or a command could be swapped."""
    path = tmp_path / "x"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    check_command(str(path))
    for mode in (0o775, 0o757):
        path.chmod(mode)
        with pytest.raises(UnsafeFileError, match="the group or other users can write"):
            check_file(path)
    path.chmod(0o644)
    with pytest.raises(UnsafeFileError, match="not executable"):
        check_command(str(path))
    with pytest.raises(UnsafeFileError, match="No such file"):
        check_command(str(tmp_path / "none"))
    with pytest.raises(UnsafeFileError, match="not a regular file"):
        check_file(tmp_path)
