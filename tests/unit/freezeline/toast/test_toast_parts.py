"""The toast program's pure parts: the stream's format, links, refused settings, and the position file."""

import io
import itertools
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freezeline.toast import seen
from freezeline.toast.follow import delay_s
from freezeline.toast.settings import (
    SettingsError,
    TokenError,
    check_url,
    default_seen_file,
    read_token,
)
from freezeline.toast.show import printer
from freezeline.toast.sse import EVENT_MAX_BYTES, Event, Parser, StreamTooLargeError
from freezeline.toast.toasts import BadNoticeError, Toast, may_open, parse

STREAM = (
    b": hello\n\nid: 1\nevent: notice\ndata: {\ndata: }\n\n"
    b"id: 2\r\nevent: state\r\ndata: caf\xc3\xa9\r\n\r\ndata:x\rdata: y\r\revent: none\n\n"
)
EVENTS = [
    Event(id="1", name="notice", data="{\n}"),
    Event(id="2", name="state", data="café"),
    Event(id="2", name="message", data="x\ny"),
]


@given(st.lists(st.integers(1, len(STREAM) - 1), max_size=8))
def test_the_parser_does_not_care_about_chunks(cuts: list[int]) -> None:
    """Any division of the bytes gives the same events."""
    parser = Parser()
    edges = [0, *sorted(set(cuts)), len(STREAM)]
    events = [event for start, end in itertools.pairwise(edges) for event in parser.feed(STREAM[start:end])]
    assert events == EVENTS


def test_an_event_without_end_is_refused() -> None:
    """Memory stays bounded however long one event is."""
    parser = Parser()
    for _ in range(EVENT_MAX_BYTES // 65536):
        parser.feed(b"x" * 65536)
    with pytest.raises(StreamTooLargeError):
        parser.feed(b"x")


def test_the_server_may_ask_for_a_pause() -> None:
    """`retry:` is kept in milliseconds; anything but digits is ignored."""
    parser = Parser()
    parser.feed(b"retry: 2500\nretry: soon\n\n")
    assert parser.retry_ms == 2500


@pytest.mark.parametrize(
    "data",
    [
        "no json",
        "[]",
        '{"seq": 1}',
        '{"seq": "1", "at": "2026-01-02T03:04:05Z", "service": "", "severity": "", "title": "", "text": ""}',
        '{"seq": 1, "at": "2026-01-02T03:04:05", "service": "", "severity": "", "title": "", "text": ""}',
        '{"seq": 1, "at": "soon", "service": "", "severity": "", "title": "", "text": ""}',
    ],
)
def test_a_notice_that_breaks_the_contract_is_refused(data: str) -> None:
    """A broken notice is refused: no value is guessed."""
    with pytest.raises(BadNoticeError):
        parse(data)


@pytest.mark.parametrize(
    "url, public_url",
    [
        ("https://fl.example.org/fl/#x", "https://fl.example.org/fl/"),
        ("https://fl.example.org/fl", "https://fl.example.org/fl"),
        ("https://fl.example.org:443/fl/a?b=c", "https://fl.example.org/fl"),
        ("http://127.0.0.1:9099/", "http://127.0.0.1:9099"),
    ],
)
def test_our_own_urls_may_be_opened(url: str, public_url: str) -> None:
    """Links below public_url open."""
    assert may_open(url, public_url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http://fl.example.org/fl/",
        "https://fl.example.org.evil.example/fl/",
        "https://fl.example.org:8443/fl/",
        "https://fl.example.org@evil.example/fl/",
        "https://user@fl.example.org/fl/",
        "https://fl.example.org/flight",
        "https://fl.example.org/fl/../admin",
        "https://fl.example.org/fl/%2e%2e/admin",
        "https://fl.example.org\\@evil.example/fl/",
        "https://fl.example.org/fl/ --flag",
        "https://fl.example.org:x/fl/",
        "//fl.example.org/fl/",
    ],
)
def test_foreign_urls_may_not_be_opened(url: str) -> None:
    """Another scheme, host, port, user or path never opens."""
    assert not may_open(url, "https://fl.example.org/fl")


@pytest.mark.parametrize("url", ["https://fl.example.org/fl/", "http://127.0.0.1:9099", "http://[::1]:9099"])
def test_safe_addresses_are_taken(url: str) -> None:
    """HTTPS anywhere, plain HTTP to loopback."""
    assert check_url(url, "--url") == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://fl.example.org",
        "ftp://x",
        "x",
        "https://u:p@x",
        "https://x?y",
        "http://[",
        "https://x:y",
        "http://10.0.0.1",
    ],
)
def test_unsafe_addresses_are_refused(url: str) -> None:
    """The token never crosses a network in plain text."""
    with pytest.raises(SettingsError, match="--url"):
        check_url(url, "--url")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o601])
def test_a_token_open_to_others_is_refused(mode: int, tmp_path: Path) -> None:
    """The message says how to correct the mode."""
    path = tmp_path / "token"
    path.write_text("secret")
    path.chmod(mode)
    with pytest.raises(TokenError, match=f"chmod 600 {path}") as caught:
        read_token(path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "two words", "x" * 5000, "naïve"])
def test_a_token_file_with_anything_else_is_refused(content: str, tmp_path: Path) -> None:
    """The file must hold only the token."""
    path = tmp_path / "token"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(TokenError, match="must hold only the token"):
        read_token(path)


def test_the_position_survives(tmp_path: Path) -> None:
    """A saved position is loaded again; no other file stays."""
    path = tmp_path / "state" / "seen.json"
    assert seen.load(path) is None
    seen.save(path, 41)
    seen.save(path, 42)
    assert (seen.load(path), list(path.parent.iterdir())) == (42, [path])


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format":"freezeline.toast/1","seq":-1}', '{"seq":1}'])
def test_a_foreign_position_file_is_refused(content: str, tmp_path: Path) -> None:
    """A damaged file is an error, never a silent restart."""
    path = tmp_path / "seen.json"
    path.write_text(content)
    with pytest.raises(seen.SeenFileError, match="remove the file"):
        seen.load(path)


def test_each_receiver_has_its_own_position(tmp_path: Path) -> None:
    """Two receivers do not share a file; XDG_STATE_HOME is obeyed."""
    one = default_seen_file("http://127.0.0.1:1", {"XDG_STATE_HOME": "/x"}, tmp_path)
    other = default_seen_file("http://127.0.0.1:2", {}, tmp_path)
    assert one.parent == Path("/x/freezeline")
    assert other.parent == tmp_path / ".local/state/freezeline"
    assert one.name != other.name


def test_pauses_grow_and_stay_bounded() -> None:
    """Reconnecting slows down to half a minute; the receiver's wish counts up to five minutes."""
    assert [delay_s(n, 0.0, None) for n in (1, 2, 3, 4, 5, 99)] == [1, 2, 5, 10, 30, 30]
    assert (delay_s(1, 0.5, None), delay_s(1, 0.0, 60.0), delay_s(1, 0.0, 9999.0)) == (1.15, 60, 300)


async def test_the_printer_writes_one_line_a_toast() -> None:
    """Text for people, JSON for programs."""
    toast = Toast(
        seq=7,
        at=datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
        severity="critical",
        title="gateway is frozen",
        text="failure rate 2.31 % > 0.5 %",
        url="http://127.0.0.1:9099/",
    )
    out = io.StringIO()
    await _both(out, toast)
    line, as_json = out.getvalue().splitlines()
    assert line == (
        "2026-01-02T03:04:05.678+00:00 [critical] gateway is frozen: failure rate 2.31 % > 0.5 % <http://127.0.0.1:9099/>"
    )
    assert json.loads(as_json) == {
        "seq": 7,
        "at": "2026-01-02T03:04:05.678+00:00",
        "severity": "critical",
        "title": "gateway is frozen",
        "text": "failure rate 2.31 % > 0.5 %",
        "url": "http://127.0.0.1:9099/",
    }


async def _both(out: io.StringIO, toast: Toast) -> None:
    await printer(out, as_json=False)(toast)
    await printer(out, as_json=True)(toast)


def test_it_needs_nothing_that_windows_lacks() -> None:
    """The program is imported whole without the modules that only POSIX has."""
    script = (
        "import sys\n"
        "for name in ('fcntl', 'pwd', 'grp', 'termios', 'resource'): sys.modules[name] = None\n"
        "import freezeline.commands.toast, freezeline.toast.program\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
