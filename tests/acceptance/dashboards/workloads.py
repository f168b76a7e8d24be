"""The five systems as workloads: every series that their specs name, well and failing; and the receiver's own."""

import math
from collections.abc import Sequence

from msgspec import Struct

from tests.acceptance.dashboards.meter import Incident, Meter, Step, System, Target

DAY = 86400.0
SECONDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 2.0, 5.0)
_STABLE, _CANARY = 0.9, 0.1


def _day(now: float) -> float:
    """More by day than by night."""
    return 1 + 0.3 * math.sin(2 * math.pi * now / DAY)


def gateway(meter: Meter, now: float, dt: float, trouble: float) -> None:
    """A: failure-budget."""
    load = 60 * _day(now) * dt
    meter.count("http_requests_total", load, code="200")
    meter.count("http_requests_total", 0.05 * load, code="404")
    meter.count("http_requests_total", load * (0.0008 + 0.05 * trouble), code="500")
    meter.count("http_requests_total", load * (0.0002 + 0.01 * trouble), code="503")


def shop(share: float, hurt: float) -> Step:
    """B: canary-medium; one version with its share of the traffic and its share of the trouble."""

    def step(meter: Meter, now: float, dt: float, trouble: float) -> None:
        load = 40 * share * _day(now) * dt
        meter.count("shop_requests_total", load, code="200")
        meter.count("shop_requests_total", load * (0.001 + 0.03 * hurt * trouble), code="500")
        meter.observe("shop_request_duration_seconds", load, 0.28 + 0.45 * hurt * trouble, SECONDS)

    return step


def scripts(share: float, hurt: float, version: str) -> Step:
    """C: day0-launch; one version."""

    def step(meter: Meter, now: float, dt: float, trouble: float) -> None:
        load, bad = 30 * share * _day(now) * dt, hurt * trouble
        meter.count("http_requests_total", load, code="200", version=version)
        meter.count("http_requests_total", load * (0.001 + 0.04 * bad), code="502", version=version)
        meter.count("sse_connect_total", 0.5 * load * (0.98 - 0.15 * bad), outcome="ok", version=version)
        meter.count("sse_connect_total", 0.5 * load * (0.02 + 0.15 * bad), outcome="failed", version=version)
        meter.observe("sse_time_to_first_event_seconds", 0.5 * load, 0.18 + 0.5 * bad, SECONDS, version=version)
        for pod in ("scripts-0", "scripts-1"):
            flaps = bad > 0.3 and int(now / 20) % 2 == 0 and pod == "scripts-1"
            ready = {"condition": "true", "pod": pod, "version": version}
            meter.show("kube_pod_status_ready", 0.0 if flaps else 1.0, wobble=0, **ready)

    return step


def generation(meter: Meter, now: float, dt: float, trouble: float) -> None:
    """D: generation-service."""
    load = 40 * _day(now) * dt
    meter.count("http_requests_total", load, code="200")
    meter.count("http_requests_total", load * (0.0004 + 0.02 * trouble), code="500")
    meter.count("http_requests_total", 0.4 * dt * trouble, code="429")
    jobs = 1.2 * dt
    meter.count("rag_jobs_total", jobs, status="ok")
    meter.count("rag_jobs_total", jobs * (0.006 + 0.12 * trouble), status="failed")
    rag = (5e3, 1e4, 2e4, 3e4, 4.5e4, 6e4, 9e4, 1.2e5)
    meter.observe("rag_job_duration_ms", jobs, 15_000 + 30_000 * trouble, rag)
    meter.observe("embedding_api_latency_ms", 10 * dt, 140 + 260 * trouble, (50, 100, 200, 300, 400, 500, 750, 1000))
    meter.count("sse_connections_opened_total", 6 * dt)
    meter.count("sse_connections_dropped_total", 6 * dt * (0.002 + 0.05 * trouble))
    meter.count("sse_reconnect_count", dt * (0.03 + 0.4 * trouble))
    meter.show("sse_connections_open", 520 * _day(now) + 400 * trouble)
    meter.count("commit_positive_total", dt * 0.02 * (1 - 0.95 * trouble))
    meter.show("memory_token_used_pct", 22 + 15 * trouble)
    for kind, share in (("timeout", 0.5), ("validation", 0.2), ("stream", 0.3)):
        meter.count("ui_error_panel_shown", dt * share * (0.004 + 0.1 * trouble), type=kind)
    meter.count("dlq_entries_total", dt * (0.0004 + 0.02 * trouble))
    meter.show("dlq_entries_waiting", 1 + 13 * trouble, wobble=0)
    meter.show("rag_queue_length", 14 + 60 * trouble, wobble=0.2)
    meter.show("worker_active_jobs", round(6 * (1 - trouble)) if trouble < 0.8 else 0, wobble=0)


def assistant(track: str, share: float, hurt: float) -> Step:
    """E: assistant-phase4; one track, and what both share as seen by it."""

    def step(meter: Meter, now: float, dt: float, trouble: float) -> None:
        load, bad = 50 * share * _day(now) * dt, hurt * trouble
        failed = 0.0012 + 0.5 * bad
        meter.count("http_request_total", load, track=track, code="200")
        meter.count("http_request_total", load * failed, track=track, code="500")
        meter.observe("http_request_duration_seconds", load, 0.14 + 0.4 * bad, SECONDS, track=track)
        meter.show("error_rate_percentage", 100 * failed, track=track)
        engine = (0.01, 0.025, 0.05, 0.1, 0.2, 0.5)
        meter.observe("personality_router_latency_seconds", load, 0.008 + 0.02 * bad, engine, track=track)
        meter.observe("recommendation_engine_latency", 0.4 * load, 0.035 + 0.05 * bad, engine, track=track)
        meter.observe("multiturn_engine_latency", 0.6 * load, 0.07 + 0.08 * bad, engine, track=track)
        meter.count("recommendation_served_total", 0.4 * load, track=track)
        meter.count("recommendation_top2_hit_total", 0.4 * load * (0.53 - 0.06 * bad), track=track)
        meter.show("session_count", 900 * share * _day(now), track=track)
        meter.show("container_memory_used_ratio", 0.58 + 0.3 * bad, track=track)
        meter.show("container_cpu_used_ratio", 0.41 + 0.4 * bad, track=track)
        meter.show("db_pool_in_use", 22 * _day(now) + 20 * bad, track=track)
        meter.show("db_pool_size", 50, wobble=0, track=track)
        meter.count("cache_lookups_total", 3 * load, track=track)
        meter.count("cache_hits_total", 3 * load * (0.88 - 0.3 * bad), track=track)

    return step


_SERVICES = ("gateway", "shop", "script-generation", "generation", "assistant")
_CANARIES = {"shop": 0.1, "script-generation": 0.1, "assistant": 0.5}


class Receiver(Struct):
    """The receiver's own metrics (contracts: receiver metrics), as it acts on the trouble of these services."""

    acting_s: float = 0.0
    rolled_back: int = 0

    def __call__(self, meter: Meter, now: float, dt: float, trouble: float) -> None:
        """What it tells after `dt` more seconds."""
        acts = trouble > 0.35
        before, self.acting_s = self.acting_s, self.acting_s + dt if acts else 0.0
        if before < 180 <= self.acting_s:
            self.rolled_back += 1
        for service in _SERVICES:
            meter.show("freezeline_frozen", float(acts), wobble=0, service=service)
            _gauge_or_gone(meter, "freezeline_episodes_open", float(acts), service=service, severity="critical")
            self._rehearse(meter, now, service)
            states = {
                "RUNNING": float(0 < self.acting_s < 90),
                "VERIFYING": float(90 <= self.acting_s < 180),
                "SUCCEEDED": float(self.rolled_back),
            }
            for state, count in states.items():
                _gauge_or_gone(meter, "freezeline_action_state", count, service=service, type="rollback", state=state)
        for service, weight in _CANARIES.items():
            meter.show("freezeline_canary_weight", 0.0 if acts else weight, wobble=0, service=service)
            rollout = {"BAKE": not acts, "ABORTING": 0 < self.acting_s < 180, "ROLLED_BACK": self.acting_s >= 180}
            for state, holds in rollout.items():
                meter.show("freezeline_canary_state", float(holds), wobble=0, service=service, state=state)
        _gauge_or_gone(meter, "freezeline_dead_letters", float(trouble > 0.6), channel="email-oncall")
        meter.show("freezeline_policy_load_ok", 1, wobble=0)

    @staticmethod
    def _rehearse(meter: Meter, now: float, service: str) -> None:
        """A recovery every night at 02:00 UTC."""
        rehearsal = {"service": service, "kind": "recovery"}
        last = (now - 7200) // 86400 * 86400 + 7200
        meter.show("freezeline_rehearsal_last_success_timestamp_seconds", last, wobble=0, **rehearsal)
        meter.show("freezeline_rehearsal_seconds", 84, wobble=0, measure="rto", **rehearsal)


def _gauge_or_gone(meter: Meter, name: str, value: float, **labels: str) -> None:
    """The receiver tells only of what is there: a count of 0 has no series."""
    if value > 0:
        meter.show(name, value, wobble=0, **labels)
    else:
        meter.values.pop((name, tuple(sorted(labels.items()))), None)


def systems(earlier: Sequence[Incident] = ()) -> tuple[System, ...]:
    """All systems. Each has its trouble when the live part begins, and before it at its own times."""

    def incidents(begins_s: float, level: float, *before: Incident) -> tuple[Incident, ...]:
        return (Incident(begins_s=begins_s, ends_s=math.inf, level=level), *before, *earlier)

    blip = Incident(begins_s=-7500, ends_s=-7000, level=0.5)
    gone = Incident(begins_s=-2700, ends_s=-2400, level=1.0, rise_s=1)
    return (
        System(
            targets=(Target(job="gateway", instance="gateway-1", step=gateway, meter=Meter(seed=1)),),
            incidents=incidents(-900, 0.7, blip),
        ),
        System(
            targets=tuple(
                Target(
                    job="shop",
                    instance=f"shop-{version}",
                    labels=(("version", version),),
                    step=shop(share, hurt),
                    meter=Meter(seed=seed),
                    down_above=down,
                )
                for version, share, hurt, seed, down in (
                    ("stable", _STABLE, 0.1, 2, 2.0),
                    ("canary", _CANARY, 1.0, 3, 0.95),
                )
            ),
            incidents=incidents(-1200, 0.8, gone),
        ),
        System(
            targets=tuple(
                Target(
                    job="scripts",
                    instance=f"scripts-{version}",
                    step=scripts(share, hurt, version),
                    meter=Meter(seed=seed),
                )
                for version, share, hurt, seed in (("old", _STABLE, 0.3, 4), ("new", _CANARY, 1.0, 5))
            ),
            incidents=incidents(-600, 0.9, blip),
        ),
        System(
            targets=(Target(job="generation", instance="generation-1", step=generation, meter=Meter(seed=6)),),
            incidents=incidents(-1500, 0.85, blip),
        ),
        System(
            targets=tuple(
                Target(
                    job="assistant",
                    instance=f"assistant-{track}",
                    step=assistant(track, share, hurt),
                    meter=Meter(seed=seed),
                )
                for track, share, hurt, seed in (("control", 0.5, 0.01, 7), ("treatment", 0.5, 1.0, 8))
            ),
            incidents=incidents(-1800, 0.75, blip),
        ),
        System(
            targets=(Target(job="freezeline", instance="receiver", step=Receiver(), meter=Meter(seed=9)),),
            incidents=incidents(-500, 0.8, blip),
        ),
    )
