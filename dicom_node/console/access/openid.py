"""Log users in by an OpenID provider: authorisation code with PKCE, state and nonce.

OpenID Connect Core 1.0, section 3.1; RFC 7636; RFC 9700 (best practice). The libraries come with
the extra ``oidc`` of the package.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, cast
from urllib.parse import quote, unquote, urlsplit

from config.network import ConsoleSettings
from config.value_types import is_loopback
from dicom_node.console.access.guard import new_token, same
from dicom_node.console.access.outside import MOST_GROUPS, OutsideUser
from dicom_node.console.access.people import user_name
from dicom_node.delivery.stow_sender import secret
from dicom_node.errors import NodeError

LIBRARIES = ("authlib", "joserfc", "httpx2")  #: of the extra
DISCOVERY = "/.well-known/openid-configuration"  #: OpenID Connect Discovery 1.0, 4
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Of signatures of ID tokens: those of a key pair; a shared secret, or none, is refused."""
SECONDS = 10.0  #: longest wait for an answer of the provider
PARTS = 4  #: of the cookie
LEEWAY_SECONDS = 60  #: by which its clock and ours may differ
PENDING_SECONDS = 600  #: in which a user must have logged in there
ERROR_CODE = re.compile(r"[a-z_]{1,40}")  #: RFC 6749 4.1.2.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A login that was begun: kept by the browser alone, in a cookie of its own.

    Attributes
    ----------
    verifier
        Secret whose digest the provider was shown (RFC 7636).
    target
        Page to which the user was going.
    """

    state: str
    nonce: str
    verifier: str
    target: str

    @classmethod
    def begun(cls, target: str) -> Pending:
        """Draw the secrets of a new login."""
        return cls(state=new_token(), nonce=new_token(), verifier=new_token(), target=target)

    @classmethod
    def of_cookie(cls, text: str) -> Pending:
        """Read a cookie.

        Raises
        ------
        NodeError
            If it is none of ours.
        """
        parts = text.split(".")
        if len(parts) != PARTS or not all(parts[:3]):
            raise NodeError("this login was not begun in this browser, or too long ago: try again")
        return cls(state=parts[0], nonce=parts[1], verifier=parts[2], target=unquote(parts[3]))

    def as_cookie(self) -> str:
        """Write it as the value of a cookie."""
        target = quote(self.target, safe="").replace(".", "%2E")
        return f"{self.state}.{self.nonce}.{self.verifier}.{target}"


def check_libraries() -> None:
    """Check that the extra is installed.

    Raises
    ------
    NodeError
        If a library is missing; the message says how to install it.
    """
    if any(find_spec(name) is None for name in LIBRARIES):
        raise NodeError(
            "[console] oidc_issuer: expected authlib, joserfc and httpx2, not installed:"
            " pip install 'dicom-node[oidc]'"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIdProvider:
    """The provider that the settings name; asked anew for its keys at each login."""

    settings: ConsoleSettings

    def address(self, pending: Pending, redirect_uri: str) -> str:
        """Give the address at the provider to which the browser is sent.

        Raises
        ------
        NodeError
            If the provider does not answer as one.
        """
        with self._client(redirect_uri) as client:
            endpoint = self._metadata(client)["authorization_endpoint"]
            url, _ = client.create_authorization_url(
                endpoint, state=pending.state, nonce=pending.nonce, code_verifier=pending.verifier
            )
        return str(url)

    def user(self, pending: Pending, redirect_uri: str, answer: Mapping[str, str]) -> OutsideUser:
        """Find out whom the provider has logged in.

        Parameters
        ----------
        answer
            What it sent the browser back with.

        Raises
        ------
        NodeError
            If the answer is not to this login, or the provider proves nothing by it.
        """
        from authlib.integrations.base_client import OAuthError
        from httpx2 import HTTPError

        if not same(answer.get("state", ""), pending.state):
            raise NodeError("this login was not begun in this browser: begin again")
        if "code" not in answer:
            code = answer.get("error", "")
            raise NodeError(
                f"the provider refused: {code if ERROR_CODE.fullmatch(code) else 'no code'}"
            )
        try:
            with self._client(redirect_uri) as client:
                metadata = self._metadata(client)
                if answer.get("iss", metadata["issuer"]) != metadata["issuer"]:  # RFC 9207
                    raise NodeError("the answer is of another provider")
                token = client.fetch_token(
                    metadata["token_endpoint"],
                    grant_type="authorization_code",
                    code=answer["code"],
                    code_verifier=pending.verifier,
                )
                keys = _json(client, metadata["jwks_uri"])
        except (OAuthError, HTTPError, OSError, ValueError) as fault:
            raise NodeError(
                f"the provider did not take the code that it gave ({type(fault).__name__})"
            ) from fault
        return self._named(self._claims(token, keys, metadata["issuer"], pending.nonce))

    def _client(self, redirect_uri: str) -> Any:  # noqa: ANN401  # the library has no types
        from authlib.integrations.httpx_client import OAuth2Client

        console = self.settings
        file = console.oidc_password_file
        return OAuth2Client(
            client_id=console.oidc_client_id,
            client_secret=secret("[console] oidc_password_file", file) if file else None,
            token_endpoint_auth_method=None if file else "none",
            scope="openid profile email",
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            verify=ssl.create_default_context(cafile=console.oidc_authorities),
            timeout=SECONDS,
            trust_env=False,
        )

    def _metadata(self, client: Any) -> Mapping[str, Any]:  # noqa: ANN401  # likewise
        """Ask the provider how it is asked.

        Raises
        ------
        NodeError
            If it is another one, or would be reached without TLS.
        """
        issuer = self.settings.oidc_issuer.rstrip("/")
        found = _json(client, f"{issuer}{DISCOVERY}")
        if str(found.get("issuer", "")).rstrip("/") != issuer:
            raise NodeError("the provider calls itself otherwise than [console] oidc_issuer does")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not is_safe(str(found.get(name, ""))):
                raise NodeError(f"the provider names no {name} with https")
        return found

    def _claims(
        self, token: Mapping[str, Any], keys: Mapping[str, Any], issuer: str, nonce: str
    ) -> Mapping[str, Any]:
        """Check an ID token: who signed it, for whom, when, and in which login (3.1.3.7)."""
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        ours = self.settings.oidc_client_id
        rules = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": ours},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            known = KeySet.import_key_set(cast("Any", dict(keys)))
            claims: dict[str, Any] = jwt.decode(
                str(token["id_token"]), known, algorithms=ALGORITHMS
            ).claims
            rules.validate(claims)
        except (JoseError, ValueError, TypeError, KeyError) as fault:
            raise NodeError(
                f"the provider's word cannot be proved ({type(fault).__name__})"
            ) from fault
        is_for_many = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", ours if not is_for_many else None) != ours:
            raise NodeError("the provider's word is for another program")
        return claims

    def _named(self, claims: Mapping[str, Any]) -> OutsideUser:
        """Take name and groups out of what is proved."""
        console = self.settings
        name = claims.get(console.oidc_name_claim)
        if not isinstance(name, str):
            raise NodeError(f"the provider names no {console.oidc_name_claim}")
        if console.oidc_name_claim == "email" and claims.get("email_verified") is False:
            raise NodeError("the provider has not verified the e-mail address")
        told = claims.get(console.oidc_groups_claim, ())
        groups = [told] if isinstance(told, str) else told if isinstance(told, list) else []
        return OutsideUser(
            name=user_name(name),
            groups=tuple(group for group in groups[:MOST_GROUPS] if isinstance(group, str)),
        )


def is_safe(url: str) -> bool:
    """Say whether nobody can listen on the way: https, or on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def _json(client: Any, url: str) -> Mapping[str, Any]:  # noqa: ANN401  # likewise
    """Ask for an object of JSON.

    Raises
    ------
    NodeError
        If none comes.
    """
    from httpx2 import HTTPError

    try:
        answer = client.request("GET", url, withhold_token=True)
        answer.raise_for_status()
        found = answer.json()
    except (HTTPError, OSError, ValueError) as fault:
        raise NodeError(f"the OpenID provider does not answer ({type(fault).__name__})") from fault
    if not isinstance(found, dict):
        raise NodeError("the OpenID provider does not answer as one")
    return found
