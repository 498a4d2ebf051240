"""`qrelay serve` several times on one PostgreSQL, whole as people run it: `--help` says what there is.

    storm   every token has expired, and hundreds of callers come at once: how often is the token service asked
    seen    what one process changes: how long until another one knows

Each run prints rows of a table in docs/reliability.md. What single parts do, and what a kill costs: `chaos.py`.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import aiohttp
from tests.accounts.stored import execute
from tests.cli.process import Command
from tests.postgres import running

from qrelay.database.watch import LISTENING
from qrelay.simulator.server import Simulator

EXPIRED = "UPDATE accounts SET expires_at = 0, revision = revision + 1"
DEAF = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = '{LISTENING}'"


class Pack(NamedTuple):
    """Replicas that serve, and what is under them."""

    urls: list[str]
    database: str
    service: Simulator
    http: aiohttp.ClientSession

    async def call(self, replica: int, method: str, path: str, body: Any = None) -> Any:
        async with self.http.request(method, self.urls[replica] + path, json=body) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def rows(self, replica: int) -> list[dict[str, Any]]:
        return await self.call(replica, "GET", "/v2/accounts")

    async def everywhere(self, so: Callable[[list[dict[str, Any]]], bool]) -> None:
        """Wait until every replica's accounts are so."""
        for replica in range(len(self.urls)):
            while not so(await self.rows(replica)):  # noqa: ASYNC110 - another process's
                await asyncio.sleep(0.05)


@contextmanager
def processes(count: int) -> Generator[tuple[list[str], str, Simulator]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="qrelay-replicas-")))
        postgres = stack.enter_context(running())
        service = stack.enter_context(Simulator.serve_in_thread())
        database = postgres.url(postgres.new_database())
        variables = {
            "QRELAY_DATABASE_URL": database,
            "QRELAY_MASTER_KEY": "c2FtZSBmb3IgZXZlcnlib2R5LCBhbmQgMzIgYnl0ZXM=",
            "QRELAY_REFRESH_CHECK_SECONDS": "86400",  # only requests ask for tokens
            "QRELAY_QUOTA_CHECK_SECONDS": "0",
            "QRELAY_LOG_LEVEL": "error",
            "AMAZONQ_API_ENDPOINT": service.url,
            "AMAZONQ_TOKEN_ENDPOINT": f"{service.url}/token",
        }
        urls: list[str] = []
        for number in range(count):
            (folder / str(number)).mkdir()
            command = Command(folder / str(number), variables)
            urls.append(stack.enter_context(command.running("serve", "--port", "0")).url())
        yield urls, database, service


@asynccontextmanager
async def pack(count: int, accounts: int) -> AsyncGenerator[Pack]:
    """So many replicas that know so many accounts, whose tokens are fresh."""
    timeout = aiohttp.ClientTimeout(total=300)
    with processes(count) as (urls, database, service):
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as http:
            made = Pack(urls, database, service, http)
            for _ in range(accounts):
                login = service.add_account()
                body = {"clientId": login.client_id, "clientSecret": login.client_secret}
                await made.call(0, "POST", "/v2/accounts", body | {"refreshToken": login.refresh_token})
            await made.call(0, "POST", "/v2/accounts/refresh")
            await made.everywhere(lambda rows: sum(row["last_refresh_status"] == "success" for row in rows) == accounts)
            yield made


async def storm(replicas: int, callers: int, accounts: int) -> None:
    async with pack(replicas, accounts) as over:

        async def ask(number: int) -> int:
            body = {"model": "claude-sonnet-4.5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
            headers = {"x-session-id": f"session {number}"}
            url = f"{over.urls[number % replicas]}/v1/messages"
            async with over.http.post(url, json=body, headers=headers) as answer:
                await answer.read()
                return answer.status

        for how in ("their time is over", "the service refuses them"):
            before = len(over.service.requests)
            if how == "their time is over":
                execute(over.database, EXPIRED)
                await over.everywhere(lambda rows: all(row["expiresAt"][:4] == "1970" for row in rows))
            else:
                over.service.expire_access_tokens()
            began = time.monotonic()
            statuses = Counter(await asyncio.gather(*(ask(number) for number in range(replicas * callers))))
            took = time.monotonic() - began
            calls = [each for each in over.service.requests[before:] if each.path == "/token"]
            used = Counter(json.loads(each.raw)["refreshToken"] for each in calls)
            print(
                f"| {replicas} x {callers} | {how} | {accounts} | {len(calls)} | {sum(used.values()) - len(used)} "
                f"| {statuses[200]} of {replicas * callers} | {took:.1f} s |",
                flush=True,
            )
            if others := {status: many for status, many in statuses.items() if status != 200}:
                print(f"other answers: {others}", file=sys.stderr)


async def seen(changes: int) -> None:
    async with pack(2, 1) as both:
        account = (await both.rows(0))[0]["id"]
        for how in ("arrive", "are lost"):
            waits: list[float] = []
            for number in range(changes):
                label = f"{how} {number}"
                if how == "are lost":
                    execute(both.database, DEAF)
                await both.call(0, "PATCH", f"/v2/accounts/{account}", {"label": label})
                began = time.monotonic()
                where = f"/v2/accounts/{account}"
                while (await both.call(1, "GET", where))["label"] != label:  # noqa: ASYNC110 - another process's
                    await asyncio.sleep(0.005)
                waits.append(time.monotonic() - began)
            cuts = statistics.quantiles(waits, n=100)
            print(
                f"| {how} | {changes} | {statistics.median(waits):.2f} s | {cuts[98]:.2f} s | {max(waits):.2f} s |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["storm", "seen"])
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--callers", type=int, default=100, help="of each replica")
    parser.add_argument("--accounts", type=int, default=20)
    parser.add_argument("--changes", type=int, default=100)
    asked = parser.parse_args()
    if asked.what == "storm":
        asyncio.run(storm(asked.replicas, asked.callers, asked.accounts))
    else:
        asyncio.run(seen(asked.changes))


if __name__ == "__main__":
    main()
