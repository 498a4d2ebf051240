"""The programs of `make clients`, installed by npm into the cache folder. Pinned; nothing is written elsewhere."""

# ruff: noqa: T201 - what takes minutes is said

import json
import shutil
import subprocess
from pathlib import Path

from room import ROOT, Failure

CACHE = ROOT / ".cache" / "clients"
CLAUDE_CODE = "@anthropic-ai/claude-code@2.1.329"
OPENCODE = "opencode-ai@1.18.33"
CODEX = "@openai/codex@0.169.0"
AWS_STREAMING = "@aws/codewhisperer-streaming-client@1.0.45"
AWS_OIDC = "@aws-sdk/client-sso-oidc@3.1162.0"
AWS_LANGUAGE_SERVER = "@aws/lsp-codewhisperer@0.0.128"
"""Holds `@amzn/codewhisperer-runtime`, which is published nowhere else (PROTOCOL.md §13)."""

_SECONDS = 900


def npm_missing() -> str | None:
    for program in ("node", "npm"):
        if not shutil.which(program):
            return f"{program} is not installed"
    return None


def program(name: str, package: str) -> Path:
    """The executable `name` of an npm package."""
    return installed(package) / ".bin" / name


def installed(package: str) -> Path:
    """The node_modules folder that holds `package`; every program has one of its own, so none changes another."""
    name, _, version = package.rpartition("@")
    folder = CACHE / name.strip("@").replace("/", "-")
    if _version(folder / "node_modules" / name) != version:
        _prepare(folder)
        _npm(folder, "install", package)
    return folder / "node_modules"


def bundled(package: str, inner: str) -> Path:
    """The node_modules folder that holds `inner`, a package that is only found inside the archive of `package`."""
    folder = CACHE / inner.strip("@").replace("/", "-")
    if _version(folder / "node_modules" / inner) is None:
        _prepare(folder)
        _npm(folder, "pack", package)
        archive = next(folder.glob("*.tgz"))
        (folder / "unpacked").mkdir()
        subprocess.run(["tar", "-xzf", archive, "-C", folder / "unpacked"], check=True, timeout=60)
        archive.unlink()
        source = folder / "unpacked" / "package" / "node_modules" / inner
        _npm(folder, "pack", "--ignore-scripts", f"./{source.relative_to(folder)}")
        _npm(folder, "install", f"./{next(folder.glob('*.tgz')).name}")
        shutil.rmtree(folder / "unpacked")
    return folder / "node_modules"


def _prepare(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "package.json").write_text('{"private":true}\n')


def _npm(folder: Path, *words: str) -> None:
    command = ["npm", *words, "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
    print(f"npm {' '.join(words)}", flush=True)
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"npm {' '.join(words)} took longer than {_SECONDS} s") from None
    if done.returncode:
        raise Failure(f"npm {' '.join(words)} failed:\n{done.stderr[-1500:]}")


def _version(package: Path) -> str | None:
    try:
        return json.loads((package / "package.json").read_bytes())["version"]
    except FileNotFoundError:
        return None
