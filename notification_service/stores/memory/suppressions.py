"""In-memory suppressions: the twin of `stores/mongo/suppressions.py`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.suppressions import Cause, Entry, Evidence, Lift
from notification_service.delivery.ports.suppressions import Known, Page
from notification_service.foundation.address_digests import Digests

_Key = tuple[ChannelKind, str]


class MemorySuppressions:
    """`keys`: for the digests of addresses, the current key first."""

    def __init__(self, keys: Sequence[str] = ("a key of this process alone",)) -> None:
        self._digests = Digests(keys)
        self._entries: dict[_Key, dict[Cause, Entry]] = {}
        self._changed: dict[_Key, datetime] = {}

    async def known(self, channel: ChannelKind, address: str) -> Known:
        digests = self._digests.of_address(address)
        found = [each for digest in digests for each in self._of((channel, digest))]
        times = [self._changed[channel, digest] for digest in digests if (channel, digest) in self._changed]
        return Known(channel, digests[0] if digests else "", tuple(found), max(times, default=None))

    async def note(self, channel: ChannelKind, digest: str, cause: Cause, evidence: Evidence) -> bool:
        entry = self._entry(channel, digest, cause)
        if (evidence.source, evidence.source_id) in {(each.source, each.source_id) for each in entry.evidence}:
            return False
        self._keep(replace(entry, evidence=(*entry.evidence, evidence)))
        return True

    async def lift(self, channel: ChannelKind, digest: str, cause: Cause, lift: Lift) -> None:
        entry = self._entry(channel, digest, cause)
        if lift not in entry.lifts:
            self._keep(replace(entry, lifts=(*entry.lifts, lift)))

    async def page(self, *, cause: Cause | None = None, before: datetime | None = None, limit: int) -> Page:
        newest = sorted(self._changed, key=lambda key: self._changed[key], reverse=True)
        found = [self._known(key) for key in newest if before is None or self._changed[key] < before]
        wanted = [each for each in found if cause is None or cause in {entry.cause for entry in each.entries}]
        return Page(wanted[:limit], wanted[limit - 1].changed_at if len(wanted) > limit else None)

    async def beginning_with(self, digest: str, limit: int) -> Sequence[Known]:
        return [self._known(key) for key in sorted(self._entries) if key[1].startswith(digest)][:limit]

    def _entry(self, channel: ChannelKind, digest: str, cause: Cause) -> Entry:
        return self._entries.get((channel, digest), {}).get(cause) or Entry(channel, digest, cause)

    def _keep(self, entry: Entry) -> None:
        key = entry.channel, entry.digest
        self._entries.setdefault(key, {})[entry.cause] = entry
        self._changed[key] = datetime.now(UTC)

    def _known(self, key: _Key) -> Known:
        return Known(*key, tuple(self._of(key)), self._changed[key])

    def _of(self, key: _Key) -> Iterator[Entry]:
        held = self._entries.get(key, {})
        yield from (held[cause] for cause in Cause if cause in held)
