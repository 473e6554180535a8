"""The registry of identity methods, in the order in which they are offered."""

from authz_server.identity.methods.base import Method
from authz_server.identity.methods.certificate_set_up import CERTIFICATE
from authz_server.identity.methods.email_code import EMAIL_CODE
from authz_server.identity.methods.health_card import HEALTH_CARD
from authz_server.identity.methods.passkey import PASSKEY
from authz_server.identity.methods.password_totp_set_up import PASSWORD_TOTP
from authz_server.identity.methods.two_documents import TWO_DOCUMENTS
from authz_server.identity.methods.upstream import UPSTREAM

METHODS: tuple[Method, ...] = (PASSWORD_TOTP, PASSKEY, CERTIFICATE, HEALTH_CARD, TWO_DOCUMENTS, UPSTREAM, EMAIL_CODE)
