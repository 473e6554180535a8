"""The pages on which a newcomer reads what citizens were sent, and the gateway that takes text messages."""

from typing import Any

from flask import Flask, Response, abort, jsonify, render_template, request

from .letters import Letters

NO_SCRIPTS = "default-src 'none'; style-src 'self'; frame-ancestors 'none'"


def create_app(letters: Letters, *, token: str) -> Flask:
    """Return the WSGI application. Args: token: what whoever sends text messages has to present."""
    app = Flask(__name__)

    @app.get("/")
    def inbox() -> str:
        return render_template("inbox.html", letters=letters.newest_first())

    @app.get("/letters/<int:number>")
    def letter(number: int) -> str:
        return render_template("letter.html", letter=letters.find(number) or abort(404))

    @app.get("/letters.json")
    def as_json() -> Response:
        return jsonify(letters.as_json(request.args.get("to")))

    @app.post("/messages")
    def take() -> tuple[Any, int]:
        """The contract is the platform's: docs/deploy.md, "Notices"."""
        if request.headers.get("Authorization") != f"Bearer {token}":
            return {"error": "unauthorized"}, 401
        message = request.get_json(silent=True)
        if not isinstance(message, dict) or not all(isinstance(message.get(name), str) for name in ("to", "text")):
            return {"error": "to and text, please"}, 422
        key = request.headers.get("Idempotency-Key", "")
        letters.add("sms", key, message["to"], message["text"].partition("。")[0][:60], message["text"])
        return {}, 202

    @app.get("/health")
    def health() -> Any:
        return {"status": "ok"}

    @app.after_request
    def harden(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = NO_SCRIPTS
        response.headers["Cache-Control"] = "no-store"
        return response

    return app
