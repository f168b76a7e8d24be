"""Runs `write_all` (or `recover`) in a process that kills itself before its N-th change: argv = root, N, what."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from generator.write import all_or_none as write
from generator.write.journal import Disk

OUTPUTS = {
    "new": {
        "rules/a.yml": b"a: new\n",
        "rules/tests/b.yml": b"b: new\n",
        "dashboards/c.json": b"{}\n",
        "empty.txt": b"",
    },
    "other": {"rules/a.yml": b"a: other\n", "rules/d.yml": b"d: other\n"},
}


class DyingDisk(Disk):
    """Counts the operations that change something; SIGKILL comes before the one with number `dies_at`."""

    def __init__(self, dies_at: int) -> None:
        self.left = dies_at

    def _step(self) -> None:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def make_dir(self, path: Path) -> None:
        """As the real one."""
        self._step()
        super().make_dir(path)

    def write_new(self, path: Path, data: bytes, mode: int | None) -> None:
        """As the real one; the first half of the content gets written before the kill."""
        if self.left == 0:
            path.write_bytes(data[: len(data) // 2])
        self._step()
        super().write_new(path, data, mode)

    def rename(self, source: Path, target: Path) -> None:
        """As the real one."""
        self._step()
        super().rename(source, target)

    def remove(self, path: Path) -> None:
        """As the real one."""
        self._step()
        super().remove(path)

    def remove_dir(self, path: Path) -> None:
        """As the real one."""
        self._step()
        super().remove_dir(path)

    def sync(self, paths: Sequence[Path]) -> None:
        """As the real one."""
        self._step()
        super().sync(paths)


def main() -> None:
    """Do what the arguments say."""
    root, dies_at, what = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    if what == "recover":
        write.recover(root, disk=DyingDisk(dies_at))
    else:
        write.write_all(root, OUTPUTS[what], disk=DyingDisk(dies_at))


if __name__ == "__main__":
    main()
