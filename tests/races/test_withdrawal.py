"""Withdrawal against a redemption that began in time and ends after it."""

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from authz_server.config import Limits
from authz_server.consent.codes import get_code
from authz_server.consent.models import AuthorizationCode, Consent
from authz_server.core.secrets import digest
from authz_server.tokens.models import DatasetToken
from authz_server.tokens.redemption import redeem
from authz_server.tokens.withdrawal import withdraw
from tests.support.platform import Platform
from tests.support.protocol import rows

pytestmark = pytest.mark.race
MOMENT = timedelta(seconds=1)


@pytest.mark.parametrize("margin", [MOMENT, -MOMENT], ids=["the code is good", "the code has just expired"])
def test_a_withdrawal_waits_for_a_redemption_under_way_and_ends_its_tokens(
    platform: Platform, margin: timedelta
) -> None:
    secret = digest(platform.code(platform.detail("ris.personal")))
    (code,) = rows(platform, AuthorizationCode, digest=secret)
    jkt = platform.bank.dpop_key.thumbprint

    def stop() -> None:
        with Session(platform.engine) as session, session.begin():
            withdraw(session, code.transaction_id, citizen_id=code.citizen_id, now=code.expires_at - margin)

    with ThreadPoolExecutor(1) as threads, Session(platform.engine) as slow:
        now = code.expires_at - 2 * MOMENT
        row = get_code(slow, secret, jkt=jkt, now=now)
        redeem(slow, row, jkt=jkt, catalogue=platform.catalogue, limits=Limits(), spend=(), now=now)
        stopping = threads.submit(stop)
        wait([stopping], timeout=0.5)
        slow.commit()
        stopping.result()
    (consent,) = rows(platform, Consent, transaction_id=code.transaction_id)
    assert consent.withdrawn_at == code.expires_at - margin
    assert [token.state for token in rows(platform, DatasetToken, consent_id=consent.id)] == ["dead"]
