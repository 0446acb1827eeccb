"""The command line: `python -m tamis.localhub run -- COMMAND` and `python -m tamis.localhub serve`."""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import sys
from pathlib import Path

from tamis.localhub.auth import User, parse_user


def _user(text: str) -> User:
    try:
        return parse_user(text)
    except ValueError as error:
        # Not argparse's own message: it would print the token.
        raise argparse.ArgumentTypeError(str(error)) from None


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return int(text)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tamis.localhub", description="The embedded Hub.")
    commands = parser.add_subparsers(dest="action", required=True)
    run = commands.add_parser(
        "run",
        help="run a command against the Hub, started for it or joined",
        usage="%(prog)s [OPTIONS] -- COMMAND...",
        epilog="The exit code is COMMAND's own, or 128 + the signal that ended it.",
    )
    serve = commands.add_parser("serve", help="keep the Hub and its pages open until Ctrl-C")
    for command in (run, serve):
        command.add_argument("--dir", type=Path, default=Path(".localhub"), help="where all is kept (%(default)s)")
        command.add_argument(
            "--user",
            type=_user,
            action="append",
            default=[],
            metavar="NAME:TOKEN[:read|write][:ORG,...]",
            help="one more user besides `me`; may be repeated",
        )
        command.add_argument("--no_seeds", action="store_true", help="without the tiny/* repositories")
    serve.add_argument("--host", default="127.0.0.1", help="what to listen on (%(default)s: this machine alone)")
    serve.add_argument("--port", type=_port, help="by default 7860, or a free one where that is taken")
    serve.add_argument("--until_unused", action="store_true", help=argparse.SUPPRESS)
    return parser


def write_seeds(folder: Path) -> None:
    from tamis.localhub.seeding import seed
    from tamis.localhub.store import Store
    from tamis.tiny import seeds

    written = seed(Store(folder), seeds())
    if written:
        print(f"localhub: wrote {', '.join(written)}", file=sys.stderr)


def run(options: argparse.Namespace, folder: Path, command: list[str]) -> int:
    from tamis.localhub import running

    if not options.no_seeds:
        write_seeds(folder)
    try:
        code = running.run(folder, options.user, command)
    except running.CannotRun as error:
        print(f"localhub: {error}", file=sys.stderr)
        return 1
    python = os.path.relpath(sys.executable) if Path(sys.executable).is_relative_to(Path.cwd()) else "python"
    again = f"{python} -m tamis.localhub serve" + ("" if options.dir == Path(".localhub") else f" --dir {options.dir}")
    print(f"localhub: to look at what is there now: {again}", file=sys.stderr)
    return code


def serve(options: argparse.Namespace, folder: Path) -> int:
    from tamis.localhub.serving import HubAlreadyLive
    from tamis.localhub.serving import serve as serve_folder

    # A plain kill ends the server as Ctrl-C does, records removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    users = options.user
    if options.until_unused:
        from tamis.localhub.running import read_users

        users = read_users(sys.stdin.read())
    elif not options.no_seeds:
        write_seeds(folder)

    def ready(url: str) -> None:
        if not options.until_unused:
            print(f"localhub: {url} (repositories in {folder}; Ctrl-C ends it)", file=sys.stderr, flush=True)

    stay = not options.until_unused
    try:
        serve_folder(folder, users, host=options.host, port=options.port, until_unused=not stay, ready=ready)
    except HubAlreadyLive:
        from tamis.localhub.record import wait_until_live

        record = wait_until_live(folder)
        print(f"localhub: a server is live already{f' at {record.url}' if record else ''}", file=sys.stderr)
        return 1 if stay else 0
    except OSError as error:
        print(f"localhub: cannot listen on {options.host}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


NEEDED = ("markdown_it", "nh3", "starlette", "uvicorn")  # the extra localhub of setup.cfg


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    # Split here: argparse would also take a second '--', which is the command's own.
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    parser = make_parser()
    options = parser.parse_args(arguments[:cut])
    command = arguments[cut + 1 :]
    if (options.action == "run") != bool(command):
        parser.error("run needs a command: run -- COMMAND" if options.action == "run" else "serve runs no command")
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f"localhub: {', '.join(missing)} is not installed: pip install 'tamis[localhub]'", file=sys.stderr)
        return 1
    folder = options.dir.absolute()
    return run(options, folder, command) if options.action == "run" else serve(options, folder)


if __name__ == "__main__":
    sys.exit(main())
