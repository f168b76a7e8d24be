"""Paths of the receiver's pages, relative to the page's root. Pure; page and notices link to the same places."""

from urllib.parse import quote


def service_page(service: str) -> str:
    """The path of a service's page."""
    return f"page/service?name={quote(service, safe='')}"


def rollout_page(service: str, rollout: str) -> str:
    """The path of the report of one rollout."""
    return f"page/rollout?service={quote(service, safe='')}&id={quote(rollout, safe='')}"


def incident_page(incident: str) -> str:
    """The path of an incident's page."""
    return f"page/incident?id={quote(incident, safe='')}"
