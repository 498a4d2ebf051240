"""What a run says: the figures, their targets, the table and the recorded line. Ratios and megabytes, no bare times."""

import json
import platform
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Literal

Quantity = Literal["cpu_per_request", "cpu_per_event", "ttft_p50", "ttft_p99", "age_p99"]


@dataclass(frozen=True)
class Figure:
    """A quantity of a workload, and the most its ratio to nginx may be."""

    workload: str
    quantity: Quantity
    what: str
    must: float


FIGURES = (
    Figure("request 1 KB", "cpu_per_request", "CPU per request, 1 KB", 15),
    Figure("request 99 KB", "cpu_per_request", "CPU per request, 99 KB", 18),
    Figure("burst", "cpu_per_event", "CPU per event, 200 at once", 13),
    Figure("paced", "cpu_per_event", "CPU per event, 100 streams, one per 20 ms", 3),
    Figure("unloaded", "ttft_p50", "time to first byte, unloaded, p50", 3),
    Figure("unloaded", "ttft_p99", "time to first byte, unloaded, p99", 3),
    Figure("open", "age_p99", "latency per event, 500 streams, p99", 4),
)


@dataclass(frozen=True)
class Line:
    """One line of the table: the median of the rounds' ratios (or of megabytes), and how far they spread."""

    api: str
    what: str
    middle: float
    least: float
    most: float
    must: float
    unit: Literal["x", "MB"] = "x"

    @classmethod
    def of(cls, api: str, what: str, values: list[float], must: float, unit: Literal["x", "MB"] = "x") -> "Line":
        return cls(api, what, round(median(values), 3), round(min(values), 3), round(max(values), 3), must, unit)

    @property
    def met(self) -> bool:
        return self.middle <= self.must


def table(lines: list[Line], heading: str) -> str:
    rows = [("", "", heading, "spread", "must", "")]
    for line in lines:
        unit = " MB" if line.unit == "MB" else ""
        rows.append(
            (
                line.what,
                line.api,
                f"{line.middle:.3g}{unit}",
                f"{line.least:.3g} to {line.most:.3g}",
                f"≤ {line.must:.3g}{unit}",
                "" if line.met else "over",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


@dataclass(frozen=True)
class Report:
    """A whole run."""

    floor: str
    rounds: int
    answers: int
    lines: list[Line]

    def append_to(self, folder: Path) -> Path:
        """Add this run to today's file of `folder`."""
        now = datetime.now(UTC)
        folder.mkdir(exist_ok=True)
        file = folder / f"{now:%Y-%m-%d}.jsonl"
        record = {"at": f"{now:%Y-%m-%dT%H:%M:%SZ}", "commit": _commit(), "python": platform.python_version()}
        record |= asdict(self)
        with file.open("a") as lines:
            lines.write(json.dumps(record) + "\n")
        return file


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    described = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    return described.stdout.strip()
