"""What an operator can do when a token endpoint refuses a token."""

import re
from collections.abc import Mapping

AWAY = "the token endpoint is away or busy: sending pauses and is tried again; SMTP_OAUTH_TOKEN_URL says where it is"

_MICROSOFT = re.compile(r"\bAADSTS(\d{5,8})\b")
_PASSING_ERRORS = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
_BUSY = frozenset({408, 425, 429})

_ENTRA = "Microsoft Entra admin center, App registrations, the application"
_SIGN_IN = "sign in again and set SMTP_OAUTH_REFRESH_TOKEN to what that gives; see docs/providers.md"
_CONSENT = f"the application is not allowed to send: {_ENTRA}, API permissions, Grant admin consent"
_SECRET = f"SMTP_OAUTH_CLIENT_SECRET is wrong: it is the secret's Value, not its ID ({_ENTRA}, Certificates & secrets)"
_NO_APP = f"SMTP_OAUTH_CLIENT_ID is not known in SMTP_OAUTH_TENANT: both are on the Overview page ({_ENTRA})"
_NO_TENANT = "SMTP_OAUTH_TENANT names no organisation: it is the Directory (tenant) ID or one of its domains"
_SCOPE = "SMTP_OAUTH_SCOPE is wrong: unset it, or see docs/providers.md"
_POLICY = f"the organisation's sign-in rules stop this login: an administrator has to exempt it, or {_SIGN_IN}"
_PUBLIC = f"{_ENTRA}, Authentication, Allow public client flows: Yes; or set SMTP_OAUTH_CLIENT_SECRET"
_NOT_PUBLIC = "the application is a public client: unset SMTP_OAUTH_CLIENT_SECRET, or make it a Web application"
_USER = "the account that agreed is gone or locked: see to it, or sign in with another"

_BY_NUMBER: Mapping[str, str] = {
    # https://learn.microsoft.com/entra/identity-platform/reference-error-codes
    "7000215": _SECRET,
    "7000216": _SECRET,
    "7000222": f"SMTP_OAUTH_CLIENT_SECRET has expired: make a new one ({_ENTRA}, Certificates & secrets)",
    "700016": _NO_APP,
    "700038": _NO_APP,
    "7000112": f"the application is disabled: an administrator can enable it ({_ENTRA})",
    "700025": _NOT_PUBLIC,
    "7000218": _PUBLIC,
    "90002": _NO_TENANT,
    "90019": _NO_TENANT,
    "900021": _NO_TENANT,
    "900023": _NO_TENANT,
    "50059": _NO_TENANT,
    "50194": "the application belongs to one organisation: set SMTP_OAUTH_TENANT to its Directory (tenant) ID",
    "9002331": "the application is for personal accounts only: unset SMTP_OAUTH_TENANT, or set it to consumers",
    "9002346": "the application is for personal accounts only: unset SMTP_OAUTH_TENANT, or set it to consumers",
    "500011": "SMTP_OAUTH_SCOPE names something that this organisation has not: unset it, and check SMTP_OAUTH_TENANT",
    "500014": "Exchange Online is turned off in this organisation: an administrator can turn it on",
    "70011": _SCOPE,
    "1002012": _SCOPE,
    "28000": _SCOPE,
    "65001": _CONSENT,
    "650051": _CONSENT,
    "65004": f"whoever signed in did not agree: {_SIGN_IN}",
    "50105": f"the account is not assigned to the application: {_ENTRA}, Enterprise applications, Users and groups",
    "501051": f"the account is not assigned to the application: {_ENTRA}, Enterprise applications, Users and groups",
    "50034": _USER,
    "50057": _USER,
    "50053": _USER,
    "70008": f"the refresh token has expired: {_SIGN_IN}",
    "700082": f"the refresh token was not used for 90 days and has expired: {_SIGN_IN}",
    "700084": f"the refresh token has expired: {_SIGN_IN}",
    "50173": f"the refresh token was called back, by a new password for instance: {_SIGN_IN}",
    "50078": f"the sign-in is too old for the organisation's rules: {_SIGN_IN}",
    "70043": f"the sign-in is too old for the organisation's rules: {_SIGN_IN}",
    "50076": _POLICY,
    "50079": _POLICY,
    "50158": _POLICY,
    "53000": _POLICY,
    "53003": _POLICY,
    "530036": _POLICY,
}

_BY_WORDS: Mapping[str, str] = {
    # Texts of Google's error_description: https://developers.google.com/identity/protocols/oauth2/service-account
    "not authorized for any of the scopes": (
        "the service account may not act for this mailbox: Google Admin console, Security, API controls, Domain-wide "
        "delegation, add its client ID with the scope https://mail.google.com/; that can take a day"
    ),
    "invalid email or user id": "SMTP_USERNAME is no mailbox of the organisation that trusts the service account",
    "account not found": "SMTP_OAUTH_SERVICE_ACCOUNT_FILE is of a service account that is gone: make a new key",
    "invalid jwt signature": "the key in SMTP_OAUTH_SERVICE_ACCOUNT_FILE was deleted: make a new one",
    "short-lived token": "this machine's clock is wrong: set it by NTP",
    "expired or revoked": (
        "the refresh token has ended: a new password, an application left in Testing (7 days), six months without use, "
        f"or its owner took it back; {_SIGN_IN}"
    ),
    "user has been deleted": _USER,
}

_BY_ERROR: Mapping[str, str] = {
    # RFC 6749 §5.2, then Google's own codes
    "invalid_client": "SMTP_OAUTH_CLIENT_ID or SMTP_OAUTH_CLIENT_SECRET is wrong, or the secret has expired",
    "unauthorized_client": "the application may not ask for tokens in this way: see docs/providers.md",
    "invalid_scope": _SCOPE,
    "unsupported_grant_type": "this endpoint gives no tokens in this way: is SMTP_OAUTH_TOKEN_URL right?",
    "deleted_client": "SMTP_OAUTH_CLIENT_ID was deleted: make another, sign in again, set both and the secret",
    "disabled_client": "the application is disabled: see the provider's console",
    "admin_policy_enforced": "the organisation does not allow this application: an administrator can trust it",
    "org_internal": "the application is for another organisation's accounts only",
    "invalid_rapt": _POLICY,
    "access_denied": "the provider denies it: has the application its permission, and did somebody agree to it?",
    "consent_required": _CONSENT,
    "interaction_required": _POLICY,
    "login_required": f"somebody has to sign in: {_SIGN_IN}",
}

CLIENT_CREDENTIALS: Mapping[str, str] = {}
REFRESH_TOKEN: Mapping[str, str] = {"invalid_grant": f"the refresh token has ended or was called back: {_SIGN_IN}"}
DEVICE: Mapping[str, str] = {
    "authorization_declined": "whoever signed in did not agree: begin again",
    "access_denied": "whoever signed in did not agree: begin again",
    "expired_token": "nobody signed in in time: begin again",
    "invalid_client": f"the application takes no such logins: {_PUBLIC}",
}
SERVICE_ACCOUNT: Mapping[str, str] = {
    "invalid_grant": "the service account is refused: check SMTP_USERNAME, its key, and this machine's clock",
    "invalid_client": "the service account is not known: make a new key for SMTP_OAUTH_SERVICE_ACCOUNT_FILE",
    "unauthorized_client": _BY_WORDS["not authorized for any of the scopes"],
}
"""Hints by error code for one grant each; they win over the general ones."""

_NO_ENDPOINT = "SMTP_OAUTH_TOKEN_URL is no token endpoint, or SMTP_OAUTH_TENANT names no organisation"
_UNKNOWN = "the token endpoint refuses us: check the SMTP_OAUTH_ settings, see docs/providers.md"


def hint(status: int, error: str, description: str, by_grant: Mapping[str, str]) -> str:
    """Returns the most specific hint: by Microsoft's error number, by Google's text, by error code, by status."""
    numbers = (_BY_NUMBER[number] for number in _MICROSOFT.findall(description) if number in _BY_NUMBER)
    words = (hint for words, hint in _BY_WORDS.items() if words in description.lower())
    known = next(numbers, "") or next(words, "") or by_grant.get(error, "") or _BY_ERROR.get(error, "")
    if known:
        return known
    if status >= 500 or status in _BUSY or error in _PASSING_ERRORS:  # noqa: PLR2004 - RFC 9110 §15.6
        return AWAY
    return _UNKNOWN if error else _NO_ENDPOINT
