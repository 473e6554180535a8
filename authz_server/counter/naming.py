"""Where a barcode was presented, in words: "Counter 3, 桃園區公所"."""

from authz_server.clients.registry import Registry


def desk_name(actor: str, registry: Registry, locale: str) -> str:
    """The counter and office of an actor of the record, `desk:<client_id>/<counter_id>`; an id, if it has gone."""
    client_id, _, counter_id = actor.partition(":")[2].partition("/")
    office = registry.client(client_id)
    if office is None:
        return client_id
    name = office.name.get(locale)
    counter = office.counters.get(counter_id)
    if counter is None:
        return name
    return f"{counter.name.get(locale)}, {name}" if locale == "en" else f"{name} {counter.name.get(locale)}"
