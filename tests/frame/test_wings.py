"""The finder of wrong imports finds each kind of them, in made-up trees."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.frame.wings import (
    Import,
    circle_of_files,
    circle_of_places,
    find_imports,
    find_modules,
    foreign,
    not_in_order,
    upward,
)

ORDER = ("units", "model", "render", "render.rules", "pipeline")

# In order, with a registry that imports its siblings and a folder inside a folder.
SOUND = {
    "maker/__init__.py": "",
    "maker/units.py": "import os\n",
    "maker/model/__init__.py": "from maker.model import spec\n",
    "maker/model/spec.py": "from maker.units import text\nfrom maker.model.team import Team\n",
    "maker/model/team.py": "",
    "maker/render/__init__.py": "",
    "maker/render/links.py": "from maker.model import spec\n",
    "maker/render/rules/__init__.py": "",
    "maker/render/rules/shared.py": "from maker.render import links\n",
    "maker/pipeline.py": "import maker.render.rules.shared\n\n\ndef load():\n    from maker.model import spec\n",
    "front/__init__.py": "",
    "front/problems.py": "",
    "front/cli.py": "from maker import pipeline\n",
}


def imports_of(root: Path, changed: Mapping[str, str]) -> list[Import]:
    """The imports of the sound tree with some files changed."""
    for name, source in {**SOUND, **changed}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return find_imports(root, find_modules(root, ("maker", "front")))


def test_a_sound_tree_has_nothing_to_report(tmp_path: Path) -> None:
    """Downward imports, of siblings too, are fine wherever they stand."""
    imports = imports_of(tmp_path, {})
    assert {(found.importer.name, found.imported.name) for found in imports} == {
        ("maker.model", "maker.model.spec"),
        ("maker.model.spec", "maker.units"),
        ("maker.model.spec", "maker.model.team"),
        ("maker.render.links", "maker.model"),
        ("maker.render.links", "maker.model.spec"),
        ("maker.render.rules.shared", "maker.render"),
        ("maker.render.rules.shared", "maker.render.links"),
        ("maker.pipeline", "maker.render"),
        ("maker.pipeline", "maker.render.rules"),
        ("maker.pipeline", "maker.render.rules.shared"),
        ("maker.pipeline", "maker.model"),
        ("maker.pipeline", "maker.model.spec"),
        ("front.cli", "maker.pipeline"),
    }
    assert upward(imports, "maker", ORDER) == []
    assert (circle_of_files(imports), circle_of_places(imports)) == ([], [])
    assert not_in_order(find_modules(tmp_path, ("maker",)), "maker", ORDER) == []


@pytest.mark.parametrize(
    "source",
    [
        "from maker.pipeline import load\n",
        "from maker import pipeline\n",
        "import maker.pipeline\n",
        "from .. import pipeline\n",
        "from ..pipeline import load\n",
        "def late():\n    from maker.pipeline import load\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from maker.pipeline import load\n",
    ],
)
def test_an_import_upwards_is_found(tmp_path: Path, source: str) -> None:
    """However the line is written, and wherever it stands."""
    imports = imports_of(tmp_path, {"maker/model/team.py": source})
    (wrong,) = upward(imports, "maker", ORDER)
    assert wrong.startswith("maker/model/team.py:")
    assert wrong.endswith("imports maker.pipeline upwards: the order puts `pipeline` above `model`")


def test_the_init_of_a_folder_counts_for_what_lies_in_it(tmp_path: Path) -> None:
    """Python runs `render/__init__.py` before `render/rules/shared.py`, so an import upwards there is found."""
    imports = imports_of(tmp_path, {"maker/render/__init__.py": "from maker.render.rules import shared\n"})
    assert [wrong.partition(": the order")[0] for wrong in upward(imports, "maker", ORDER)] == [
        "maker/render/__init__.py:1: imports maker.render.rules upwards",
        "maker/render/__init__.py:1: imports maker.render.rules.shared upwards",
    ]
    assert set(circle_of_places(imports)) == {"maker.render", "maker.render.rules"}


def test_the_packages_own_init_imports_nothing_of_it(tmp_path: Path) -> None:
    """It runs before every module of the package."""
    imports = imports_of(tmp_path, {"maker/__init__.py": "from maker import units\n"})
    (wrong,) = upward(imports, "maker", ORDER)
    assert wrong.startswith("maker/__init__.py:1: imports maker.units upwards")


def test_a_circle_of_files_is_found_inside_one_place(tmp_path: Path) -> None:
    """The order of places says nothing about files of one place."""
    imports = imports_of(tmp_path, {"maker/model/team.py": "def late():\n    from maker.model import spec\n"})
    assert upward(imports, "maker", ORDER) == []
    assert set(circle_of_files(imports)) == {"maker.model.spec", "maker.model.team"}
    assert circle_of_places(imports) == []


def test_a_circle_of_places_is_found_without_a_circle_of_files(tmp_path: Path) -> None:
    """Two folders that import each other are one knot, though no file is in a ring."""
    imports = imports_of(tmp_path, {"maker/model/team.py": "from maker.pipeline import load\n"} | APART)
    assert circle_of_files(imports) == []
    assert set(circle_of_places(imports)) == {"maker.model", "maker.pipeline"}


# No longer does `spec` import `team`, nor `render` a model: the ring is of folders only.
APART = {
    "maker/model/__init__.py": "",
    "maker/model/spec.py": "",
    "maker/render/links.py": "",
}


def test_a_place_that_is_missing_or_gone_is_named(tmp_path: Path) -> None:
    """The order lists what is there: no more, no less."""
    imports_of(tmp_path, {"maker/model/deep/__init__.py": "", "maker/late.py": ""})
    assert not_in_order(find_modules(tmp_path, ("maker",)), "maker", (*ORDER, "gone")) == [
        "maker: `late` is missing from the order",
        "maker: `model.deep` is missing from the order",
        "maker: the order lists `gone`, which is not there",
    ]


def test_another_package_is_imported_only_where_allowed(tmp_path: Path) -> None:
    """By package or by place, and the longer key wins."""
    imports = imports_of(tmp_path, {"maker/units.py": "from front import problems\nimport front.cli\n"})
    assert foreign(imports, {"maker": {"front.problems"}, "front": {"maker"}}) == [
        "maker/units.py:2: imports front.cli",
    ]
    assert foreign(imports, {"maker": {"front"}, "front": {"maker"}, "front.cli": set()}) == [
        "front/cli.py:1: imports maker.pipeline",
    ]
