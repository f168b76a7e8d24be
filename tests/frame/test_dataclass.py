"""Our data classes mean what the standard library's do."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from freezeline.dataclass import COMPILED_AFTER, dataclass, field, replace

MAKERS: dict[str, Any] = {"ours": (dataclass, field), "standard": (dataclasses.dataclass, dataclasses.field)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A point to copy, pickle and compare."""

    KIND: ClassVar[str] = "point"

    x: int
    y: int = 0
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Values by position, in order."""

    file: str
    line: int = 1


@pytest.fixture(params=MAKERS)
def point(request: pytest.FixtureRequest) -> Any:
    """The same class, made both ways."""
    make, default = MAKERS[request.param]

    @make(frozen=True, slots=True, kw_only=True)
    class Made:
        KIND: ClassVar[str] = "made"

        x: int
        y: int = 0
        tags: list[str] = default(default_factory=list)

    return Made


def many(make: Callable[[], object]) -> None:
    """Make so many instances that `__init__` is compiled."""
    for _ in range(COMPILED_AFTER + 1):
        make()


@pytest.mark.parametrize("compiled", [False, True])
def test_fields_take_what_is_given_or_their_default(point: Any, compiled: bool) -> None:  # noqa: FBT001 - a case
    """Before and after `__init__` is compiled."""
    if compiled:
        many(lambda: point(x=0))
    one, two = point(x=1, y=2), point(x=1)
    assert [(made.x, made.y, made.tags) for made in (one, two)] == [(1, 2, []), (1, 0, [])]
    assert one.tags is not two.tags
    assert repr(two).endswith("Made(x=1, y=0, tags=[])")


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("named", [{}, {"x": 1, "z": 1}])
def test_a_wrong_call_is_refused(point: Any, named: dict[str, int], compiled: bool) -> None:  # noqa: FBT001 - a case
    """A missing value, an unknown name, a value by position: a TypeError each."""
    if compiled:
        many(lambda: point(x=0))
    with pytest.raises(TypeError):
        point(**named)
    with pytest.raises(TypeError):
        point(1)


def test_a_frozen_value_cannot_change(point: Any) -> None:
    """Neither by setting nor by deleting, nor by a new attribute."""
    made = point(x=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.x = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        del made.x
    assert not hasattr(made, "__dict__")
    assert made.x == 1


def test_equal_fields_make_equal_values(point: Any) -> None:
    """Values of one class compare by their fields, those of two classes never."""
    assert point(x=1) == point(x=1)
    assert point(x=1) != point(x=2)
    assert point(x=1) != Point(x=1)
    with pytest.raises(TypeError):
        hash(point(x=1))  # its list cannot be hashed
    assert len({Place("a"), Place("a"), Place("b")}) == 2


@pytest.mark.parametrize("maker", MAKERS)
def test_methods_that_are_written_stay(maker: str) -> None:
    """A hash or a text of one's own is not replaced."""
    make, _ = MAKERS[maker]

    @make(frozen=True, slots=True)
    class Own:
        x: int

        def __hash__(self) -> int:
            return 7

        def __repr__(self) -> str:
            return "own"

    made: Any = Own
    assert (hash(made(1)), repr(made(1)), made(1) == made(1)) == (7, "own", True)


def test_order_goes_by_the_fields() -> None:
    """First the file, then the line."""
    assert sorted([Place("b"), Place("a", 3), Place("a", 2)]) == [Place("a", 2), Place("a", 3), Place("b")]
    assert Place("a", 2) <= Place("a", 2) < Place("a", 3)


@pytest.mark.parametrize("swap", [replace, dataclasses.replace])
def test_replace_copies_with_changes(swap: Any) -> None:
    """Ours, and the standard library's."""
    assert swap(Point(x=1, y=5), x=2) == Point(x=2, y=5)
    assert swap(Place("a", 4), line=5) == Place("a", 5)


def test_the_standard_library_knows_them() -> None:
    """`fields`, `asdict` and `is_dataclass` work as for its own."""
    assert [each.name for each in dataclasses.fields(Point)] == ["x", "y", "tags"]
    assert dataclasses.asdict(Point(x=1)) == {"x": 1, "y": 0, "tags": []}
    assert dataclasses.is_dataclass(Point)
    assert not dataclasses.is_dataclass(str)


def test_copies_and_pickles_are_equal() -> None:
    """What is sent to another process arrives as it was."""
    made = Point(x=1, tags=["a"])
    assert copy.deepcopy(made) == made
    assert pickle.loads(pickle.dumps(made)) == made
    assert Point.KIND == "point"


def test_a_default_that_could_change_is_refused(point: Any) -> None:
    """A list that all instances would share."""
    with pytest.raises(ValueError, match="default_factory"):

        @dataclass(frozen=True)
        class _Shared:
            items: list[str] = []  # noqa: RUF012 - the mistake that is refused


def test_a_class_costs_no_inspection() -> None:
    """The reason why they exist: the standard library's machinery is not imported."""
    script = "import sys, freezeline.problems; print(sorted({'inspect', 'dataclasses'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
