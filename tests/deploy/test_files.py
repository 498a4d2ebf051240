"""compose.yaml, the systemd unit, the Windows starter and .env.example: every name, path and port in them is real."""

import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from qrelay.settings import Settings, names
from tests.deploy.dockerfile import read, stages
from tests.house.repository import ROOT

IMAGE = stages(read("Dockerfile"))[-1]
SETTINGS = {name for field in Settings.model_fields for name in names(field)}


def test_compose_gives_the_image_what_it_needs() -> None:
    compose = read("compose.yaml")
    environment = dict(re.findall(r'^      (QRELAY_\w+): "?([^"\n]+)"?$', compose, re.MULTILINE))
    assert environment == {name: IMAGE.environ[name] for name in ("QRELAY_HOME", "QRELAY_HOST", "QRELAY_PORT")}
    (publishing,) = re.findall(r'^    ports:\n      - "(.+)"$', compose, re.MULTILINE)
    assert publishing == "${QRELAY_HOST:-127.0.0.1}:${QRELAY_PORT:-${PORT:-8000}}:8000"
    assert publishing.endswith(f":{IMAGE.one('EXPOSE').rest}")
    assert set(re.findall(r"\$\{(\w+)", compose)) <= SETTINGS
    (kept,) = re.findall(r"^    volumes:\n      - (\w+):(\S+)$", compose, re.MULTILINE)
    assert kept[1] == IMAGE.environ["QRELAY_HOME"]
    assert re.search(rf"^volumes:\n  {kept[0]}:$", compose, re.MULTILINE)


HARDENED = (
    "read_only: true",
    "cap_drop:\n      - ALL",
    "security_opt:\n      - no-new-privileges:true",
    "pids_limit: 256",
    "mem_limit: 1g",
    "ulimits:\n      core: 0\n      nofile: 65536",
)


@pytest.mark.parametrize(("file", "service"), [("compose.yaml", "qrelay"), ("compose.postgres.yaml", "database")])
def test_compose_services_are_hardened(file: str, service: str) -> None:
    found = _service(read(file), service)
    for line in HARDENED:
        assert f"    {line}\n" in found
    mounts = re.search(r"^    tmpfs:\n((?:      - .+\n)+)", found, re.MULTILINE)
    assert mounts
    for mount in mounts[1].splitlines():
        assert re.fullmatch(r"      - /[\w/]+:size=\d+m,mode=1777,noexec,nosuid,nodev", mount), mount
    for forbidden in ("privileged", "cap_add", "network_mode", "pid:", "docker.sock", "seccomp", "apparmor"):
        assert forbidden not in found.replace("no-new-privileges", "")


def test_docker_run_is_as_hardened_as_compose() -> None:
    run = read("docs/guide/docker.md").partition("    docker run ")[2].partition("\n\n")[0]
    for option in (
        "--read-only",
        "--tmpfs /tmp:noexec,nosuid,nodev",
        "--cap-drop ALL",
        "--security-opt no-new-privileges",
        "--pids-limit 256",
        "--memory 1g",
        "--ulimit core=0",
        "--ulimit nofile=65536",
    ):
        assert f" {option} " in run, option


def test_database_has_no_way_out() -> None:
    compose = read("compose.postgres.yaml")
    assert "    networks:\n      - database\n" in _service(compose, "database")
    assert "    networks:\n      - default\n      - database\n" in _service(compose, "qrelay")
    assert "networks:\n  database:\n    internal: true\n" in compose
    assert "ports:" not in _service(compose, "database")
    assert "    user: postgres\n" in _service(compose, "database")


@pytest.mark.parametrize("file", ["compose.yaml", "compose.postgres.yaml"])
def test_secrets_of_compose_come_from_env(file: str) -> None:
    compose = read(file)
    assert not re.search(r"(?:PASSWORD|SECRET|KEYS?): (?!\$\{)", compose)
    assert "env_file: .env\n" in read("compose.yaml")
    assert ".env\n" in read(".gitignore")


def test_unit_is_hardened(tmp_path: Path) -> None:
    unit = _unit()
    assert unit["LimitCORE"] == ["0"]
    assert int(unit["LimitNOFILE"][0]) >= 65536
    assert unit["SystemCallFilter"] == ["@system-service", "~@privileged @resources"]
    assert unit["CapabilityBoundingSet"] == [""]
    (home,) = unit["WorkingDirectory"]
    assert home in unit["NoExecPaths"][0].split()
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    (tmp_path / "qrelay.service").write_text(read("deploy/qrelay.service"))
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=15", tmp_path / "qrelay.service"],
        capture_output=True,
        text=True,
        check=False,
    )
    if "Unknown" in done.stderr or "unrecognized" in done.stderr:
        pytest.skip("this systemd-analyze is too old")
    assert done.returncode == 0, done.stdout


def test_the_unit_starts_what_make_setup_leaves() -> None:
    unit = _unit()
    (command,) = unit["ExecStart"]
    program, *words = command.split()
    assert program.startswith("/opt/qrelay/.venv/bin/")
    assert words == ["serve"]
    assert f"{Path(program).name} = " in read("pyproject.toml").partition("[project.scripts]")[2]
    assert ".venv/bin/qrelay" in read("Makefile").replace("$(BIN)", ".venv/bin")
    (environment,) = unit["Environment"]
    assert environment == f"QRELAY_HOME=/var/lib/{unit['StateDirectory'][0]}"
    assert unit["WorkingDirectory"] == [environment.removeprefix("QRELAY_HOME=")]


def test_commands_are_run_as_the_unit_runs_the_server() -> None:
    unit = _unit()
    (user,), (folder,), (home,) = unit["User"], unit["WorkingDirectory"], unit["Environment"]
    program = unit["ExecStart"][0].removesuffix(" serve")
    line = read("deploy/qrelay.sh").splitlines()[-1]
    assert line == f'exec sudo -u {user} env -C {folder} {home} {program} "$@"'


def test_systemd_reads_the_unit(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    unit = read("deploy/qrelay.service").replace("/opt/qrelay/.venv/bin/qrelay", "/bin/true")
    (tmp_path / "qrelay.service").write_text(unit)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / "qrelay.service"],
        capture_output=True,
        text=True,
        check=False,
    )
    told = [line for line in done.stderr.splitlines() if "qrelay.service" in line]
    assert not told


def test_the_windows_starter() -> None:
    starter = (ROOT / "deploy/windows/start-qrelay.cmd").read_bytes().decode()
    for path in re.findall(r"-r (\S+)", starter):
        assert (ROOT / path.replace("\\", "/")).is_file(), path
    assert starter.rstrip().splitlines()[-1] == r".venv\Scripts\qrelay run %*"
    assert "--require-hashes" in starter
    up = re.search(r'cd /d "%~dp0([.\\]+)"', starter)
    assert up
    assert (ROOT / "deploy" / "windows" / up[1].replace("\\", "/")).resolve() == ROOT
    attributes = subprocess.run(
        ["git", "check-attr", "eol", "--", "deploy/windows/start-qrelay.cmd"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert attributes.stdout.strip().endswith("eol: crlf")


def test_the_example_shows_settings_and_their_defaults(tmp_path: Path) -> None:
    example = tmp_path / ".env"
    example.write_text(re.sub(r"^# (?=[A-Z_]+=)", "", read(".env.example"), flags=re.MULTILINE))
    named = re.findall(r"^([A-Z_]+)=", example.read_text(), re.MULTILINE)
    assert named
    assert set(named) <= SETTINGS
    assert len(named) == len(set(named))
    loaded = Settings.load({}, example)
    assert loaded.model_dump() == Settings().model_dump()
    assert {str(row.source) for row in loaded.sources() if row.source} == {
        f"{name} in {example}" for name in re.findall(r"^([A-Z_]+)=.", example.read_text(), re.MULTILINE)
    }


def _service(compose: str, name: str) -> str:
    found = re.search(rf"^  {name}:\n((?:    .*\n|\n|      .*\n)+)", compose.partition("services:\n")[2], re.MULTILINE)
    assert found
    return found[1]


def _unit() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for line in read("deploy/qrelay.service").splitlines():
        if line and line[0].isalpha():
            name, _, value = line.partition("=")
            found[name].append(value)
    return found
