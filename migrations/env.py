"""Alembic's entry: models and migrations must agree, which a test checks on both databases."""

from typing import Any

from alembic import context

from authz_server.database import Base, is_of, new_engine
from authz_server.retention import KEEP

assert KEEP, "every model is imported by its line there"  # noqa: S101 - for the import's sake


def tell(step: Any, **_: Any) -> None:
    """Say each step as it is done: with many rows one takes its time.

    Args: step: a MigrationInfo, whose types say less than its documentation does.
    """
    verb = "" if step.is_upgrade else "away again: "
    context.config.attributes["tell"](f"{step.up_revision_id} {verb}{step.up_revision.doc}")


engine = new_engine(context.config.attributes["url"])
try:
    with engine.connect() as connection:
        # Batch mode rebuilds a table where SQLite can't alter it.
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            render_as_batch=True,
            # Alembic commits each step on SQLite, whose driver used to do so by itself; ours begins, and all is one.
            transactional_ddl=True,
            compare_type=True,
            include_object=is_of(engine.dialect.name),
            on_version_apply=tell,  # type: ignore[arg-type]  # it is called by keywords
        )
        with context.begin_transaction():
            context.run_migrations()
finally:
    engine.dispose()
