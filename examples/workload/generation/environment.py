"""Settings that may change while a process runs: each is read anew whenever somebody asks.

Nobody can change the environment of a running process from outside. A file of lines NAME=VALUE therefore stands before
the environment, as systemd's EnvironmentFile does.
"""

import os
from pathlib import Path

DURABLE_WORKER = "USE_DURABLE_WORKER"
TRUE = {"1", "true", "yes", "on"}


class Environment:
    """The file, and behind it the process's own environment."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def get(self, name: str, default: str) -> str:
        """The value now."""
        if self._path is not None and self._path.exists():
            for line in self._path.read_text().splitlines():
                key, equals, value = line.partition("=")
                if equals and key.strip() == name:
                    return value.strip()
        return os.environ.get(name, default)

    @property
    def durable_worker(self) -> bool:
        """Whether jobs go to the durable worker; otherwise a task of the API does them."""
        return self.get(DURABLE_WORKER, "1").lower() in TRUE
