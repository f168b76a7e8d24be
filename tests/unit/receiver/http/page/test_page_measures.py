"""What the pages know from Prometheus: never waited for, asked only while somebody looks, unknown when in doubt."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import aiohttp
import pytest

from receiver.http.page.measures import WANTED_S, Measures
from receiver.sources.asking import Limits
from receiver.sources.prometheus import Prometheus
from tests.fakes.prometheus import Objective, PrometheusFake, prometheus
from tests.waiting import until

AT_ONCE_S = 0.05
QUICK = Limits(seconds=0.5, most_bytes=1024 * 1024)
FAILURES = Objective(service="gateway", slo="failures", left=0.5, ratio=0.01)


class Clock:
    """The receiver's clock; a test turns it on."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        """The time."""
        return datetime.now(UTC) + self.ahead


@asynccontextmanager
async def asking(fake: PrometheusFake, clock: Clock | None = None) -> AsyncIterator[Measures]:
    """Measures that ask the stand-in again after a tenth of a second."""
    async with aiohttp.ClientSession() as http:
        source = Prometheus(http, fake.url, limits=QUICK)
        measures = Measures(source, clock or Clock(), every_s=0.1)
        try:
            yield measures
        finally:
            await measures.close()


async def answered(measures: Measures) -> None:
    """Wait for the first answer."""
    await until(lambda: measures.look().at is not None, 10, "an answer of Prometheus")


async def test_budgets_pace_and_alerts_of_all_services() -> None:
    """Five questions give all of it; the sentence of an alert is the one with the present value."""
    alert = {
        "labels": {"alertname": "FailureRateHigh", "service": "gateway", "severity": "critical"},
        "annotations": {"summary": "6 % of requests failed over 5 min; the limit is 0.5 %"},
        "state": "firing",
    }
    async with prometheus(PrometheusFake(objectives=[FAILURES], alerts=[alert])) as fake, asking(fake) as measures:
        await answered(measures)
        found = measures.look()
    (budget,) = found.budgets["gateway"]
    assert (budget.left, budget.burn, budget.objective, budget.team) == (0.5, 2.0, "99.5", "payments")
    assert budget.empty_in_s == pytest.approx(7.5 * 86400)
    assert found.firing["gateway"][0].sentence == "6 % of requests failed over 5 min; the limit is 0.5 %"


async def test_a_course_is_asked_for_once_somebody_looks_at_the_service() -> None:
    """Error ratios over six hours, budgets over the window."""
    async with prometheus(PrometheusFake(objectives=[FAILURES])) as fake, asking(fake) as measures:
        measures.look()
        assert measures.course("gateway") is None
        await until(lambda: measures.course("gateway"), 10, "the courses")
        found = measures.course("gateway")
    assert found is not None
    assert [line.slo for line in found.ratios] == ["failures"]
    assert found.end_s - found.budget_start_s == pytest.approx(30 * 86400)


async def test_a_service_with_a_hostile_name_asks_a_whole_query() -> None:
    """Quotes and backslashes stay inside the string."""
    name = 'a"} or vector(1) #\\'
    async with prometheus(PrometheusFake(objectives=[FAILURES])) as fake, asking(fake) as measures:
        measures.look()
        measures.course(name)
        await until(lambda: any("error_ratio{service=" in one for one in fake.asked), 10, "the question")
    assert 'max by (slo) (slo:error_ratio{service="a\\"} or vector(1) #\\\\",window="5m"})' in fake.asked


async def test_what_an_incident_spent() -> None:
    """The difference of two budgets; here the budget did not change."""
    async with prometheus(PrometheusFake(objectives=[FAILURES])) as fake, asking(fake) as measures:
        measures.look()
        end = datetime.now(UTC)
        await until(lambda: measures.spent("gateway", end - timedelta(hours=1), end) is not None, 10, "the share")
        assert measures.spent("gateway", end - timedelta(hours=1), end) == 0.0


async def test_a_slow_prometheus_is_unknown_and_nobody_waits() -> None:
    """A look takes no time; the page says since when nothing is known."""
    async with prometheus(PrometheusFake(objectives=[FAILURES], hangs=True)) as fake, asking(fake) as measures:
        began = time.monotonic()
        measures.look()
        measures.course("gateway")
        assert time.monotonic() - began < AT_ONCE_S
        await until(lambda: measures.look().unknown_since is not None, 10, "the end of the patience")
        found = measures.look()
        assert (found.at, "Timeout" in found.why) == (None, True)
        first = found.unknown_since
        asked = len(fake.asked)
        await until(lambda: len(fake.asked) > asked + 1, 10, "another attempt")
        assert measures.look().unknown_since == first


async def test_a_prometheus_that_goes_away_and_comes_back() -> None:
    """The last answer stays, marked as old, until there is a new one."""
    async with prometheus(PrometheusFake(objectives=[FAILURES])) as fake, asking(fake) as measures:
        await answered(measures)
        fake.hangs = True
        await until(lambda: measures.look().unknown_since is not None, 10, "an old answer")
        assert measures.look().budgets["gateway"][0].left == 0.5
        fake.hangs = False
        await until(lambda: measures.look().unknown_since is None, 10, "a new answer")


async def test_nan_is_no_number() -> None:
    """A lying Prometheus gives SLOs that are not measured."""
    async with prometheus(PrometheusFake(objectives=[FAILURES], lies=True)) as fake, asking(fake) as measures:
        await answered(measures)
        (budget,) = measures.look().budgets["gateway"]
    assert (budget.left, budget.burn, budget.empty_in_s) == (None, None, None)


async def test_nobody_looks_nobody_asks() -> None:
    """The questions end a while after the last look, and begin again with the next one."""
    clock = Clock()
    async with prometheus(PrometheusFake(objectives=[FAILURES])) as fake, asking(fake, clock) as measures:
        assert fake.asked == []
        await answered(measures)
        clock.ahead = timedelta(seconds=WANTED_S + 1)
        await until(lambda: not measures.asking, 10, "the end of the questions")
        asked = len(fake.asked)
        measures.look()
        await until(lambda: len(fake.asked) > asked, 10, "a question after the next look")


async def test_every_answer_is_told() -> None:
    """Pages follow the version."""
    heard: list[int] = []
    async with prometheus(PrometheusFake(objectives=[FAILURES])) as fake, asking(fake) as measures:

        def hear() -> None:
            heard.append(measures.version)

        measures.on_change(hear)
        await answered(measures)
        await until(lambda: heard, 10, "the news")
        measures.off_change(hear)
    assert heard[0] == 1


async def test_without_prometheus_nothing_is_asked() -> None:
    """The settings name none."""
    measures = Measures(None, Clock())
    assert measures.look().asked is False
    await measures.close()


async def test_the_values_of_conditions_are_asked_for_while_somebody_looks() -> None:
    """A query that Prometheus refuses has no value, and does not end the round."""
    query = 'slo:error_budget_remaining{service="gateway"}'
    async with (
        prometheus(PrometheusFake(objectives=[FAILURES], refused=["nonsense("])) as fake,
        asking(fake) as measures,
    ):
        measures.look()
        assert (measures.values("nonsense("), measures.values(query)) == (None, None)
        await until(lambda: measures.values(query) is not None, 10, "the value")
        assert (measures.values("nonsense("), measures.values(query)) == (None, (Decimal("0.5"),))
        assert "nonsense(" in fake.asked
