"""A simulator on a socket, and somebody logged in to it."""

from collections.abc import AsyncGenerator

import httpx
import pytest

from qrelay.simulator.server import Simulator

from .asking import Caller


@pytest.fixture
async def sim() -> AsyncGenerator[Simulator]:
    async with Simulator.serve() as simulator:
        yield simulator


@pytest.fixture
async def http() -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=10, trust_env=False, verify=False) as client:
        yield client


@pytest.fixture
async def caller(sim: Simulator, http: httpx.AsyncClient) -> Caller:
    return Caller(sim, http)
