"""The labels in the answer of a query, read from the query's text: table rows need equal labels."""

import promql_parser as parser


def output_labels(text: str) -> frozenset[str]:
    """The labels of the answer. Raises ValueError if the query is not aggregated: then the data decides."""
    return _labels(parser.parse(text))


def _labels(tree: parser.Expr) -> frozenset[str]:
    match tree:
        case parser.AggregateExpr():
            modifier = tree.modifier
            if modifier is None:
                return frozenset()
            if modifier.type != parser.AggModifierType.By:
                raise ValueError(f"{tree} keeps labels that are not named")
            return frozenset(modifier.labels)
        case parser.ParenExpr() | parser.UnaryExpr():
            return _labels(tree.expr)
        case parser.Call():
            return _call(tree)
        case parser.BinaryExpr():
            return _binary(tree)
        case _:
            raise ValueError(f"{tree} keeps whatever labels there are")


def _call(tree: parser.Call) -> frozenset[str]:
    name = tree.func.name
    if name == "vector":
        return frozenset()
    if name == "histogram_quantile":
        return _labels(tree.args[1]) - {"le"}
    inner = _labels(tree.args[0])
    if name in ("label_replace", "label_join"):
        return inner | {tree.args[1].val}
    if name in ("clamp_min", "clamp_max"):
        return inner
    raise ValueError(f"{name} is not known here")


def _binary(tree: parser.BinaryExpr) -> frozenset[str]:
    if isinstance(tree.lhs, parser.NumberLiteral):
        return _labels(tree.rhs)
    if isinstance(tree.rhs, parser.NumberLiteral):
        return _labels(tree.lhs)
    if str(tree.op) == "or":
        return _labels(tree.lhs) | _labels(tree.rhs)
    return _labels(tree.lhs)
