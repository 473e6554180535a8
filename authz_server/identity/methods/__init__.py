"""The registry of identity methods, in the order in which they are offered."""

from collections.abc import Sequence

from authz_server.config import Settings
from authz_server.identity.levels import level_of_method, reached
from authz_server.identity.methods.base import Method
from authz_server.identity.methods.password_totp import PasswordTotp

METHODS: tuple[Method, ...] = (PasswordTotp(),)


def sufficient(settings: Settings, needed_level: int | None) -> Sequence[Method]:
    """The methods that reach a level here; all of them for None."""
    return [method for method in METHODS if reached(level_of_method(settings, method.id), needed_level)]
