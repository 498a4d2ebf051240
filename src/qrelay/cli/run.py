"""`qrelay run`, what `make run` calls: `serve` when there is an account to serve, else `demo`."""

from sqlalchemy import create_engine, exists, select
from sqlalchemy.exc import SQLAlchemyError

from qrelay.cli.demo import demo
from qrelay.cli.serve import serve
from qrelay.database.schema import accounts
from qrelay.settings import Settings


def run(chosen: Settings) -> None:
    (serve if has_account(chosen) else demo)(chosen)


def has_account(chosen: Settings) -> bool:
    """Whether an account is stored or given by variables. A database that can't be read is `serve`'s to explain."""
    if chosen.amazonq_refresh_token is not None:
        return True
    if not chosen.database_path.is_file():
        return False
    engine = create_engine(f"sqlite:///{chosen.database_path}")
    try:
        with engine.connect() as connection:
            stored = select(exists().where(accounts.c.deleted_at.is_(None)))
            return bool(connection.execute(stored).scalar_one())
    except SQLAlchemyError:
        return True
    finally:
        engine.dispose()
