"""Every request to a Prometheus or Alertmanager behind a gateway of tenants carries the headers that people give."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from freezeline.cli import main
from receiver.sources.alertmanager import Alertmanager
from receiver.sources.asking import SourceError, from_files
from receiver.sources.prometheus import Prometheus
from tests.fakes.tenants import ELSEWHERE, gateway
from tests.tools import Generation, alertmanager_server, generations, prometheus_server

pytestmark = pytest.mark.acceptance

SECRET = "Bearer s3cret-of-team-a"
WANTED = {"X-Scope-OrgID": "team-a", "Authorization": SECRET}
SPEC = """\
apiVersion: freezeline/v1
service: s
owner: {team: t}
slos:
  a: {objective: 99, sli: {bad: 'prometheus_http_requests_total{code="500"}', total: prometheus_http_requests_total}}
"""


@pytest.fixture(name="folder", scope="module")
def fixture_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spec, and a file with the secret."""
    folder = tmp_path_factory.mktemp("tenants")
    (folder / "s.yaml").write_text(SPEC)
    (folder / "authorization").write_text(SECRET + "\n")
    return folder


@pytest.fixture(name="url", scope="module")
def fixture_url(folder: Path) -> Iterator[str]:
    """A real Prometheus behind a gateway that wants a tenant and a secret."""
    newest = generations()[-1]
    config = "global: {scrape_interval: 15s}\n"
    with prometheus_server(newest, folder / "prometheus", config) as server, gateway(server.url, WANTED) as url:
        yield url


def words(command: str, url: str, folder: Path) -> list[str]:
    """A command's arguments for the Prometheus behind the gateway."""
    extra = {
        "backfill": ["-o", str(folder / "blocks"), "--start", "4h"],
        "backtest": ["--days", "0.1", "--pause", "0"],
        "suggest": ["--days", "0.1", "--pause", "0"],
    }
    return [command, str(folder / "s.yaml"), "--prometheus", url, *extra.get(command, [])]


@pytest.mark.parametrize("command", ["validate", "cost", "backfill", "backtest", "suggest"])
def test_without_headers_nothing_is_answered(
    command: str, url: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gateway's refusal is an environment's fault, shown as the gateway says it."""
    assert main(words(command, url, folder)) == 3
    assert "401: no org id" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["validate", "cost", "backtest", "suggest"])
def test_headers_reach_prometheus(
    command: str, url: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tenant comes from the environment, the secret from a file; nothing shows the secret."""
    monkeypatch.setenv("FREEZELINE_PROMETHEUS_HEADERS", "X-Scope-OrgID: of-another\n")
    secret = f"Authorization: @{folder / 'authorization'}"
    assert main([*words(command, url, folder), "--header", secret, "--header", "x-scope-orgid:team-a"]) in (0, 1)
    said = capsys.readouterr()
    assert "does not answer" not in said.err
    assert "401" not in said.err
    assert SECRET not in said.out + said.err


def test_promtool_of_a_backfill_sends_headers(
    url: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Promtool itself asks with the headers too."""
    newest = generations()[-1]
    arguments = ["backfill", str(folder / "s.yaml"), "--prometheus", url, "-o", str(tmp_path / "blocks")]
    arguments += ["--start", "5h", "--end", "3h", "--promtool", str(newest.promtool)]
    headers = ["--header", "X-Scope-OrgID:team-a", "--header", f"Authorization:@{folder / 'authorization'}"]
    assert main([*arguments, *headers]) == 0, capsys.readouterr().err
    assert SECRET not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    "header,message",
    [
        ("X-Scope-OrgID", "a header has no name and value"),
        (": team-a", "a header has no name and value"),
        ("X-Scope-OrgID: tëam", "the value of the header X-Scope-OrgID must be one line of ASCII"),
        ("Authorization: @/no/such/file", "the file with the header Authorization cannot be read: /no/such/file"),
    ],
)
def test_a_wrong_header_is_refused(header: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is asked, with exit code 2 and without the value."""
    assert main(["validate", str(folder / "s.yaml"), "--prometheus", "http://127.0.0.1:1", "--header", header]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "tëam" not in said


def test_a_redirect_gets_no_headers(folder: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A secret goes to no other server than the one that a person named."""
    arguments = [
        "validate",
        str(folder / "s.yaml"),
        "--prometheus",
        url + ELSEWHERE,
        "--header",
        "X-Scope-OrgID:team-a",
    ]
    assert main([*arguments, "--header", f"Authorization:@{folder / 'authorization'}"]) == 3
    assert "status 307" in capsys.readouterr().err


def test_the_receiver_sends_headers(generation: Generation, folder: Path, url: str, tmp_path: Path) -> None:
    """The receiver asks Prometheus and Alertmanager with its headers, and reads a secret's file at each request."""
    secret = tmp_path / "authorization"
    headers = from_files({"X-Scope-OrgID": "team-a", "Authorization": f"@{secret}"})

    async def ask(alertmanager: str) -> None:
        async with aiohttp.ClientSession() as http:
            prometheus = Prometheus(http, url, headers)
            other = Alertmanager(http, alertmanager, receiver="r", settle_s=0, headers=headers)
            assert await prometheus.check() == f"{secret}: cannot be read"
            secret.write_text("Bearer wrong\n")
            assert "401" in await prometheus.check()
            assert "401" in await other.check()
            secret.write_text("Bearer\nhidden\n")
            assert await prometheus.check() == f"{secret}: must hold one line of ASCII text"
            with pytest.raises(SourceError, match="must hold one line"):
                await other.known(datetime.now(UTC))
            secret.write_text(SECRET + "\n")
            assert (await prometheus.check(), await other.check()) == ("", "")
            assert (await other.known(datetime.now(UTC))).alerts == {}

    config = "route: {receiver: r}\nreceivers: [{name: r}]\n"
    with alertmanager_server(generation, tmp_path / "am", config) as server, gateway(server.url, WANTED) as guarded:
        asyncio.run(ask(guarded))
