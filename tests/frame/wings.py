"""Finds, in the sources of a package, imports that go against the stated order of its wings.

A *place* is a folder of modules (a wing) or a module beside the folders, named by its path below the package:
`model`, `render.rules`, `units`. The order lists places from the ground up: each may import only places before it.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from msgspec import Struct


class Module(Struct, frozen=True, kw_only=True):
    """One file of Python: its dotted name, its path below the root, and its place below the package."""

    name: str
    path: Path
    package: str
    place: str


class Import(Struct, frozen=True, kw_only=True):
    """One line that loads another of our modules, wherever the line stands: inside functions too."""

    importer: Module
    imported: Module
    line: int

    def __str__(self) -> str:
        """Say who imports whom, and where."""
        return f"{self.importer.path}:{self.line}: imports {self.imported.name}"


def find_modules(root: Path, packages: Iterable[str]) -> dict[str, Module]:
    """Every module of these packages below `root`, by its dotted name."""
    found = {}
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            is_folder = parts[-1] == "__init__"
            dotted = parts[:-1] if is_folder else parts
            folder = parts[1:-1]
            name = ".".join(dotted)
            place = ".".join(folder or dotted[1:])
            found[name] = Module(name=name, path=path.relative_to(root), package=package, place=place)
    return found


def find_imports(root: Path, modules: Mapping[str, Module]) -> list[Import]:
    """Every import of one of these modules by another, in the order of the files and lines."""
    return [
        Import(importer=module, imported=loaded, line=line)
        for module in modules.values()
        for line, name in _imported_names(root, module)
        for loaded in _loaded(name, module, modules)
    ]


def _imported_names(root: Path, module: Module) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each import: `from a import b` gives `a.b`, whether `b` is a module or not."""
    for node in ast.walk(ast.parse((root / module.path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(module, node)
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


def _origin(module: Module, node: ast.ImportFrom) -> str:
    """What stands between `from` and `import`, with leading dots resolved."""
    if node.level == 0:
        return node.module or ""
    folder = module.path.parent.parts
    parts = folder[: len(folder) - node.level + 1]
    return ".".join((*parts, node.module) if node.module else parts)


def _loaded(name: str, importer: Module, modules: Mapping[str, Module]) -> Iterator[Module]:
    """The module that a dotted name means, and each `__init__` of another place that Python runs before it."""
    parts = name.split(".")
    prefixes = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
    known = [modules[prefix] for prefix in prefixes if prefix in modules]
    for module in known[:-1]:
        if module.place not in ("", importer.place):
            yield module
    if known and known[-1] != importer:
        yield known[-1]


def not_in_order(modules: Mapping[str, Module], package: str, order: Sequence[str]) -> list[str]:
    """What the order of a package forgets, and what it lists although nothing of the kind exists."""
    there = {module.place for module in modules.values() if module.package == package} - {""}
    missing = [f"{package}: `{place}` is missing from the order" for place in sorted(there - set(order))]
    return missing + [
        f"{package}: the order lists `{place}`, which is not there" for place in order if place not in there
    ]


def upward(imports: Iterable[Import], package: str, order: Sequence[str]) -> list[str]:
    """Imports inside a package that go upwards. A package's own `__init__` stands below everything."""
    floor = {place: number for number, place in enumerate(("", *order))}
    return [
        f"{found} upwards: the order puts `{found.imported.place}` above `{found.importer.place}`"
        for found in imports
        if found.importer.package == found.imported.package == package
        and floor.get(found.imported.place, 0) > floor.get(found.importer.place, 0)
    ]


def foreign(imports: Iterable[Import], allowed: Mapping[str, AbstractSet[str]]) -> list[str]:
    """Imports of another package that `allowed` does not name.

    Its keys are packages, or places of packages as `package.place`; its values likewise, and the longer key wins.
    """
    return [
        str(found)
        for found in imports
        if found.importer.package != found.imported.package
        and not (_named(found.imported) & _allowed(found.importer, allowed))
    ]


def _named(module: Module) -> set[str]:
    return {module.package, f"{module.package}.{module.place}"}


def _allowed(module: Module, allowed: Mapping[str, AbstractSet[str]]) -> AbstractSet[str]:
    return allowed.get(f"{module.package}.{module.place}", allowed.get(module.package, frozenset()))


def circle_of_files(imports: Iterable[Import]) -> list[str]:
    """The names of modules that import each other in a ring; empty where there is none."""
    return _circle((found.importer.name, found.imported.name) for found in imports)


def circle_of_places(imports: Iterable[Import]) -> list[str]:
    """The places that import each other in a ring; empty where there is none."""
    return _circle(
        (f"{found.importer.package}.{found.importer.place}", f"{found.imported.package}.{found.imported.place}")
        for found in imports
        if (found.importer.package, found.importer.place) != (found.imported.package, found.imported.place)
    )


def _circle(pairs: Iterable[tuple[str, str]]) -> list[str]:
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for importer, imported in pairs:
        sorter.add(importer, imported)
    try:
        sorter.prepare()
    except CycleError as error:
        return [str(name) for name in error.args[1]]
    return []
