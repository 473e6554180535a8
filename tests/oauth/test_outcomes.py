"""What a resource server may say of a fetch, and that anything else changes nothing."""

import pytest

from tests.support.platform import Platform
from tests.support.protocol import dataset_token, refused

NO_WAITS = ("0", "86401", "1000000", "-1", "1.5", "60 ", "6e1", "²", "٦٠", "9" * 5000)


@pytest.mark.parametrize("wait_s", ["1", "86400"])
def test_an_agency_may_take_from_a_second_to_a_day(platform: Platform, wait_s: str) -> None:
    lease = dataset_token(platform).exchange().get_json()["lease"]
    assert platform.proxy.report(lease, "preparing", retry_after=wait_s).status_code == 204


def test_any_other_wait_is_refused_and_the_lease_goes_on(platform: Platform) -> None:
    lease = dataset_token(platform).exchange().get_json()["lease"]
    for wait_s in NO_WAITS:
        refused(platform.proxy.report(lease, "preparing", retry_after=wait_s), 400, "invalid_request")
    assert platform.proxy.report(lease, "delivered").status_code == 204


def test_an_outcome_or_a_reason_that_is_not_listed_is_refused_and_the_lease_goes_on(platform: Platform) -> None:
    """A reason goes into the record, where free text would be a place for somebody's data."""
    lease = dataset_token(platform).exchange().get_json()["lease"]
    refused(platform.proxy.report(lease, "lost", reason="agency_down"), 400, "invalid_request")
    refused(platform.proxy.report(lease, "failed", reason="A123456789"), 400, "invalid_request")
    assert platform.proxy.report(lease, "failed", reason="agency_down").status_code == 204
