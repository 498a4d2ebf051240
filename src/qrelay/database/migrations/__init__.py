"""The one linear history of the database, run at start by `database.migrate`; Alembic finds it by its name."""
