"""An OpenID Connect provider on this machine: real keys, real tokens, behind a real socket."""

import importlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support import needs

AUDIENCE = "viewfinder"


def needs_oidc() -> None:
    """Skip where the extra is not installed."""
    met = importlib.util.find_spec("jwt") is not None
    needs("the extra oidc (make test EXTRAS=oidc)", met=met)


class IdentityProvider:
    """It gives out tokens, and shows the keys that they can be checked with.

    Attributes:
        keys: Private keys by `kid`, with their algorithm; those that are shown.
        asked: The paths that were asked for.
        up: Cleared, it answers 503.
    """

    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self.keys: dict[str, tuple[str, Any]] = {}
        self.asked: list[str] = []
        self.up = True
        self.extra: list[dict[str, Any]] = []

    def add_key(self, kid: str, algorithm: str = "RS256", bits: int = 2048) -> Any:
        """Make a key, and show its public half."""
        asymmetric = "cryptography.hazmat.primitives.asymmetric."
        if algorithm == "RS256":
            rsa = importlib.import_module(asymmetric + "rsa")
            key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        elif algorithm == "ES256":
            ec = importlib.import_module(asymmetric + "ec")
            key = ec.generate_private_key(ec.SECP256R1())
        else:
            key = importlib.import_module(asymmetric + "ed25519").Ed25519PrivateKey.generate()
        self.keys[kid] = algorithm, key
        return key

    def token(self, kid: str = "first", **claims: Any) -> str:
        """A token that counts, but for what is said; a claim that is None is left out."""
        algorithm, key = self.keys[kid]
        return sign(self.claims(**claims), key, algorithm, kid)

    def claims(self, **claims: Any) -> dict[str, Any]:
        """What a token says."""
        now = int(time.time())
        usual = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "ada",
            "iat": now,
            "exp": now + 600,
            "scope": "openid classify read",
        }
        return {name: value for name, value in {**usual, **claims}.items() if value is not None}

    def document(self, path: str) -> Any:
        """What it shows at a path."""
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks"}
        shown = []
        for kid, (algorithm, key) in self.keys.items():
            name = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}[algorithm]
            maker = getattr(importlib.import_module("jwt.algorithms"), f"{name}Algorithm")
            shown.append({**maker.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"})
        return {"keys": [*shown, *self.extra]}


def sign(claims: dict[str, Any], key: Any, algorithm: str, kid: str | None) -> str:
    """A token."""
    headers = {"kid": kid} if kid is not None else None
    made: str = importlib.import_module("jwt").encode(claims, key, algorithm, headers=headers)
    return made


@contextmanager
def running_provider() -> Iterator[IdentityProvider]:
    """Start one, with a first key."""
    needs_oidc()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.asked.append(self.path)
            body = json.dumps(provider.document(self.path)).encode()
            self.send_response(200 if provider.up else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider = IdentityProvider(server.server_port)
        provider.add_key("first")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()
