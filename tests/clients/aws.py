"""Clients that AWS wrote, against `qrelay simulate`: what they accept, the simulator may say (PROTOCOL.md §13)."""

import shutil
from pathlib import Path

from install import AWS_LANGUAGE_SERVER, AWS_OIDC, AWS_STREAMING, bundled, installed
from room import Failure, Room

_SCRIPTS = Path(__file__).parent / "aws"


def streaming(room: Room) -> None:
    """`@aws/codewhisperer-streaming-client`, restJson: replies, refusals, damage."""
    _node(room, "streaming.mjs", installed(AWS_STREAMING))


def control(room: Room) -> None:
    """`@amzn/codewhisperer-runtime`, restJson: models, profiles, usage."""
    _node(room, "control.mjs", bundled(AWS_LANGUAGE_SERVER, "@amzn/codewhisperer-runtime"))


def oidc(room: Room) -> None:
    """`@aws-sdk/client-sso-oidc`: registration, device log-in, refresh."""
    _node(room, "oidc.mjs", installed(AWS_OIDC))


def _node(room: Room, script: str, modules: Path) -> None:
    """The scripts look for packages from the working folder, which is the one that npm filled."""
    env = {"QRELAY_SIMULATOR": room.server.url, "AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": "us-east-1"}
    outcome = room.attempt([shutil.which("node") or "node", _SCRIPTS / script], env, folder=modules.parent)
    if outcome.code:
        raise Failure(f"{script}\n{outcome.out[-1500:]}\n{outcome.err[-1500:]}")
