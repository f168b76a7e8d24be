"""Chosen users of a canary in HAProxy: the keys of a map, which a `use-server` rule of the backend asks.

The map changes at run time only. A reload reads the map's file, which is empty, so chosen users lose the canary.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from receiver.plaintext import plain
from release.policy.canary import ChosenUsers
from release.traffic.adapter import Reached, TrafficError, pass_by
from release.traffic.runtime import Ask, tell


class ChosenInMap:
    """The users of one map. Each key stands for a user, and has the name of one of the canary's servers as its value.

    `reached` is told each command that HAProxy has obeyed, as in `Haproxy`.
    """

    def __init__(self, ask: Ask, users: ChosenUsers, *, canary: Sequence[str], reached: Reached = pass_by) -> None:
        self._ask = ask
        self._reached = reached
        self._map = users.map
        self._wanted = dict(zip(users.values, itertools.cycle(canary), strict=False))

    async def check(self) -> tuple[str, ...]:
        """Reasons why users cannot be chosen: HAProxy has no such map, or the map has users of somebody else."""
        try:
            strangers = sorted(set(await self._entries()) - set(self._wanted))
        except TrafficError as error:
            return (str(error),)
        return (f"the map {self._map} has other users: {plain(', '.join(strangers), 200)}",) if strangers else ()

    async def put(self, *, chosen: bool) -> None:
        """Give the users to the canary, or to nobody, and read the map back. Raises TrafficError."""
        wanted = self._wanted if chosen else {}
        found = await self._entries()
        for user in found.keys() - wanted.keys():
            await self._tell(f"del map {self._map} {user}")
        for user, server in wanted.items():
            if user not in found:
                await self._tell(f"add map {self._map} {user} {server}")
            elif found[user] != server:
                await self._tell(f"set map {self._map} {user} {server}")
        await self._require(wanted)

    async def _tell(self, command: str) -> None:
        await tell(self._ask, command)
        self._reached(command)

    async def require(self) -> None:
        """Raise TrafficError where the running HAProxy chooses other users."""
        await self._require(self._wanted)

    async def _require(self, wanted: Mapping[str, str]) -> None:
        found = await self._entries()
        if found != wanted:
            differing = sorted({user for user, _ in found.items() ^ wanted.items()})
            raise TrafficError(f"the map {self._map} does not choose as meant: {plain(', '.join(differing), 200)}")

    async def _entries(self) -> Mapping[str, str]:
        """Every key of the map with its value. A line of HAProxy's answer is: address, key, value."""
        answer = await self._ask(f"show map {self._map}")
        found: dict[str, str] = {}
        for line in answer.splitlines():
            if not line.strip():
                continue
            address, _, entry = line.strip().partition(" ")
            key, _, value = entry.partition(" ")
            if not address.startswith("0x") or not key:
                raise TrafficError(f"HAProxy has no map {self._map}: {plain(answer, 200)}")
            if key in found:
                raise TrafficError(f"the map {self._map} has the user {plain(key, 60)} twice")
            found[key] = value
        return found
