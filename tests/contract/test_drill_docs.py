"""docs/drill.md names every kind of rehearsal, every fault, and every member of a line of the history."""

from freezeline.drill import KINDS
from receiver.rehearsals import Rehearsal
from release.drill.faults import ABOUT, Fault
from release.drill.provider_faults import ABOUT as FAULTS_OF_PROVIDERS
from tests.tools import ROOT

PAGE = (ROOT / "docs" / "drill.md").read_text("utf-8")


def test_every_kind_is_explained() -> None:
    """As a command."""
    assert [kind for kind in KINDS if f"`drill {kind}`" not in PAGE] == []


def test_every_member_is_explained() -> None:
    """In the table of the history."""
    assert [name for name in Rehearsal.__struct_fields__ if f"`{name}`" not in PAGE] == []


def test_every_fault_is_explained() -> None:
    """In the table of faults, in the words of the program."""
    assert set(ABOUT) == set(Fault)
    assert [fault for fault in Fault if f"| `{fault}` | " not in PAGE] == []


def test_every_fault_of_a_provider_is_explained() -> None:
    """In the words of the program."""
    assert [fault for fault, text in FAULTS_OF_PROVIDERS.items() if f"| `{fault}` | {text} |" not in PAGE] == []
