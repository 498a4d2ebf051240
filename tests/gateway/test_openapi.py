"""The description of the API is that of the routes there are, and its page needs nobody else's files."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from qrelay.http import console, pages
from qrelay.http.app import build_app
from qrelay.http.openapi import TABLE
from qrelay.settings import Settings
from tests.gateway.conftest import Bench
from tests.house.repository import ROOT

pytestmark = pytest.mark.anyio

FILES = {
    *console.PATHS,
    console.FILES.replace(":path", ""),
    *pages.FILES,
} - {"/admin"}
"""What pages are made of, and the console's further names."""


async def test_every_route_is_described_and_no_other(tmp_path: Path) -> None:
    app = build_app(Settings(home=tmp_path), background=False)
    async with app.opened():
        there = {(method, path.replace(":path", "")) for method, path in app.routes}
    same = {(method, path) for method, path in there if path.startswith("/v1/v1/")}
    same |= {(method, path) for method, path in there - same if (method, f"/v1{path}") in there - same}
    described = {(operation.method, operation.path) for operations in TABLE.values() for operation in operations}
    assert described == {(method, path) for method, path in there - same if path not in FILES}


async def test_it_is_openapi(relay: Bench) -> None:
    document = (await relay.http.get("/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    ids = [held["operationId"] for methods in document["paths"].values() for held in methods.values()]
    assert len(set(ids)) == len(ids)
    text = str(document)
    for reference in re.findall(r"#/components/schemas/(\w+)", text):
        assert reference in document["components"]["schemas"]
    (log,) = (held for path, held in document["paths"].items() if path == "/v2/requests")
    for parameter in log["get"]["parameters"]:
        assert (parameter["in"], bool(parameter["description"])) == ("query", True)
        good = {"limit": "1", "before": "1", "since": "2026-01-01"}.get(parameter["name"], "word")
        assert (await relay.http.get("/v2/requests", params={parameter["name"]: good})).status_code == 200
        assert (await relay.http.get("/v2/requests", params={parameter["name"]: "\0"})).status_code == 400
    counted = document["paths"]["/v1/messages/count_tokens"]["post"]["requestBody"]["content"]["application/json"]
    assert counted["schema"]["required"] == ["model", "messages"]
    create = document["components"]["schemas"]["CreateBody"]
    assert {"clientId", "clientSecret", "refreshToken", "label", "enabled"} <= create["properties"].keys()
    assert document["components"]["schemas"]["AccountBody"]["required"] == [
        "refresh_token",
        "client_id",
        "client_secret",
    ]


async def test_its_page_is_whole_by_itself(relay: Bench) -> None:
    seen: set[str] = set()
    ahead = ["/docs"]
    while ahead:
        path = ahead.pop()
        seen.add(path)
        answer = await relay.http.get(path)
        assert answer.status_code == 200, path
        policy = answer.headers.get("content-security-policy", "")
        if answer.headers["content-type"].startswith("text/html"):
            assert "script-src 'self'" in policy
            assert "unsafe" not in policy
            assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|<style|\sstyle=", answer.text)
        if "/swagger-ui-" in path:  # others' files, which name much; what they ask for, the browser's tests see
            assert answer.headers["cache-control"].endswith("immutable")
            continue
        assert answer.headers["cache-control"] in {"no-cache", "no-store"}, path
        if answer.headers["content-type"] == "application/json":
            continue
        linked = re.findall(
            r"(?:src|href)=\"([^\"]*)\"|url\(([^)]*)\)|(?:import|fetch)\s*\(?\s*[\"']([^\"']*)", answer.text
        )
        for target in ("".join(found) for found in linked):
            if target == "data:,":  # an icon that is none: nothing is asked for
                continue
            assert target.startswith("/"), f"{path} needs {target}"
            assert not target.startswith("//")
            if target not in seen:
                ahead.append(target)
    assert seen == {"/docs", "/openapi.json", *pages.FILES}


async def test_swagger_ui_goes_by_the_version_it_has(relay: Bench) -> None:
    rows = json.loads((ROOT / "src/qrelay/http/static/vendor/vendor.json").read_text(encoding="utf-8"))
    assert {row["version"] for row in rows} == {pages.SWAGGER_UI}
    for row in rows:
        answer = await relay.http.get(f"/docs/swagger-ui-{pages.SWAGGER_UI}/{row['file']}")
        assert hashlib.sha256(answer.content).hexdigest() == row["sha256"]


async def test_each_route_says_what_opens_it(relay: Bench) -> None:
    document = (await relay.http.get("/openapi.json")).json()
    schemes = document["components"]["securitySchemes"]
    opened = {
        path: {name for way in operation["security"] for name in way}
        for path, methods in document["paths"].items()
        for operation in methods.values()
    }
    for path, ways in opened.items():
        assert ways <= schemes.keys()
        manages = path.startswith(("/v2/", "/credentials", "/test/", "/api/accounts", "/docs", "/openapi", "/metrics"))
        expected = {"admin", "session"} if manages else {"key", "x-api-key"} if path.startswith("/v1/") else set[str]()
        assert ways == expected, path
