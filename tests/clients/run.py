"""`make clients`: programs that people use, run headless against `qrelay demo`, and AWS's own against the simulator.

And suites that others wrote (`suites.py`), against `qrelay demo` too.

    python tests/clients/run.py [NAME…]       names from the table below, or beginnings of them
    python tests/clients/run.py --list

Needs Node and npm, and the package registry the first time: the programs (1 GB) go to .cache/clients and stay there.
Every client gets a fresh home and work folder and no environment but its own, so that nothing of the person who runs
this is used or changed. Not part of `make test`.
"""

# ruff: noqa: T201 - a program that talks to people

import argparse
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import agents
import aws
import suites
from install import npm_missing
from room import Failure, Room, Server, Skip, demo, simulator


@dataclass(frozen=True)
class Case:
    """`check` raises Failure, or Skip where the gateway has no such route yet."""

    name: str
    server: str
    check: Callable[[Room], None]


CASES = (
    Case("claude", "demo", agents.claude_code),
    Case("claude-default", "demo", agents.claude_code_default_model),
    Case("claude-stream", "demo", agents.claude_code_streamed),
    Case("claude-context", "demo", agents.claude_code_context),
    Case("opencode-messages", "demo", agents.opencode_messages),
    Case("opencode-chat", "demo", agents.opencode_chat),
    Case("opencode-responses", "demo", agents.opencode_responses),
    Case("codex", "demo", agents.codex),
    Case("codex-compacts", "demo", agents.codex_compacts),
    Case("suite-openai-python", "demo", suites.openai_python),
    Case("suite-anthropic-python", "demo", suites.anthropic_python),
    Case("suite-openresponses", "demo", suites.openresponses),
    Case("suite-schemathesis", "demo", suites.schemathesis),
    Case("aws-streaming", "simulate", aws.streaming),
    Case("aws-control", "simulate", aws.control),
    Case("aws-oidc", "simulate", aws.oidc),
)
SERVERS = {"demo": demo, "simulate": simulator}


def main() -> None:
    options = _options()
    if options.list:
        print(*(case.name for case in CASES), sep="\n")
        return
    cases = [case for case in CASES if not options.names or case.name.startswith(tuple(options.names))]
    if not cases:
        sys.exit(f"no client is called {' or '.join(options.names)}; --list prints the names")
    if missing := npm_missing():
        print(f"SKIP clients: {missing}")
        return
    signal.signal(signal.SIGTERM, _terminated)
    results: dict[str, str] = {}
    for kind in dict.fromkeys(case.server for case in cases):
        of_kind = [case for case in cases if case.server == kind]
        with contextlib.ExitStack() as stack:
            try:
                server = stack.enter_context(SERVERS[kind]())
            except Failure as failure:
                print(f"FAIL qrelay {kind}: {failure}")
                results.update({case.name: "failed" for case in of_kind})
                continue
            for case in of_kind:
                results[case.name] = _run(case, server)
    passed, failed, skipped = (list(results.values()).count(what) for what in ("passed", "failed", "skipped"))
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    sys.exit(1 if failed else 0)


def _run(case: Case, server: Server) -> str:
    started = time.monotonic()
    with _room(server) as room:
        try:
            case.check(room)
        except Skip as skip:
            print(f"SKIP {case.name}: {skip}", flush=True)
            return "skipped"
        except Failure as failure:
            print(f"FAIL {case.name} ({time.monotonic() - started:.1f} s): {failure}", flush=True)
            return "failed"
    print(f"ok   {case.name} ({time.monotonic() - started:.1f} s)", flush=True)
    return "passed"


@contextlib.contextmanager
def _room(server: Server) -> Generator[Room]:
    with tempfile.TemporaryDirectory(prefix="qrelay-client-", ignore_cleanup_errors=True) as name:
        room = Room(server, Path(name) / "home", Path(name) / "work")
        room.home.mkdir()
        room.work.mkdir()
        yield room


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make clients", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these, or those that begin so")
    parser.add_argument("--list", action="store_true", help="print the names")
    return parser.parse_args()


def _terminated(*_: object) -> None:
    sys.exit(143)  # by way of the blocks that stop what runs


if __name__ == "__main__":
    main()
