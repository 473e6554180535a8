"""The registry of identity methods, in the order in which they are offered."""

from authz_server.identity.methods.base import Method
from authz_server.identity.methods.certificate_set_up import CERTIFICATE
from authz_server.identity.methods.passkey import PASSKEY
from authz_server.identity.methods.password_totp import PasswordTotp

METHODS: tuple[Method, ...] = (PasswordTotp(), PASSKEY, CERTIFICATE)
