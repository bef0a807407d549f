"""JSON Web Tokens, and Envoy's filter that checks them and tells their claims as metadata of the request."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

FILTER = "envoy.filters.http.jwt_authn"
_SHARED_SECRET = b"what signs the tokens of the tests"


def _encoded(data: bytes) -> str:
    """Base64 as tokens have it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(claims: dict[str, Any]) -> str:
    """A token that the filter takes; the issuer is added."""
    parts = ({"alg": "HS256", "kid": "k"}, {"iss": "test", **claims})
    text = ".".join(_encoded(json.dumps(part).encode()) for part in parts)
    return f"{text}.{_encoded(hmac.digest(_SHARED_SECRET, text.encode(), 'sha256'))}"


def token_filter(header: str = "authorization", prefix: str = "Bearer ") -> dict[str, Any]:
    """The filter, which lets requests without a token pass; claims are under `payload`."""
    keys = {"keys": [{"kty": "oct", "alg": "HS256", "kid": "k", "k": _encoded(_SHARED_SECRET)}]}
    provider = {
        "issuer": "test",
        "local_jwks": {"inline_string": json.dumps(keys)},
        "payload_in_metadata": "payload",
        "from_headers": [{"name": header, "value_prefix": prefix}],
        "forward": True,
    }
    requirements = {"requires_any": {"requirements": [{"provider_name": "test"}, {"allow_missing": {}}]}}
    return {
        "name": FILTER,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"test": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": requirements}],
        },
    }
