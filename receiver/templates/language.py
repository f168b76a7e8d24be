"""The template language: the part of Jinja2 whose cost is limited by the size of the template.

A template may print values, branch, and loop once over facts. A template cannot call, assign, concatenate, calculate,
include or nest loops. Nothing in a template can therefore grow or run long, whatever the values are. The check runs
when a template is loaded, not when it is rendered.
"""

from jinja2 import TemplateSyntaxError, nodes
from jinja2.environment import Environment
from msgspec import Struct

SOURCE_MAX = 8192
FILTERS = frozenset(
    {
        "capitalize",
        "default",
        "d",
        "first",
        "int",
        "last",
        "length",
        "lower",
        "round",
        "title",
        "trim",
        "upper",
    }
)
TESTS = frozenset({"defined", "undefined", "eq", "equalto", "==", "ne", "!=", "in", "none", "true", "false"})
NAMES = frozenset(
    {
        "service",
        "severity",
        "event",
        "title",
        "text",
        "url",
        "at",
        "trace_id",
        "request_id",
        "repeat",
        "facts",
    }
)
_ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.And,
    nodes.Compare,
    nodes.CondExpr,
    nodes.Const,
    nodes.For,
    nodes.If,
    nodes.Name,
    nodes.Not,
    nodes.Operand,
    nodes.Or,
    nodes.Output,
    nodes.Template,
    nodes.TemplateData,
    nodes.Tuple,
)


class TemplateProblem(Struct, frozen=True, kw_only=True):
    """One problem in a template that a user wrote."""

    file: str
    line: int
    message: str
    hint: str


def check(environment: Environment, source: str, file: str) -> tuple[TemplateProblem, ...]:
    """Everything in `source` that lies outside the language. If nothing is found, the template may be rendered."""
    if len(source) > SOURCE_MAX:
        return (_problem(file, 1, f"more than {SOURCE_MAX} characters", "shorten the template"),)
    try:
        tree = environment.parse(source)
    except TemplateSyntaxError as error:
        return (
            _problem(
                file,
                error.lineno,
                error.message or "syntax error",
                "correct the template; docs/templates.md shows examples",
            ),
        )
    except RecursionError:
        return (_problem(file, 1, "nested too deep", "simplify the expression"),)
    bound = {name.name for name in tree.find_all(nodes.Name) if name.ctx == "store"}
    found = [problem for node in tree.find_all(nodes.Node) if (problem := _node_problem(node, file, bound)) is not None]
    return tuple(sorted(found, key=lambda one: one.line))


def _node_problem(node: nodes.Node, file: str, bound: set[str]) -> TemplateProblem | None:
    if isinstance(node, nodes.Filter):
        return _unknown(node, file, "filter", node.name, FILTERS)
    if isinstance(node, nodes.Test):
        return _unknown(node, file, "test", node.name, TESTS)
    if isinstance(node, nodes.Name):
        return _unknown(node, file, "name", node.name, NAMES | bound)
    if isinstance(node, nodes.For) and not _plain_loop(node):
        return _problem(file, node.lineno, "this loop is not allowed", "write `{% for name in facts %}`, not nested")
    if isinstance(node, nodes.Getattr | nodes.Getitem):
        return _member_problem(node, file)
    if isinstance(node, _ALLOWED):
        return None
    if isinstance(node, nodes.Keyword | nodes.Pair):
        return None
    kind = type(node).__name__.lower()
    return _problem(file, node.lineno, f"{kind} is not allowed", "use only values, `if`, and one loop over facts")


def _member_problem(node: nodes.Getattr | nodes.Getitem, file: str) -> TemplateProblem | None:
    if not isinstance(node.node, nodes.Name) or node.node.name != "facts":
        return _problem(file, node.lineno, "only facts have members", "write `facts.NAME`")
    if isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
        return _problem(file, node.lineno, f"{node.attr} is not allowed", "write `facts.NAME`")
    return None


def _plain_loop(node: nodes.For) -> bool:
    over_facts = isinstance(node.iter, nodes.Name) and node.iter.name == "facts"
    nested = any(_fors(child) for child in (*node.body, *node.else_))
    own_name = isinstance(node.target, nodes.Name) and node.target.name not in NAMES
    return over_facts and own_name and not nested and not node.recursive


def _fors(node: nodes.Node) -> list[nodes.For]:
    return [*([node] if isinstance(node, nodes.For) else []), *node.find_all(nodes.For)]


def _unknown(
    node: nodes.Node, file: str, kind: str, name: str, known: frozenset[str] | set[str]
) -> TemplateProblem | None:
    if name in known:
        return None
    return _problem(file, node.lineno, f"unknown {kind} {name}", f"use one of: {', '.join(sorted(known))}")


def _problem(file: str, line: int, message: str, hint: str) -> TemplateProblem:
    return TemplateProblem(file=file, line=line, message=message, hint=hint)
