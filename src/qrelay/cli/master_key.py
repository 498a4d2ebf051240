"""`qrelay master-key rotate`: it asks the management API, and says where the old key is."""

import typer

from qrelay.cli.management import Management, work
from qrelay.settings import Settings


def rotate(chosen: Settings) -> None:
    """Raises Failed, HomeUnusable, RelayError."""

    async def asking(api: Management) -> None:
        done = await api.ask("POST", "/v2/master-key/rotate", {})
        typer.echo(f"{done['records']} secrets are sealed with the new master key.")
        if done["old_key"]:
            typer.echo(f"Older copies of the database need the old one: {done['old_key']}")

    work(chosen, asking)
