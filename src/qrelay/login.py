"""The use case "log an account in": introduces the account room to the service's list of profiles. No HTTP of its own.

    LogIns.start(wish) -> LogIn       a code to show; a task of its own waits for the approval, whoever else does
    LogIns.find(id) -> Standing       how it stands: pending, completed, error, timeout
    LogIns.wait(id, seconds)          the same when it has ended, or after so long

Those that this process began live in its memory and end with it; `accounts.standings` has a row of each, from which any
other process answers, and this one after a restart.
"""

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog
from msgspec import Struct
from msgspec.structs import replace

from qrelay.accounts import device
from qrelay.accounts.account import Account, AccountChanges, NewAccount, Renewal
from qrelay.accounts.answers import DeviceCode, Registration
from qrelay.accounts.device import DeviceLogIn, Place
from qrelay.accounts.oidc import TokenClient
from qrelay.accounts.standings import KEPT_SECONDS, Standing, Standings, UsableProfile
from qrelay.accounts.store import AccountStore
from qrelay.credential import LoginKind
from qrelay.errors import ErrorCode, RelayError
from qrelay.quotas import Quotas
from qrelay.records.audit import AuditLog
from qrelay.upstream.client import UpstreamClient
from qrelay.upstream.endpoints import Endpoint
from qrelay.upstream.profiles import choose, list_profiles

log: structlog.stdlib.BoundLogger = structlog.get_logger()

_PATIENCE_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 1.0
"""How often a row is read while somebody waits for another process's log-in."""
_REGISTRATION_LEAD: Final = 60.0
"""What Amazon Q's own client takes (PROTOCOL.md §6.1)."""


class Wish(Struct, frozen=True, kw_only=True):
    """A log-in as it is asked for; None is "not said". `account_id` names an account that is to be logged in again."""

    label: str | None = None
    enabled: bool | None = None
    kind: LoginKind | None = None
    start_url: str | None = None
    region: str | None = None
    account_id: str | None = None
    profile_arn: str | None = None


class LogIn:
    """One log-in of this process, from its code to its end. `code` is what is shown to whoever approves it."""

    def __init__(self, device_log_in: DeviceLogIn, wish: Wish, standing: Standing) -> None:
        self.wish = wish
        self.code: DeviceCode = device_log_in.code
        self.standing = standing
        self.ended = asyncio.Event()

    @property
    def id(self) -> str:
        return self.standing.id

    def learn(self, **changes: Any) -> None:
        """What is known of it now, by the names of `Standing`."""
        self.standing = replace(self.standing, **changes)

    def end(self, standing: Standing) -> None:
        self.standing = standing
        self.ended.set()


class LogIns:
    """All of one process. `endpoints` are the places that list profiles; `close` it before the store."""

    def __init__(
        self,
        store: AccountStore,
        tokens: TokenClient,
        client: UpstreamClient,
        endpoints: Sequence[Endpoint],
        quotas: Quotas,
        *,
        timeout_seconds: float,
        audit: AuditLog,
        standings: Standings,
    ) -> None:
        self.clock = standings.clock
        self._standings = standings
        self._store = store
        self._audit = audit
        self._tokens = tokens
        self._client = client
        self._endpoints = endpoints
        self._quotas = quotas
        self._timeout = timeout_seconds
        self._log_ins: dict[str, LogIn] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    async def start(self, wish: Wish) -> LogIn:
        """Begin one. Raises RelayError: request_invalid, account_unknown, and what `device.begin` raises."""
        account = self._store.get(wish.account_id) if wish.account_id is not None else None
        place = _place(wish, account)
        known = None if account is None else self._own_registration(account, place)
        device_log_in = await device.begin(self._tokens, place, known, timeout_seconds=self._timeout)
        standing = Standing(
            id=secrets.token_hex(16),
            address=device_log_in.code.verification_uri_complete,
            ends_at=self.clock() + device_log_in.remaining,
        )
        await self._standings.begin(standing)
        log_in = LogIn(device_log_in, wish, standing)
        self._forget_old()
        self._log_ins[log_in.id] = log_in
        task = asyncio.create_task(self._carry_through(log_in, device_log_in))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._landed(log_in, done))
        log.info("a log-in waits for its approval", log_in=log_in.id, kind=place.kind, region=place.region)
        return log_in

    async def find(self, id_: str) -> Standing:
        """How one stands, whoever began it. Raises RelayError: login_unknown, store_failed."""
        log_in = self._log_ins.get(id_)
        return await self._standings.find(id_) if log_in is None else log_in.standing

    async def wait(self, id_: str, seconds: float) -> Standing:
        """The same when it has ended, or after so many seconds. Who waits may leave: it goes on."""
        log_in = self._log_ins.get(id_)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if log_in is not None:
                    await log_in.ended.wait()
                while (await self.find(id_)).status == "pending":  # noqa: ASYNC110 - nobody here knows sooner
                    await asyncio.sleep(_LOOK_SECONDS)
        return await self.find(id_)

    async def close(self) -> None:
        """End those that wait. What is being asked or stored just now is waited for: tokens come only once."""
        self._closing.set()
        while self._tasks:
            await asyncio.wait(self._tasks)

    # -- inside

    async def _carry_through(self, log_in: LogIn, device_log_in: DeviceLogIn) -> None:
        try:
            renewal = await device_log_in.wait(self._closing)
            known = {held.id for held in self._store.accounts()}
            account = await self._keep(log_in.wish, device_log_in, renewal)
            log_in.learn(account_id=account.id)
            if account.kind == "identity_center":
                await self._choose_profile(log_in, account)
            if account.id not in known:
                await self._join(log_in, account.id)
        except RelayError as error:
            await self._note(log_in, "login.fail", error)
            await self._end(log_in, log_in.standing.failed(error))
            log.warning("a log-in has failed", log_in=log_in.id, code=error.code, reason=error.message)
        else:
            await self._note(log_in, "login.finish", None)
            await self._end(log_in, replace(log_in.standing, status="completed"))
            log.info("logged in", log_in=log_in.id, account=log_in.standing.account_id)

    async def _end(self, log_in: LogIn, standing: Standing) -> None:
        try:
            await self._standings.put(standing)
        except RelayError as error:  # the others will say that its time is over
            log.warning("how a log-in ended could not be stored", log_in=log_in.id, reason=error.message)
        log_in.end(standing)

    async def _note(self, log_in: LogIn, action: str, error: RelayError | None) -> None:
        """Into the audit log. Its tokens are stored already, so a log that can't be written spoils nothing."""
        detail = {"login": log_in.id} | ({} if error is None else {"error": str(error.code)})
        status = 200 if error is None else error.row.status
        try:
            await self._audit.note("system", action, target=log_in.standing.account_id, status=status, detail=detail)
        except RelayError as unwritten:
            log.warning("a log-in is missing in the audit log", log_in=log_in.id, reason=unwritten.message)

    def _landed(self, log_in: LogIn, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if log_in.ended.is_set():
            return
        # Nothing raises here but what nobody thought of; whoever waits is told all the same.
        broken = RelayError(ErrorCode.internal, "The log-in broke on this side; the log says where.")
        log_in.end(log_in.standing.failed(broken))
        if not task.cancelled():
            log.error("a log-in broke", log_in=log_in.id, exc_info=task.exception())

    async def _keep(self, wish: Wish, device_log_in: DeviceLogIn, renewal: Renewal) -> Account:
        place, client = device_log_in.place, device_log_in.client
        new = NewAccount(
            kind=place.kind,
            label=wish.label,
            region=place.region,
            start_url=place.start_url,
            profile_arn=renewal.profile_arn,
            client_id=client.client_id,
            client_secret=client.client_secret,
            client_secret_expires_at=client.expires_at,
            own_client=True,
            refresh_token=renewal.refresh_token,
            access_token=renewal.access_token,
            expires_at=self.clock() + renewal.expires_in,
            enabled=wish.enabled,
        )
        if wish.account_id is not None:
            return await self._store.log_in_again(wish.account_id, new)
        return await self._store.add(new)

    async def _choose_profile(self, log_in: LogIn, account: Account) -> None:
        """One profile is taken as it is; of several the one that was named or used before, else the first.

        The tokens are stored already, so a list that can't be had spoils nothing: it is told, and can be made good.
        """
        credential = account.credential()
        if credential is None:
            return
        named, used = log_in.wish.profile_arn, account.profile_arn
        profiles, failures = await list_profiles(self._client, credential, self._endpoints)
        arns = [profile.arn for profile in profiles]
        chosen = choose(profiles, named, used)
        if chosen is None and failures:
            chosen = named or used
        if chosen is not None and chosen != used:
            try:
                await self._store.patch(account.id, AccountChanges(profile_arn=chosen))
            except RelayError as error:
                failures.append(error)
        usable = tuple(UsableProfile(profile.arn, profile.name) for profile in profiles)
        log_in.learn(profiles=usable, note=_note(arns, named, chosen, failures))

    async def _join(self, log_in: LogIn, account_id: str) -> None:
        """A user who has an account here already gets the log-in in that one: the same user is one account.

        Who it is, the service says; where it doesn't, the account stays one of its own.
        """
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                account = await self._quotas.read(account_id)
            known = self._quotas.same_user(account)
            if known is None:
                return
            await self._store.log_in_again(
                known.id,
                NewAccount(
                    kind=account.kind,
                    label=log_in.wish.label,
                    region=account.region,
                    start_url=account.start_url,
                    profile_arn=account.profile_arn,
                    client_id=account.client_id,
                    client_secret=account.client_secret,
                    client_secret_expires_at=account.client_secret_expires_at,
                    own_client=account.own_client,
                    refresh_token=account.refresh_token,
                    access_token=account.access_token,
                    expires_at=account.expires_at,
                ),
            )
            log_in.learn(account_id=known.id)
            await self._store.delete(account.id)
        except (RelayError, TimeoutError) as error:
            log.info("whose log-in it is isn't known", log_in=log_in.id, reason=str(error))
            return
        log.info("the user has an account already, which has the log-in now", account=known.id)
        told = f"This user has the account {known.name} already: it has this log-in now, and no other was added."
        note = log_in.standing.note
        log_in.learn(note=f"{told} {note}" if note else told)

    def _own_registration(self, account: Account, place: Place) -> Registration | None:
        """The account's client, where it is ours, of the same region, and outlives this log-in."""
        if not account.own_client or account.region != place.region:
            return None
        if account.client_id is None or account.client_secret is None:
            return None
        expires_at = account.client_secret_expires_at
        if expires_at is not None and expires_at < self.clock() + self._timeout + _REGISTRATION_LEAD:
            return None
        return Registration(client_id=account.client_id, client_secret=account.client_secret, expires_at=expires_at)

    def _forget_old(self) -> None:
        oldest = self.clock() - KEPT_SECONDS
        for id_, log_in in list(self._log_ins.items()):
            if log_in.ended.is_set() and log_in.standing.ends_at < oldest:
                del self._log_ins[id_]


def _place(wish: Wish, account: Account | None) -> Place:
    """Where the wish says; for an account that is logged in again, where it was unless the wish says otherwise."""
    if account is None or wish.kind is not None or wish.start_url is not None:
        return device.place(wish.kind, wish.start_url, wish.region)
    if account.kind == "identity_center":
        return device.place(account.kind, account.start_url, wish.region or account.region)
    return device.place(account.kind, None, wish.region)


def _note(arns: Sequence[str], named: str | None, chosen: str | None, failures: Iterable[RelayError]) -> str | None:
    said = [f"Not everything about its profiles worked: {error.message}" for error in failures]
    if named is not None and arns and named not in arns:
        said.append(f"{named} is none of its profiles.")
    if len(arns) > 1:
        said.append(f"It has {len(arns)} profiles, and {chosen} is used.")
    if not arns and not said:
        said.append("It has no profile, and the service may want one: ask who administers it.")
    elif said:
        said.append("To choose one: qrelay accounts edit ACCOUNT --profile-arn ARN, or PATCH /v2/accounts/{id}.")
    return " ".join(said) or None
