"""The state folder: private, and one server's at a time."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qrelay.home import HomeBusy, HomeRefused, look_into, open_home, running
from qrelay.private_files import chosen_wrongly

HOLD = """
import sys
from pathlib import Path
from qrelay.home import open_home
with open_home(Path(sys.argv[1])) as home:
    home.announce("http://127.0.0.1:1")
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def held(tmp_path: Path) -> Iterator["tuple[Path, subprocess.Popen[str]]"]:
    """A folder another process holds."""
    folder = tmp_path / "state"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield folder, process
        process.kill()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_made_private(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with open_home(folder):
        (folder / "later").touch()
        assert mode(folder) == 0o700
        assert mode(folder / "lock") == 0o600
        assert mode(folder / "later") == 0o600


def test_an_empty_folder_is_made_private_and_a_full_one_is_left(tmp_path: Path) -> None:
    empty, full = tmp_path / "empty", tmp_path / "full"
    for folder in (empty, full):
        folder.mkdir(mode=0o755)
    (full / "somebody's").touch()
    with open_home(empty), open_home(full):
        assert mode(empty) == 0o700
        assert mode(full) == 0o755


def test_a_second_server_is_refused_with_the_first_ones_address(
    held: "tuple[Path, subprocess.Popen[str]]",
) -> None:
    folder, process = held
    with pytest.raises(HomeBusy) as busy, open_home(folder):
        pass
    assert f"process {process.pid}" in str(busy.value)
    assert "http://127.0.0.1:1" in str(busy.value)
    server = running(folder)
    assert server is not None
    assert (server.pid, server.url) == (process.pid, "http://127.0.0.1:1")


def test_a_killed_server_leaves_no_lock(held: "tuple[Path, subprocess.Popen[str]]") -> None:
    folder, process = held
    process.kill()
    process.wait()
    assert running(folder) is None
    with open_home(folder):
        pass


def test_after_a_good_end_nobody_runs(tmp_path: Path) -> None:
    with open_home(tmp_path):
        pass
    assert running(tmp_path) is None
    assert (tmp_path / "lock").read_bytes() == b""


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HomeRefused, match="can't be used"), open_home(tmp_path / "file" / "state"):
        pass
    with pytest.raises(HomeRefused, match="can't be used"):
        look_into(tmp_path / "file")
    look_into(tmp_path / "not-yet")
    assert not (tmp_path / "not-yet").exists()


def test_a_full_disk_is_no_wrong_choice() -> None:
    assert not chosen_wrongly(OSError(errno.ENOSPC, "No space left on device"))
    for number in (errno.EACCES, errno.EROFS):
        assert chosen_wrongly(OSError(number, os.strerror(number)))
