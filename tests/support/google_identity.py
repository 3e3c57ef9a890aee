"""Google's signatures: its OIDC tokens, and the assertions of its Identity-Aware Proxy."""

import json
import time
from types import SimpleNamespace
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from google.auth import crypt, jwt
from google.auth.crypt import es256

from service import iap

AUDIENCE = "https://service.example"
ACCOUNT = "cron@project.example"
IAP_AUDIENCE = "/projects/1/apps/one"


class Google:
    """Signs tokens, and serves its certificates as a transport does."""

    def __init__(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        self._signer = crypt.RSASigner.from_string(pem, "key-1")
        self._public = (
            key.public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            .decode()
        )
        self.fetched = 0

    def token(self, **claims: Any) -> str:
        now = int(time.time())
        payload = {
            "iss": "https://accounts.google.com",
            "aud": AUDIENCE,
            "email": ACCOUNT,
            "email_verified": True,
            "iat": now,
            "exp": now + 600,
            **claims,
        }
        signed: bytes = jwt.encode(self._signer, payload)
        return signed.decode()

    def __call__(self, url: str, method: str = "GET", **_: Any) -> Any:
        self.fetched += 1
        assert url.startswith("https://www.googleapis.com/oauth2/")
        return SimpleNamespace(status=200, data=json.dumps({"key-1": self._public}).encode())


class Proxy:
    """Signs assertions, and serves its keys as a transport does."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        self._signer = es256.ES256Signer.from_string(pem, "key-1")
        self._public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def assertion(self, **claims: Any) -> str:
        now = int(time.time())
        about = {
            "iss": iap.ISSUER,
            "aud": IAP_AUDIENCE,
            "email": "ann@example.com",
            "iat": now - 10,
            "exp": now + 600,
        }
        return str(jwt.encode(self._signer, {**about, **claims}).decode())

    def __call__(self, url: str, method: str = "GET", **options: Any) -> Any:
        assert (url, method) == (iap.CERTIFICATES, "GET")
        return SimpleNamespace(
            status=200, data=json.dumps({"key-1": self._public.decode()}).encode()
        )
