"""What is kept of a command's output."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.run import rundir
from receiver.run.output_log import OutputLog


@pytest.fixture
def dir_fd(tmp_path: Path) -> Iterator[int]:
    """A directory that only this user can read, as runs have it."""
    tmp_path.chmod(0o700)
    with rundir.opened(tmp_path) as fd:
        yield fd


@pytest.mark.parametrize(
    "pieces,kept",
    [
        ([], b""),
        ([b"abc"], b"abc"),
        ([b"abcd", b"efghij"], b"abcdefghij"),
        ([b"abcdefghijk"], "abcd\n[… 1 bytes left out …]\nfghijk".encode()),
    ],
    ids=["nothing", "less than the head", "exactly head and tail", "one byte more"],
)
def test_head_and_tail_are_kept(dir_fd: int, tmp_path: Path, pieces: list[bytes], kept: bytes) -> None:
    """The first bytes and the last are kept, and a marker says how many are missing between them."""
    log = OutputLog(dir_fd, tail_max_bytes=6, head_bytes=4)
    for piece in pieces:
        log.write(piece)
    log.close()
    assert (tmp_path / "output.log").read_bytes() == kept


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64])
def test_the_way_the_output_is_cut_into_pieces_does_not_matter(dir_fd: int, tmp_path: Path, size: int) -> None:
    """However the output arrives, the same bytes are kept in the same order."""
    output = bytes(range(33, 127)) * 3
    log = OutputLog(dir_fd, tail_max_bytes=10, head_bytes=20)
    for start in range(0, len(output), size):
        log.write(output[start : start + size])
    log.close()
    left_out = len(output) - 30
    marker = f"\n[… {left_out} bytes left out …]\n".encode()
    assert (tmp_path / "output.log").read_bytes() == output[:20] + marker + output[-10:]


def test_no_tail_keeps_the_head_alone(dir_fd: int, tmp_path: Path) -> None:
    """With output_max_bytes 0 only the head stays."""
    log = OutputLog(dir_fd, tail_max_bytes=0, head_bytes=4)
    log.write(b"abcdefgh")
    log.close()
    assert (tmp_path / "output.log").read_bytes() == "abcd\n[… 4 bytes left out …]\n".encode()


def test_a_planted_link_is_replaced_not_followed(dir_fd: int, tmp_path: Path) -> None:
    """Output goes into the run's directory whatever had its name before."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("untouched")
    (tmp_path / "output.log").symlink_to(elsewhere)
    log = OutputLog(dir_fd, tail_max_bytes=10)
    log.write(b"hello")
    log.close()
    assert elsewhere.read_text() == "untouched"
    assert (tmp_path / "output.log").read_bytes() == b"hello"


def test_a_full_disk_loses_output_and_says_so(dir_fd: int) -> None:
    """A write that fails is told as trouble; the run goes on."""
    log = OutputLog(dir_fd, tail_max_bytes=2**62)
    log.seen_bytes = 2**62  # the next byte lies beyond what any file may hold
    log.write(b"x")
    log.close()
    assert log.trouble.startswith(f"output lost after {2**62} bytes: ")
