"""Options for where things are on the machine that runs Alertmanager: the same wherever its configuration is made."""

from __future__ import annotations

import argparse

from generator.render.alertmanager.alertmanager import DEFAULTS, Settings

WEBHOOK_URL = "--webhook-url"
SECRETS = "--secrets"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        WEBHOOK_URL, metavar="URL", help="the receiver's webhook (default: http://127.0.0.1:9099/webhook)"
    )
    parser.add_argument(SECRETS, metavar="DIR", help="directory of secret files (default: /etc/alertmanager/secrets)")


def settings(args: argparse.Namespace, template: str | None = None) -> Settings:
    """What the options say, and the defaults for what they do not."""
    return Settings(
        webhook_url=args.webhook_url or DEFAULTS.webhook_url,
        secrets=args.secrets or DEFAULTS.secrets,
        template=template or DEFAULTS.template,
    )


def words(args: argparse.Namespace) -> list[str]:
    """The options as they were written, for a command line that repeats them."""
    given = ((WEBHOOK_URL, args.webhook_url), (SECRETS, args.secrets))
    return [word for option, value in given if value for word in (option, value)]
