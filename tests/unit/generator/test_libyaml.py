"""libyaml without the rest of PyYAML: nobody else's `import yaml` may notice."""

import subprocess
import sys

import pytest

START = "from generator import libyaml; import sys"


def run(script: str) -> str:
    """What a fresh Python prints."""
    command = [sys.executable, "-W", "error", "-c", f"{START}\n{script}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_only_the_small_modules_are_loaded() -> None:
    """Neither PyYAML's own reader nor its resolver, whose patterns take long to compile."""
    loaded = run("print(*sorted(name for name in sys.modules if name.startswith('yaml.')))")
    assert loaded.split() == ["yaml._yaml", "yaml.error", "yaml.events", "yaml.nodes", "yaml.tokens"]


@pytest.mark.parametrize(
    "expression",
    [
        "yaml.safe_load('a: 1')['a']",
        "yaml.load('a: 1', Loader=yaml.CSafeLoader)['a']",
        "int(yaml.compose('a: 1').value[0][1].value)",
        "int(isinstance(yaml.compose('a: 1'), libyaml.MappingNode))",
        "int(issubclass(yaml.reader.ReaderError, libyaml.YAMLError))",
    ],
)
def test_the_whole_package_is_there_when_asked_for(expression: str) -> None:
    """`import yaml` gives all of PyYAML, with the same nodes and errors."""
    assert run(f"import yaml; print({expression})") == "1"


def test_a_submodule_can_be_imported_on_its_own() -> None:
    """`from yaml.resolver import …` as ever."""
    assert run("from yaml.resolver import Resolver; import yaml; print(Resolver is yaml.resolver.Resolver)") == "True"


@pytest.mark.parametrize("text, error", [("a: [1", "MarkedYAMLError"), ("a: \x01", "ReaderError")])
def test_what_libyaml_refuses_is_a_yaml_error_everywhere(text: str, error: str) -> None:
    """Both for those who read with this module and for those who read with PyYAML."""
    script = f"""
import yaml
try:
    yaml.load({text!r}, Loader=yaml.CSafeLoader)
except yaml.YAMLError as error:
    print(isinstance(error, libyaml.{error}), bool(str(error)))
"""
    assert run(script) == "True True"


def test_the_whole_package_may_be_there_before() -> None:
    """Then its own classes are used."""
    script = "import yaml; from generator import libyaml as ours; print(ours.ReaderError is yaml.reader.ReaderError)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "True"
