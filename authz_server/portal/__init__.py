"""What all pages for people share: language, headers, error pages, and the pages that are no domain's own."""

from flask import Flask
from jinja2 import ChoiceLoader, PackageLoader, PrefixLoader

from authz_server.extensions import Services
from authz_server.portal import (
    account,
    agent,
    consents,
    contact,
    context,
    correction,
    counter,
    delegation,
    desk,
    developer,
    download,
    erasure,
    errors,
    export,
    fetching,
    freeze,
    headers,
    leave,
    locale,
    members,
    messages,
    methods,
    not_me,
    office,
    outcome,
    own_requests,
    receipts,
    record,
    refusals,
    report,
    request_builder,
    sessions,
    verify,
    views,
    visit,
)


def init_app(app: Flask, services: Services) -> None:
    """Set an application up for pages. Call it when all routes are there that are not of this package."""
    settings = services.settings
    assert app.jinja_loader is not None  # noqa: S101 - Flask makes one for every application with a template folder
    components = PrefixLoader({"govuk_frontend_jinja": PackageLoader("govuk_frontend_jinja")})
    app.jinja_loader = ChoiceLoader([app.jinja_loader, components])
    app.jinja_options = {**app.jinja_options, "trim_blocks": True, "lstrip_blocks": True}
    locale.init_app(app, secure=settings.secure)
    context.init_app(app, issuer=settings.issuer, sandbox=settings.sandbox)
    members.init_app(app)
    headers.init_app(app, secure=settings.secure)
    refusals.init_app(app)
    for module in (
        views, account, methods, sessions, consents, record, export, verify, outcome, erasure, correction, report,
        receipts, freeze, leave, not_me, messages, contact, counter, visit, delegation, agent, office, desk,
        download, fetching, developer, own_requests, request_builder,
    ):  # fmt: skip
        app.register_blueprint(module.blueprint)
    errors.init_app(app)
