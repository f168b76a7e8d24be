"""`validate` looks at flags as another user would."""

import subprocess
import sys
from pathlib import Path

from tests.disks import public_directory
from tests.tools import ROOT

SPEC = """\
apiVersion: freezeline/v1
service: checkout
owner: {{team: payments}}
alerts:
  Slow: {{when: 'max(x) > 1', for: 1m, severity: critical}}
policy: [{{on: {{alert: Slow}}, do: [freeze]}}]
actions:
  freeze: {{flag: {flag}}}
"""


def validate(spec: Path) -> str:
    """What `validate` says on stderr."""
    command = [sys.executable, "-m", "freezeline", "validate", "--no-promtool", str(spec)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stderr


def test_a_flag_in_a_private_directory_is_a_warning() -> None:
    """The directory of the state is 0700; a flag in it is seen by nobody else."""
    with public_directory() as root:
        spec, private = root / "checkout.yaml", root / "state"
        private.mkdir(mode=0o700)
        spec.write_text(SPEC.format(flag=private / "checkout" / "FREEZE.FLAG"))
        said = validate(spec)
        assert f"other users cannot search {private} (mode 0700)" in said
        assert "checkout.yaml:8:" in said
        private.chmod(0o755)
        assert "live/flag-hidden" not in validate(spec)


FEATURE = """\
apiVersion: freezeline/v1
service: checkout
owner: {{team: payments}}
alerts:
  Slow: {{when: 'max(x) > 1', for: 1m, severity: critical}}
policy: [{{on: {{alert: Slow}}, do: [fallback]}}]
actions:
  fallback: {{feature_flag: fallback, file: {file}, variant: "on"}}
"""


def test_a_file_of_feature_flags_that_services_cannot_read_is_a_warning() -> None:
    """The services run as other users than the person who validates."""
    with public_directory() as root:
        spec, flags = root / "checkout.yaml", root / "flags.json"
        flags.write_text("{}")
        flags.chmod(0o600)
        spec.write_text(FEATURE.format(file=flags))
        assert f"other users cannot read {flags} (mode 0600)" in validate(spec)
        flags.chmod(0o644)
        assert "live/flag-hidden" not in validate(spec)
