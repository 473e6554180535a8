"""The platform's own client for downloads, and the key that a token's data is encrypted to"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

OWN = "mydata-download"


def upgrade() -> None:
    op.add_column("dataset_token", sa.Column("recipient_jwk", sa.String(length=400), nullable=True))
    client = sa.table(
        "client",
        *(sa.column(name) for name in ("client_id", "profile", "name_zh", "name_en", "registered_id")),
        *(sa.column(name) for name in ("contact_phone", "contact_email", "privacy_url")),
        sa.column("registered_on", sa.Date()),
        sa.column("redirect_uris", sa.JSON()),
        sa.column("purposes", sa.JSON()),
    )
    row: dict[str, object] = {
        "client_id": OWN,
        "profile": "own",
        "name_zh": "您自己的瀏覽器",
        "name_en": "Your own browser",
        "registered_id": "",
    }
    row |= {"contact_phone": "", "contact_email": "", "privacy_url": "", "redirect_uris": [], "purposes": {}}
    if op.get_bind().scalar(sa.select(client.c.client_id).where(client.c.client_id == OWN)):
        return  # it stayed, as `downgrade` says
    op.bulk_insert(client, [row | {"registered_on": datetime.now(UTC).date()}])


def downgrade() -> None:
    # What was downloaded stays on the citizen's record, which names clients without pointing at them; the consents
    # point at this one, so it goes only where there are none.
    op.execute(
        sa.text(
            "DELETE FROM client WHERE client_id = 'mydata-download' AND NOT EXISTS "
            "(SELECT 1 FROM consent WHERE consent.client_id = client.client_id)"
        )
    )
    op.drop_column("dataset_token", "recipient_jwk")
