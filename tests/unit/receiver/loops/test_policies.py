"""What a receiver knows of the policies of receivers on other hosts."""

import json

from msgspec.structs import replace

from receiver.context import Context
from receiver.leading import Leading
from receiver.loops.policies import learn
from tests.unit.receiver.builders import episode, policies, policy, raw_policy


async def opened_by(context: Context, text: str) -> str:
    """Another receiver has opened an episode by a policy. Returns the policy's hash in the journal."""
    sha256 = f"{len(text):064x}"
    await context.journal.write(lambda tx: tx.put_policies({"failure-budget": (sha256, text)}))
    await context.journal.write(lambda tx: tx.add_episode(episode(policy_sha256=sha256)))
    return sha256


def beside_others(context: Context) -> Context:
    """A receiver with a policy of its own, whose journal several receivers share."""
    context.box.policies = policies(policy())
    return replace(context, leading=Leading(several=True, place="b:/state", owner="b:/state#1:x"))


async def test_a_policy_of_another_receiver_is_read_from_the_journal(context: Context) -> None:
    """The own policies stay in force."""
    context = beside_others(context)
    own = context.box.policies.in_force
    theirs = raw_policy()
    theirs["rules"][0]["id"] = "another-rule"
    sha256 = await opened_by(context, json.dumps(theirs))
    await learn(context)
    assert [rule.id for rule in context.box.policies.by_sha256[sha256].rules] == ["another-rule"]
    assert context.box.policies.in_force == own


async def test_a_policy_of_a_newer_version_is_a_fault(context: Context) -> None:
    """Health says what to do; the policy is not read again and again."""
    context = beside_others(context)
    sha256 = await opened_by(context, json.dumps({**raw_policy(), "format": "freezeline.policy/9"}))
    for _ in range(2):
        await learn(context)
        assert sha256 not in context.box.policies.by_sha256
    assert "Start a newer version here" in context.faults.said("policy")


async def test_a_receiver_with_a_journal_of_its_own_asks_nothing(context: Context) -> None:
    """Its policies are those that it has put into the journal."""
    context = replace(beside_others(context), leading=Leading())
    before = context.box.policies
    await opened_by(context, json.dumps(raw_policy()))
    await learn(context)
    assert context.box.policies is before
