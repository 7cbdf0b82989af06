"""A small OpenID provider on loopback, which signs with a key of its own; it can be made to lie."""

import base64
import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "console", "of the console"
Claims = dict[str, Any]


def plain(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@dataclass
class Provider:
    """Logs everybody in as one user; knows the codes that it has given.

    Attributes
    ----------
    claims
        Of that user, and whatever is to be otherwise; None leaves a claim out.
    signs
        Algorithm of the signature.
    """

    issuer: str = ""
    claims: Claims = field(default_factory=dict)
    signs: str = "RS256"
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    signing_key: RSAKey | None = None
    metadata: Claims = field(default_factory=dict)
    asked: dict[str, dict[str, str]] = field(default_factory=dict)

    def begin_anew(self, **claims: object) -> None:
        self.claims = {"preferred_username": "Doe", "groups": ["radiology"], **claims}
        self.signs, self.signing_key, self.metadata, self.asked = "RS256", None, {}, {}

    def configuration(self, request: Request) -> Response:
        ours = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        return JSONResponse(ours | self.metadata)

    def keys(self, request: Request) -> Response:
        return JSONResponse({"keys": [self.key.as_dict(private=False, use="sig")]})

    def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        code = f"code-{len(self.asked)}"
        self.asked[code] = asked
        answer = {"code": code, "state": asked["state"], "iss": self.issuer}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(answer)}", 302)

    async def token(self, request: Request) -> Response:
        form = await request.form()
        asked = self.asked.pop(str(form.get("code")), None)
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        shown = plain(hashlib.sha256(str(form.get("code_verifier")).encode()).digest())
        if (
            asked is None
            or request.headers.get("authorization") != f"Basic {basic}"
            or asked["code_challenge"] != shown
            or asked["redirect_uri"] != form.get("redirect_uri")
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        token = {"access_token": "a", "token_type": "Bearer", "id_token": self._signed(asked)}
        return JSONResponse(token)

    def _signed(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        claims: Claims = {
            "iss": self.issuer,
            "sub": "1",
            "aud": CLIENT,
            "exp": now + 300,
            "iat": now,
            "nonce": asked.get("nonce"),
        } | self.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.signs == "none":
            header = plain(json.dumps({"alg": "none"}).encode())
            return f"{header}.{plain(json.dumps(claims).encode())}."
        if self.signs == "HS256":  # with what everybody knows: the public key
            key = OctKey.import_key(self.key.as_pem(private=False))
            return jwt.encode({"alg": "HS256", "kid": "one"}, claims, key)
        signing_key = self.signing_key or self.key
        return jwt.encode({"alg": self.signs, "kid": "one"}, claims, signing_key)


@contextmanager
def provider() -> Iterator[Provider]:
    """Serve a provider."""
    made = Provider()
    app = Starlette(
        routes=[
            Route("/.well-known/openid-configuration", made.configuration),
            Route("/keys", made.keys),
            Route("/authorize", made.authorize),
            Route("/token", made.token, methods=["POST"]),
        ]
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made.issuer = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield made
        finally:
            server.should_exit = True
            thread.join()
