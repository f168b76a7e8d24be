"""`freezeline toast`: show the receiver's notices as desktop toasts."""

import argparse
import asyncio
import sys

from freezeline.cli import ENVIRONMENT, OK, USAGE
from freezeline.toast.program import follow_until_stopped
from freezeline.toast.seen import SeenFileError
from freezeline.toast.settings import SettingsError, TokenError, read_token, settings_from
from freezeline.toast.show import NoDesktopError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Follow the receiver's event stream and show each notice once, as a desktop toast. Notices older than ten "
        "minutes share one toast. Runs until it is stopped."
    )
    parser.epilog = "Example: freezeline toast --token-file /var/lib/freezeline/tokens/read"
    parser.add_argument(
        "--url",
        default="http://127.0.0.1:9099",
        help="the receiver's address: https://, or http:// on loopback (default: %(default)s)",
    )
    parser.add_argument(
        "--public-url", help="the receiver's address in links; a click opens only links below it (default: --url)"
    )
    parser.add_argument(
        "--token-file",
        required=True,
        help="the file with the `read` token, mode 0600 (the receiver writes STATE/tokens/read)",
    )
    parser.add_argument(
        "--seen-file",
        help="the file that remembers the last notice (default: one for each receiver in your state directory)",
    )
    parser.add_argument(
        "--after",
        type=int,
        metavar="SEQ",
        help="at the first start, also show notices after this journal number (default: only new notices)",
    )
    parser.add_argument("--print", action="store_true", help="print one line for each notice instead of showing toasts")
    parser.add_argument("--json", action="store_true", help="with --print: one JSON object for each line")


def run(args: argparse.Namespace) -> int:
    """Follow the stream until stopped; 0 after SIGINT or SIGTERM."""
    if args.json and not args.print:
        return _fail("--json needs --print", USAGE)
    try:
        settings = settings_from(
            url=args.url,
            public_url=args.public_url,
            token_file=args.token_file,
            seen_file=args.seen_file,
            after=args.after,
        )
        # Later, a token may go and come back. At the start, a missing token is a mistake with an exit code.
        read_token(settings.token_file)
        asyncio.run(follow_until_stopped(settings, printed=args.print, as_json=args.json))
    except SettingsError as error:
        return _fail(str(error), USAGE)
    except (TokenError, SeenFileError, NoDesktopError) as error:
        return _fail(str(error), ENVIRONMENT)
    except BrokenPipeError:
        return _fail("nobody reads the output any more", ENVIRONMENT)
    except KeyboardInterrupt:
        return OK
    return OK


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"freezeline toast: {message}\n")
    return code
