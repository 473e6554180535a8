"""An OpenID Provider whose sign-ins count here, as a careful relying party sees it.

Authorization code with PKCE; everything that comes back is checked against what was sent, and nothing is believed that
is missing. Sources: OpenID Connect Core and Discovery 1.0, RFC 7636 (PKCE), RFC 9207 (iss), RFC 9700 (best practice).
"""

import base64
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

from authz_server.core import clock, jose, json_text, outbound_http, secrets
from authz_server.core.jose.encoding import sha256_of
from authz_server.core.logging import event
from authz_server.core.outbound_http import FetchError, FetchFailed
from authz_server.core.remote_keys import RemoteDocument, RemoteKeys
from authz_server.core.settings import of
from authz_server.identity.peer import Peer, PeerUnavailable
from authz_server.identity.upstream_id_token import AnswerRefused, Journey, Person, usable_keys, verify_id_token
from authz_server.neighbours import UpstreamSettings

ASSERTION_TTL_S: Final = 60
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523 section 2.2
METADATA_PATH: Final = "/.well-known/openid-configuration"


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What of a provider's metadata is used, checked."""

    authorization_endpoint: str
    token_endpoint: str
    keys: RemoteKeys
    names_itself: bool  # RFC 9207: every authorization response carries `iss`


class Provider:
    """One provider. Used by many threads at once."""

    def __init__(self, provider_id: str, settings: UpstreamSettings, *, allowed_hosts: frozenset[str]) -> None:
        """Raises: SettingsError, if our key or secret can't be used."""
        self.id = provider_id
        self.settings = settings
        with of(f"upstream.{provider_id}.{'secret_file' if settings.keys_file is None else 'keys_file'}"):
            self._credentials = _credentials(settings)
        # The operator has named this host; the others that its metadata names are nobody's choice of ours.
        self._allowed = allowed_hosts | {outbound_http.authority(settings.issuer)}
        self._peer = Peer(
            provider_id,
            timeout_s=settings.timeout_s,
            max_concurrent=settings.max_concurrent,
            allowed_hosts=self._allowed,
        )
        self._metadata = RemoteDocument(
            settings.issuer.removesuffix("/") + METADATA_PATH, self._read, allowed_hosts=self._allowed
        )

    def metadata(self) -> Metadata:
        """Who it is, where its doors are.  Raises: PeerUnavailable."""
        try:
            return self._metadata.get()
        except FetchError as error:
            event("upstream.metadata", level=logging.WARNING, connector=self.id, detail=error.detail)
            raise PeerUnavailable(error.detail) from None

    def authorization_url(self, journey: Journey, *, acr_values: tuple[str, ...]) -> str:
        """Where the browser goes.  Raises: PeerUnavailable."""
        endpoint = self.metadata().authorization_endpoint
        challenge = sha256_of(journey.code_verifier.encode("ascii"))
        parameters = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": journey.redirect_uri,
            "scope": "openid",
            "state": journey.state,
            "nonce": journey.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "acr_values": " ".join(acr_values),
            # Always afresh: a session that lives on there is no proof of who sits here now, and what is told to others
            # as the time of the sign-in has to be true.
            "prompt": "login",
            "max_age": "0",
        }
        joint = "&" if urlsplit(endpoint).query else "?"
        return f"{endpoint}{joint}{urlencode(parameters)}"

    def check_origin(self, answer: Mapping[str, str]) -> None:
        """RFC 9207 section 2.4: an answer that another provider has sent is refused before its code goes anywhere.

        Raises: AnswerRefused, PeerUnavailable.
        """
        issuer = answer.get("iss")
        if issuer is None and self.metadata().names_itself:
            raise AnswerRefused("iss is missing")
        if issuer not in (None, self.settings.issuer):
            raise AnswerRefused("iss is another provider")

    def redeem(self, code: str, journey: Journey) -> Person:
        """Swap the code for an ID token and return whom it names; no database.

        Raises: AnswerRefused; PeerUnavailable, which is nobody's failure.
        """
        metadata = self.metadata()
        with self._peer.asking():
            id_token, access_token = _tokens(self._token(metadata.token_endpoint, code, journey))
            try:
                return verify_id_token(
                    id_token, metadata.keys, access_token=access_token, journey=journey, settings=self.settings
                )
            except FetchError as error:
                raise PeerUnavailable(f"keys: {error.detail}") from None

    def _read(self, document: object) -> Metadata:
        """Discovery 1.0 section 4.3, and RFC 9700 section 2.1.1: without PKCE there is no journey."""
        if not isinstance(document, dict) or document.get("issuer") != self.settings.issuer:
            raise FetchFailed("metadata: of another issuer")
        urls = {name: document.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
        for name, url in urls.items():
            if not isinstance(url, str) or not _is_a_way(url, self._allowed):
                raise FetchFailed(f"metadata: {name} is no URL to go to")
        if "code" not in _texts(document, "response_types_supported"):
            raise FetchFailed("metadata: no authorization code")
        if "S256" not in _texts(document, "code_challenge_methods_supported"):
            raise FetchFailed("metadata: no PKCE with S256")
        return Metadata(
            authorization_endpoint=str(urls["authorization_endpoint"]),
            token_endpoint=str(urls["token_endpoint"]),
            keys=RemoteKeys(str(urls["jwks_uri"]), usable_keys, allowed_hosts=self._allowed),
            names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        )

    def _token(self, endpoint: str, code: str, journey: Journey) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": journey.redirect_uri,
            "code_verifier": journey.code_verifier,
        }
        headers = {"Accept": "application/json"}
        if isinstance(self._credentials, jose.Key):
            form |= {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self._assertion(self._credentials)}
        else:
            headers["Authorization"] = self._credentials
        body = urlencode(form).encode("ascii")
        answer = self._peer.post(endpoint, body, content_type="application/x-www-form-urlencoded", headers=headers)
        document = json_text.object_or_empty(answer.body)
        if answer.status == 200:
            return document
        if answer.status == 400 and document.get("error") == "invalid_grant":  # RFC 6749 section 5.2
            raise AnswerRefused("the provider does not know the code")
        raise PeerUnavailable(f"token endpoint: status {answer.status}")

    def _assertion(self, key: jose.Key) -> str:
        now = int(clock.now().timestamp())
        client_id = self.settings.client_id
        # RFC 7523 section 3; the audience is the issuer, as one string (FAPI 2.0 security profile section 5.3.3.1).
        claims = {"iss": client_id, "sub": client_id, "aud": self.settings.issuer, "iat": now}
        return jose.sign(claims | {"exp": now + ASSERTION_TTL_S, "jti": secrets.new_secret("")}, key)


def _credentials(settings: UpstreamSettings) -> jose.Key | str:
    """Our key for private_key_jwt, or the header of client_secret_basic (RFC 6749 section 2.3.1).

    Raises: BadKey, OSError, ValueError.
    """
    if settings.keys_file is not None:
        usable = [key for key in jose.load_keys(settings.keys_file) if key.alg in jose.SIGNING]
        if not usable:
            raise jose.BadKey(f"{settings.keys_file} has no key that signs")
        return usable[0]
    path = settings.secret_file
    if path is None or path.stat().st_mode & 0o077:
        raise ValueError(f"{path} must be readable by its owner only (mode 0600)")
    secret = path.read_text(encoding="utf-8").strip()
    pair = f"{quote_plus(settings.client_id)}:{quote_plus(secret)}"
    return f"Basic {base64.b64encode(pair.encode('ascii')).decode('ascii')}"


def _tokens(answer: Mapping[str, Any]) -> tuple[str, str]:
    """The ID token and the access token; the latter is used for nothing but `at_hash`."""
    id_token, access_token = answer.get("id_token"), answer.get("access_token")
    if not isinstance(id_token, str) or not isinstance(access_token, str):
        raise AnswerRefused("no id_token, or no access_token")
    return id_token, access_token


def _is_a_way(url: str, allowed_hosts: frozenset[str]) -> bool:
    """Whether a URL that the metadata names may be gone to, by us or by the browser."""
    try:
        peer, parts = outbound_http.authority(url), urlsplit(url)
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and " " not in url and not parts.fragment
    return plain and (parts.scheme == "https" or (parts.scheme == "http" and peer in allowed_hosts))


def _texts(document: Mapping[str, Any], name: str) -> list[str]:
    found = document.get(name)
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
