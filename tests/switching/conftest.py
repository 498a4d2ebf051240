"""A gateway as somebody has it who switches: no account yet, everything else as they left it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from qrelay.simulator.service import Login
from tests.gateway.conftest import Bench, bench, relay

__all__ = ["relay"]  # a fixture for these tests too


@asynccontextmanager
async def empty(home: Path, **settings: Any) -> AsyncGenerator[Bench]:
    """A gateway without any account."""
    nothing = {"amazonq_refresh_token": None, "amazonq_client_id": None, "amazonq_client_secret": None}
    async with bench(home, **(nothing | settings)) as running:
        yield running


@pytest.fixture
async def fresh(tmp_path: Path) -> AsyncGenerator[Bench]:
    async with empty(tmp_path / "home") as running:
        yield running


def q2api_account(login: Login, **more: Any) -> dict[str, Any]:
    """The body of q2api's curl line."""
    return {
        "label": "mine",
        "clientId": login.client_id,
        "clientSecret": login.client_secret,
        "refreshToken": login.refresh_token,
        "enabled": True,
    } | more


def amq2api_account(login: Login, **more: Any) -> dict[str, Any]:
    """The body amq2api's page sends."""
    return {
        "name": "mine",
        "refresh_token": login.refresh_token,
        "client_id": login.client_id,
        "client_secret": login.client_secret,
        "profile_arn": "",
    } | more
