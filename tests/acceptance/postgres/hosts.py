"""Several receivers on hosts of their own: the same policy, one service, and a flag on each host.

The flag's path begins with `/proc/self/cwd`. Each receiver therefore finds the flag in its own folder, as on a host of
its own.
"""

import contextlib
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
from msgspec import Struct, field

from receiver.act.flagfile import read_flag
from receiver.journal import View, postgres_store, verify
from tests import journals
from tests.acceptance.receiver.harness import Receiver, Site, body, default_policy, receiver, script
from tests.fakes.http import SlackFake
from tests.waiting import until

FIRING, RESOLVED = body("0.34.2", "firing"), body("0.34.2", "resolved")
WAIT_S = 45.0
LEASE_S = "3"
BY_CLOCK = Path(__file__).with_name("serve_by_clock.py")
FROZEN = {"gateway is frozen", "gateway: rollback started", "gateway: rollback done"}
TOLD = FROZEN | {"gateway is unfrozen"}
"""What people are told of an incident from its start to its end."""


class Hosts(Struct, kw_only=True):
    """A folder for each receiver, who has a host of its own; the first host's folder also has the service.

    `second` names receivers that share the host of another one.
    """

    sites: list[Site]
    second: Mapping[int, int] = field(default_factory=dict)
    dsn: str
    slack: SlackFake
    acknowledged: set[str] = field(default_factory=set)
    """Hashes of the bodies that a receiver answered with 200."""

    @classmethod
    def made(cls, root: Path, dsn: str, slack: SlackFake, *, count: int = 2, rollback: str = "sleep 0.2") -> "Hosts":
        """Make the folders. `rollback` is what the rollback does after it noted its start."""
        secret = root / "slack-url"
        secret.write_text(slack.url)
        secret.chmod(0o600)
        settings = {"channels": {"slack": {"type": "slack", "url_file": str(secret)}}}
        first = Site(root=root / "host-0", settings=settings)
        service = first.root / "service"
        script(service / "rollback.sh", f"echo started >> {service}/rollbacks\n{rollback}\necho v1 > {service}/current")
        policy = default_policy(first)
        policy["actions"]["freeze"] = {"type": "freeze", "flag": "/proc/self/cwd/flags/FREEZE.FLAG"}
        first.policy = policy
        first.write()
        others = [Site(root=root / f"host-{number}", settings=settings, policy=policy) for number in range(1, count)]
        return cls(sites=[first, *others], dsn=dsn, slack=slack)

    @contextlib.asynccontextmanager
    async def running(
        self, number: int, *, env: Mapping[str, str] | None = None, clock: Path | None = None
    ) -> AsyncIterator[Receiver]:
        """The receiver of one host. `clock` says by how many seconds the host's clock is ahead."""
        host = self.second.get(number, number)
        own = {
            journals.SERVER: self.dsn,
            "FREEZELINE_JOURNAL_REQUIRE_STANDBY": "false",
            "FREEZELINE_JOURNAL_LEASE_S": LEASE_S,
            "FREEZELINE_HOST": f"host-{host}",
            "FREEZELINE_RECONCILE_EVERY_S": "1",
            **(env or {}),
        }
        started_by = () if clock is None else (BY_CLOCK, clock)
        async with receiver(self.sites[number], env=own, started_by=started_by, cwd=self.sites[host].root) as server:
            yield server

    async def post(self, server: Receiver, data: bytes) -> int:
        """POST a webhook to one of the receivers; the status of the answer."""
        status = await server.post(data)
        if status == 200:
            self.acknowledged.add(hashlib.sha256(data).hexdigest())
        return status

    def check_kept(self) -> int:
        """The chain of decisions is unbroken, and every 200 is in the journal. Returns the number of decisions."""
        with contextlib.closing(postgres_store(self.dsn, require_standby=False).reader()) as connection:
            verdict = verify(View(connection).all_decisions())
        if verdict.broken_at is not None:
            near = f"SELECT * FROM decision WHERE seq BETWEEN {verdict.broken_at} - 9 AND {verdict.broken_at} + 3"
            raise AssertionError((verdict, *self.rows(f"{near} ORDER BY seq")))
        kept = {sha256 for (sha256,) in self.rows("SELECT sha256 FROM delivery")}
        assert self.acknowledged
        assert self.acknowledged - kept == set()
        return verdict.rows

    def check_end(self, told: set[str] = TOLD, *, again: Collection[str] = (), without: Collection[int] = ()) -> None:
        """What must hold after every failure.

        The chain is unbroken, every 200 is in the journal, the rollback was started once, no notice is lost or
        repeated without its mark, and each host's flag is as the journal says. `again` may be told again: the database
        has lost that it was told. Hosts `without` a receiver that can read the journal have kept their flag.
        """
        self.check_kept()
        assert self.starts() == 1
        assert {text.removeprefix("(repeat) ") for text in self.told()} == told
        unmarked = Counter(text for text in self.told() if not text.startswith("(repeat) "))
        assert [text for text, count in unmarked.items() if count > 1 and text not in again] == []
        held = self.rows("SELECT 1 FROM freeze_reason WHERE ended_at IS NULL") != []
        flags = self.flags()
        frozen = {number for number, text in enumerate(flags) if text is not None}
        assert frozen == (set(range(len(flags))) if held else set(without))

    async def through_an_incident(self, receivers: Collection[Receiver]) -> None:
        """From the first 200 to the end of the freeze. Nothing of it is lost, and nothing is done twice.

        `receivers` are those that run, while a supervisor starts others.
        """

        async def taken(data: bytes) -> bool:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                return [await self.post(one, data) for one in list(receivers)] == [200] * len(self.sites)
            return False

        await until(lambda: taken(FIRING), WAIT_S, "every receiver takes the webhook")
        await until(self.frozen, WAIT_S, "every host has the flag")
        await self.told_of_rollback()
        await until(lambda: taken(RESOLVED), WAIT_S, "every receiver takes the end")
        await until(self.unfrozen, WAIT_S, "no host has the flag")
        await until(self.heard, WAIT_S, "people are told")
        self.check_end()

    async def told_of_rollback(self) -> None:
        """Wait until the rollback is done and people know it.

        An alert that resolves earlier may cancel the rollback: one that has not begun is not needed any more.
        """
        await until(lambda: self.rollbacks() == ["SUCCEEDED"], WAIT_S, "the rollback is done")
        await until(lambda: self.heard(FROZEN), WAIT_S, "people are told")

    async def to_the_end(self, server: Receiver) -> None:
        """From the done rollback to the end of the freeze, by the receiver that hears of the resolved alert."""
        await self.told_of_rollback()
        assert await self.post(server, RESOLVED) == 200
        await until(self.unfrozen, WAIT_S, "no host has the flag")
        await until(self.heard, WAIT_S, "people are told")

    def flags(self) -> list[str | None]:
        """The flag's text on each host; None where there is none."""
        return [read_flag(site.flag) for number, site in enumerate(self.sites) if number not in self.second]

    def frozen(self) -> bool:
        """Whether every host has the same flag."""
        texts = self.flags()
        return texts[0] is not None and len(set(texts)) == 1

    def unfrozen(self) -> bool:
        """Whether no host has the flag."""
        return not any(self.flags())

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the journal."""
        with contextlib.closing(postgres_store(self.dsn, require_standby=False).reader()) as connection:
            return connection.execute(sql).fetchall()

    def leader(self) -> str:
        """The host that leads now; empty if none does."""
        ((place,),) = self.rows(
            "SELECT CASE WHEN lead_until > clock_timestamp() THEN lead_place ELSE '' END FROM chain_head"
        )
        return str(place).partition(":")[0]

    def known_right(self) -> bool:
        """Whether the journal says of each host what is on its disk."""
        said = dict(self.rows("SELECT host, state FROM flag_on_host WHERE error = ''"))
        return said == {
            f"host-{number}": "unfrozen" if flag is None else "frozen" for number, flag in enumerate(self.flags())
        }

    def guarding(self) -> int:
        """How many hosts with a live receiver guard the service."""
        ((count,),) = self.rows(
            "SELECT count(*) FROM flag_on_host JOIN receiver USING (host) WHERE guards = 1 "
            f"AND seen_at > clock_timestamp() - interval '{LEASE_S} s'"
        )
        return int(count)

    def starts(self) -> int:
        """How often the rollback's command was started."""
        return len(self.sites[0].lines("rollbacks"))

    def rollbacks(self) -> Sequence[str]:
        """The states of all rollbacks."""
        return [state for (state,) in self.rows("SELECT state FROM action WHERE type = 'rollback'")]

    def heard(self, told: set[str] = TOLD) -> bool:
        """Whether people were told all of this, marks of repeats left out."""
        return {text.removeprefix("(repeat) ") for text in self.told()} >= told

    def told(self) -> list[str]:
        """What Slack got."""
        return [message["text"] for message in self.slack.received]
