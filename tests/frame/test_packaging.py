"""What lies in packaging/ and freezeline/shell/ agrees with the docs and with the parsers."""

import re
import shutil
import subprocess

import pytest

from devtools import shell_files
from tests.tools import ROOT, missing_is_an_error

UNIT = ROOT / "packaging" / "systemd" / "freezeline-receiver.service"
OPERATING = (ROOT / "docs" / "operating.md").read_text("utf-8")
EXPOSURE_MAX = 20  # of 100
"""What systemd may find exposed: docs/operating.md names the figure."""


def test_completion_and_man_page_are_those_of_the_parsers(capsys: pytest.CaptureFixture[str]) -> None:
    """`./dev generate` writes them anew after a change of an option."""
    assert (shell_files.main(["--check"]), capsys.readouterr().err) == (0, "")


def test_the_docs_show_the_unit() -> None:
    """Whole, as a reader would copy it."""
    shown = re.search(r"^```ini\n(.*?)^```$", OPERATING, re.MULTILINE | re.DOTALL)
    assert shown
    assert shown[1] == UNIT.read_text("utf-8")


def test_systemd_finds_the_sandbox_tight() -> None:
    """The exposure is no more than what the docs say."""
    if shutil.which("systemd-analyze") is None:
        if missing_is_an_error():
            pytest.fail("no systemd-analyze on PATH")
        pytest.skip("needs systemd-analyze on PATH")
    argv = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", "--no-pager", str(UNIT)]
    found = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    overall = re.search(r"Overall exposure level for freezeline-receiver.service: ([\d.]+) ", found.stdout)
    assert overall
    print(overall[0])
    assert f"exposure is at most {EXPOSURE_MAX / 10} of 10" in OPERATING


def test_the_drop_in_for_sudo_takes_every_line_back_that_forbids_sudo() -> None:
    """Systemd sets NoNewPrivileges for a unit that filters system calls in any of these ways."""
    unit, drop_in = UNIT.read_text(), (UNIT.parent / "rollback-with-sudo.conf").read_text()
    implying = re.findall(
        r"^(NoNewPrivileges|PrivateDevices|ProtectClock|ProtectHostname|ProtectKernel\w+|LockPersonality|MemoryDeny\w+"
        r"|Restrict\w+|SystemCall(?:Filter|Architectures|Log)|DynamicUser)=",
        unit,
        re.MULTILINE,
    )
    assert len(implying) > 8
    assert [name for name in implying if not re.search(rf"^{name}=(?:no)?$", drop_in, re.MULTILINE)] == []
