"""A receiver without policies, and a policy whose file vanishes: never called well."""

from collections.abc import Iterator

import pytest

from tests.acceptance.receiver.harness import Site, body, receiver
from tests.disks import public_directory
from tests.waiting import until

pytestmark = pytest.mark.acceptance

DEADLINE_S = 30.0


@pytest.fixture
def site() -> Iterator[Site]:
    """A site whose flag other users can see."""
    with public_directory() as root:
        yield Site(root=root)


async def test_a_receiver_without_policies_is_degraded(site: Site) -> None:
    """An empty directory is a mistake more often than a wish."""
    (site.root / "policy" / "gateway.policy.json").unlink()
    async with receiver(site) as server:
        health = await server.get("/health")
        assert (health["status"], health["components"]["policy"]) == ("degraded", "failing")
        metrics = await server.get("/metrics")
        assert "freezeline_policies 0.0" in metrics
        site.write()
        server.process.send_signal(1)
        await until(lambda: "policy.loaded" in server.log.read_text(), DEADLINE_S, "the policies are read")
        assert (await server.get("/health"))["status"] == "ok"


async def test_a_policy_that_vanished_stays_in_force_and_is_told(site: Site) -> None:
    """Until its file is back, or a restart says that the policy is not missed."""
    path = site.root / "policy" / "gateway.policy.json"
    async with receiver(site) as server:
        assert (await server.get("/health"))["status"] == "ok"
        path.unlink()
        server.process.send_signal(1)
        await until(lambda: "policy.loaded" in server.log.read_text(), DEADLINE_S, "the policies are read")
        health = await server.get("/health/detailed")
        assert health["status"] == "degraded"
        assert "the file of failure-budget vanished" in health["components"]["policy"]["why"]
        assert "freezeline_policy_load_ok 0.0" in await server.get("/metrics")
        assert await server.post(body("0.34.2", "firing")) == 200
        await until(site.flag.exists, DEADLINE_S, "the policy still freezes")
        site.write()
        server.process.send_signal(1)
        await until(lambda: server.log.read_text().count("policy.loaded") == 2, DEADLINE_S, "read again")
        assert (await server.get("/health"))["status"] == "ok"
