"""The console's page and the files it is made of (qrelay/console). Nothing of anybody is in them.

    GET /, /admin, /console, /console/{page}    one page for all of them; which part is shown is the browser's business
    GET /console/files/{digest}/{path}          its scripts, styles and pictures

What the console shows comes from the management API, through the same doors as for everybody. Who may see the page is
`Doors.check_console`'s business; `GET /` answers everybody, whom it shows no page in two words for programs.

The digest is of all files together, so that what a URL holds never changes, and a browser may keep it for good. Within
the tree, files name each other by relative paths; the libraries under `vendor` go by the names in the import map.
"""

import gzip
import hashlib
import json
import posixpath
import re
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qrelay import __version__
from qrelay.http.doors import Doors
from qrelay.http.management import Endpoint, told

PATHS: Final = ("/admin", "/console", "/console/{page}")
FILES: Final = "/console/files/{digest}/{path:path}"
LIBRARIES: Final[Mapping[str, str]] = {
    "preact": "vendor/preact.js",
    "preact/hooks": "vendor/preact-hooks.js",
    "htm": "vendor/htm.js",
    "uplot": "vendor/uplot.js",
}
_TYPES: Final[Mapping[str, str]] = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_IMPORT: Final = re.compile(r"""^(?:import|export)\b(?:[^"'(;=]*\bfrom)?\s*"([^"]+)\"""", re.MULTILINE)
_SHARED: Final[Mapping[str, str]] = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class File(NamedTuple):
    """One file as it is sent."""

    content: bytes
    packed: bytes
    media_type: str


class Site:
    """The console's files, read once."""

    def __init__(self, folder: Traversable) -> None:
        contents = dict(sorted(_contents(folder)))
        self._index = contents.pop("index.html").decode()
        digest = hashlib.sha256()
        for path, content in contents.items():
            digest.update(f"{path}\0{len(content)}\0".encode() + content)
        self.root = f"/console/files/{digest.hexdigest()[:16]}"
        self.files = {path: _file(path, content) for path, content in contents.items()}
        libraries = {name: f"{self.root}/{path}" for name, path in LIBRARIES.items()}
        self._import_map = json.dumps({"imports": libraries}, separators=(",", ":"))
        self.headers = {**_SHARED, "content-security-policy": self._policy(), "cache-control": "no-cache"}

    def page(self, name: str) -> bytes:
        """The page's HTML. What the part called `name` is made of is asked for before any script has run."""
        ahead = self.needed("app.js")
        if f"pages/{name}.js" in self.files:
            ahead |= self.needed(f"pages/{name}.js")
        links = "\n".join(f'<link rel="modulepreload" href="{self.root}/{path}">' for path in sorted(ahead))
        filled = {"root": self.root, "importmap": self._import_map, "preload": links, "version": __version__}
        return re.sub(r"\{\{(\w+)\}\}", lambda found: filled[found[1]], self._index).encode()

    def needed(self, path: str) -> set[str]:
        """A script and every other that it can't start without: what is imported dynamically isn't among them."""
        found: set[str] = set()
        ahead = [path]
        while ahead:
            if (path := ahead.pop()) in found:
                continue
            found.add(path)
            for name in _IMPORT.findall(self.files[path].content.decode()):
                inside = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
                ahead.append(LIBRARIES.get(name, inside))
        return found

    def _policy(self) -> str:
        digest = b64encode(hashlib.sha256(self._import_map.encode()).digest()).decode()
        return (
            f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self'; img-src 'self' data: blob:; "
            "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        )


@cache
def site() -> Site:
    """The one this package brings."""
    return Site(files("qrelay") / "console")


def routes(doors: Doors, *, console: bool) -> list[Route]:
    """The page under all its names and its files; without a console, `GET /` alone, in two words for programs."""
    if not console:
        return [Route("/", _for_programs, methods=["GET", "HEAD"])]

    async def root(request: Request) -> Response:
        accepted = request.headers.get("accept", "*/*")
        for_people = "text/html" in accepted or "*/*" in accepted
        shown = doors.shows_console(request.scope)
        return await (_page if for_people and shown else _for_programs if shown else _closed)(request)

    def behind_its_door(endpoint: Endpoint) -> Endpoint:
        async def answer(request: Request) -> Response:
            doors.check_console(request.scope)
            return await endpoint(request)

        return told(answer)

    paths = {"/": root} | {path: behind_its_door(_page) for path in PATHS} | {FILES: behind_its_door(_asset)}
    return [Route(path, endpoint, methods=["GET", "HEAD"]) for path, endpoint in paths.items()]


async def _page(request: Request) -> Response:
    name: str = request.path_params.get("page", "overview")
    return Response(site().page(name), media_type="text/html", headers=site().headers)


async def _for_programs(_: Request) -> Response:
    return JSONResponse({"name": "qrelay", "version": __version__})


async def _closed(_: Request) -> Response:
    why = "It is for direct requests from this machine to a loopback name; QRELAY_ADMIN_SECRET opens it to others."
    return JSONResponse({"name": "qrelay", "version": __version__, "console": why})


async def _asset(request: Request) -> Response:
    """A file by its name; none by another digest, which is of a page of another version."""
    file = site().files.get(request.path_params["path"])
    current = request.scope["path"].startswith(f"{site().root}/")
    if file is None or not current:
        return Response(status_code=404, headers={**_SHARED, "cache-control": "no-store"})
    packs = "gzip" in request.headers.get("accept-encoding", "")
    headers = {**_SHARED, "cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
    if packs:
        headers["content-encoding"] = "gzip"
    return Response(file.packed if packs else file.content, media_type=file.media_type, headers=headers)


def _contents(folder: Traversable, prefix: str = "") -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        path = f"{prefix}{entry.name}"
        if entry.is_dir():
            found += _contents(entry, f"{path}/")
        elif path == "index.html" or posixpath.splitext(path)[1] in _TYPES:
            found.append((path, entry.read_bytes()))
    return found


def _file(path: str, content: bytes) -> File:
    return File(content, gzip.compress(content, mtime=0), _TYPES[posixpath.splitext(path)[1]])
