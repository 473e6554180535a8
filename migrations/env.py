"""Alembic's entry: models and migrations must agree, which a test checks on both databases."""

from alembic import context

from authz_server.database import Base, is_of, new_engine
from authz_server.retention import KEEP

assert KEEP, "every model is imported by its line there"  # noqa: S101 - for the import's sake

engine = new_engine(context.config.attributes["url"])
try:
    with engine.connect() as connection:
        # Batch mode rebuilds a table where SQLite can't alter it.
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            render_as_batch=True,
            compare_type=True,
            include_object=is_of(engine.dialect.name),
        )
        with context.begin_transaction():
            context.run_migrations()
finally:
    engine.dispose()
