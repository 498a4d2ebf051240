"""The three older READMEs, run: every curl line and SDK example, in order, against a gateway and the simulator."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.gateway.conftest import Bench, bench
from tests.switching.conftest import empty

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
DEADLINE = 120
"""Seconds after which something hangs. Nothing is measured by it."""


async def run(script: str, relay: Bench) -> str:
    """What the script wrote. It must have gone well."""
    login = relay.sim.add_account("of the script")
    variables = {
        "PATH": os.environ["PATH"],
        "BASE": relay.url.replace("127.0.0.1", "localhost"),
        "PYTHON": sys.executable,
        "PYTHONUTF8": "1",
        "CLIENT_ID": login.client_id,
        "CLIENT_SECRET": login.client_secret,
        "REFRESH_TOKEN": login.refresh_token,
    }
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", str(HERE / script), env=variables, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(DEADLINE):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said.decode()
    return said.decode()


@asynccontextmanager
async def as_q2api(home: Path) -> AsyncGenerator[Bench]:
    async with empty(home, strategy="random", api_keys=(SecretStr("your-api-key"),)) as relay:
        yield relay


@asynccontextmanager
async def as_amq2api(home: Path) -> AsyncGenerator[Bench]:
    async with bench(home, strategy="active") as relay:
        yield relay


@asynccontextmanager
async def as_aq2api(home: Path) -> AsyncGenerator[Bench]:
    async with empty(home, anthropic_stream_default=True) as relay:
        yield relay


@pytest.mark.parametrize(
    ("script", "gateway"), [("q2api.sh", as_q2api), ("amq2api.sh", as_amq2api), ("aq2api.sh", as_aq2api)]
)
async def test_a_readme(tmp_path: Path, script: str, gateway: Any) -> None:
    async with gateway(tmp_path / "home") as relay:
        said = await run(script, relay)
        assert said.endswith("All of it was answered.\n")
        assert all(request.refusal is None for request in relay.sim.chats)


async def test_a_promise_that_is_not_kept_is_noticed(tmp_path: Path) -> None:
    async with as_aq2api(tmp_path / "home") as relay:
        relay.sim.next("cut_text", times=9)
        with pytest.raises(AssertionError, match="it broke at: OpenAI's SDK"):
            await run("aq2api.sh", relay)
