"""Reads the key file of a Google service account."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from notification_service.foundation.errors import ConfigurationError

_TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError, UnsupportedAlgorithm)
"""What a file that holds no key may raise when it is read as one."""


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """The parts of a Google service account's JSON file by which it signs. `token_url`: where it gets its tokens."""

    email: str
    id: str
    key: RSAPrivateKey = field(repr=False)
    project: str = ""
    token_url: str = _TOKEN_URL


def read_service_key(path: Path, setting: str, *, with_project: bool = False, steps: str = "") -> ServiceKey:
    """Read the key file that this setting names. Raises `ConfigurationError`, which quotes nothing of the file.

    `with_project`: the file has to name one. `steps`: how to get such a file, for the error.
    """
    how = f": {steps}" if steps else ""
    try:
        content = json.loads(path.read_bytes())
        key = load_pem_private_key(content["private_key"].encode(), None)
        project = content["project_id"] if with_project else content.get("project_id")
        if isinstance(key, RSAPrivateKey) and content["client_email"] and (project or not with_project):
            return ServiceKey(
                str(content["client_email"]),
                str(content.get("private_key_id", "")),
                key,
                str(project or ""),
                str(content.get("token_uri") or _TOKEN_URL),
            )
    except OSError as problem:
        raise ConfigurationError(f"{setting}={path} cannot be read: {problem.strerror}{how}") from None
    except UNREADABLE:
        pass
    raise ConfigurationError(f"{setting}={path} is no key file (JSON) of a service account{how}")
