"""The home page, and the sign of life for whoever watches over the server."""

from flask import Blueprint, Response, jsonify, render_template
from sqlalchemy import select

from authz_server.database import db
from authz_server.identity.guard import current

blueprint = Blueprint("portal", __name__)


@blueprint.get("/")
def home() -> str:
    """Say what this place is, to anybody."""
    return render_template("home.html", signed_in=current())


@blueprint.get("/health")
def health() -> Response:
    """200 if this process answers and reaches its database; 503 otherwise, by the handler for database errors."""
    db.session.execute(select(1))
    response = jsonify(status="ok")
    response.headers["Cache-Control"] = "no-store"
    return response
