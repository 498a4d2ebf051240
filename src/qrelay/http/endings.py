"""Where the end of a chat request is told: the figures, the line in the log, the request log. No text of anybody's.

    Endings.tell(ending)  ->  Traffic.ended     what /metrics says
                          ->  log_request       one line
                          ->  Journal.note      one row, a second later

It is done for every request, also for those that were refused at the door, so it costs a few microseconds and no I/O.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from msgspec import Struct
from starlette.types import Scope

from qrelay.events import Usage
from qrelay.http.asked import header
from qrelay.http.traffic import Traffic
from qrelay.logs import RequestLine, log_request
from qrelay.records.ended import Ended, attempts_text, sentence, word, words
from qrelay.records.journal import Journal
from qrelay.redaction import Redactor
from qrelay.reply import Served
from qrelay.trace import Trace

_CLIENT_HEADER: Final = b"x-qrelay-client"
_PAGES: Final[Mapping[str, str]] = {"playground": "qrelay playground", "docs": "qrelay docs"}
"""What our own pages call themselves, and how that is told: no program's name has a space."""


class Ending(Struct, kw_only=True):
    """What is known of a request at its end. `error` is what its client was told; times are milliseconds."""

    request_id: str
    dialect: str
    outcome: str
    status: int
    error: str | None
    client: str | None
    key_id: str
    stream: bool | None
    model_asked: str | None
    ignored: tuple[str, ...]
    served: Served | None
    usage: Usage | None
    trace: Trace
    first_byte_ms: float | None


class Endings:
    """Tells everyone who keeps account of requests."""

    def __init__(self, traffic: Traffic, journal: Journal, redactor: Redactor) -> None:
        self.traffic = traffic
        self._journal = journal
        self._redactor = redactor

    def tell(self, ending: Ending) -> None:
        """Once for each request."""
        duration_ms = round(ending.trace.elapsed_ms(), 1)
        first_byte_ms = None if ending.first_byte_ms is None else round(ending.first_byte_ms, 1)
        served, usage, attempts = ending.served, ending.usage, ending.trace.attempts
        model = served.model if served else None
        self.traffic.ended(
            dialect=ending.dialect,
            model=model,
            status=ending.status,
            stream=ending.stream,
            duration=duration_ms / 1000,
            first_byte=None if first_byte_ms is None else first_byte_ms / 1000,
            waited=ending.trace.waited_ms() / 1000 if attempts else None,
            tokens=(usage.prompt_tokens, usage.output_tokens) if usage else None,
        )
        log_request(
            RequestLine(
                request_id=ending.request_id,
                dialect=ending.dialect,
                outcome=ending.outcome,
                duration_ms=duration_ms,
                stream=ending.stream,
                model=model,
                account=attempts[-1].label if attempts else None,
                attempts=len(attempts) or None,
                upstream_request_id=served.upstream_request_id if served else None,
                first_byte_ms=first_byte_ms,
                input_tokens=usage.prompt_tokens if usage else None,
                output_tokens=usage.output_tokens if usage else None,
                credits=usage.credits if usage else None,
            )
        )
        self._journal.note(self._ended(ending, duration_ms, first_byte_ms))

    def _ended(self, ending: Ending, duration_ms: float, first_byte_ms: float | None) -> Ended:
        trace, served, usage = ending.trace, ending.served, ending.usage
        ended = Ended(
            id=ending.request_id,
            at=self._journal.clock() - duration_ms / 1000,
            dialect=ending.dialect,
            client=ending.client,
            stream=ending.stream,
            status=ending.status,
            outcome=ending.outcome,
            model_asked=word(ending.model_asked),
            key_id=ending.key_id or None,
            duration_ms=duration_ms,
            first_byte_ms=first_byte_ms,
        )
        if ending.error is not None:
            ended.error = sentence(self._redactor.mask(ending.error))
        if trace.attempts:
            ended.account_id = trace.attempts[-1].account_id
            ended.attempts = attempts_text(trace.attempts)
            ended.queue_ms = round(trace.queue_ms, 1)
            ended.refresh_ms = round(trace.refresh_ms, 1)
            ended.connect_ms = round(trace.connect_ms, 1)
            if trace.first_event_ms is not None:
                ended.first_event_ms = round(trace.first_event_ms, 1)
        if served is not None:
            ended.model = word(served.model)
            ended.upstream_request_id = word(served.upstream_request_id) or None
            ended.ignored = words((*ending.ignored, *served.ignored))
            ended.adjusted = words(served.adjustments)
        if usage is not None:
            ended.input_tokens = usage.input_tokens
            ended.cache_read_tokens = usage.cache_read_tokens
            ended.cache_write_tokens = usage.cache_write_tokens
            ended.output_tokens = usage.output_tokens
            ended.estimated = usage.estimated
            ended.credits = usage.credits
        return ended


def client_of(scope: Scope) -> str | None:
    """Which program asks, as its User-Agent begins: `claude-cli/2.1.3`.

    All browsers begin alike, so pages of this gateway say which they are: `qrelay playground`.
    """
    for name, value in scope["headers"]:
        if name == b"user-agent":
            return (value.startswith(b"Mozilla/") and _PAGES.get(header(scope, _CLIENT_HEADER))) or _product(
                value[:_PRODUCT_LENGTH]
            )
    return None


_PRODUCT_LENGTH: Final = 200
"""Bytes of a User-Agent that are looked at, and so may be a key of the cache."""


@lru_cache(maxsize=512)
def _product(user_agent: bytes) -> str | None:
    found = re.match(rb"[!-~]{1,60}", user_agent.lstrip())
    return found[0].decode("ascii") if found else None
