"""Options for paths and URLs on Alertmanager's machine, for every command that writes its configuration."""

from __future__ import annotations

import argparse

from generator.render.alertmanager.places import DEFAULTS, Settings

WEBHOOK_URL = "--webhook-url"
SECRETS = "--secrets"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        WEBHOOK_URL, metavar="URL", help="the URL that Alertmanager calls (default: http://127.0.0.1:9099/webhook)"
    )
    parser.add_argument(
        SECRETS, metavar="DIR", help="the directory of Alertmanager's secret files (default: /etc/alertmanager/secrets)"
    )


def settings(args: argparse.Namespace, template: str | None = None) -> Settings:
    """The values of the options, with defaults."""
    return Settings(
        webhook_url=args.webhook_url or DEFAULTS.webhook_url,
        secrets=args.secrets or DEFAULTS.secrets,
        template=template or DEFAULTS.template,
    )


def words(args: argparse.Namespace) -> list[str]:
    """The options as written, for a command line that repeats them."""
    given = ((WEBHOOK_URL, args.webhook_url), (SECRETS, args.secrets))
    return [word for option, value in given if value for word in (option, value)]
