"""Writes docs/reference from the code it describes: settings, errors, endpoints, failures, commands. `--check` writes
nothing and exits with 1 when a page is not what the code says (tests/house runs that).
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.cli import get_docs_for_click

from qrelay.accounts.consequences import CONSEQUENCES
from qrelay.cli.main import app
from qrelay.errors import CATALOGUE
from qrelay.reach import ELSEWHERE
from qrelay.settings import PREFIX, Settings, described, names
from qrelay.upstream.endpoints import HOSTS, ORDER, REGIONS
from qrelay.upstream.errors import ROWS

REFERENCE = Path(__file__).parent / "reference"
MADE = "<!-- Written by docs/generate.py (`make docs`); change the code instead. -->"


def pages() -> dict[str, str]:
    return {
        "settings.md": settings_page(),
        "errors.md": errors_page(),
        "endpoints.md": endpoints_page(),
        "failures.md": failures_page(),
        "cli.md": cli_page(),
    }


def settings_page() -> str:
    head = f"""# Settings
{MADE}

Each is read from the environment, else from the file `.env` in the working folder; in each place the first name goes
before the older ones. What is in neither may be in aq2api's `config.json` there. An empty value counts as not set.
Lists are separated by commas. `qrelay settings` prints what holds and where it came from.

| Setting | Older name | Default | |
|---|---|---|---|
"""
    return head + "".join(
        f"| `{PREFIX}{field.upper()}` | {' '.join(f'`{name}`' for name in names(field)[1:])} | {_default(info)} "
        f"| {_described(field, info)} |\n"
        for field, info in Settings.model_fields.items()
    )


def errors_page() -> str:
    head = f"""# Errors
{MADE}

What can go wrong, by the code that logs name it with. Each API tells it in its own shape; where Anthropic's API has
another status, it stands behind the stroke. *Again* says whether the same request can succeed unchanged
(`x-should-retry`).

| Code | Status | Anthropic `type` | OpenAI `type` / `code` | Again | What to do |
|---|---|---|---|---|---|
"""
    rows: list[str] = []
    for code, row in CATALOGUE.items():
        status = str(row.status) if row.status == row.anthropic_status else f"{row.status} / {row.anthropic_status}"
        openai = f"`{row.openai_type}`" + (f" / `{row.openai_code}`" if row.openai_code else "")
        again = "yes" if row.retryable else "no"
        rows.append(f"| `{code}` | {status} | `{row.anthropic_type}` | {openai} | {again} | {row.remedy} |\n")
    return head + "".join(rows)


def endpoints_page() -> str:
    head = f"""# Endpoints
{MADE}

Amazon moves its service from one host to another, and which of them serves whom, and whether it wants the ARN of a
profile, differs by the kind of log-in and changes. So each account is tried at several endpoints, in this order:

| Log-in | With a known profile ARN | Without |
|---|---|---|
"""
    rows = [f"| `{kind}` | {_names(order.with_arn)} | {_names(order.without)} |\n" for kind, order in ORDER.items()]
    regions = " or ".join(f"`{region}`" for region in REGIONS)
    hosts = [
        f"| `{name}` | {row.url} | {row.control} | {row.binding} | {row.origin} | {row.streaming_target} "
        f"| {row.control_target} |\n"
        for name, row in HOSTS.items()
    ]
    return (
        head
        + "".join(rows)
        + f"""
`+arn` means that the ARN is named there. What was found to work is remembered on the account (its `endpoint`) and tried
first from then on. The next endpoint is tried after a 404 and after
{_names(sorted(ELSEWHERE))},
not after anything else; a token that is refused is renewed first. One request makes at most three calls, and leaves
one of them for another account if there is one; what it had none left for, the next request tries. When all have
refused, the failure is the account's. Where the service asks for a profile and none is known, the profiles are listed
once: one is taken as it is, of several the first. None is ever made up.

| Host | Chat | Models, profiles, usage | Binding | Origin | Chat target | Other targets |
|---|---|---|---|---|---|---|
"""
        + "".join(hosts)
        + f"""
The region is {regions}: the profile's, else the nearer one; it is not the log-in's. `QRELAY_API_ENDPOINT` replaces
every host, `QRELAY_ENDPOINT_URLS` single ones, `QRELAY_ENDPOINTS` the order, `QRELAY_BINDING` and `QRELAY_ORIGIN` those
columns ([settings](settings.md)).
"""
    )


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def failures_page() -> str:
    head = f"""# What the service says, and what follows
{MADE}

An answer of the service is read from above: the first row decides in which one of the words is the exception's type or
`reason`, or is part of its message, or the status is the answer's. Any other status (500 for one) is `upstream_failed`.
What could not be asked at all, or was cut, is in the rows without words.

- *Another account*: whether another one is tried, and up to how many calls one request may make. It is only done before
  the first event, within one time-out (`QRELAY_FIRST_EVENT_TIMEOUT_SECONDS`), and never twice with the same account,
  but once with a new token if the old one is refused.
- *Rests*: what isn't asked any more, for how long. It is stored: a restart doesn't forget it, and replicas see it.
- *Counts*: towards `QRELAY_MAX_ERROR_COUNT`. *Budget*: another try is taken from the budget, which is a fifth of all
  requests and ten a second.

While every account rests from a limit, a request is answered 429 at once, with the earliest `retry-after`; while every
account's circuit is open, one request a second is tried and the others are answered 503.

| What it says | Status | Error code | Another account | Rests | How long | Counts | Budget |
|---|---|---|---|---|---|---|---|
"""
    said = [
        (row.code, (*row.types, *row.reasons, *(f"… {phrase} …" for phrase in row.phrases)), row.statuses)
        for row in ROWS
    ]
    told = {row.code for row in ROWS}
    unsaid = [(code, (), ()) for code, outcome in CONSEQUENCES.items() if code not in told and outcome.another]
    rows: list[str] = []
    for code, words, statuses in [*said, *unsaid]:
        outcome = CONSEQUENCES[code]
        cells = (
            ", ".join(f"`{word}`" for word in words),
            ", ".join(map(str, statuses)),
            f"[`{code}`](errors.md)",
            f"yes, {outcome.most_calls} calls" if outcome.another else "no",
            {"account": "the account", "model": "the account for this model", None: "nothing"}[outcome.scope],
            "" if outcome.scope is None else outcome.rest,
            "yes" if outcome.counted else "no",
            "yes" if outcome.transient else "no",
        )
        rows.append(f"| {' | '.join(cells)} |\n")
    note = """
`CONVERSATION_LIMIT_EXCEEDED` is an exception: it is told as the others of its row are, but has no consequence, since no
date ends it. All codes that are not here are the request's, the client's or the gateway's own fault: nobody else is
tried, and nothing rests.
"""
    return head + "".join(rows) + note


def cli_page() -> str:
    command = typer.main.get_group(app)
    command.commands = {name: held for name, held in command.commands.items() if not held.hidden}
    context = typer.Context(command, info_name="qrelay")
    body = get_docs_for_click(obj=command, ctx=context, name="qrelay").strip().removeprefix("# `qrelay`").strip()
    return f"""# Command line
{MADE}

What goes wrong is told in a sentence on standard error. Exit codes: 0 done, 1 failed, 2 wrong usage, 78 refused
configuration: a setting that can't be used, an address on which everybody could use the accounts, a `QRELAY_HOME` that
is no folder or can't be written, a master key that is none or isn't this state's. The same again ends the same.

{body}
"""


def _default(info: FieldInfo) -> str:
    match info.default:
        case _ if info.default_factory is not None:
            return "the user's data folder"
        case None | ():
            return ""
        case bool():
            return f"`{str(info.default).lower()}`"
        case value if value is PydanticUndefined:
            return "required"
        case value:
            return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _described(field: str, info: FieldInfo) -> str:
    choices = ", ".join(f"`{choice}`" for choice in _choices(info.annotation))
    return f"{described(field)} ({choices})" if choices else described(field)


def _choices(annotation: object) -> Iterator[str]:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return (str(choice) for choice in get_args(annotation) if isinstance(choice, str))


def main() -> int:
    stale = {name: text for name, text in pages().items() if _written(name) != text}
    if "--check" in sys.argv:
        for name in stale:
            sys.stderr.write(f"docs/reference/{name} is not what the code says. Write it anew: make docs\n")
        return 1 if stale else 0
    for name, text in stale.items():
        (REFERENCE / name).write_text(text, encoding="utf-8")
    return 0


def _written(name: str) -> str:
    page = REFERENCE / name
    return page.read_text(encoding="utf-8") if page.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
