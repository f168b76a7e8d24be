"""Options for paths and URLs on Alertmanager's machine, for every command that writes its configuration."""

from __future__ import annotations

import argparse
from urllib.parse import urlsplit

from generator.render.alertmanager.places import DEFAULTS, Settings

WEBHOOK_URL = "--webhook-url"
SECRETS = "--secrets"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    webhook_urls(parser, "the URL that Alertmanager calls (default: http://127.0.0.1:9099/webhook)")
    parser.add_argument(
        SECRETS, metavar="DIR", help="the directory of Alertmanager's secret files (default: /etc/alertmanager/secrets)"
    )


def webhook_urls(parser: argparse.ArgumentParser, meaning: str) -> None:
    """Declare the option for the receiver's address, which may be given for each of several receivers."""
    parser.add_argument(
        WEBHOOK_URL, metavar="URL", action="append", type=_url, help=f"{meaning}; once for each of several receivers"
    )


def _url(text: str) -> str:
    try:
        split = urlsplit(text)
        whole = split.scheme in {"http", "https"} and split.hostname is not None and text.isprintable()
    except ValueError:
        whole = False
    if not whole or " " in text:
        raise argparse.ArgumentTypeError(f"{text!r} is no URL: write http://HOST:9099/webhook")
    return text


def settings(args: argparse.Namespace, template: str | None = None) -> Settings:
    """The values of the options, with defaults."""
    return Settings(
        webhook_urls=tuple(args.webhook_url or DEFAULTS.webhook_urls),
        secrets=args.secrets or DEFAULTS.secrets,
        template=template or DEFAULTS.template,
    )


def words(args: argparse.Namespace) -> list[str]:
    """The options as written, for a command line that repeats them."""
    given = (*((WEBHOOK_URL, url) for url in args.webhook_url or ()), (SECRETS, args.secrets))
    return [word for option, value in given if value for word in (option, value)]
