"""What Alembic runs: the steps not yet taken, on the connection and inside the transaction it was given."""

from alembic import context

from qrelay.database.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
