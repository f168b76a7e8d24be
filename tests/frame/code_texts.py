"""The texts in Python files that people read: docstrings, comments, and the messages and hints of problems."""

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# What reports a problem → the positions of its message and hint.
_PROBLEMS = {"add": (2, 3), "fail": (1, 2), "note": (1, 2)}
# Stands for a part of a text that is only known when the code runs.
VALUE = "value"
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Text(NamedTuple):
    """One text with its line."""

    line: int
    text: str


def docstrings(tree: ast.Module) -> Iterator[Text]:
    """Every docstring."""
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED):
            text = ast.get_docstring(node)
            if text is not None:
                yield Text(node.body[0].lineno, text)


def comments(source: str) -> Iterator[Text]:
    """Every comment. Comments on lines below each other are one; what only tools read is left out."""
    block: list[str] = []
    first = last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or token.string.startswith(("# noqa", "# type:", "# mypy", "#!")):
            continue
        line, alone = token.start[0], token.line.lstrip().startswith("#")
        text = token.string.lstrip("# ")
        if alone and block and line == last + 1:
            block.append(text)
        else:
            if block:
                yield Text(first, " ".join(block))
            block, first = [text], line
        last = line if alone else 0
    if block:
        yield Text(first, " ".join(block))


def problems(tree: ast.Module) -> Iterator[tuple[Text, Text | None]]:
    """Message and hint (None without one) of each reported problem. A choice of texts gives each of them."""
    for function in ast.walk(tree):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        named = _assigned(function)
        for call in ast.walk(function):
            found = _parts(call)
            if found is not None:
                message, hint = found
                hints = [None] if hint is None else list(_texts(hint, named)) or [Text(hint.lineno, VALUE)]
                yield from ((one, other) for one in _texts(message, named) for other in hints)


def said(tree: ast.Module) -> Iterator[Text]:
    """What errors say, and what is written to stderr. A line break stands between message and hint."""
    for node in ast.walk(tree):
        match node:
            case ast.Raise(exc=ast.Call(args=[text, *_])):
                found = _texts(text, {})
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="stderr"), attr="write"), args=[text]):
                found = _texts(text, {})
            case _:
                continue
        for one in found:
            yield from (Text(one.line, part) for part in one.text.splitlines() if part.strip())


def _parts(node: ast.AST) -> tuple[ast.expr, ast.expr | None] | None:
    """The expressions of message and hint in a call that reports a problem."""
    match node:
        case ast.Call(func=ast.Attribute(attr=("add" | "fail" | "note") as name), args=args) if (
            len(args) > _PROBLEMS[name][0]
        ):
            at, hint_at = _PROBLEMS[name]
            return args[at], args[hint_at] if len(args) > hint_at else None
        case ast.Call(func=ast.Name(id="Fault" | "Problem" | "ChannelProblem" | "TemplateProblem"), keywords=keywords):
            by_name = {keyword.arg: keyword.value for keyword in keywords}
            return (by_name["message"], by_name.get("hint")) if "message" in by_name else None
        case _:
            return None


def _assigned(function: ast.AST) -> dict[str, list[ast.expr]]:
    """The expressions that each name of a function is given, also several names at once."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            match target, node.value:
                case ast.Name(id=name), value:
                    found.setdefault(name, []).append(value)
                case ast.Tuple(elts=names), ast.Tuple(elts=values):
                    for one, value in zip(names, values, strict=True):
                        if isinstance(one, ast.Name):
                            found.setdefault(one.id, []).append(value)
                case _:
                    pass
    return found


def _texts(node: ast.expr, named: dict[str, list[ast.expr]]) -> Iterator[Text]:
    match node:
        case ast.Constant(value=str(text)):
            yield Text(node.lineno, text)
        case ast.JoinedStr(values=values):
            parts = (str(part.value) if isinstance(part, ast.Constant) else VALUE for part in values)
            yield Text(node.lineno, "".join(parts))
        case ast.IfExp(body=body, orelse=orelse):
            yield from _texts(body, named)
            yield from _texts(orelse, named)
        case ast.BoolOp(values=values):
            for value in values:
                yield from _texts(value, named)
        case ast.Name(id=name):
            for value in named.get(name, ()):
                yield from _texts(value, {})
        case _:
            pass


def parsed(path: Path) -> tuple[str, ast.Module]:
    """A file's text and tree."""
    source = path.read_text(encoding="utf-8")
    return source, ast.parse(source)
