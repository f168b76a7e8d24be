"""Ending every process below one."""

import os
import subprocess

from receiver.run import process_tree
from receiver.run.process_tree import Process


def test_a_process_that_ends_between_two_looks_is_reaped() -> None:
    """It is dead when the second look for processes comes, but was not yet when the dead were collected before."""
    with subprocess.Popen(["sleep", "60"]) as child:
        statuses: list[int | None] = []

        def find() -> list[Process]:
            """The child ends only while it is looked for."""
            child.kill()
            child_is_dead(child)
            return []

        ended = process_tree.kill_all(find, limit_s=5, reap=lambda: statuses.append(child.poll()))
    assert (ended.left, statuses) == (0, [None, -9])


def child_is_dead(child: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a child without collecting its status."""
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
