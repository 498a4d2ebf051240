"""What was counted elsewhere, as Prometheus reads it. Nothing is computed before it is asked for; the route: `metrics`.

Names and labels are a promise to dashboards. An account is named by the first part of its id, never by its label.
"""

import asyncio
import platform
from collections.abc import Callable, Iterable, Mapping, Sized
from itertools import accumulate
from typing import TypeAlias, get_args

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from qrelay import __version__, logs
from qrelay.accounts.account import AccountState
from qrelay.accounts.pool import Pool
from qrelay.accounts.refresher import Refresher
from qrelay.gateway import Gateway
from qrelay.histogram import Histogram
from qrelay.http.traffic import Kind, Traffic
from qrelay.records.journal import Journal
from qrelay.upstream.quota import kept

Encoder: TypeAlias = Callable[[str], tuple[bytes, str]]


def encoder(counted: Collector) -> Encoder:
    """Writes them in the form that an `Accept` header asks for: (accept) -> (text, content type)."""
    registry = CollectorRegistry()
    registry.register(counted)
    ProcessCollector(registry=registry)

    def write(accept: str) -> tuple[bytes, str]:
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type

    return write


class Counted(Collector):
    def __init__(
        self,
        traffic: Traffic,
        gateway: Gateway,
        refresher: Refresher,
        pool: Pool,
        journal: Journal,
        *,
        connections: Sized,
    ) -> None:
        self._traffic = traffic
        self._gateway = gateway
        self._refresher = refresher
        self._pool = pool
        self._journal = journal
        self._connections = connections

    def collect(self) -> Iterable[Metric]:
        traffic = self._traffic
        requests = CounterMetricFamily(
            "qrelay_requests",
            "Chat requests, by the status they ended with (that of its error for a stream that broke, 499 for a client "
            "that left).",
            labels=("dialect", "model", "status", "stream"),
        )
        for (dialect, model, status, stream), count in traffic.requests.items():
            requests.add_metric((dialect, model, str(status), stream), count)
        yield requests
        yield _histogram("qrelay_request_duration_seconds", "To the end of the answer.", traffic.durations)
        yield _histogram("qrelay_time_to_first_byte_seconds", "To the first byte of the answer.", traffic.first_bytes)
        yield _histogram(
            "qrelay_overhead_seconds",
            "To the first byte of a stream, without the waits for an account, a token and the service.",
            traffic.own,
        )
        errors = CounterMetricFamily(
            "qrelay_sse_error_events", "Streams that ended in an error event.", labels=("dialect", "cause")
        )
        for labels, count in traffic.stream_errors.items():
            errors.add_metric(labels, count)
        yield errors
        tokens = CounterMetricFamily(
            "qrelay_tokens", "Tokens as clients were told them, estimates included.", labels=("direction", "model")
        )
        for labels, count in traffic.tokens.items():
            tokens.add_metric(labels, count)
        yield tokens
        yield GaugeMetricFamily("qrelay_streams_in_flight", "Streams that are being sent.", value=traffic.streams)
        yield CounterMetricFamily(
            "qrelay_client_disconnects", "Clients that left before their answer ended.", value=traffic.disconnects
        )
        yield _single("qrelay_upstream_cancel_seconds", "From a client's leaving to its call's end.", traffic.cancels)
        yield self._attempts()
        yield from self._tokens()
        failures = CounterMetricFamily(
            "qrelay_store_errors", "Times the database could not be used, to `read` or to `write`.", labels=("op",)
        )
        for op, count in self._journal.database.failures.items():
            failures.add_metric((op,), count)
        yield failures
        yield CounterMetricFamily(
            "qrelay_usage_rows_dropped",
            "Rows of the request log that could not be written down.",
            value=self._journal.dropped,
        )
        yield CounterMetricFamily(
            "qrelay_log_lines_dropped",
            "Lines of the log that standard error did not take in time, or not at all.",
            value=logs.dropped_lines(),
        )
        yield self._accounts()
        yield self._quotas()
        yield self._cooldowns()
        yield self._expiries()
        failovers = CounterMetricFamily(
            "qrelay_failovers", "Requests that went on to another account, by what failed.", labels=("reason",)
        )
        for reason, count in self._gateway.failovers.items():
            failovers.add_metric((str(reason),), count)
        yield failovers
        yield GaugeMetricFamily(
            "qrelay_queued", "Requests that wait for an account with room.", value=self._pool.queued
        )
        yield GaugeMetricFamily("qrelay_connections", "Open connections of clients.", value=len(self._connections))
        yield GaugeMetricFamily("qrelay_asyncio_tasks", "Tasks of the event loop.", value=len(asyncio.all_tasks()))
        build = GaugeMetricFamily("qrelay_build_info", "Which qrelay this is.", labels=("version", "python"))
        build.add_metric((__version__, platform.python_version()), 1)
        yield build

    def _attempts(self) -> Metric:
        calls = CounterMetricFamily(
            "qrelay_upstream_attempts",
            "Chat calls to the service. `ok`, or the code of what failed.",
            labels=("account", "outcome"),
        )
        for (account_id, outcome), count in self._gateway.attempts.items():
            calls.add_metric((account_id[:8], str(outcome)), count)
        return calls

    def _tokens(self) -> Iterable[Metric]:
        refresher = self._refresher
        yield _by_outcome("qrelay_token_refresh", "Refreshes of tokens.", refresher.outcomes)
        yield _single("qrelay_token_refresh_seconds", "Calls of the token service.", refresher.calls)
        yield _single("qrelay_token_persist_seconds", "From a new token to its being stored.", refresher.keeps)
        yield _single(
            "qrelay_refresh_lease_wait_seconds", "Until an account's token could be refreshed.", refresher.waits
        )

    def _expiries(self) -> Metric:
        left = GaugeMetricFamily(
            "qrelay_token_expiry_seconds", "Until its token expires; negative when it has.", labels=("account",)
        )
        now = self._pool.store.clock()
        for account in self._pool.store.accounts():
            if account.expires_at is not None:
                left.add_metric((account.id[:8],), account.expires_at - now)
        return left

    def _accounts(self) -> Metric:
        states = GaugeMetricFamily("qrelay_account_state", "1 for the state it is in.", labels=("account", "state"))
        for account in self._pool.store.accounts():
            stands = self._pool.roll.state(account)
            for state in get_args(AccountState):
                states.add_metric((account.id[:8], state), float(stands == state))
        return states

    def _quotas(self) -> Metric:
        used = GaugeMetricFamily(
            "qrelay_account_quota_used_ratio", "How much of its plan's credits is used, of 1.", labels=("account",)
        )
        for account in self._pool.store.accounts():
            quota = kept(account.quota)
            if quota is not None and quota.main is not None and quota.main.limit > 0:
                used.add_metric((account.id[:8],), quota.main.used / quota.main.limit)
        return used

    def _cooldowns(self) -> Metric:
        left = GaugeMetricFamily(
            "qrelay_account_cooldown_seconds",
            "Until it is asked for the model again (`any`: for every model).",
            labels=("account", "model"),
        )
        now = self._pool.store.clock()
        for account in self._pool.store.accounts():
            for entry in self._pool.store.cooldowns.of(account.id):
                left.add_metric((account.id[:8], entry.model or "any"), entry.until - now)
        return left


def _by_outcome(name: str, told: str, counted: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, f"{told} `ok`, or the code of what failed.", labels=("outcome",))
    for outcome, count in counted.items():
        family.add_metric((str(outcome),), count)
    return family


def _single(name: str, told: str, histogram: Histogram) -> Metric:
    family = HistogramMetricFamily(name, told)
    family.add_metric((), *_steps(histogram))
    return family


def _steps(histogram: Histogram) -> tuple[list[tuple[str, float]], float]:
    """As the library takes them: the ends with the counts up to each, and the sum."""
    ends = [*map("{:g}".format, histogram.bounds), "+Inf"]
    return list(zip(ends, accumulate(histogram.steps), strict=True)), histogram.total


def _histogram(name: str, told: str, histograms: Mapping[Kind, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, told, labels=Kind._fields)
    for kind, histogram in histograms.items():
        family.add_metric(kind, *_steps(histogram))
    return family
