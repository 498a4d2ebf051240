"""Nothing secret is on disk or in the logs, whatever the gateway did: every file is read byte by byte."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx

from qrelay.simulator.server import Simulator
from tests.cli.process import Command

CLIENT_KEY = "canary-client-key-5d41402abc4b2a76"
ADMIN = "canary-admin-secret-9719d911017c592"
PROMPT = "canary-prompt-of-somebody-7d793037"


def found(secrets: dict[str, str], texts: Iterable[tuple[str, bytes]]) -> list[str]:
    return [
        f"{name} in {where}" for where, text in texts for name, secret in secrets.items() if secret.encode() in text
    ]


def files(folder: Path) -> list[tuple[str, bytes]]:
    return [(str(path), path.read_bytes()) for path in folder.rglob("*") if path.is_file()]


def test_no_secret_is_written_anywhere(tmp_path: Path) -> None:
    with Simulator.serve_in_thread() as sim:
        login, variable = sim.add_account("by hand"), sim.add_account("by variable")
        qrelay = Command(
            tmp_path,
            {
                "AMAZONQ_API_ENDPOINT": sim.url,
                "AMAZONQ_TOKEN_ENDPOINT": f"{sim.url}/token",
                "OPENAI_KEYS": CLIENT_KEY,
                "QRELAY_ADMIN_SECRET": ADMIN,
                "QRELAY_LOG_LEVEL": "debug",
                "AMAZONQ_REFRESH_TOKEN": variable.refresh_token,
                "AMAZONQ_CLIENT_ID": variable.client_id,
                "AMAZONQ_CLIENT_SECRET": variable.client_secret,
            },
        )
        with qrelay.running("serve", "--port", "0") as server:
            url = server.url()
            admin = {"authorization": f"Bearer {ADMIN}"}
            key = {"authorization": f"Bearer {CLIENT_KEY}"}
            account: dict[str, Any] = {
                "label": "mine",
                "clientId": login.client_id,
                "clientSecret": login.client_secret,
                "refreshToken": login.refresh_token,
                "accessToken": "canary-access-token-that-is-stale",
            }
            asked = {"model": "claude-sonnet-4.5", "max_tokens": 9, "messages": [{"role": "user", "content": PROMPT}]}
            answers: list[httpx.Response] = []
            with httpx.Client(base_url=url, timeout=30) as client:
                answers.append(client.post("/v2/accounts", json=account, headers=admin))
                for scenario in (None, "bearer_invalid", "internal", "cut_text", "improperly_formed"):
                    if scenario is not None:
                        sim.next(scenario, times=3)
                    answers.append(client.post("/v1/messages", json=asked, headers=key))
                    sim.service.queued.clear()
                answers += [client.post(f"/v2/accounts/{answers[0].json()['id']}/refresh", headers=admin)]
                answers += [client.get("/v2/accounts", headers=admin)]
                answers += [client.get("/v2/accounts", headers={"authorization": f"Bearer {CLIENT_KEY}"})]
                answers += [client.post("/v1/messages?key=canary-in-the-query-string", json=asked, headers=key)]
            done = server.end()
        issued = {
            header.removeprefix("Bearer ")
            for request in sim.requests
            if (header := request.headers.get("authorization", ""))
        }
        bodies = [request.body for request in sim.requests if request.operation == "CreateToken"]
    assert len(issued) >= 3, "both accounts were used and refreshed"
    assert len(bodies) >= 3
    secrets = {
        "the client key": CLIENT_KEY,
        "the admin secret": ADMIN,
        "a prompt": PROMPT,
        "a query": "canary-in-the-query-string",
        "the stale access token": "canary-access-token-that-is-stale",
    }
    for login_ in (login, variable):
        secrets |= {
            f"{login_.client_id}'s secret": login_.client_secret,
            f"{login_.client_id}'s token": login_.refresh_token,
        }
    secrets |= {f"access token {number}": token for number, token in enumerate(sorted(issued))}
    everywhere = [*files(qrelay.home), ("stdout", done.out.encode()), ("stderr", done.err.encode())]
    assert len(everywhere) > 3
    assert not found(secrets, everywhere)
    del secrets["a prompt"]  # the simulated model quotes it
    assert not found(secrets, [(str(answer.url.path), answer.content) for answer in answers])
