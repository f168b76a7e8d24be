"""Rule files for cortextool and mimirtool: each file names the namespace that its groups are uploaded into."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from msgspec.structs import replace

from generator.render.rules.rule_file import RuleFile

UPLOADS = "rules/upload/"


def wrap(outputs: Mapping[str, bytes], files: Iterable[RuleFile], scope: str) -> dict[str, bytes]:
    """The outputs, with a namespace in each rule file. The tools refuse two files of one namespace."""
    by_path = {file.path: file for file in files}
    found: dict[str, bytes] = {}
    for path, content in outputs.items():
        if path in by_path:
            name = PurePosixPath(path).name.removesuffix(".rules.yml")
            named = replace(by_path[path], namespace=f"freezeline.{scope}.{name}")
            found[f"{UPLOADS}{name}.yaml"] = named.content()[0]
        else:
            found[path] = content
    return found
