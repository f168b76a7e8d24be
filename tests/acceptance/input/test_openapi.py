"""schemathesis sends what the OpenAPI document allows and what it forbids: the receiver answers as the document says.

The event streams are left out, because their answers do not end; `test_raw_http.py` opens them. The API of rollouts is
asked while a rollout runs, in `release/test_api.py`.
"""

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.input.logs import said_in_error
from tests.acceptance.receiver.harness import Receiver, Site, body, receiver
from tests.tools import ROOT

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

DOCUMENT = ROOT / "receiver" / "openapi.yaml"


CONFIG = """
[auth.openapi]
webhook = {{ bearer = "{webhook}" }}
read = {{ bearer = "{operate}" }}
operate = {{ bearer = "{operate}" }}
session = {{ api_key = "{session}" }}

[[operations]]
include-path = "/webhook"
checks.negative_data_rejection.enabled = false  # an alert that cannot be read is put aside, with status 200

[[operations]]
include-path-regex = "^/api/v2/canary/(enable|samples)$"
checks.positive_data_acceptance.enabled = false  # percentages and gates are those of the policy

[[operations]]
include-path-regex = "^(/api/v1/events|/page/changes)$"
enabled = false
"""


async def session_of(server: Receiver) -> str:
    """The cookie of a visitor who logged in with the operator's token."""
    form = {"name": "schemathesis", "token": server.site.token("operate")}
    async with server.http.post(server.url + "/page/login", data=form, allow_redirects=False) as response:
        assert response.status == 303
        return response.cookies["freezeline"].value


async def swept(server: Receiver, *, examples: int, seed: int, paths: str = "") -> subprocess.CompletedProcess[str]:
    """One run of schemathesis: the webhook with its token, everything else with the operator's.

    `paths` is a regular expression of the paths that are asked; "" asks all.
    """
    config = server.site.root / "schemathesis.toml"
    tokens = {role: server.site.token(role) for role in ("webhook", "operate")}
    config.write_text(CONFIG.format(**tokens, session=await session_of(server)))
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config)),
        *("run", str(DOCUMENT), "--url", server.url, "--max-examples", str(examples), "--seed", str(seed)),
        *(("--include-path-regex", paths) if paths else ()),
        *("--phases", "examples,coverage,fuzzing", "--generation-database", "none", "--no-color"),
    ]
    return await asyncio.to_thread(
        subprocess.run, command, cwd=server.site.root, capture_output=True, text=True, timeout=1800, check=False
    )


@pytest.mark.parametrize(
    "examples,seed",
    [(8, 1), pytest.param(400, random.randrange(2**32), marks=[pytest.mark.soak, pytest.mark.timeout(3600)])],
)
async def test_the_receiver_answers_as_the_document_says(examples: int, seed: int, tmp_path: Path) -> None:
    """Statuses, media types and bodies; missing tokens are refused; no 5xx; and no traceback in the log."""
    async with receiver(Site(root=tmp_path)) as server:
        assert await server.post(body("0.34.2", "firing")) == 200
        report = await swept(server, examples=examples, seed=seed, paths="^(?!/api/v2/canary/)")
        assert report.returncode == 0, report.stdout[-6000:] + report.stderr[-2000:]
        assert server.process.poll() is None
        assert said_in_error(server.log) == []
