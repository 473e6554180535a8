"""A form that is too old, or of another page: said on top, and at no field, for with none of them anything is wrong."""

import re

from authz_server.core import clock
from authz_server.identity import contact
from tests.support.belongings import OF_AGENCIES, OF_CLIENTS, addresses, belongings
from tests.support.platform import Platform
from tests.support.protocol import writing

FORMS = 37


def test_no_field_is_blamed_for_a_form_that_is_too_old(platform: Platform) -> None:
    theirs, at_fields = belongings(platform), dict[str, list[str]]()
    with writing(platform) as session:
        contact.propose(
            session, theirs.citizen_id, "email", "new@citizen.example", limits=platform.settings.limits, now=clock.now()
        )
    for rule, method in addresses(platform.app):
        if method != "POST" or rule.arguments & (OF_CLIENTS | OF_AGENCIES):
            continue
        path = theirs.path(rule)
        page = theirs.browser.client.post(f"{path}?lang=en", data={"csrf": "x"})
        if page.status_code == 403 and "The form was too old" in page.text:
            at_fields[path] = re.findall(r'id="[a-z_-]+-error"', page.text)
    assert len(at_fields) >= FORMS
    assert {path for path, found in at_fields.items() if found} == set()
