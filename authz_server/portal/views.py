"""The home page, and the sign of life for whoever watches over the server."""

from flask import Blueprint, Response, jsonify, render_template

from authz_server.database import db
from authz_server.identity.guard import current
from authz_server.installation import change_nothing

blueprint = Blueprint("portal", __name__)


@blueprint.get("/")
def home() -> str:
    """Say what this place is, to anybody."""
    return render_template("home.html", signed_in=current())


@blueprint.get("/health")
def health() -> Response:
    """200 if this process answers and its database takes changes; else 503, by the handler for database errors."""
    change_nothing(db.engine)
    response = jsonify(status="ok")
    response.headers["Cache-Control"] = "no-store"
    return response
