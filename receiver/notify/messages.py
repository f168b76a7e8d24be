"""What a notice says: title and text of each event, from facts. Pure; channels lay it out by `receiver.templates`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from receiver.decide.notice import TEXT_MAX, TITLE_MAX, Event
from receiver.plaintext import plain

Facts = Mapping[str, str]


def message(event: Event, service: str, facts: Facts) -> tuple[str, str]:
    """Title and text, plain, of one line each. Facts that are missing leave their part of the text out."""
    title, text = _WORDS[event]
    known = {"service": service, "alert": facts.get("alert") or "frozen by hand", "level": facts.get("level", "")}
    return plain(title.format_map(known), TITLE_MAX), plain(text(facts), TEXT_MAX)


def _reason(facts: Facts) -> str:
    return facts.get("reason") or facts.get("alert") or "An alert fires"


def _opened(facts: Facts) -> str:
    return _reason(facts)


def _frozen(facts: Facts) -> str:
    return f"{_reason(facts)}. Unfrozen when: {facts.get('unfreeze_when', 'an operator unfreezes it')}"


def _freeze_failed(facts: Facts) -> str:
    return f"The freeze is not complete: {facts.get('error', '')}. It is tried again until it is."


def _renewed(facts: Facts) -> str:
    return f"Frozen for {facts.get('frozen_for', 'a while')}: {_reason(facts)}. Is this freeze still right?"


def _unfrozen(facts: Facts) -> str:
    reason = facts.get("end_reason") or "every condition of the freeze's end is met"
    by = facts.get("ended_by", "")
    return f"By {by}: {reason}" if by and by != "policy" else reason


def _resolved(facts: Facts) -> str:
    return f"{facts.get('alert') or 'It'} stayed resolved; nothing of the incident is open any more"


def _expired(facts: Facts) -> str:
    return f"{facts.get('alert', 'The alert')} is known not to fire any more; its freeze ended at the review"


def _restored(_facts: Facts) -> str:
    return "The flag was removed or edited by hand; it is back. To end a freeze: freezeline unfreeze --reason …"


def _rollback_started(facts: Facts) -> str:
    release = facts.get("release")
    return f"Release {release} is being taken back. {_reason(facts)}" if release else _reason(facts)


def _rollback_done(facts: Facts) -> str:
    release, duration = facts.get("release"), facts.get("duration")
    what = f"Release {release} was taken back" if release else "Done"
    return f"{what} in {duration}" if duration else what


def _rollback_failed(facts: Facts) -> str:
    error = facts.get("error") or "its completion could not be verified"
    return f"{error}. It is not started again by itself: act by hand"


def _error_or_reason(facts: Facts) -> str:
    return facts.get("error") or _reason(facts)


def _rollback_cancelled(facts: Facts) -> str:
    by = facts.get("cancelled_by")
    return f"By {by}: {_reason(facts)}" if by else _reason(facts)


def _rollback_undone(facts: Facts) -> str:
    by = facts.get("cancelled_by")
    return f"The undo command ran, asked for by {by}" if by else "The undo command ran"


def _escalation(facts: Facts) -> str:
    ask = f" Decide: {facts['ask']}?" if facts.get("ask") else ""
    return f"{_reason(facts)}. Open for {facts.get('open_for', 'a while')}.{ask}"


def _status(facts: Facts) -> str:
    return f"{facts.get('summary') or _reason(facts)}. Open for {facts.get('open_for', 'a while')}"


def _acknowledged(facts: Facts) -> str:
    return f"By {facts.get('acknowledged_by') or 'an operator'}. Escalation stops"


def _dead_letter(facts: Facts) -> str:
    return f"{facts.get('channel', 'A channel')} failed: {facts.get('error', '')}. It said: {facts.get('title', '')}"


_WORDS: Mapping[Event, tuple[str, Callable[[Facts], str]]] = {
    Event.OPENED: ("{service}: {alert}", _opened),
    Event.FROZEN: ("{service} is frozen", _frozen),
    Event.FREEZE_FAILED: ("Freezing {service} failed", _freeze_failed),
    Event.RENEWED: ("{service} stays frozen", _renewed),
    Event.UNFROZEN: ("{service} is unfrozen", _unfrozen),
    Event.RESOLVED: ("{service}: resolved", _resolved),
    Event.EXPIRED: ("{service}: freeze expired", _expired),
    Event.FLAG_RESTORED: ("{service}: freeze flag restored", _restored),
    Event.ROLLBACK_STARTED: ("{service}: rollback started", _rollback_started),
    Event.ROLLBACK_DONE: ("{service}: rollback done", _rollback_done),
    Event.ROLLBACK_FAILED: ("{service}: ROLLBACK FAILED", _rollback_failed),
    Event.ROLLBACK_SKIPPED: ("{service}: no rollback", _error_or_reason),
    Event.ROLLBACK_CANCELLED: ("{service}: rollback cancelled", _rollback_cancelled),
    Event.ROLLBACK_UNDONE: ("{service}: rollback undone", _rollback_undone),
    Event.ESCALATION: ("{service}: level {level}, not acknowledged", _escalation),
    Event.STATUS: ("{service}: still open", _status),
    Event.ACKNOWLEDGED: ("{service}: acknowledged", _acknowledged),
    Event.DEAD_LETTER: ("{service}: a notice was not delivered", _dead_letter),
}
