"""The programs accounts are imported from, by the names the command line knows, and where each keeps its accounts.

Paths per system: PROTOCOL.md §7; the older gateways keep theirs in the folder they are started in (SWITCHING.md).
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from qrelay.accounts.importing import amq2api, aq2api, cli, documents, q2api, sso_cache
from qrelay.accounts.importing.files import Reading

SHARED: Final = frozenset({"q-cli", "kiro-cli", "kiro-ide", "aws-toolkit"})
"""Sources that go on using, and rotating, the log-in that is imported."""


class Machine(NamedTuple):
    """What decides where programs keep their files: `platform` is `sys.platform`."""

    platform: str
    home: Path
    folder: Path
    environ: Mapping[str, str]


class Source(NamedTuple):
    """A program: what people call it, how its file is read, where it may lie (most likely first)."""

    title: str
    read: Callable[[Path], Reading]
    places: Callable[[Machine], list[Path]]


def _data_folders(machine: Machine, name: str) -> list[Path]:
    match machine.platform:
        case "darwin":
            return [machine.home / "Library" / "Application Support" / name]
        case "win32":
            roots = [machine.environ.get(variable) for variable in ("LOCALAPPDATA", "APPDATA")]
            return [Path(root) / name for root in roots if root]
        case _:
            root = machine.environ.get("XDG_DATA_HOME")
            return [(Path(root) if root else machine.home / ".local" / "share") / name]


def _databases(name: str) -> Callable[[Machine], list[Path]]:
    return lambda machine: [folder / "data.sqlite3" for folder in _data_folders(machine, name)]


def _named(label: str) -> Callable[[Path], Reading]:
    return partial(cli.read, label=label)


def _here(*names: str) -> Callable[[Machine], list[Path]]:
    return lambda machine: [machine.folder / name for name in names]


def _cache(*names: str) -> Callable[[Machine], list[Path]]:
    return lambda machine: [machine.home.joinpath(".aws", "sso", "cache", *names)]


SOURCES: Final[Mapping[str, Source]] = {
    "q2api": Source("q2api", q2api.read, _here("data.sqlite3")),
    "amq2api": Source("amq2api", amq2api.read, _here("account.json")),
    "aq2api": Source("aq2api", aq2api.read, _here("amazonq_credentials.json")),
    "q-cli": Source("Amazon Q CLI", _named("Amazon Q CLI"), _databases("amazon-q")),
    "kiro-cli": Source("Kiro CLI", _named("Kiro CLI"), _databases("kiro-cli")),
    "kiro-ide": Source("Kiro IDE", sso_cache.read_kiro, _cache(sso_cache.KIRO_FILE)),
    "aws-toolkit": Source("AWS toolkit", sso_cache.read_toolkits, _cache()),
    "json": Source("JSON", documents.read, _here()),
}
