"""Which large mailbox provider an address belongs to, by its domain: a closed set, for metrics and reports."""

from collections.abc import Mapping

OTHER = "other"

_DOMAINS: Mapping[str, tuple[str, ...]] = {
    "gmail": ("gmail.com", "googlemail.com"),
    "yahoo": ("ymail.com", "rocketmail.com", "myyahoo.com"),
    "microsoft": ("msn.com", "passport.com"),
    "apple": ("icloud.com", "me.com", "mac.com", "privaterelay.appleid.com"),
}
_FIRST_LABELS = {
    **dict.fromkeys(("yahoo", "aol"), "yahoo"),
    **dict.fromkeys(("hotmail", "outlook", "live"), "microsoft"),
}
"""Providers with a domain for many countries, such as hotmail.fr and yahoo.co.jp."""
_MAX_COUNTRY_LABELS = 2

CLASSES = (*_DOMAINS, OTHER)
_BY_DOMAIN = {domain: name for name, domains in _DOMAINS.items() for domain in domains}


def mailbox_class(address: str) -> str:
    """The class of an address or a domain. Domains of their own that a provider hosts are `other`."""
    domain = address.rpartition("@")[2].lower().rstrip(".")
    first, _, rest = domain.partition(".")
    by_country = rest.count(".") < _MAX_COUNTRY_LABELS and all(len(label) <= 3 for label in rest.split("."))  # noqa: PLR2004 - .co.jp, .com
    return _BY_DOMAIN.get(domain) or (_FIRST_LABELS.get(first, OTHER) if rest and by_country else OTHER)
