"""A desk says that it is about to print or save what a citizen has handed in; no standard has this step."""

from flask import Request

from authz_server.core import clock
from authz_server.counter import copies
from authz_server.database import db
from authz_server.extensions import services
from authz_server.oauth import clerk, dpop
from authz_server.oauth.errors import InvalidRequest
from authz_server.oauth.params import FormRequest
from authz_server.oauth.server import ConsentServer


def report(request: Request, server: ConsentServer) -> None:
    """Authenticate the office and its clerk, and put it on the record.

    Raises: CopyNotAllowed, ClerkNotSignedIn, InvalidRequest, InvalidClient, BadProof, AssertionReplayed, ProofReplayed.
    """
    form = FormRequest(request)
    client = server.authenticate_client(form)
    payload, office = form.payload, client.registered
    action, counter = payload.get("action"), payload.get("counter")
    if action not in copies.EVENTS:
        raise InvalidRequest("action is unknown.")
    if counter not in office.counters:
        raise InvalidRequest("counter is not one that the client has registered.")
    proof = server.dpop.verify(request)
    copies.record_copy(
        db.session(),
        action,
        office=office,
        desk=clerk.desk(payload, office, proof, counter_id=counter),
        transaction_id=payload.get("transaction"),
        dataset_id=payload.get("dataset"),
        jkt=proof.jkt,
        limits=services().settings.limits,
        spend=[client.identifier, dpop.identifier(proof)],
        now=clock.now(),
    )
