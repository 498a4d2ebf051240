"""`qrelay master-key rotate`: it asks the management API, and says where the old key is."""

import typer

from qrelay.cli.management import Management, work
from qrelay.cli.tables import show_json
from qrelay.settings import Settings


def rotate(chosen: Settings, *, as_json: bool) -> None:
    """Raises Failed, HomeUnusable, RelayError."""

    async def asking(api: Management) -> None:
        done = await api.ask("POST", "/v2/master-key/rotate", {})
        if as_json:
            show_json(done)
            return
        typer.echo(f"{done['records']} secrets are sealed with the new master key.")
        if done["old_key"]:
            typer.echo(f"Older copies of the database need the old one: {done['old_key']}")

    work(chosen, asking)
