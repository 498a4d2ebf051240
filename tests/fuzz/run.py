"""Run targets under atheris, one after another, each in a process of its own: `python -m tests.fuzz.run --help`.

New inputs that reach new code are kept in .cache/fuzz-corpus, and inputs that fail in .cache/fuzz-found. Put a failing
input into tests/fuzz/corpus/<target>/ with the fix: `make test` replays it.
"""

import argparse
import importlib
import subprocess
import sys
from pathlib import Path

from tests.fuzz.target import Target

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache"
TARGETS = ("frames", "reply", "requests", "configuration", "importing", "parsers")
_LONGEST = 65_536
"""Bytes of an input."""
_INPUT_SECONDS = 30
_MEMORY_MB = 2_048


def load(name: str) -> Target:
    """Return a target by name."""
    target: Target = importlib.import_module(f"tests.fuzz.{name}").TARGET
    return target


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="target", help=f"{', '.join(TARGETS)}; all by default")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--input", type=Path, help="check this one file instead, without atheris")
    asked = parser.parse_args()
    if unknown := sorted({*asked.targets} - {*TARGETS}):
        parser.error(f"There is no target {', '.join(unknown)}.")
    if asked.input is not None:
        for name in asked.targets:
            load(name).check(asked.input.read_bytes())
        return 0
    failed = [name for name in asked.targets or TARGETS if not _run(name, asked.seconds)]
    for name in failed:
        sys.stderr.write(
            f"{name} failed. To see how: python -m tests.fuzz.run {name} --input .cache/fuzz-found/{name}-…\n"
        )
    return int(bool(failed))


def _run(name: str, seconds: int) -> bool:
    """Fuzz one target; False if an input failed."""
    corpus, seeds, found = (CACHE / f"fuzz-{kind}" for kind in ("corpus", "seeds", "found"))
    (corpus / name).mkdir(parents=True, exist_ok=True)
    (seeds / name).mkdir(parents=True, exist_ok=True)
    found.mkdir(exist_ok=True)
    target = load(name)
    for number, seed in enumerate((*target.seeds(), *target.corpus())):
        (seeds / name / f"{number:04}").write_bytes(seed)
    sys.stderr.write(f"== {name}, {seconds} s\n")
    command = [
        *(sys.executable, "-m", "tests.fuzz.guided", name),
        *(f"-max_total_time={seconds}", f"-max_len={_LONGEST}", f"-timeout={_INPUT_SECONDS}", "-len_control=0"),
        *(f"-rss_limit_mb={_MEMORY_MB}", f"-artifact_prefix={found / name}-", "-print_final_stats=1", "-verbosity=0"),
        *(str(corpus / name), str(seeds / name)),
    ]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
