"""Every problem code in the source, found by reading the source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.tools import ROOT

_CODE = re.compile(r"[a-z][a-z-]*/[a-z][a-z-]*")
_REPORTS = frozenset({"add", "fail", "report_unknown", "Fault", "Problem", "named_readers", "problems"})


def used() -> dict[str, str]:
    """Code → the place in the source that reports it, for the generator and the commands."""
    found: dict[str, str] = {}
    for folder in ("generator", "freezeline/commands"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for code, line in _codes(ast.parse(path.read_text(encoding="utf-8"))):
                found.setdefault(code, f"{path.relative_to(ROOT)}:{line}")
    return found


def _codes(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)) if name in _REPORTS:
                for part in [*node.args, *(keyword.value for keyword in node.keywords)]:
                    yield from _constants(part)
            case ast.Assign(targets=[ast.Name(id=name)]) if name == "code" or name.endswith("_CODE"):
                yield from _constants(node.value)
            case ast.FunctionDef(args=arguments):
                for default in [*arguments.defaults, *arguments.kw_defaults]:
                    if default is not None:
                        yield from _constants(default)
            case _:
                pass


def _constants(node: ast.expr) -> Iterator[tuple[str, int]]:
    parts = [node.body, node.orelse] if isinstance(node, ast.IfExp) else [node]
    for part in parts:
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and _CODE.fullmatch(part.value):
            yield part.value, part.lineno


def in_scripts() -> set[str]:
    """The codes that the scripts expect."""
    folder = ROOT / "tests" / "scripts"
    texts = (path.read_text(encoding="utf-8") for path in folder.glob("*.txt"))
    return {code for text in texts for code in re.findall(r"\[([a-z-]+/[a-z-]+)\]$", text, re.MULTILINE)}


def documented(path: Path) -> list[str]:
    """The codes with a heading in a page, in the order of the page."""
    return re.findall(r"^### `([^`]+)`$", path.read_text(encoding="utf-8"), re.MULTILINE)
