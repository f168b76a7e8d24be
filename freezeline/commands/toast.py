"""`freezeline toast`: show the receiver's notices as desktop toasts."""

import argparse
import asyncio
import importlib.util
import os
import platform
import sys
from pathlib import Path

from freezeline import extras
from freezeline.cli import ENVIRONMENT, OK, USAGE
from freezeline.toast import windows
from freezeline.toast.login import Login, LoginError, Registry, call
from freezeline.toast.program import follow_until_stopped
from freezeline.toast.seen import SeenFileError
from freezeline.toast.settings import Settings, SettingsError, TokenError, read_token, settings_from
from freezeline.toast.show import NoDesktopError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Follow the receiver's event stream and show each notice once, as a desktop toast. Notices older than ten "
        "minutes share one toast. Runs until it is stopped. `install` starts the program at each login, with the "
        "options given."
    )
    parser.epilog = "Example: freezeline toast --token-file /var/lib/freezeline/tokens/read"
    parser.add_argument(
        "what",
        nargs="?",
        choices=["install", "uninstall"],
        help="start the program now and at each login, or no longer",
    )
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
    if args.what == "uninstall":
        return _uninstall()
    wrong = _wrong(args)
    if wrong:
        return _fail(wrong, USAGE)
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
        if args.what == "install":
            return _install(settings)
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


def _wrong(args: argparse.Namespace) -> str:
    """Why the options do not fit together; "" if they do."""
    if args.json and not args.print:
        return "--json needs --print"
    if args.token_file is None:
        return "name the file with the receiver's `read` token: --token-file FILE"
    return "install shows toasts, so leave out --print" if args.what == "install" and args.print else ""


def _install(settings: Settings) -> int:
    if importlib.util.find_spec("desktop_notifier") is None:
        return _fail(f"desktop-notifier is not installed: {extras.install('toast')}", ENVIRONMENT)
    # `-P` keeps Python from importing what lies in the current directory.
    command = [_python(), "-P", "-m", "freezeline", "toast", "--url", settings.url]
    command += ["--public-url", settings.public_url, "--token-file", str(settings.token_file.absolute())]
    command += ["--seen-file", str(settings.seen_file.absolute())]
    command += ["--after", str(settings.after)] if settings.after is not None else []
    try:
        print(f"freezeline toast: {_login().install(command)}")
    except (LoginError, OSError) as error:
        return _fail(str(error), ENVIRONMENT)
    return OK


def _uninstall() -> int:
    try:
        print(f"freezeline toast: {_login().uninstall()}")
    except OSError as error:
        return _fail(str(error), ENVIRONMENT)
    return OK


def _login() -> Login:
    registry: Registry | None = None
    if sys.platform == "win32":
        registry = windows.CurrentUser()
    uid = os.getuid() if sys.platform != "win32" else 0
    return Login(
        system=platform.system(),
        home=Path.home(),
        environment=os.environ,
        call=call,
        registry=registry,
        uid=uid,
    )


def _python() -> str:
    """This Python; on Windows the one without a console window, if there is one."""
    windowed = Path(sys.executable).with_name("pythonw.exe")
    return str(windowed) if windowed.exists() else sys.executable


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"freezeline toast: {message}\n")
    return code
