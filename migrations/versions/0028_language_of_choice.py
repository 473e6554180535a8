"""The language of an account is none until somebody chose one

Until now it was zh-TW where nobody had said one, which can't be told from a choice: whoever did choose it is spoken
to in it all the same where nothing speaks for another one.
"""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("UPDATE citizen SET locale = '' WHERE locale = 'zh-TW'")


def downgrade() -> None:
    op.execute("UPDATE citizen SET locale = 'zh-TW' WHERE locale = ''")
