"""Alertmanager's configuration: the receiver's route first (contracts: alerts), then people, inhibitions, mute times.

Every route is complete in itself, so that the same ones serve in a file of their own and in a user's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources

from generator import names
from generator.model import Spec
from generator.mute_times import MuteInterval, MuteTime
from generator.render import inhibitions, people
from generator.render.inhibitions import Data, matcher

RECEIVER = "freezeline"
NOBODY = "nobody"
TEMPLATE_FILE = "freezeline.tmpl"
WEBHOOK_URL = "http://127.0.0.1:9099/webhook"
SECRETS = "/etc/alertmanager/secrets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where things are on the machine that runs Alertmanager. `secrets` is a directory of files, one secret each."""

    webhook_url: str = WEBHOOK_URL
    secrets: str = SECRETS
    template: str = TEMPLATE_FILE


DEFAULTS = Settings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What Freezeline puts into a configuration. `mail` are global settings that some receiver relies on."""

    routes: tuple[Data, ...]
    receivers: tuple[Data, ...]
    inhibit_rules: tuple[Data, ...]
    time_intervals: tuple[Data, ...]
    templates: tuple[str, ...]
    mail: Data


def render(spec: Spec, settings: Settings = DEFAULTS) -> Data:
    """A configuration for one spec, complete and valid."""
    return render_merged([spec], settings)


def render_merged(specs: Iterable[Spec], settings: Settings = DEFAULTS) -> Data:
    """A configuration for several specs. What no route takes reaches the receiver `nobody`."""
    found = parts(list(specs), settings)
    config: Data = {"global": found.mail} if found.mail else {}
    config |= {
        "templates": list(found.templates),
        "route": {"receiver": NOBODY, "routes": list(found.routes)},
        "receivers": [{"name": NOBODY}, *found.receivers],
    }
    if found.inhibit_rules:
        config["inhibit_rules"] = list(found.inhibit_rules)
    if found.time_intervals:
        config["time_intervals"] = list(found.time_intervals)
    return config


def parts(specs: Sequence[Spec], settings: Settings = DEFAULTS) -> Parts:
    """What belongs into a configuration for these specs."""
    ordered = sorted(specs, key=lambda spec: (spec.service, spec.name))
    planned = [route for spec in ordered for route in people.plan(spec)] + people.self_routes(ordered)
    named = people.receiver_names(route.address for route in planned)
    receivers = {name: people.receiver(name, address, settings.secrets) for address, name in named.items()}
    global_mail = [address.team.email for address in named if "email" in address.media and address.smtp is None]
    return Parts(
        routes=(*receiver_routes(), *(people.route(route, named[route.address]) for route in planned)),
        receivers=(_webhook(settings), *(receivers[name] for name in sorted(receivers))),
        inhibit_rules=tuple(rule for spec in ordered for rule in inhibitions.render(spec)),
        time_intervals=tuple(
            _time_interval(spec.service, muted)
            for spec in ordered
            for muted in (spec.routing.mute_times if spec.routing else ())
        ),
        templates=(settings.template,),
        mail=_mail(global_mail[0]) if global_mail else {},
    )


def receiver_routes() -> tuple[Data, Data]:
    """The routes to the receiver. The watchdog's comes before, so that it reaches nobody else and repeats faster."""
    timing: Data = {"group_by": ["..."], "group_wait": "0s", "group_interval": "10s"}
    watchdog: Data = {
        "receiver": RECEIVER,
        "matchers": [matcher("alertname", names.WATCHDOG)],
        **timing,
        "repeat_interval": "30s",
    }
    everything: Data = {
        "receiver": RECEIVER,
        "matchers": ['freezeline_policy != "off"'],
        "continue": True,
        **timing,
        "repeat_interval": "5m",
    }
    return watchdog, everything


def _webhook(settings: Settings) -> Data:
    authorization = {"type": "Bearer", "credentials_file": f"{settings.secrets}/freezeline-webhook"}
    webhook = {
        "url": settings.webhook_url,
        "send_resolved": True,
        "http_config": {"authorization": authorization, "follow_redirects": False},
    }
    return {"name": RECEIVER, "webhook_configs": [webhook]}


def _mail(first_address: str) -> Data:
    """Mail through the machine's own server, where the spec names none."""
    return {
        "smtp_smarthost": "localhost:25",
        "smtp_from": people.sender_for(first_address),
        "smtp_require_tls": False,
    }


def _time_interval(service: str, muted: MuteTime) -> Data:
    return {"name": f"{service}-{muted.name}", "time_intervals": [_interval(one) for one in muted.intervals]}


def _interval(interval: MuteInterval) -> Data:
    found: Data = {}
    if interval.times:
        found["times"] = [{"start_time": start, "end_time": end} for start, end in interval.times]
    for key in ("weekdays", "days_of_month", "months", "years"):
        ranges = getattr(interval, key)
        if ranges:
            found[key] = list(ranges)
    if interval.location:
        found["location"] = interval.location
    return found


def template_text() -> str:
    """The message templates that the configuration loads; written beside it as `TEMPLATE_FILE`."""
    return resources.files("generator.render").joinpath("templates/alertmanager.tmpl").read_text("utf-8")
