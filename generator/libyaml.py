"""libyaml's parser, without the parts of PyYAML that it does not use.

`import yaml` compiles the patterns of PyYAML's own reader and resolver: measured, twice what Python itself needs to
start, and a third of all that `generate` does for one SLO. libyaml needs none of them. So the package is loaded, but
the code of its `__init__` runs only when somebody asks for a name in it, as `import yaml` elsewhere does.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType, SimpleNamespace

__all__ = [
    "CParser",
    "MappingEndEvent",
    "MappingNode",
    "MappingStartEvent",
    "MarkedYAMLError",
    "ReaderError",
    "ScalarNode",
    "SequenceEndEvent",
    "SequenceNode",
    "SequenceStartEvent",
    "YAMLError",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# The modules of PyYAML of which the C extension wants nothing but an error class, and whether that has marks.
_ERRORS = {
    "reader": ("ReaderError", False),
    "scanner": ("ScannerError", True),
    "parser": ("ParserError", True),
    "composer": ("ComposerError", True),
    "constructor": ("ConstructorError", True),
    "emitter": ("EmitterError", False),
    "serializer": ("SerializerError", False),
    "representer": ("RepresenterError", False),
}


def _load() -> None:
    """Import `yaml._yaml`; the package around it stays unread where nobody has imported it yet."""
    spec = None if "yaml" in sys.modules else PathFinder.find_spec("yaml")
    if spec is not None and spec.loader is not None:
        _load_alone(spec)
    from yaml import _yaml  # noqa: F401 - here for its effect


def _load_alone(spec: ModuleSpec) -> None:
    package: Any = ModuleType("yaml")
    package.__spec__, package.__loader__, package.__package__ = spec, spec.loader, "yaml"
    package.__file__, package.__path__ = spec.origin, spec.submodule_search_locations
    sys.modules["yaml"] = package
    from yaml import error, events, nodes, tokens  # noqa: F401 - the extension finds them in the package

    for name, (class_name, marked) in _ERRORS.items():
        base = error.MarkedYAMLError if marked else error.YAMLError
        setattr(package, name, SimpleNamespace(**{class_name: _error(class_name, base)}))
    try:
        from yaml import _yaml  # noqa: F401 - loaded while the stand-ins are there
    except (ImportError, AttributeError):  # another version of PyYAML, which wants more: it gets everything
        for name in [name for name in sys.modules if name == "yaml" or name.startswith("yaml.")]:
            del sys.modules[name]
        return
    for name in _ERRORS:
        delattr(package, name)

    def complete(name: str) -> Any:
        """What is not in the package yet: all of it is, from now on."""
        if name.startswith("__"):
            raise AttributeError(name)
        del package.__getattr__
        spec.loader.exec_module(package)  # type: ignore[union-attr] # `_load` looks
        return getattr(package, name)

    package.__getattr__ = complete


def _error(name: str, base: Any) -> type:
    members: dict[str, object] = {"__module__": __name__}
    if name == "ReaderError":
        members |= {"__init__": _init_reader_error, "__str__": _reader_error_text}
    return type(name, (base,), members)


def _init_reader_error(self: Any, *facts: object) -> None:
    """As PyYAML's own: where a character stands that YAML does not allow."""
    self.name, self.position, self.character, self.encoding, self.reason = facts


def _reader_error_text(self: Any) -> str:
    return f"unacceptable character #x{self.character:04x}: {self.reason}, position {self.position}"


_load()

from yaml import _yaml  # noqa: E402 - `_load` comes first, or this would import everything
from yaml.error import MarkedYAMLError, YAMLError  # noqa: E402
from yaml.events import MappingEndEvent, MappingStartEvent, SequenceEndEvent, SequenceStartEvent  # noqa: E402
from yaml.nodes import MappingNode, ScalarNode, SequenceNode  # noqa: E402

CParser = _yaml.CParser
if TYPE_CHECKING:
    from yaml.reader import ReaderError
else:
    ReaderError = _yaml.ReaderError
