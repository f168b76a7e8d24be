"""The workload's chain of providers under `freezeline drill fallback`, and how header and flag leave out a vendor."""

import contextlib
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from release.drill.provider_faults import Fault
from tests.acceptance.receiver.harness import Site
from tests.balancers import free_ports
from tests.tools import ROOT
from tests.workload import Service, service

pytestmark = [pytest.mark.acceptance]


class Chained(Struct, frozen=True, kw_only=True):
    """The script generation, whose vendors are reached through the ports of the drill's stand-ins."""

    site: Site
    providers: Service
    scripts: Service
    ports: tuple[int, int]

    def drill(self, *options: str) -> tuple[int, dict[str, Any]]:
        """Exit code, and the line of the history."""
        argv = ["drill", "fallback", str(self.site.root / "policy" / "gateway.policy.json"), "--json", "--local"]
        argv += ["--state", str(self.site.state), "--probe", f"{self.scripts.url}/api/v1/scripts"]
        argv += ["--body", '{"topic": "a drill"}', "--requests", "3", "--limit", "15"]
        for name, port in zip(("openai", "anthropic"), self.ports, strict=True):
            argv += ["--provider", f"{name}={port}={self.providers.url}"]
        ran = subprocess.run(
            [sys.executable, "-m", "freezeline", *argv, *options],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert ran.stdout, ran.stderr
        print(ran.stdout)
        return ran.returncode, json.loads(ran.stdout)

    def provider(self, url: str, header: str = "off") -> str:
        """Who answers one script in the end."""
        headers = {"x-provider-fallback": header}
        wanted = urllib.request.Request(url, data=b'{"topic": "freezes"}', headers=headers)
        with urllib.request.urlopen(wanted, timeout=20) as stream:
            found: list[str] = re.findall(r"event: provider\ndata: (\w+)", stream.read().decode())
        return found[-1]


@contextlib.contextmanager
def chained(root: Path) -> Iterator[Chained]:
    """Vendors, and the service that asks them where the drill listens."""
    site = Site(root=root)
    ports = free_ports(2)
    with service(root, "providers", "providers") as providers:
        options = ["--providers", providers.url, "--flags", str(site.feature_flags)]
        for name, port in zip(("openai", "anthropic"), ports, strict=True):
            options += [f"--{name}", f"http://127.0.0.1:{port}"]
        with service(root, "scripts", "scripts", options, scripts_log_level="ERROR") as scripts:
            yield Chained(site=site, providers=providers, scripts=scripts, ports=(ports[0], ports[1]))


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_no_fault_of_the_providers_fails_a_user(tmp_path: Path) -> None:
    """Dead, slow, rate-limited with Retry-After, error, cut and wrong JSON: of the first vendor, and of both."""
    with chained(tmp_path) as found:
        code, line = found.drill()
    expected = [f"{fault}: {broken}" for fault in Fault for broken in ("openai", "openai, anthropic")]
    assert (code, line["ok"], line["succeeded"], list(line["legs"])) == (0, True, len(expected), expected), line


def test_a_cut_stream_fails_no_user(tmp_path: Path) -> None:
    """One fault of the drill: the next provider begins anew, and with both broken, the local answer comes."""
    with chained(tmp_path) as found:
        code, line = found.drill("--fault", "cut")
    assert (code, line["ok"], list(line["legs"])) == (0, True, ["cut: openai", "cut: openai, anthropic"]), line


def test_header_and_flag_leave_the_first_vendor_out(tmp_path: Path) -> None:
    """The header for one request, the flag for all: each switches, and switches back."""
    site = Site(root=tmp_path)
    flags = ["--flags", str(site.feature_flags)]
    with (
        service(tmp_path, "providers", "providers") as providers,
        service(tmp_path, "scripts", "scripts", ["--providers", providers.url, *flags]) as scripts,
    ):
        found = Chained(site=site, providers=providers, scripts=scripts, ports=(0, 0))
        url = f"{scripts.url}/api/v1/scripts"
        assert [found.provider(url, header) for header in ("off", "on", "off")] == ["openai", "anthropic", "openai"]
        for variant, provider in (("on", "anthropic"), ("off", "openai")):
            content = json.loads(site.feature_flags.read_text())
            content["flags"]["provider_fallback"]["defaultVariant"] = variant
            before = site.feature_flags.stat()
            site.feature_flags.write_text(json.dumps(content))
            os.utime(site.feature_flags, (before.st_atime + 2, before.st_mtime + 2))
            assert found.provider(url) == provider
