"""`make bench`: what a request and a streamed event cost in the gateway, as ratios to a pass-through of the same bytes.

Gateway and floor (nginx with `proxy_buffering off`, or our own pass-through where nginx isn't installed) run side by
side on core 0; the load generator and the pretend upstream have core 1. Rounds alternate between the two, and a figure
is the median of the rounds' ratios, so that a noisy machine disturbs both alike. CPU is the scheduler's time of the
whole process tree. Every answer is checked: its status, its number of deltas, its last event.

The floor gets the client's request and hands the service's event stream through as it is.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import bodies
import micro
from processes import KIT_CORE, Broken, cpu_seconds, memory_mb, running
from report import FIGURES, Line, Quantity, Report, table
from servers import HERE, Kit, Server, Upstream, build_kit, floor, floor_name, gateway, upstream


@dataclass(frozen=True)
class Api:
    name: str
    path: str
    header: str
    end: str
    """What stands in the last bytes of a whole answer."""


CHAT = Api("chat", "/v1/chat/completions", "Authorization: Bearer bench", "data: [DONE]\n\n")
MESSAGES = Api("messages", "/v1/messages", "x-api-key: bench\r\nanthropic-version: 2023-06-01", '"message_stop"}\n\n')
FLOOR_END = '"unitPlural":"credits"}'


@dataclass(frozen=True)
class Workload:
    """Requests of one size, answered in one way. A connection sends the next when its answer has ended."""

    name: str
    connections: int
    requests: int
    frames: int = 1
    every_ms: int = 0
    ramp_ms: int = 0
    body: Literal["1k", "99k"] = "1k"
    rounds: int = 99
    """In how many of the rounds it takes part."""
    look_at_memory_after: float = 0
    """Seconds into it at which all streams are open."""


def workloads(scale: float, *, quick: bool) -> tuple[Workload, ...]:
    def some(requests: int) -> int:
        return max(int(requests * scale), 20)

    return (
        Workload("request 1 KB", 8, some(1200)),
        Workload("request 99 KB", 8, some(400), body="99k"),
        Workload("burst", 8, some(160), frames=200),
        Workload("paced", 100, 100, frames=50, every_ms=20, ramp_ms=20),
        Workload("unloaded", 1, some(300)),
        Workload(
            "open", 500, 500, frames=50, every_ms=40, ramp_ms=500, rounds=1 if quick else 3, look_at_memory_after=1.3
        ),
    )


@dataclass(frozen=True)
class Sample:
    """What one server showed under one workload. CPU in seconds, latencies in microseconds."""

    quantities: dict[Quantity, float]
    growth_mb: float


@dataclass
class Run:
    """One interleaved run and what it gathers."""

    kit: Kit
    behind: Upstream
    floor: Server
    gateway: Server
    folder: Path
    ratios: dict[tuple[str, str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    """(API, workload, quantity) → one ratio per round."""
    stream_memory: list[float] = field(default_factory=list[float])
    """MB per 1,000 open streams."""
    answers: int = 0

    def one_round(self, number: int, plan: tuple[Workload, ...]) -> None:
        for workload in plan:
            if number >= workload.rounds:
                continue
            self.behind.answer_with(workload.frames, workload.every_ms)
            for api in (CHAT, MESSAGES):
                first, second = (self.floor, self.gateway) if number % 2 else (self.gateway, self.floor)
                samples = {
                    first.name: self.measure(first, api, workload),
                    second.name: self.measure(second, api, workload),
                }
                below, ours = samples[self.floor.name], samples[self.gateway.name]
                for quantity, value in ours.quantities.items():
                    self.ratios[api.name, workload.name, quantity].append(
                        value / below.quantities[quantity] if below.quantities[quantity] else 0
                    )
                if workload.look_at_memory_after:
                    self.stream_memory.append(ours.growth_mb / workload.connections * 1000)

    def measure(self, server: Server, api: Api, workload: Workload) -> Sample:
        passthrough = server is self.floor
        command = (
            self.kit.load,
            str(server.port),
            "/" if passthrough else api.path,
            api.header,
            self.folder / f"{api.name}-{workload.body}.json",
            str(workload.connections),
            str(workload.requests),
            str(workload.ramp_ms),
            str(workload.frames),
            FLOOR_END if passthrough else api.end,
            "30",
        )
        cpu, memory, growth = cpu_seconds(server.pid), 0.0, 0.0
        if workload.look_at_memory_after:
            memory = memory_mb(server.pid)
        with running(command, KIT_CORE, self.folder, announces=True) as process:
            if workload.look_at_memory_after:
                time.sleep(workload.look_at_memory_after)
                growth = memory_mb(server.pid) - memory
            try:
                said, _ = process.communicate(timeout=45)
            except subprocess.TimeoutExpired:
                raise Broken(f"{server.name}, {api.name}, {workload.name}: no end within 45 s") from None
        cpu = cpu_seconds(server.pid) - cpu
        if process.returncode:
            complaints = (self.folder / f"load-{KIT_CORE}.log").read_text(errors="replace")
            raise Broken(f"{server.name}, {api.name}, {workload.name}: wrong answers\n{complaints}{said.decode()}")
        counted = json.loads(said)
        self.answers += counted["done"]
        return Sample(
            {
                "cpu_per_request": cpu / workload.requests,
                "cpu_per_event": cpu / workload.requests / workload.frames,
                "ttft_p50": counted["ttft_p50"],
                "ttft_p99": counted["ttft_p99"],
                "age_p99": counted["age_p99"],
            },
            growth,
        )

    def report(self, rounds: int, idle_mb: float) -> Report:
        lines = [
            Line.of(api.name, figure.what, ratios, figure.must)
            for figure in FIGURES
            for api in (CHAT, MESSAGES)
            if (ratios := self.ratios[api.name, figure.workload, figure.quantity])
        ]
        lines.append(Line.of("", "memory of the idle gateway", [idle_mb], 60, "MB"))
        if self.stream_memory:
            lines.append(Line.of("both", "memory per 1,000 open streams", self.stream_memory, 30, "MB"))
        lines.extend(micro.measure())
        return Report(self.floor.name, rounds, self.answers, lines)


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, _terminated)
    started = time.monotonic()
    rounds = options.rounds or (3 if options.quick else 7)
    try:
        with _prepared(options.floor or floor_name()) as run:
            idle = memory_mb(run.gateway.pid)
            run.one_round(0, workloads(0.1, quick=True)[:3])
            run.ratios.clear()
            for number in range(rounds):
                run.one_round(number, workloads(0.5 if options.quick else 1, quick=options.quick))
                print(f"round {number + 1} of {rounds}", file=sys.stderr)
    except Broken as broken:
        sys.exit(f"make bench: {broken}")
    report = run.report(rounds, idle)
    print(table(report.lines, f"gateway / {report.floor}"))
    print(f"{report.answers} answers, each whole, in {time.monotonic() - started:.0f} s")
    if report.floor != "nginx":
        print("The floor was our own pass-through; the targets are ratios to nginx (apt-get install nginx-light).")
    if not options.no_record:
        print(f"recorded in {report.append_to(HERE / 'results').relative_to(HERE.parent)}")
    if options.gate and not all(line.met for line in report.lines):
        sys.exit(1)


def _terminated(*_: object) -> None:
    sys.exit(143)  # by way of the blocks that stop what runs


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--rounds", type=int, help="how many")
    parser.add_argument("--floor", choices=("nginx", "own"), help="what to compare with: nginx, where it is installed")
    parser.add_argument("--gate", action="store_true", help="exit 1 when a figure is over its target")
    parser.add_argument("--no-record", action="store_true", help="leave bench/results alone")
    return parser.parse_args()


@contextmanager
def _prepared(floor_kind: str) -> Generator[Run]:
    kit = build_kit()
    with tempfile.TemporaryDirectory(prefix="qrelay-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        for (api, size), body in bodies.both().items():
            (folder / f"{api}-{size}.json").write_bytes(body)
        behind = stack.enter_context(upstream(kit, folder))
        below = stack.enter_context(floor(floor_kind, behind, folder))
        ours = stack.enter_context(gateway(behind, folder))
        yield Run(kit, behind, below, ours, folder)


if __name__ == "__main__":
    main()
