"""The Dockerfile: what it names exists, and its commands do what they should with what is installed here.

Its steps themselves are followed by `make image`, which needs the package registry.
"""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from qrelay.settings import Settings, names
from tests.deploy.container import life, refusal
from tests.deploy.dockerfile import KNOWN, Stage, context, copied, read, stages
from tests.house.repository import ROOT

BUILD, IMAGE = stages(read("Dockerfile"))
SETTINGS = {name for field in Settings.model_fields for name in names(field)}


@pytest.fixture
def here(tmp_path: Path) -> dict[str, str]:
    """The program that is installed here in place of the image's, and a state of its own."""
    return {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "QRELAY_HOME": str(tmp_path / "state")}


def test_only_known_instructions() -> None:
    assert {step.name for stage in (BUILD, IMAGE) for step in stage.steps} <= KNOWN


@pytest.mark.parametrize("step", [step for step in BUILD.all("COPY") if "from" not in step.options], ids=str)
def test_what_is_copied_is_there_and_let_through(step: Any) -> None:
    *sources, _ = step.words
    for source in sources:
        assert copied(step._replace(rest=f"{source} ."), context()), source


def test_the_build_is_given_nothing_else() -> None:
    wanted = {file for step in BUILD.all("COPY") for file in copied(step, context())}
    assert set(context()) == wanted
    assert not [file for file in context() if file.name == ".env"]


def test_files_are_copied_before_they_are_read() -> None:
    there: set[str] = set()
    for step in BUILD.steps:
        if step.name == "COPY":
            there |= {str(file) for file in copied(step, context())}
        elif step.name == "RUN":
            needed = set(re.findall(r"-r (\S+)", step.rest))
            assert needed <= there
            if "install" in step.words and needed:
                assert "--require-hashes" in step.words


def test_what_one_stage_hands_on_is_made_there() -> None:
    made = " ".join(step.rest for step in BUILD.steps)
    for step in IMAGE.all("COPY"):
        assert step.options["from"] == BUILD.name
        source, target = step.words
        assert source in made or Path(source).name in made
        if target == "/data":
            assert step.options["chown"] == IMAGE.one("USER").rest


def test_who_it_is_and_what_it_keeps() -> None:
    assert IMAGE.one("USER").rest == "65532:65532"
    assert IMAGE.one("VOLUME").listed == [IMAGE.environ["QRELAY_HOME"]] == ["/data"]
    assert IMAGE.one("EXPOSE").rest == IMAGE.environ["QRELAY_PORT"] == "8000"
    assert {name for name in IMAGE.environ if name.startswith("QRELAY_")} <= SETTINGS
    assert "/opt/qrelay/bin" in IMAGE.environ["PATH"].split(":")
    assert IMAGE.one("ENTRYPOINT").listed == ["qrelay"]


def test_without_keys_it_says_what_to_set(tmp_path: Path, here: dict[str, str]) -> None:
    code, said = refusal(IMAGE, tmp_path, here)
    assert code == 78
    assert "QRELAY_API_KEYS" in said
    assert "QRELAY_ADMIN_SECRET" in said


def test_it_serves_is_well_and_ends(tmp_path: Path, here: dict[str, str]) -> None:
    health, ended = life(IMAGE, tmp_path, here)
    assert "is ready" in health
    assert ended == 0


def test_what_is_copied_is_enough_for_the_package(tmp_path: Path) -> None:
    for file in context():
        place = tmp_path / "context" / file
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, place)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=tmp_path / "context",
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    source = {str(file.relative_to("src")) for file in context() if file.parts[0] == "src"}
    assert source - packed == {"qrelay/console/jsconfig.json"}  # for who works on it; pyproject.toml leaves it out


def test_a_stage_is_read_as_it_is_written() -> None:
    text = 'ARG A=1\nFROM x AS one\nRUN a \\\n    b\nFROM y\nCOPY --from=one --chown=1:2 /p /q\nCMD ["c", "d"]\n'
    one, last = stages(text)
    assert one == Stage("one", one.steps)
    assert one.one("RUN").words == ["a", "b"]
    assert last.one("COPY").options == {"from": "one", "chown": "1:2"}
    assert last.one("CMD").listed == ["c", "d"]


def test_image_runs_as_nobody_on_a_tagged_base() -> None:
    user, group = IMAGE.one("USER").rest.split(":")
    assert int(user) >= 1000
    assert int(group) >= 1000
    (base,) = re.findall(r"^ARG BASE=(\S+)$", read("Dockerfile"), re.MULTILINE)
    name, _, tag = base.partition(":")
    assert name == "python"
    assert re.fullmatch(r"3\.\d+-slim-[a-z]+", tag), "the tag says which Python and which distribution"
    check = IMAGE.one("HEALTHCHECK")
    assert {"interval", "timeout", "start-period", "retries"} == set(check.options)
    assert not IMAGE.all("RUN")
    for name in ("ENTRYPOINT", "CMD"):
        assert IMAGE.one(name).listed, "no shell in between"
