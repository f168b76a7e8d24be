"""Teams and their addresses: whom Alertmanager and the receiver tell, and how each names them."""

from __future__ import annotations

from msgspec import Struct

from freezeline.problems import Position

MEDIA = ("email", "slack", "pagerduty")


class Team(Struct, frozen=True, kw_only=True):
    """How a team is reached. `channels` are the receiver's, for escalation; if empty, the addresses name them."""

    name: str
    slack: str = ""
    email: str = ""
    pagerduty: str = ""
    channels: tuple[str, ...] = ()
    position: Position

    def address(self, medium: str) -> str:
        """The team's address in one of `MEDIA`, or ""."""
        return {"email": self.email, "slack": self.slack, "pagerduty": self.pagerduty}[medium]

    @property
    def media(self) -> tuple[str, ...]:
        """The media by which the team can be reached."""
        return tuple(medium for medium in MEDIA if self.address(medium))


class Smtp(Struct, frozen=True, kw_only=True):
    """The mail server of Alertmanager; its password is read from a file."""

    smarthost: str
    sender: str
    username: str


def owner_team(owner: Owner, position: Position) -> Team:
    """The spec's owner as a team of the same name."""
    return Team(name=owner.team, slack=owner.slack, email=owner.email, pagerduty=owner.pagerduty, position=position)


def channels_of(team: Team) -> tuple[str, ...]:
    """The receiver's channels of a team: the team's `channels`, else one for each address.

    `slack: "#war-room"` is `slack-war-room`, `email: oncall@example.org` is `email-oncall`, `pagerduty: day0` is
    `pagerduty-day0`.
    """
    if team.channels:
        return team.channels
    return tuple(channel_name(medium, team.address(medium)) for medium in team.media)


def channel_name(medium: str, address: str) -> str:
    """An address as a channel's name: the medium, and the part of the address that differs."""
    local = address.rpartition("@")[0] if medium == "email" else address.lstrip("#@")
    safe = "".join(char if (char.isalnum() and char.isascii()) or char in "_.-" else "-" for char in local)
    return f"{medium}-{safe}"


class Owner(Struct, frozen=True, kw_only=True):
    """The team that is told by default. Addresses are names of Alertmanager's receivers, never secrets."""

    team: str
    slack: str = ""
    email: str = ""
    pagerduty: str = ""
    position: Position

    @property
    def addressed(self) -> bool:
        """Whether the owner has any address."""
        return bool(self.slack or self.email or self.pagerduty)
