"""`qrelay master-key rotate`: it asks the management API, and says where the old key is."""

from qrelay.cli.management import Management, work
from qrelay.cli.printing import say
from qrelay.cli.tables import show_json
from qrelay.settings import Settings


def rotate(chosen: Settings, *, as_json: bool) -> None:
    """Raises Failed, HomeUnusable, RelayError."""

    async def asking(api: Management) -> None:
        done = await api.ask("POST", "/v2/master-key/rotate", {})
        if as_json:
            show_json(done)
            return
        say(f"{done['records']} secrets are sealed with the new master key.")
        if done.get("unreadable"):
            say(f"{done['unreadable']} damaged secrets can't be decrypted, and were left as they are.")
        if done["old_key"]:
            say(f"Older copies of the database need the old one: {done['old_key']}")

    work(chosen, asking)
