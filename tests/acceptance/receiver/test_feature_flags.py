"""Feature flags of a running receiver, as services see them: through OpenFeature's own provider and evaluator."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from tests.acceptance.receiver.harness import FEATURE_FLAGS, Receiver, Site, body, receiver, script
from tests.acceptance.receiver.test_kill_points import final
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.usefixtures("sharing")]

DEADLINE_S = 30.0
FLAG = "provider_fallback"
ASKED_FOR = EvaluationContext(attributes={"x-provider-fallback": "on"})


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A service with a file of feature flags."""
    return Site(root=tmp_path)


@pytest.fixture
def client(site: Site) -> Iterator[OpenFeatureClient]:
    """A service's client, whose provider polls the file."""
    provider = FlagdProvider(
        resolver_type=ResolverType.FILE, offline_flag_source_path=str(site.feature_flags), deadline_ms=500
    )
    api.set_provider_and_wait(provider)
    yield api.get_client()
    api.shutdown()


def core(site: Site, context: EvaluationContext | None = None, flag: str = FLAG) -> bool:
    """What flagd's evaluator alone makes of the file now."""
    evaluator = FlagdCore()
    evaluator.set_flags(site.feature_flags.read_text())
    return evaluator.resolve_boolean_value(flag, False, context).value


async def fire(server: Receiver) -> None:
    """Fire, and wait until everything is over."""
    assert await server.post(body("0.34.2", "firing")) == 200
    await until(lambda: final(server.site), DEADLINE_S, "everything is over")


async def resolve(server: Receiver) -> None:
    """Resolve, and wait for the end of the freeze."""
    assert await server.post(body("0.34.2", "resolved")) == 200
    await until(lambda: not server.site.flag.exists() and final(server.site), DEADLINE_S, "unfrozen")


async def test_services_see_a_freeze_and_its_end(site: Site, client: OpenFeatureClient) -> None:
    """The running service reads the flag anew without a restart. Single requests keep their own switch by header."""
    assert not client.get_boolean_value(FLAG, False)
    assert client.get_boolean_value(FLAG, False, ASKED_FOR)
    async with receiver(site) as server:
        await fire(server)
        await until(lambda: client.get_boolean_value(FLAG, False), DEADLINE_S, "the service falls back")
        assert (core(site), core(site, ASKED_FOR)) == (True, True)
        assert client.get_boolean_value("durable_worker", False)
        await resolve(server)
        await until(lambda: not client.get_boolean_value(FLAG, False), DEADLINE_S, "the service is back")
        assert (core(site), core(site, ASKED_FOR)) == (False, True)
        assert site.feature_flags.read_text() == FEATURE_FLAGS


async def test_targeting_goes_for_everyone_and_comes_back(site: Site) -> None:
    """Without `everyone`, a rule for single requests wins over the default variant."""
    site.feature_flags.write_text(FEATURE_FLAGS.replace('"on", null', '"off", null'))
    before = site.feature_flags.read_text()
    site.policy["actions"]["fallback"]["everyone"] = True
    site.write()
    async with receiver(site) as server:
        assert not core(site, ASKED_FOR)
        await fire(server)
        assert (core(site), core(site, ASKED_FOR)) == (True, True)
        await resolve(server)
        assert (core(site), core(site, ASKED_FOR)) == (False, False)
        assert json.loads(site.feature_flags.read_text()) == json.loads(before)


async def test_health_tells_of_a_file_that_could_not_be_changed(site: Site) -> None:
    """Before any freeze, and no longer than the fault lasts."""
    site.feature_flags.write_text(FEATURE_FLAGS.replace(FLAG, "fallback"))
    async with receiver(site) as server:

        async def component() -> str:
            found = await server.get("/health/detailed")
            return str(found["components"]["feature_flags"]["why"] or "")

        assert "no flag provider_fallback; it has durable_worker, fallback" in await component()
        assert (await server.get("/health"))["components"]["feature_flags"] == "failing"
        site.feature_flags.write_text(FEATURE_FLAGS)

        async def sound() -> bool:
            return await component() == ""

        await until(sound, DEADLINE_S, "the file is sound")
        site.feature_flags.chmod(0o600)

        async def hidden() -> bool:
            found = await server.get("/health/detailed")
            return f"{site.feature_flags}: other users cannot" in str(found["components"]["flags"]["why"])

        await until(hidden, DEADLINE_S, "others cannot read the file")


async def test_a_freeze_by_hand_sets_the_flag_too(site: Site) -> None:
    """Until the same person unfreezes the service."""
    async with receiver(site) as server:
        assert await server.operate("freeze", service="gateway", reason="drill") == 202
        await until(lambda: core(site) and final(site), DEADLINE_S, "set")
        assert await server.operate("unfreeze", service="gateway", reason="over") == 202
        await until(lambda: not core(site) and final(site), DEADLINE_S, "set back")
        assert site.feature_flags.read_text() == FEATURE_FLAGS


async def test_undoing_a_rollback_takes_the_flag_back(site: Site) -> None:
    """Where the rule rolls back and does not freeze. The alert may still fire."""
    redeploy = script(site.root / "service" / "redeploy.sh", "exit 0")
    site.policy["actions"]["rollback"]["undo"] = {"within_s": 60, "command": [str(redeploy)]}
    site.policy["rules"][0]["do"] = ["rollback", "fallback", "tell"]
    site.write()
    async with receiver(site) as server:
        await fire(server)
        assert core(site)
        ((rollback,),) = site.rows("SELECT id FROM action WHERE type = 'rollback'")
        assert await server.operate("cancel", action=rollback, reason="false alarm") == 202
        await until(lambda: not core(site) and final(site), DEADLINE_S, "set back")
        assert site.rows("SELECT state FROM episode") == [("OPEN",)]
        assert site.feature_flags.read_text() == FEATURE_FLAGS
