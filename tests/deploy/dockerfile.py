"""The project's Dockerfile, read, and followed without a container engine. As much of its language as the file uses.

A stage's file system is a folder. `follow` gives every stage the same one in its turn, so that what is installed in one
and copied to the next finds itself where it was; a stage that is over is kept beside it.
"""

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tests.house.repository import ROOT, tracked

KNOWN = frozenset(
    {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"}
    | {"ENTRYPOINT", "CMD"}
)


class Step(NamedTuple):
    """One instruction: its name, its `--option=value`s, what follows."""

    name: str
    options: Mapping[str, str]
    rest: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.rest)

    @property
    def listed(self) -> list[str]:
        """An instruction in exec form. Raises ValueError if it isn't."""
        return json.loads(self.rest)


class Stage(NamedTuple):
    name: str
    steps: Sequence[Step]

    def all(self, name: str) -> list[Step]:
        return [step for step in self.steps if step.name == name]

    def one(self, name: str) -> Step:
        (step,) = self.all(name)
        return step

    @property
    def environ(self) -> dict[str, str]:
        return dict(step.rest.split("=", 1) for step in self.all("ENV"))


class Failed(Exception):  # noqa: N818 - an outcome
    """A step did not work."""


def stages(text: str) -> list[Stage]:
    """The stages in order; what stands before the first FROM is nobody's."""
    found: list[tuple[str, list[Step]]] = []
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.partition(" ")
        options: dict[str, str] = {}
        while match := re.match(r"--([\w-]+)=(\S+) +", rest):
            options[match[1]] = match[2]
            rest = rest[match.end() :]
        step = Step(name, options, rest.strip())
        if name == "FROM":
            _, _, called = rest.partition(" AS ")
            found.append((called, []))
        elif found:
            found[-1][1].append(step)
    return [Stage(name, steps) for name, steps in found]


def context() -> list[Path]:
    """The files a build is given, relative to the project: those git keeps that .dockerignore lets through."""
    rules = [line for line in read(".dockerignore").splitlines() if line and not line.startswith("#")]
    return [path for path in (file.relative_to(ROOT) for file in tracked()) if _let_through(path, rules)]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def copied(step: Step, files: Iterable[Path]) -> list[Path]:
    """The files a COPY from the context takes."""
    sources = [PurePosixPath(word) for word in step.words[:-1]]
    return [file for file in files if any(file == Path(source) or Path(source) in file.parents for source in sources)]


def follow(folder: Path) -> Path:
    """Do what the Dockerfile says, in `folder`, which is empty; returns the root of what comes out. Raises Failed.

    In place of the base image's Python there is a fresh environment of the one that runs this.
    """
    base, root = folder / "base", folder / "root"
    _run([sys.executable, "-m", "venv", str(base)], folder, os.environ)
    over: dict[str, Path] = {}
    for stage in stages(read("Dockerfile")):
        root.mkdir()
        _follow_stage(stage, root, base, over)
        if stage.name:
            over[stage.name] = folder / f"stage-{stage.name}"
            root.rename(over[stage.name])
    return root


def inside(root: Path, path: str) -> Path:
    """Where a path of the image is."""
    return root / PurePosixPath(path).relative_to("/")


def environ(stage: Stage, root: Path) -> dict[str, str]:
    """The image's variables, its paths being those under `root`."""
    return {name: _placed(value, root) for name, value in stage.environ.items()}


def _follow_stage(stage: Stage, root: Path, base: Path, over: Mapping[str, Path]) -> None:
    at = root
    variables = {"PATH": f"{base / 'bin'}:/usr/bin:/bin", "HOME": str(root)}
    for step in stage.steps:
        match step.name:
            case "WORKDIR":
                at = inside(root, step.rest)
                at.mkdir(parents=True, exist_ok=True)
            case "COPY":
                _copy(step, at, root, over)
            case "RUN":
                sys.stdout.write(f"RUN {step.rest}\n")
                sys.stdout.flush()
                _run(["sh", "-c", _placed(step.rest, root)], at, variables)
            case _:
                pass


def _copy(step: Step, at: Path, root: Path, over: Mapping[str, Path]) -> None:
    *sources, target = step.words
    there = inside(root, target) if target.startswith("/") else at / target
    if stage := step.options.get("from"):
        (source,) = sources
        shutil.copytree(inside(over[stage], source), there, symlinks=True)
        return
    if not (files := copied(step, context())):
        raise Failed(f"COPY {step.rest}: there is nothing to copy")
    for file in files:
        top = next(Path(source) for source in sources if Path(source) == file or Path(source) in file.parents)
        place = there / file.name if top == file else there / file.relative_to(top)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, place)


def _placed(text: str, root: Path) -> str:
    return re.sub(r"(?<![\w./-])/(?=opt/|data\b|build\b)", f"{root}/", text)


def _run(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> None:
    done = subprocess.run(command, cwd=folder, env=dict(variables), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{shlex.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def _let_through(path: Path, rules: Iterable[str]) -> bool:
    """As Docker reads .dockerignore: the last rule that fits decides; a rule for a folder is one for what is in it."""
    through = True
    names = [str(path), *map(str, path.parents)]
    for rule in rules:
        pattern = rule.removeprefix("!").removeprefix("**/")
        parts = path.parts if "**/" in rule else names
        if any(fnmatch.fnmatchcase(name, pattern) for name in parts if name != "."):
            through = rule.startswith("!")
    return through
