"""A server on a real socket that answers every POST with one scripted reply in one dialect. Not the gateway's own."""

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from qrelay.apis import errors
from qrelay.apis.dialect import Call, Dialect, Stamp
from qrelay.completion import fold
from qrelay.errors import RelayError
from qrelay.events import Event

STAMP = Stamp("0123abcd", lambda: 1_700_000_000.0)


def streamed(call: Call, events: Sequence[Event], failure: RelayError | None = None) -> bytes:
    """The whole stream of a reply, fed event by event."""
    writer = call.writer()
    out = [writer.start(), *(writer.feed([event]) for event in events)]
    out.append(writer.close() if failure is None else writer.fail(failure))
    return b"".join(out)


@contextmanager
def serve(dialect: Dialect, events: Sequence[Event], failure: RelayError | None = None) -> Generator[str]:
    """Yields the base URL. With `failure` the stream breaks after `events`; without events it is the answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            try:
                call = dialect.read(body, STAMP)
                if failure is not None and not events:
                    raise failure
            except RelayError as error:
                told = errors.reply(error, dialect.family, "req_1")
                self._answer(told.status, [(key.decode(), value.decode()) for key, value in told.headers], told.body)
                return
            if call.stream:
                self._answer(200, [("content-type", "text/event-stream")], streamed(call, events, failure))
            else:
                self._answer(200, [("content-type", "application/json")], call.whole(fold(events)))

        def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response(status)
            for key, value in [*headers, ("content-length", str(len(body)))]:
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name for it
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()
