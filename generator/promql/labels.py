"""Which labels the result of a PromQL expression can have: enough to find two sides that can never match."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import promql_parser as parser
from msgspec import Struct

_KEEPS_ALL = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
_SET_OPERATORS = frozenset({"and", "or", "unless"})
# Functions whose result has labels of their own, instead of the argument's labels.
_OWN_LABELS = frozenset({"absent", "absent_over_time", "info"})


class Labels(Struct, frozen=True, kw_only=True):
    """`exact`: no other labels than these (None: any label). `lacks`: the labels that the result certainly lacks."""

    exact: frozenset[str] | None = None
    lacks: frozenset[str] = frozenset()

    def may_have(self, label: str) -> bool:
        """Whether a series of the result can carry the label."""
        return label in self.exact if self.exact is not None else label not in self.lacks

    def keep(self, labels: Iterable[str]) -> Labels:
        """Keep only these labels, as after `by (…)`."""
        return Labels(exact=frozenset(label for label in labels if self.may_have(label)))

    def drop(self, labels: Iterable[str]) -> Labels:
        """Remove these labels, as after `without (…)`."""
        gone = frozenset(labels)
        if self.exact is not None:
            return Labels(exact=self.exact - gone)
        return Labels(lacks=self.lacks | gone)

    def add(self, labels: Iterable[str]) -> Labels:
        """Add these labels."""
        new = frozenset(labels)
        if self.exact is not None:
            return Labels(exact=self.exact | new)
        return Labels(lacks=self.lacks - new)

    def either(self, other: Labels) -> Labels:
        """The labels of a result that holds series of both sides."""
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


class Facts(Struct, frozen=True, kw_only=True):
    """Known facts of an expression's result. `raw`: the metric whose series keep all their labels."""

    labels: Labels
    vector: bool  # whether the result has series; a number has none
    raw: str = ""


OnBinary = Callable[[parser.BinaryExpr, Facts, Facts], None]
_NUMBER = Facts(labels=NONE, vector=False)


def labels_of(tree: parser.Expr) -> Labels:
    """The labels of the expression's result."""
    return facts(tree).labels


def facts(tree: parser.Expr, on_binary: OnBinary | None = None) -> Facts:
    """Known facts of the result. `on_binary` is called for each operation, with the facts of its two sides.

    Each part is read once. Reading a part copies the part, and a second read at each level would take cubic time.
    """
    match tree:
        case parser.VectorSelector():
            name = str(tree.name or "")
            return Facts(labels=ANY, vector=True, raw="" if ":" in name else name)
        case parser.NumberLiteral() | parser.StringLiteral():
            return _NUMBER
        case parser.ParenExpr() | parser.UnaryExpr() | parser.SubqueryExpr():
            return facts(tree.expr, on_binary)
        case parser.MatrixSelector():
            return facts(tree.vector_selector, on_binary)
        case parser.AggregateExpr():
            return _aggregated(tree, facts(tree.expr, on_binary))
        case parser.BinaryExpr():
            left, right = facts(tree.lhs, on_binary), facts(tree.rhs, on_binary)
            if on_binary is not None:
                on_binary(tree, left, right)
            return _combined(tree, left, right)
        case parser.Call():
            return _called(tree, on_binary)
        case _:
            return Facts(labels=ANY, vector=True)


def _aggregated(tree: parser.AggregateExpr, inner: Facts) -> Facts:
    name, modifier = operator(tree), tree.modifier
    if name in _KEEPS_ALL:
        return inner
    if modifier is None:
        kept = NONE
    elif modifier.type == parser.AggModifierType.By:
        kept = inner.labels.keep(modifier.labels)
    else:
        kept = inner.labels.drop(modifier.labels)
    if name == "count_values" and isinstance(tree.param, parser.StringLiteral):
        kept = kept.add([str(tree.param.val)])
    return Facts(labels=kept, vector=True)


def _called(tree: parser.Call, on_binary: OnBinary | None) -> Facts:
    name = str(tree.func.name)
    arguments = tree.args
    known = [facts(argument, on_binary) for argument in arguments]
    if tree.func.return_type == parser.ValueType.Scalar:
        return _NUMBER
    if name == "vector":
        return Facts(labels=NONE, vector=True)
    vectors = [one for one in known if one.vector]
    if not vectors or name in _OWN_LABELS:
        return Facts(labels=ANY, vector=True)
    labels = vectors[0].labels
    if name == "histogram_quantile":
        return Facts(labels=labels.drop(["le"]), vector=True)
    if name in ("label_replace", "label_join"):
        target = arguments[1]
        labels = labels.add([str(target.val)]) if isinstance(target, parser.StringLiteral) else ANY
        return Facts(labels=labels, vector=True)
    return Facts(labels=labels, vector=True, raw=vectors[0].raw if len(vectors) == 1 else "")


def _combined(tree: parser.BinaryExpr, left: Facts, right: Facts) -> Facts:
    if not (left.vector and right.vector):
        labels = left.labels if left.vector else right.labels
        return Facts(labels=labels, vector=left.vector or right.vector)
    name = operator(tree)
    if name == "or":
        labels = left.labels.either(right.labels)
    elif name in _SET_OPERATORS or tree.modifier is None:
        labels = left.labels
    else:
        labels = _matched(tree.modifier, left.labels, right.labels)
    return Facts(labels=labels, vector=True)


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


def mismatch(tree: parser.BinaryExpr, left: Labels, right: Labels) -> str:
    """The label because of which the two sides of an operation can never match; empty if they can match.

    A label that only one side has is empty on the other side, and an empty label equals only an empty label.
    """
    matching = tree.modifier.matching if tree.modifier is not None else None
    if matching is not None and matching.type == parser.LabelModifierType.Include:
        wrong = [label for label in matching.labels if left.may_have(label) != right.may_have(label)]
        exact = [label for label in wrong if label in (left.exact or ()) or label in (right.exact or ())]
        return str(min(exact, default=""))
    if left.exact is None or right.exact is None:
        return ""
    ignored = frozenset(matching.labels) if matching is not None else frozenset()
    return min((left.exact ^ right.exact) - ignored, default="")
