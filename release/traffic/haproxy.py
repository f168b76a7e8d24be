"""Moves traffic by HAProxy's server weights, through the runtime socket (`level admin`).

Weights k and 100 - k with `roundrobin` split 10,000 requests exactly. HAProxy answers with success and a text even to
a command that it did not obey, so every change is read back. A reload resets weights to the file, where the canary
therefore has `weight 0`.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec import Struct

from receiver.plaintext import plain
from release.traffic.adapter import Reached, TrafficError, pass_by
from release.traffic.haproxy_map import ChosenInMap
from release.traffic.haproxy_steps import steps
from release.traffic.runtime import Ask, tell

STABLE_WEIGHT = 100
"""What each stable server has at least once the canary is cut off."""

SESSIONS_END_S = 2.0
SESSIONS_POLL_S = 0.05
BALANCING = frozenset({"roundrobin"})


class Server(Struct, frozen=True, kw_only=True):
    """One server as `show stat` sees it."""

    name: str
    status: str
    weight: int
    sessions: int


class Haproxy:
    """One backend with the servers of both releases. `ask` speaks to the runtime socket.

    `users` get the canary whatever the weight, as long as the weight is not 0. `reached` is told each command that
    HAProxy has obeyed: boundaries at which a kill must do no harm.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        backend: str,
        stable: Sequence[str],
        canary: Sequence[str],
        users: ChosenInMap | None = None,
        reached: Reached = pass_by,
    ) -> None:
        self._ask = ask
        self._reached = reached
        self._backend = backend
        self._stable = tuple(stable)
        self._canary = tuple(canary)
        self._users = users
        self._meant: Decimal | None = None

    async def check(self, *, before_deploy: bool = False) -> tuple[str, ...]:
        """Reasons why this backend cannot split as asked: balancing, missing servers, and what binds a client.

        A canary server in maintenance is sound: the last abort left the server there, and `set` makes the server ready.
        """
        servers = await self._servers()
        wanted = (*self._stable, *self._canary)
        reasons = [f"the backend {self._backend} has no server {name}" for name in wanted if name not in servers]
        strangers = sorted(set(servers) - set(wanted))
        if strangers:
            reasons.append(f"the backend {self._backend} has other servers, which take traffic: {', '.join(strangers)}")
        reasons += [
            f"the server {name} is {servers[name].status}, not UP"
            for name in (self._stable if before_deploy else wanted)
            if name in servers and not servers[name].status.startswith(("UP", "no check"))
            if name in self._stable or not servers[name].status.startswith("MAINT")
        ]
        chosen = await self._users.check() if self._users is not None else ()
        return (*reasons, *await self._balancing(), *chosen)

    async def _balancing(self) -> list[str]:
        rows = await self._stat()
        backend = next((row for row in rows if row["svname"] == "BACKEND"), None)
        if backend is None:
            return [f"there is no backend {self._backend}"]
        reasons = []
        algorithm, mode = backend.get("algo", ""), backend.get("mode", "")
        if algorithm and algorithm not in BALANCING:
            reasons.append(f"`balance {plain(algorithm, 40)}` does not split by weight: write `balance roundrobin`")
        if mode and mode != "http":
            reasons.append(f"`mode {plain(mode, 20)}` binds whole connections: write `mode http`")
        if backend.get("cookie"):
            reasons.append("a `cookie` binds clients to a server: remove `cookie`")
        agents = [row["svname"] for row in rows if row.get("agent_status")]
        if agents:
            reasons.append(f"an `agent-check` changes the weights of {', '.join(agents)}: remove `agent-check`")
        return reasons

    async def read(self) -> Decimal:
        """The canary's share by the weights in force; servers that take no traffic count as 0.

        Other users than the chosen ones are an error, unless the share itself is another than this adapter has set.
        """
        share = await self._share()
        if share and self._users is not None and self._meant in {None, share}:
            await self._users.require()
        return share

    async def _share(self) -> Decimal:
        servers = await self._servers()
        canary = sum(_effective(servers, name) for name in self._canary)
        total = canary + sum(_effective(servers, name) for name in self._stable)
        return Decimal(canary) / Decimal(total) if total else Decimal(0)

    async def set(self, weight: Decimal) -> None:
        """Set the weights of every server, and read the share back. No share on the way passes the asked one.

        No share is raised while users cannot be chosen; a share is lowered whatever happens to the users. Where the
        share stays 0, nobody is chosen.
        """
        if self._users is not None and weight > await self._share():
            await self._choose_and_move(self._users, weight)
        else:
            await self._move(weight)
        self._meant = weight
        if self._users is not None:
            await self._users.put(chosen=weight > 0)
        found = await self.read()
        if found != weight:
            raise TrafficError(f"HAProxy uses the weight {found:.2%}, not {weight:.2%}")

    async def _choose_and_move(self, users: ChosenInMap, weight: Decimal) -> None:
        """Choose the users, then raise the share. A failure that leaves the share at 0 leaves nobody chosen."""
        try:
            await users.put(chosen=True)
            await self._move(weight)
        except TrafficError:
            with contextlib.suppress(TrafficError):
                if await self._share() == 0:
                    await users.put(chosen=False)
            raise

    async def _move(self, weight: Decimal) -> None:
        if weight > 0:
            await self._ready()
        servers = await self._servers()
        canary, stable = _weights(servers, self._canary), _weights(servers, self._stable)
        names = (*self._canary, *self._stable)
        for step in steps(canary, stable, weight):
            await self._tell(f"set server {self._backend}/{names[step.server]} weight {step.weight}")

    async def _ready(self) -> None:
        """Take the canary's servers out of the maintenance that an abort left them in, with weight 0."""
        servers = await self._servers()
        for name in self._canary:
            server = servers.get(name)
            if server is not None and server.weight and not _weights(servers, [name])[0]:
                await self._tell(f"set server {self._backend}/{name} weight 0")
            await self._tell(f"set server {self._backend}/{name} state ready")

    async def cut(self) -> None:
        """Weight 0, then `maint`, then end the sessions: streams survive `maint`, and cookies survive weight 0."""
        servers = await self._servers()
        for name in self._stable:
            if name not in servers or servers[name].weight < STABLE_WEIGHT:  # A greater weight is never lowered here.
                await self._tell(f"set server {self._backend}/{name} weight {STABLE_WEIGHT}")
        for name in self._canary:
            await self._tell(f"set server {self._backend}/{name} weight 0")
        if await self.read() != 0:
            raise TrafficError(f"HAProxy still gives the canary {await self.read():.2%} of the traffic")
        for name in self._canary:
            await self._tell(f"set server {self._backend}/{name} state maint")
            await self._tell(f"shutdown sessions server {self._backend}/{name}")
        if self._users is not None:
            await self._users.put(chosen=False)  # In maintenance, the canary gets no chosen users either.
        end = asyncio.get_running_loop().time() + SESSIONS_END_S
        while left := await self.sessions():
            if asyncio.get_running_loop().time() >= end:
                raise TrafficError(f"{left} sessions of the canary have not ended yet")
            await asyncio.sleep(SESSIONS_POLL_S)

    async def sessions(self) -> int:
        """How many sessions the canary's servers have now."""
        servers = await self._servers()
        return sum(servers[name].sessions for name in self._canary if name in servers)

    async def _tell(self, command: str) -> None:
        """Send a command that answers nothing. Any text is a refusal."""
        await tell(self._ask, command)
        self._reached(command)

    async def _servers(self) -> Mapping[str, Server]:
        rows = await self._stat()
        if not rows:
            raise TrafficError(f"HAProxy has no backend {self._backend}")
        return {
            row["svname"]: Server(
                name=row["svname"],
                status=row["status"],
                weight=int(row["weight"] or 0),
                sessions=int(row["scur"] or 0),
            )
            for row in rows
            if row["svname"] not in {"BACKEND", "FRONTEND"}
        }

    async def _stat(self) -> list[dict[str, str]]:
        text = (await self._ask(f"show stat {self._backend} -1 -1")).removeprefix("# ")
        rows = list(csv.DictReader(io.StringIO(text)))
        if rows and not {"pxname", "svname", "status", "weight", "scur"} <= set(rows[0]):
            raise TrafficError(f"HAProxy does not show its servers: {plain(text, 200)}")
        return [row for row in rows if row["pxname"] == self._backend]


def _effective(servers: Mapping[str, Server], name: str) -> int:
    """The weight of a server that takes traffic; a server in maintenance, or down, takes none."""
    server = servers.get(name)
    return server.weight if server is not None and server.status.startswith(("UP", "no check")) else 0


def _weights(servers: Mapping[str, Server], names: Sequence[str]) -> list[int]:
    """The weights of servers in their order; 0 for a server in maintenance, which takes no traffic."""
    found = (servers.get(name) for name in names)
    return [one.weight if one is not None and not one.status.startswith("MAINT") else 0 for one in found]
