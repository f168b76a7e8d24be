"""What a notice says: title and text of each event, made from facts. Pure; `receiver.templates` lays the texts out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from receiver.decide.notice import TEXT_MAX, TITLE_MAX, Event
from receiver.plaintext import plain

Facts = Mapping[str, str]


def message(event: Event, service: str, facts: Facts) -> tuple[str, str]:
    """Title and text, plain, of one line each. If a fact is missing, its part of the text is missing too."""
    title, text = _WORDS[event]
    known = {"service": service, "alert": facts.get("alert") or "frozen by hand", "level": facts.get("level", "")}
    return plain(title.format_map(known), TITLE_MAX), plain(text(facts), TEXT_MAX)


def _reason(facts: Facts) -> str:
    return facts.get("reason") or facts.get("alert") or "An alert fires"


def _opened(facts: Facts) -> str:
    return _reason(facts)


def _frozen(facts: Facts) -> str:
    when = f"Unfrozen when: {facts.get('unfreeze_when', 'an operator unfreezes the service')}"
    return ". ".join((*_with_hosts(_reason(facts), facts), when))


def _with_hosts(text: str, facts: Facts) -> list[str]:
    """A text, and which hosts it holds for. Hosts for which the text does not hold come first: a text may be cut."""
    missing, there = facts.get("hosts_missing", ""), facts.get("hosts", "")
    said = (missing, there, text) if missing else (text, there)
    return [one for one in said if one]


def _freeze_failed(facts: Facts) -> str:
    error = ". ".join(_with_hosts(facts.get("error") or "unknown error", facts))
    return f"{error}. Freezeline keeps trying. Meanwhile, check by hand whether deployments are stopped"


def _unfreeze_failed(facts: Facts) -> str:
    error = ". ".join(_with_hosts(facts.get("error") or "unknown error", facts))
    return f"{error}. Deployments stay stopped. Freezeline keeps trying to end the freeze"


def _renewed(facts: Facts) -> str:
    since = ". ".join(_with_hosts(f"Frozen for {facts.get('frozen_for', 'a while')}: {_reason(facts)}", facts))
    return f"{since}. Is this freeze still needed? To end a freeze, run: freezeline unfreeze --reason …"


def _unfrozen(facts: Facts) -> str:
    reason = facts.get("end_reason") or "every condition to unfreeze is met"
    by = facts.get("ended_by", "")
    said = f"By {by}: {reason}" if by and by != "policy" else reason
    return ". ".join(_with_hosts(said, facts))


def _resolved(facts: Facts) -> str:
    return f"{facts.get('alert') or 'The alert'} stayed resolved, and no other alert of this incident is open"


def _expired(facts: Facts) -> str:
    return f"{facts.get('alert', 'The alert')} does not fire any more, says Alertmanager. The review ended the freeze"


def _restored(_facts: Facts) -> str:
    happened = "Somebody removed or edited the flag by hand, and Freezeline restored the flag"
    return f"{happened}. To end a freeze, run: freezeline unfreeze --reason …"


def _rollback_started(facts: Facts) -> str:
    release = facts.get("release")
    return f"Release {release} is being rolled back. {_reason(facts)}" if release else _reason(facts)


def _rollback_done(facts: Facts) -> str:
    release, duration = facts.get("release"), facts.get("duration")
    what = f"Release {release} was rolled back" if release else "Done"
    return f"{what} in {duration}" if duration else what


def _rollback_failed(facts: Facts) -> str:
    error = facts.get("error") or "the rollback could not be verified"
    return f"{error[0].upper()}{error[1:]}. Check the service now; if the bad release still runs, roll back by hand"


def _error_or_reason(facts: Facts) -> str:
    return facts.get("error") or _reason(facts)


def _rollback_cancelled(facts: Facts) -> str:
    by = facts.get("cancelled_by")
    return f"By {by}: {_reason(facts)}" if by else _reason(facts)


def _rollback_undone(facts: Facts) -> str:
    by = facts.get("cancelled_by")
    return f"{by} asked for the undo command, which has run" if by else "The undo command has run"


def _feature_flag(facts: Facts) -> str:
    return facts.get("sentence") or _reason(facts)


def _feature_flag_kept(facts: Facts) -> str:
    return f"{facts.get('sentence') or 'Somebody changed the feature flag meanwhile'}. Set the flag by hand as you need"


def _feature_flag_failed(facts: Facts) -> str:
    return f"{facts.get('error') or 'unknown error'}. Freezeline keeps trying. Meanwhile, set the flag by hand"


_ASKED: Mapping[str, str] = {"rollback": " Decision needed: roll back? If so, run: freezeline rollback --reason …"}


def _escalation(facts: Facts) -> str:
    ask = _ASKED.get(facts.get("ask", ""), "")
    return f"{_reason(facts)}. Open for {facts.get('open_for', 'a while')}.{ask}"


def _status(facts: Facts) -> str:
    summary = ". ".join(_with_hosts(facts.get("summary") or _reason(facts), facts))
    return f"{summary}. Open for {facts.get('open_for', 'a while')}"


def _acknowledged(facts: Facts) -> str:
    why = f": {facts['why']}" if facts.get("why") else ""
    return f"{facts.get('acknowledged_by') or 'An operator'} acknowledged the incident{why}. Escalation stops"


def _dead_letter(facts: Facts) -> str:
    failed = f"Channel {facts.get('channel', '(unknown)')} failed: {facts.get('error', '')}"
    return f"{failed}. The notice was: {facts.get('title', '')}"


_WORDS: Mapping[Event, tuple[str, Callable[[Facts], str]]] = {
    Event.OPENED: ("{service}: {alert}", _opened),
    Event.FROZEN: ("{service} is frozen", _frozen),
    Event.FREEZE_FAILED: ("Freezing {service} failed", _freeze_failed),
    Event.UNFREEZE_FAILED: ("Unfreezing {service} failed", _unfreeze_failed),
    Event.RENEWED: ("{service} stays frozen", _renewed),
    Event.UNFROZEN: ("{service} is unfrozen", _unfrozen),
    Event.RESOLVED: ("{service}: resolved", _resolved),
    Event.EXPIRED: ("{service}: freeze expired", _expired),
    Event.FLAG_RESTORED: ("{service}: freeze flag restored", _restored),
    Event.ROLLBACK_STARTED: ("{service}: rollback started", _rollback_started),
    Event.ROLLBACK_DONE: ("{service}: rollback done", _rollback_done),
    Event.ROLLBACK_FAILED: ("{service}: ROLLBACK FAILED", _rollback_failed),
    Event.ROLLBACK_SKIPPED: ("{service}: rollback not started", _error_or_reason),
    Event.ROLLBACK_CANCELLED: ("{service}: rollback cancelled", _rollback_cancelled),
    Event.ROLLBACK_UNDONE: ("{service}: rollback undone", _rollback_undone),
    Event.FEATURE_FLAG_SET: ("{service}: feature flag set", _feature_flag),
    Event.FEATURE_FLAG_BACK: ("{service}: feature flag set back", _feature_flag),
    Event.FEATURE_FLAG_KEPT: ("{service}: feature flag left as it is", _feature_flag_kept),
    Event.FEATURE_FLAG_FAILED: ("{service}: feature flag not set", _feature_flag_failed),
    Event.ESCALATION: ("{service}: nobody has acknowledged yet (level {level})", _escalation),
    Event.STATUS: ("{service}: still open", _status),
    Event.ACKNOWLEDGED: ("{service}: acknowledged", _acknowledged),
    Event.DEAD_LETTER: ("{service}: a notice was not delivered", _dead_letter),
    Event.CANARY_STARTED: ("{service}: rollout begins", _reason),
    Event.CANARY_REFUSED: ("{service}: rollout refused", _reason),
    Event.CANARY_SHIFTED: ("{service}: canary gets traffic", _reason),
    Event.CANARY_HELD: ("{service}: rollout is held", _reason),
    Event.CANARY_RESUMED: ("{service}: rollout goes on", _reason),
    Event.CANARY_APPROVAL: ("{service}: rollout waits for an approval", _reason),
    Event.CANARY_APPROVED: ("{service}: stage approved", _reason),
    Event.CANARY_PROMOTED: ("{service}: stage promoted", _reason),
    Event.CANARY_ABORTED: ("{service}: CANARY ABORTED", _reason),
    Event.CANARY_ROLLED_BACK: ("{service}: canary rolled back", _reason),
    Event.CANARY_ROLLBACK_FAILED: ("{service}: CANARY ROLLBACK FAILED", _reason),
    Event.CANARY_SUPERSEDED: ("{service}: rollout superseded", _reason),
    Event.CANARY_SILENT: ("{service}: NOBODY WATCHES THE CANARY", _reason),
    Event.CANARY_DONE: ("{service}: rollout done", _reason),
}
