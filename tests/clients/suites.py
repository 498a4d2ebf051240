"""Suites that others wrote, against `qrelay demo`: what fails is known, with a reason each, or it is a failure here.

    suite-openai-python       openai's own tests/api_resources of these routes, strict and loose, from its sdist
    suite-anthropic-python    anthropic's, likewise
    suite-openresponses       the Open Responses compliance tests
    suite-schemathesis        requests made from OpenAI's OpenAPI document, cut to these routes

A folder can be given instead of a download: QRELAY_SUITE_OPENAI, QRELAY_SUITE_ANTHROPIC (an unpacked sdist or a
checkout), QRELAY_SUITE_OPENRESPONSES, QRELAY_SUITE_OPENAPI (checkouts). Results: docs/conformance.md.
"""

# ruff: noqa: T201 - the counts are the result

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import openapi
from install import CACHE
from room import Failure, Outcome, Room, Skip

OPENAI = "openai==3.52.0"
ANTHROPIC = "anthropic==2.11.0"
SCHEMATHESIS = "schemathesis==4.32.5"
OPENRESPONSES = "https://github.com/openresponses/openresponses"
OPENAPI = "https://github.com/openai/openai-openapi"

_TOOLS = {
    OPENAI: ["pytest", "pytest-asyncio", "inline-snapshot", "rich", "botocore", "trio"],
    ANTHROPIC: [
        *("pytest", "pytest-asyncio", "inline-snapshot", "http-snapshot[httpx]==0.1.9", "respx", "rich"),
        *("dirty-equals", "time-machine", "hypothesis", "httpx2", "opentelemetry-sdk", "importlib-metadata"),
    ],
    SCHEMATHESIS: [],
}

Reasons = Mapping[str, str]
"""A pattern of a failure's message, and why the gateway says that."""


class SdkTests(NamedTuple):
    """Which of an SDK's own tests are about our routes. `variable` may name a folder with them."""

    package: str
    variable: str
    files: tuple[str, ...]
    chosen: str
    reasons: Reasons


def openai_python(room: Room) -> None:
    tests = SdkTests(
        OPENAI,
        "QRELAY_SUITE_OPENAI",
        ("chat/test_completions.py", "test_models.py", "test_responses.py"),
        "(TestCompletions or TestAsyncCompletions) and create or (TestModels or TestAsyncModels) and not delete"
        " or (TestResponses or TestAsyncResponses) and (create or compact)",
        {
            r"has no 'model', which is required": "asks nothing of any model",
            r"There is no input to answer": "asks to compact nothing",
            r"Previous response with id '.*' not found": "goes on with a response that was never made",
            r"runs nothing in the background": "asks for background, a stored prompt and a conversation at once",
            r"max_completion_tokens must be at least 1": "asks for a reply of no tokens",
        },
    )
    _sdk(room, tests, f"{room.server.url}/v1")


def anthropic_python(room: Room) -> None:
    tests = SdkTests(
        ANTHROPIC,
        "QRELAY_SUITE_ANTHROPIC",
        ("test_messages.py", "test_models.py", "beta/test_messages.py", "beta/test_models.py"),
        "not Batches",
        {r"Invalid model": "asks models that were switched off long ago"},
    )
    _sdk(room, tests, room.server.url)


def openresponses(room: Room) -> None:
    """Its HTTP tests must pass. Those of a WebSocket transport, which this gateway has not, are left out."""
    bun = _bun(room)
    folder = bun.parents[4]
    command = [bun, "run", "bin/compliance-test.ts", "-u", f"{room.server.url}/v1", "-k", "any", "--json"]
    listed = (folder / "src" / "lib" / "compliance-tests.ts").read_text()
    names = [name for name in re.findall(r'^    id: "([\w-]+)"', listed, re.MULTILINE) if "websocket" not in name]
    outcome = room.attempt([*command, "-m", "claude-sonnet-4-5", "-f", ",".join(names)], {}, 120, folder=folder)
    try:
        results: list[dict[str, Any]] = json.loads(outcome.out)["results"]
    except (ValueError, KeyError):
        raise Failure(f"no results\n{outcome.out[-1500:]}\n{outcome.err[-1500:]}") from None
    failed = [f"{result['id']}: {result.get('errors')}" for result in results if result["status"] != "passed"]
    print(f"     {len(results) - len(failed)} of {len(results)} pass")
    if failed or len(results) < len(names):
        raise Failure("\n".join(failed) or f"only {len(results)} of {names} were run")


def schemathesis(room: Room) -> None:
    python = _environment(SCHEMATHESIS)
    document = _checkout(OPENAPI, "QRELAY_SUITE_OPENAPI") / "openapi.json"
    cut = room.work / "openapi.json"
    cut.write_text(json.dumps(openapi.cut(json.loads(document.read_bytes()))))
    command = [python.with_name("schemathesis"), "run", cut, "--url", f"{room.server.url}/v1"]
    checks = "response_schema_conformance,not_a_server_error"
    phases = ["--phases", "examples,fuzzing", "--max-examples", "100", "--checks", checks, "--mode", "positive"]
    report = ["--report", "junit", "--report-dir", room.work / "report", "--seed", "1"]
    outcome = room.attempt([*command, *map(str, phases), *map(str, report)], {}, 500)
    generated = re.search(r"(\d+) generated", outcome.out)
    print(f"     {generated[1] if generated else 'no'} requests")
    _judge(
        _failures_of(outcome),
        {
            r"DELETE /responses.*\"type\" is a required property": "the document has no `error` around an error",
            r"compact.*discriminator property 'type' with value 'compaction'": "its discriminator names no values",
        },
    )


def _failures_of(outcome: Outcome) -> list[tuple[str, str]]:
    """(operation, failure) of each section of schemathesis's report."""
    parts = re.split(r"^_{3,} (.+?) _{3,}$", outcome.out, flags=re.MULTILINE)
    return [(name, body[:3000]) for name, body in zip(parts[1::2], parts[2::2], strict=True)]


# --- the tests of an SDK


def _sdk(room: Room, tests: SdkTests, url: str) -> None:
    python = _environment(tests.package)
    folder = _sources(tests.package, tests.variable)
    report = room.work / "report.xml"
    options = ["-o", "addopts=", "-p", "no:cacheprovider", "-q", "--tb=line", "-k", f"not aiohttp and ({tests.chosen})"]
    files = [f"tests/api_resources/{file}" for file in tests.files]
    command = [python, "-m", "pytest", *options, f"--junitxml={report}", *files]
    outcome = room.attempt(command, {"TEST_API_BASE_URL": url}, 300, folder=folder)
    if not report.exists():
        raise Failure(f"no report\n{outcome.out[-1500:]}\n{outcome.err[-1500:]}")
    cases = [*ET.parse(report).getroot().iter("testcase")]
    failed = [(_name(case), message) for case in cases if (message := _message(case))]
    print(f"     {len(cases) - len(failed)} of {len(cases)} pass")
    _judge(failed, tests.reasons)


def _name(case: ET.Element) -> str:
    return f"{case.get('classname')}.{case.get('name')}"


def _message(case: ET.Element) -> str:
    found = next((each for kind in ("failure", "error") for each in case.iter(kind)), None)
    return "" if found is None else f"{found.get('message')}\n{found.text}"


def _judge(failed: Sequence[tuple[str, str]], reasons: Reasons) -> None:
    """Each failure must be one whose reason is known. Says how many there are of each."""
    told: Counter[str] = Counter()
    unknown: list[str] = []
    for name, message in failed:
        reason = next(
            (why for pattern, why in reasons.items() if re.search(pattern, f"{name}\n{message}", re.DOTALL)), None
        )
        if reason is None:
            unknown.append(f"{name}: {message[:600]}")
        else:
            told[reason] += 1
    for reason, count in told.items():
        print(f"     {count} fail: {reason}")
    if unknown:
        raise Failure(f"{len(unknown)} fail without a known reason:\n" + "\n".join(unknown[:5]))


# --- where they come from


def _environment(package: str) -> Path:
    """The interpreter of an environment with `package` and what its tests need."""
    folder = CACHE / f"suite-{package.replace('==', '-')}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", "--without-pip", folder])
        _pip("--python", python, "install", package, *_TOOLS[package])
        (folder / "complete").touch()
    return python


def _sources(package: str, variable: str) -> Path:
    """An SDK's sources, which hold its tests."""
    if given := os.environ.get(variable):
        return Path(given)
    folder = CACHE / "sources"
    unpacked = folder / package.replace("==", "-")
    if not (unpacked / "tests").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _pip("download", "--no-deps", "--no-binary", ":all:", "--dest", folder, package)
        with tarfile.open(folder / f"{unpacked.name}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
    return unpacked


def _checkout(url: str, variable: str) -> Path:
    if given := os.environ.get(variable):
        return Path(given)
    folder = CACHE / "sources" / url.rpartition("/")[2]
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            _run(["git", "clone", "--quiet", "--depth", "1", url, folder])
        except Failure:
            raise Skip(f"{url} can't be had; {variable} may name a checkout") from None
    return folder


def _bun(room: Room) -> Path:
    """Bun's executable, in a copy of the Open Responses sources with what they import."""
    source = _checkout(OPENRESPONSES, "QRELAY_SUITE_OPENRESPONSES")
    folder = CACHE / "suite-openresponses"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns(".git", "node_modules"))
        words = ["npm", "install", "--ignore-scripts", "bun@1", "zod@3", "--no-audit", "--no-fund", "--loglevel=error"]
        _run(words, folder)
        (folder / "complete").touch()
    return next(_bins(folder))


def _bins(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("node_modules/@oven/bun-*/bin/bun") if path.is_file())


def _pip(*words: str | Path) -> None:
    """This environment's pip, or that of the Python it was made from (an environment needs none of its own)."""
    ours = subprocess.run([sys.executable, "-c", "import pip"], capture_output=True, check=False).returncode == 0
    python = sys.executable if ours else shutil.which("python3") or "python3"
    _run([python, "-m", "pip", "--disable-pip-version-check", "--quiet", *words])


def _run(words: Sequence[str | Path], folder: Path | None = None) -> None:
    command = [str(word) for word in words]
    print(" ".join(command), flush=True)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        raise Failure(f"{' '.join(command)}\n{done.stderr[-1500:]}")
