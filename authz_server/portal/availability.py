"""Whether a dataset can be had at present, as far as that is known: by the operator's switch, or its agency's word."""

from dataclasses import dataclass

from flask_babel import gettext

from authz_server.catalogue.model import Dataset
from authz_server.extensions import services
from authz_server.portal.locale import moment


@dataclass(frozen=True)
class Availability:
    """`closed`: there is no use in asking for it; `text`: what to say of it, None if there is nothing."""

    closed: bool = False
    text: str | None = None


def availability_of(dataset: Dataset) -> Availability:
    """How it is now. No sign of life is no reason not to try."""
    registry = services().registry
    if dataset.agency_id in registry.suspended_agencies() or dataset.id in registry.suspended_datasets():
        return Availability(True, gettext("This platform does not provide it at present."))
    if dataset.id in (maintenance := registry.maintenance()):
        until = maintenance[dataset.id]
        if until is None:
            return Availability(True, gettext("Under maintenance: not available at present."))
        return Availability(True, gettext("Under maintenance until about %(when)s.", when=moment(until)))
    if since := registry.silent_agencies().get(dataset.agency_id):
        said = gettext("The agency has given no sign of life since %(when)s. It may take longer.", when=moment(since))
        return Availability(False, said)
    return Availability()
