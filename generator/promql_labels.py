"""Which labels the result of a PromQL expression can have: enough to see that two sides can never match."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import promql_parser as parser

_KEEPS_ALL = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
_SET_OPERATORS = frozenset({"and", "or", "unless"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """`exact`: no other labels than these (None: unknown, any). `lacks`: certainly not these, where unknown."""

    exact: frozenset[str] | None = None
    lacks: frozenset[str] = frozenset()

    def may_have(self, label: str) -> bool:
        """Whether a series of the result can carry the label."""
        return label in self.exact if self.exact is not None else label not in self.lacks

    def keep(self, labels: Iterable[str]) -> Labels:
        """Only these labels, as after `by (…)`."""
        return Labels(exact=frozenset(label for label in labels if self.may_have(label)))

    def drop(self, labels: Iterable[str]) -> Labels:
        """Without these labels, as after `without (…)`."""
        gone = frozenset(labels)
        if self.exact is not None:
            return Labels(exact=self.exact - gone)
        return Labels(lacks=self.lacks | gone)

    def add(self, labels: Iterable[str]) -> Labels:
        """With these labels beside its own."""
        new = frozenset(labels)
        if self.exact is not None:
            return Labels(exact=self.exact | new)
        return Labels(lacks=self.lacks - new)

    def either(self, other: Labels) -> Labels:
        """Of a result that has series of both."""
        if self.exact is not None and other.exact is not None:
            return Labels(exact=self.exact | other.exact)
        lacking = {
            label for label in self.lacks | other.lacks if not self.may_have(label) and not other.may_have(label)
        }
        return Labels(lacks=frozenset(lacking))


ANY = Labels()
NONE = Labels(exact=frozenset())


def operator(tree: parser.BinaryExpr | parser.AggregateExpr) -> str:
    """`and`, `/`, `sum`, … in lower case."""
    return str(tree.op).split()[0].lower()


def is_vector(tree: parser.Expr) -> bool:
    """Whether the expression has series, and so labels that can match."""
    match tree:
        case parser.NumberLiteral() | parser.StringLiteral():
            return False
        case parser.ParenExpr() | parser.UnaryExpr():
            return is_vector(tree.expr)
        case parser.Call():
            return bool(tree.func.return_type != parser.ValueType.Scalar)
        case parser.BinaryExpr():
            return is_vector(tree.lhs) or is_vector(tree.rhs)
        case _:
            return True


def labels_of(tree: parser.Expr) -> Labels:
    """The labels of the expression's result."""
    match tree:
        case parser.ParenExpr() | parser.UnaryExpr() | parser.SubqueryExpr():
            return labels_of(tree.expr)
        case parser.AggregateExpr():
            return _aggregated(tree)
        case parser.BinaryExpr():
            return _combined(tree)
        case parser.Call():
            return _called(tree)
        case _:
            return ANY


def _aggregated(tree: parser.AggregateExpr) -> Labels:
    inner = labels_of(tree.expr)
    name = operator(tree)
    if name in _KEEPS_ALL:
        return inner
    modifier = tree.modifier
    if modifier is None:
        kept = NONE
    elif modifier.type == parser.AggModifierType.By:
        kept = inner.keep(modifier.labels)
    else:
        kept = inner.drop(modifier.labels)
    if name == "count_values" and isinstance(tree.param, parser.StringLiteral):
        kept = kept.add([str(tree.param.val)])
    return kept


def _called(tree: parser.Call) -> Labels:
    name = str(tree.func.name)
    if name in ("vector", "absent", "absent_over_time", "time", "pi", "scalar", "info"):
        return NONE if name == "vector" else ANY
    vectors = [argument for argument in tree.args if is_vector(argument)]
    if not vectors:
        return ANY
    inner = labels_of(vectors[0])
    if name == "histogram_quantile":
        return inner.drop(["le"])
    if name in ("label_replace", "label_join"):
        target = tree.args[1]
        return inner.add([str(target.val)]) if isinstance(target, parser.StringLiteral) else ANY
    return inner


def _combined(tree: parser.BinaryExpr) -> Labels:
    if not is_vector(tree.lhs):
        return labels_of(tree.rhs)
    if not is_vector(tree.rhs):
        return labels_of(tree.lhs)
    left, right = labels_of(tree.lhs), labels_of(tree.rhs)
    name = operator(tree)
    if name == "or":
        return left.either(right)
    if name in _SET_OPERATORS or tree.modifier is None:
        return left
    return _matched(tree.modifier, left, right)


def _matched(modifier: parser.BinModifier, left: Labels, right: Labels) -> Labels:
    if modifier.card == parser.VectorMatchCardinality.ManyToOne:
        return left.add(label for label in modifier.group_labels or () if right.may_have(label))
    if modifier.card == parser.VectorMatchCardinality.OneToMany:
        return right.add(label for label in modifier.group_labels or () if left.may_have(label))
    if modifier.matching is None:
        return left
    if modifier.matching.type == parser.LabelModifierType.Include:
        return left.keep(modifier.matching.labels)
    return left.drop(modifier.matching.labels)


def mismatch(tree: parser.BinaryExpr) -> str:
    """The label because of which the two sides of an operation can never match; empty where they can.

    A label that only one side can have is empty on the other, and an empty label equals only an empty one.
    """
    if operator(tree) == "or" or not (is_vector(tree.lhs) and is_vector(tree.rhs)):
        return ""
    left, right = labels_of(tree.lhs), labels_of(tree.rhs)
    matching = tree.modifier.matching if tree.modifier is not None else None
    if matching is not None and matching.type == parser.LabelModifierType.Include:
        wrong = [label for label in matching.labels if left.may_have(label) != right.may_have(label)]
        exact = [label for label in wrong if label in (left.exact or ()) or label in (right.exact or ())]
        return str(min(exact, default=""))
    if left.exact is None or right.exact is None:
        return ""
    ignored = frozenset(matching.labels) if matching is not None else frozenset()
    return min((left.exact ^ right.exact) - ignored, default="")
