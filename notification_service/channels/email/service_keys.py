"""Reads the key file of a Google service account."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from notification_service.foundation.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """The parts of a Google service account's JSON file by which it signs."""

    email: str
    id: str
    key: RSAPrivateKey = field(repr=False)


def read_service_key(path: Path, setting: str) -> ServiceKey:
    """Read the key file that this setting names. Raises `ConfigurationError`, which quotes nothing of the file."""
    try:
        content = json.loads(path.read_bytes())
        key = load_pem_private_key(content["private_key"].encode(), None)
        if isinstance(key, RSAPrivateKey):
            return ServiceKey(str(content["client_email"]), str(content.get("private_key_id", "")), key)
    except OSError as problem:
        raise ConfigurationError(f"{setting}={path} cannot be read: {problem}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UnsupportedAlgorithm):
        pass
    raise ConfigurationError(f"{setting}={path} is no key file (JSON) of a service account")
