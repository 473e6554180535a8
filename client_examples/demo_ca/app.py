"""Lists and answers over HTTP: /root.crl, /issuing.crl, /ocsp (RFC 6960 appendix A), and the certificates."""

import base64
import binascii

from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask, Response, abort, request

from .authority import Authority

MAX_BYTES = 64 * 1024


def create_app(authority: Authority) -> Flask:
    """The authority's web site. The register is read anew each time, so that a revoked card is told at once."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BYTES

    @app.get("/health")
    def health() -> Response:
        return Response("ok", mimetype="text/plain")

    @app.get("/<any(root, issuing):of>.crl")
    def crl(of: str) -> Response:
        return Response(authority.crl(of), mimetype="application/pkix-crl")

    @app.get("/<any(root, issuing):of>.cer")
    def certificate(of: str) -> Response:
        office = authority.root if of == "root" else authority.issuing
        return Response(office.certificate.public_bytes(Encoding.DER), mimetype="application/pkix-cert")

    @app.post("/ocsp")
    def answer() -> Response:
        return Response(authority.answer(request.get_data()), mimetype="application/ocsp-response")

    @app.get("/ocsp/<path:question>")
    def answer_to_get(question: str) -> Response:
        try:
            return Response(authority.answer(base64.b64decode(question)), mimetype="application/ocsp-response")
        except binascii.Error:
            abort(400)

    return app
