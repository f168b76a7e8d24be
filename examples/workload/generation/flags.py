"""The feature flag `provider_fallback` from flagd's file, evaluated by flagd's own library."""

import logging
from pathlib import Path

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import OpenFeatureError

FLAG = "provider_fallback"
HEADER = "x-provider-fallback"

log = logging.getLogger("generation")


class Flags:
    """The file's flags; a changed file is read again at the next question."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._core = FlagdCore()
        self._read_at = -1.0

    def fallback(self, header: str) -> bool:
        """Whether the first vendor is left out, by the header of the request or by the flag for all requests."""
        if self._path is None:
            return header == "on"
        try:
            changed_at = self._path.stat().st_mtime
            if changed_at != self._read_at:
                self._core.set_flags(self._path.read_text())
                self._read_at = changed_at
            found = self._core.resolve_boolean_value(FLAG, False, EvaluationContext(attributes={HEADER: header}))
        except (OSError, OpenFeatureError, ValueError) as error:
            log.warning("the flags cannot be read, the header alone decides: %s", error)
            return header == "on"
        return bool(found.value) or header == "on"
