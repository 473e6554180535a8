"""Where and by whom a barcode was presented, in words: "Counter 3, 桃園區公所, clerk W**"."""

from typing import Final, NamedTuple

from authz_server.clients.registry import Registry

SPOKEN_CLERK: Final = {"zh-TW": "承辦人{name}", "en": "clerk {name}"}


class Presented(NamedTuple):
    """The parts of an actor of the record, `desk:<client_id>/<counter_id>/<appointment>`; the first is always there."""

    client_id: str
    counter_id: str
    clerk_id: int | None


def presented_by(actor: str) -> Presented:
    """What an actor of this kind says; see `desk.Desk.actor`."""
    client_id, counter_id, clerk, *_ = [*actor.partition(":")[2].split("/"), "", ""]
    return Presented(client_id, counter_id, int(clerk) if clerk.isdecimal() else None)


def desk_name(actor: str, registry: Registry, locale: str, *, clerk: str) -> str:
    """The counter and office of an actor of the record; an id, if it has gone.

    Args: clerk: what citizens read of the clerk's name, of `clerks.name_of`; empty, if none is named.
    """
    client_id, counter_id, _ = presented_by(actor)
    office = registry.client(client_id)
    if office is None:
        return client_id
    counter = office.counters.get(counter_id)
    parts = [counter.name.get(locale) if counter else "", office.name.get(locale)]
    if locale != "en":
        parts.reverse()
    parts.append(SPOKEN_CLERK[locale].format(name=clerk) if clerk else "")
    return (", " if locale == "en" else " ").join(part for part in parts if part)
