"""Signs a request to AWS (Signature Version 4). Pure.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Credentials:
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def signed(
    method: str,
    url: str,
    headers: Mapping[str, str],
    content: bytes,
    *,
    credentials: Credentials,
    region: str,
    service: str,
    at: datetime,
) -> dict[str, str]:
    """The headers of a request with its signature. `headers`: names in lower case. The path is plain, without query."""
    parts, moment = urlsplit(url), at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    token = {"x-amz-security-token": credentials.session_token} if credentials.session_token else {}
    named = {**headers, "host": parts.netloc, "x-amz-date": moment, **token}
    names = ";".join(sorted(named))
    lines = "".join(f"{name}:{' '.join(named[name].split())}\n" for name in sorted(named))
    digest = hashlib.sha256(content).hexdigest()
    request = "\n".join((method, parts.path or "/", parts.query, lines, names, digest))
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    text = "\n".join((_ALGORITHM, moment, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in (moment[:8], region, service, "aws4_request"):
        key = _hmac(key, part)
    return {
        **{name: value for name, value in named.items() if name != "host"},
        "authorization": (
            f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope}, SignedHeaders={names}, "
            f"Signature={_hmac(key, text).hex()}"
        ),
    }


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
