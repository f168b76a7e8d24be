"""Data classes whose methods are made when they are first needed.

The standard library's decorator compiles six functions for each class and imports `inspect`: measured, 4 million
instructions a class, where all of Python's own start takes 37 million. A command that uses a hundred classes once must
not pay for that. The options mean here what they mean there, and `dataclasses.fields` and its kin take the instances.

A class begins with methods that work for any class; one that is instantiated often gets a compiled `__init__`.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

TYPE_CHECKING = False  # type checkers take it for true; importing it from `typing` would import that
if TYPE_CHECKING:
    from typing import Any, NoReturn, TypeVar, dataclass_transform

    T = TypeVar("T")
else:

    def dataclass_transform(**_options: object) -> Callable[[object], object]:
        """Tells type checkers, and nobody else."""
        return lambda function: function


COMPILED_AFTER = 24  # instances: compiling costs as much as making about a hundred of them the general way
_MISSING = object()
_set = object.__setattr__


class Field:
    """The default of a field: a value, or a function that makes one for each instance."""

    __slots__ = ("default", "default_factory")

    def __init__(self, default: object, default_factory: object) -> None:
        self.default = default
        self.default_factory = default_factory


def field(*, default: Any = _MISSING, default_factory: Any = _MISSING) -> Any:
    """The default of a field, as `dataclasses.field` takes it."""
    return Field(default, default_factory)


class Shape:
    """What a class's methods know of its fields; `types` has them all, in order, those of base classes first."""

    def __init__(self, cls: type, *, frozen: bool, kw_only: bool) -> None:
        self.made: Any = cls  # until the decorator has made the class itself
        self.frozen = frozen
        self.types: dict[str, str] = {}
        self.positional: tuple[str, ...] = ()
        self.defaults: dict[str, object] = {}
        self.factories: dict[str, Callable[[], object]] = {}
        for base in reversed(cls.__mro__[1:]):
            inherited = base.__dict__.get("__shape__")
            if inherited is not None:
                self.types |= inherited.types
                self.positional += inherited.positional
                self.defaults |= inherited.defaults
                self.factories |= inherited.factories
        annotated = cls.__annotations__.items()
        self.own = {name: kind for name, kind in annotated if not kind.startswith("ClassVar")}
        self.types |= self.own
        if not kw_only:
            self.positional += tuple(name for name in self.own if name not in self.positional)
        for name in self.own:
            self._read_default(name, cls.__dict__.get(name, _MISSING))
        self.key = attrgetter(*self.types) if self.types else _no_fields

    def _read_default(self, name: str, default: object) -> None:
        if isinstance(default, Field):
            if callable(default.default_factory):
                self.factories[name] = default.default_factory
            default = default.default
        if default is _MISSING:
            return
        if default.__class__.__hash__ is None:
            raise ValueError(f"the default of {name} could change: use default_factory")
        self.defaults[name] = default

    def fill(self, instance: object, given: tuple[object, ...], named: dict[str, object]) -> None:
        """Set every field of a new instance. Raises TypeError where a call with these arguments would."""
        name = type(instance).__qualname__
        if len(given) > len(self.positional):
            raise TypeError(f"{name} takes {len(self.positional)} positional arguments, {len(given)} were given")
        for key, value in zip(self.positional, given, strict=False):
            if key in named:
                raise TypeError(f"{name} got several values for {key!r}")
            named[key] = value
        for key in self.types:
            if key in named:
                _set(instance, key, named.pop(key))
            elif key in self.defaults:
                _set(instance, key, self.defaults[key])
            elif key in self.factories:
                _set(instance, key, self.factories[key]())
            else:
                raise TypeError(f"{name} needs a value for {key!r}")
        if named:
            raise TypeError(f"{name} has no field {next(iter(named))!r}")

    def compiled_init(self) -> Callable[..., None]:
        """`__init__` written out for these fields; nothing but their names becomes code."""
        scope: dict[str, Any] = {"set_": _set, "missing": _MISSING}
        keywords = [key for key in self.types if key not in self.positional]
        parameters = ["self", *(self._parameter(key, scope) for key in self.positional)]
        if keywords:
            parameters += ["*", *(self._parameter(key, scope) for key in keywords)]
        lines = [f"def __init__({', '.join(parameters)}):"]
        for key in self.types:
            value = f"make_{key}() if {key} is missing else {key}" if key in self.factories else key
            lines.append(f"    set_(self, {key!r}, {value})" if self.frozen else f"    self.{key} = {value}")
        exec("\n".join([*lines, "    return"]), scope)  # noqa: S102 - the names are identifiers of this code base
        init: Callable[..., None] = scope["__init__"]
        return init

    def _parameter(self, key: str, scope: dict[str, Any]) -> str:
        if key in self.factories:
            scope[f"make_{key}"] = self.factories[key]
            return f"{key}=missing"
        if key in self.defaults:
            scope[f"default_{key}"] = self.defaults[key]
            return f"{key}=default_{key}"
        return key


def _no_fields(_instance: object) -> tuple[object, ...]:
    return ()


class _StandardFields:
    """`__dataclass_fields__`, by which the standard library knows a data class: made when it is asked for."""

    def __get__(self, _instance: object, owner: Any) -> object:
        import dataclasses

        shape: Shape = owner.__shape__
        fields = []
        for key, kind in shape.types.items():
            options: dict[str, Any] = {"kw_only": key not in shape.positional}
            if key in shape.defaults:
                options["default"] = shape.defaults[key]
            elif key in shape.factories:
                options["default_factory"] = shape.factories[key]
            fields.append((key, kind, dataclasses.field(**options)))
        twin: Any = dataclasses.make_dataclass(owner.__name__, fields)
        return twin.__dataclass_fields__


# -- methods of every data class


def _init(shape: Shape) -> Callable[..., None]:
    """The first `__init__` of a class: it works for any, counts, and gives way to a compiled one."""
    made = 0

    def init(self: object, *given: object, **named: object) -> None:
        nonlocal made
        made += 1
        if made == COMPILED_AFTER:
            shape.made.__init__ = shape.compiled_init()
        shape.fill(self, given, named)

    return init


def _repr(self: Any) -> str:
    fields = ", ".join(f"{key}={getattr(self, key)!r}" for key in self.__shape__.types)
    return f"{type(self).__qualname__}({fields})"


def _eq(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    key = self.__shape__.key
    return key(self) == key(other)


def _hash(self: Any) -> int:
    return hash(self.__shape__.key(self))


def _lt(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    key = self.__shape__.key
    return key(self) < key(other)


def _le(self: Any, other: Any) -> bool:
    return bool(self == other or self < other)


def _refuse(self: object, name: str, _value: object = None) -> NoReturn:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot change {name!r} of a {type(self).__qualname__}")


def _getstate(self: Any) -> list[object]:
    return [getattr(self, key) for key in self.__shape__.types]


def _setstate(self: Any, state: list[object]) -> None:
    for key, value in zip(self.__shape__.types, state, strict=True):
        _set(self, key, value)


def replace(instance: T, /, **changes: Any) -> T:
    """A copy with some fields changed."""
    shape: Shape = instance.__shape__  # type: ignore[attr-defined] # every class made here has one
    return type(instance)(**{key: getattr(instance, key) for key in shape.types} | changes)


# -- the decorator


def _methods(*, frozen: bool, order: bool) -> dict[str, object]:
    methods: dict[str, object] = {"__repr__": _repr, "__eq__": _eq, "__replace__": replace}
    if frozen:
        methods |= {"__hash__": _hash, "__setattr__": _refuse, "__delattr__": _refuse}
        methods |= {"__getstate__": _getstate, "__setstate__": _setstate}
    if order:
        methods |= {"__lt__": _lt, "__le__": _le}
    return methods


def _made(cls: Any, *, frozen: bool, slots: bool, kw_only: bool, order: bool) -> Any:
    shape = Shape(cls, frozen=frozen, kw_only=kw_only)
    members = {key: value for key, value in cls.__dict__.items() if key not in ("__dict__", "__weakref__")}
    written = {key for key in members if key != "__hash__" or members[key] is not None}
    for key in shape.own:
        members.pop(key, None)
    members |= {key: value for key, value in _methods(frozen=frozen, order=order).items() if key not in written}
    members |= {"__shape__": shape, "__match_args__": shape.positional, "__dataclass_fields__": _StandardFields()}
    if slots:
        members["__slots__"] = tuple(shape.own)
    else:
        members |= {key: shape.defaults[key] for key in shape.own if key in shape.defaults}
    members["__qualname__"] = cls.__qualname__
    if "__init__" not in written:
        members["__init__"] = _init(shape)
    shape.made = type(cls)(cls.__name__, cls.__bases__, members)
    return shape.made


@dataclass_transform(field_specifiers=(field,))
def dataclass(
    *, frozen: bool = False, slots: bool = False, kw_only: bool = False, order: bool = False
) -> Callable[[type[T]], type[T]]:
    """Make a data class, as `dataclasses.dataclass` does."""

    def decorate(cls: type[T]) -> type[T]:
        made: type[T] = _made(cls, frozen=frozen, slots=slots, kw_only=kw_only, order=order)
        return made

    return decorate
