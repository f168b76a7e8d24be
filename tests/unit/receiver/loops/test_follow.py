"""The flags of a host whose receiver does not lead."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from receiver.act import flagfile
from receiver.context import Context
from receiver.decide.model import FlagFile
from receiver.leading import Leading
from receiver.loops.follow import Follower
from tests.unit.receiver.builders import NOW, episode, freeze_reason, policies, policy, raw_policy

OURS = '{"format": "freezeline.flag/2", "reasons": [{"episode": "E1"}], "rollbacks": []}'


class Host:
    """A flag, the journal's word on it, and a follower."""

    def __init__(self, context: Context, flag: Path) -> None:
        self.flag = flag
        actions = {**raw_policy()["actions"], "freeze": {"type": "freeze", "flag": str(flag)}}
        context.box.policies = policies(policy(actions=actions))
        self.context = replace(context, leading=Leading(several=True, place="b:/state", owner="b:/state#1:x"))
        self.follower = Follower(self.context)

    async def reason(self, name: str = "E1") -> None:
        """The journal gets a reason to freeze."""
        await self.context.journal.write(lambda tx: tx.add_episode(episode(id=name, fingerprint=name, incident=name)))
        await self.context.journal.write(
            lambda tx: tx.add_freeze_reason(freeze_reason(flag=str(self.flag), episode=name))
        )

    async def leader_wrote(self, text: str | None) -> None:
        """The leader has written its flag, or (None) removed it."""
        file = FlagFile(path=str(self.flag), service="gateway", generation=1, text=text, written_at=NOW)
        await self.context.journal.write(lambda tx: tx.put_flag_file(file))

    async def ended(self, name: str = "E1") -> None:
        """The reason ends."""
        reason = freeze_reason(flag=str(self.flag), episode=name)
        await self.context.journal.write(lambda tx: tx.end_freeze_reason(reason, by="alert", reason="resolved"))

    @property
    def text(self) -> str | None:
        """What is on disk."""
        return flagfile.read_flag(self.flag)


@pytest.fixture
def host(context: Context, tmp_path: Path) -> Host:
    """A host without a flag."""
    return Host(context, tmp_path / "flags" / "FREEZE.FLAG")


async def test_the_leaders_text_is_copied_and_restored(host: Host) -> None:
    """Byte by byte, also after somebody edited or removed the flag."""
    await host.reason()
    await host.leader_wrote(OURS)
    await host.follower.compare()
    assert host.text == OURS
    host.flag.write_text("edited")
    await host.follower.compare()
    assert host.text == OURS
    host.flag.unlink()
    await host.follower.compare()
    assert host.text == OURS


async def test_a_host_does_not_wait_for_a_leader_that_cannot_write(host: Host) -> None:
    """An own text, which stays until the leader has one or another reason comes."""
    await host.reason()
    await host.follower.compare()
    own = host.text
    assert flagfile.named_episodes(own) == {"E1"}
    await host.follower.compare()
    assert host.text == own
    await host.reason("E2")
    await host.follower.compare()
    assert flagfile.named_episodes(host.text) == {"E1", "E2"}
    await host.leader_wrote(OURS)
    await host.follower.compare()
    assert host.text == OURS


async def test_the_flag_goes_when_the_leader_has_removed_its_own(host: Host) -> None:
    """Not before: the leader may still be about to find another reason."""
    await host.reason()
    await host.leader_wrote(OURS)
    await host.follower.compare()
    await host.ended()
    await host.follower.compare()
    assert host.text == OURS
    await host.leader_wrote(None)
    await host.follower.compare()
    assert host.text is None


async def test_a_directory_that_is_none_holds_no_flag(host: Host) -> None:
    """A file in the place of the flag's directory is a fault. The end of a freeze must not become a new freeze."""
    host.flag.parent.write_text("no directory")
    await host.reason()
    await host.follower.compare()
    assert "Not a directory" in host.context.faults.said("freeze")
    await host.ended()
    await host.follower.compare()
    reasons = await host.context.journal.read(lambda view: view.freeze_reasons(flag=str(host.flag), held=True))
    assert (reasons, host.text) == ([], None)
    assert host.context.faults.said("freeze") == ""


async def test_a_flag_that_a_person_made_freezes_every_host(host: Host) -> None:
    """The journal gets a reason; the file stays."""
    host.flag.parent.mkdir()
    host.flag.write_text("database migration\n")
    await host.follower.compare()
    reasons = await host.context.journal.read(lambda view: view.freeze_reasons(flag=str(host.flag), held=True))
    assert [reason.reason for reason in reasons] == ["made by hand: database migration"]
    assert host.flag.exists()


async def test_while_the_receiver_leads_the_follower_touches_nothing(host: Host) -> None:
    """The worker does."""
    await host.reason()
    host.context.leading.won(host.context.leading.asked_at())
    await host.follower.compare()
    assert host.text is None
