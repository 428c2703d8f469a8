"""Claims in Redis (or Valkey): who works on a notification, and the recent verdicts."""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Collection, Mapping

from notification_service.contract.outcomes import Outcome, Status, Summary, recall, summarize
from notification_service.delivery.ports.claims import (
    ClaimAnswer,
    Claimed,
    Decided,
    Fence,
    Held,
    InterruptedSend,
    Tenure,
)
from notification_service.foundation.addresses import mask_in
from notification_service.foundation.errors import StoreUnavailableError
from notification_service.stores.redis.client import RedisClient, translate_errors

_PREFIX = "notification:"
_PREFIX_STARTS = "notification-started:"
_STARTS_SECONDS = 86400
# A claim is a hash: state, owner, until (ms of the server's own clock), lease (ms), server, verdict. Its states:
#   claimed → sending; a lost lease turns sending into doubted at the next claim → resending. Each of them → decided.
#   unmark: sending → claimed, resending → doubted. release deletes any of them but decided.
#   reopen: decided → claimed, or doubted if the verdict was unknown.
# `relay`, where there are several: the one of the last mark. It counts in a state that says so, from sending on.
# A key expires VERDICT_DAYS after its last claim, mark or verdict.

# Identifies the server's history of writes: run_id changes with each restart, and master_replid with each promotion of
# a replica. Empty if an ACL forbids INFO; then no claim is certain.
_SERVER = """
local function server()
  local found = ''
  for _, part in ipairs({{'server', 'run_id:(%x+)'}, {'replication', 'master_replid:(%x+)'}}) do
    local info = redis.pcall('INFO', part[1])
    local id = type(info) == 'string' and string.match(info, part[2])
    if not id then return '' end
    found = found .. id
  end
  return found
end
"""

_CERTAIN = _SERVER + "return server() ~= '' and 1 or 0"

_CLAIM = (
    _SERVER
    + """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local key, owner, lease = KEYS[1], ARGV[1], tonumber(ARGV[2])
local held = redis.pcall('HMGET', key, 'state', 'owner', 'until', 'verdict', 'server', 'relay', 'lease')
if held.err then
  if not string.find(held.err, 'WRONGTYPE') then return held end
  -- It is nobody's claim, and would keep the notification from every worker for ever.
  redis.call('DEL', key)
  held = {}
end
local state, here = held[1], server()
local readable, verdict = pcall(cjson.decode, held[4])
if state == 'decided' and not (readable and type(verdict) == 'table' and verdict['outcome']) then
  state, held[2], held[3], held[5] = 'sending', '', 0, ''
end
if state == 'decided' then
  local outcome, reason = verdict['outcome'], verdict['reason']
  local mendable = outcome == 'parked' or outcome == 'unknown' or outcome == 'rejected' or outcome == 'bounced'
    or outcome == 'skipped' and (reason == 'suppressed' or reason == 'unsubscribed')
  if ARGV[4] ~= 'reopen' or not mendable then return {'decided', held[4]} end
  state = outcome == 'unknown' and 'sending' or 'claimed'
  held[2], held[3], held[5] = '', 0, here
end
local left = (tonumber(held[3]) or 0) - now
if state and held[2] ~= owner and left > 0 then
  local longest = tonumber(held[7]) or lease
  if left > longest then
    -- The server's clock was set back. An owner that is alive renews its lease.
    left = longest
    redis.call('HSET', key, 'until', now + left)
  end
  return {'held', tostring(left)}
end
local answer = 'granted'
if not state then
  answer = 'fresh'
  state = 'claimed'
elseif state == 'claimed' then
  if held[2] == owner then answer = 'fresh' end
elseif state == 'sending' then
  answer = 'doubtful'
  state = 'doubted'
elseif state == 'doubted' then
  answer = 'doubtful'
else
  answer = 'doubtful again'
end
local certain = here ~= '' and held[5] == here
-- An uncertain doubt stays uncertain: the marker for its next owner may be lost. A repeated claim by the same owner
-- keeps its stamp: the first may have been made at the former server, where other workers still see it.
local stamp = state == 'claimed' and held[2] ~= owner and here or held[5] or ''
redis.call('HSET', key, 'state', state, 'owner', owner, 'until', now + lease, 'lease', lease, 'server', stamp)
redis.call('PEXPIRE', key, ARGV[3])
return {answer, held[2] or '', certain and 1 or 0, held[6] or ''}
"""
)

_MARK_SENDING = (
    _SERVER
    + """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local held = redis.call('HMGET', KEYS[1], 'state', 'owner', 'server')
local state, stamp, here = held[1], held[3] or '', server()
if state and (held[2] ~= ARGV[1] or state == 'decided') then return 0 end
if not state then
  if ARGV[5] ~= '1' then return 0 end
  redis.call('HSET', KEYS[1], 'server', here, 'lease', ARGV[2])
  stamp = here
end
if ARGV[4] == '1' or state == 'doubted' or state == 'resending' then state = 'resending' else state = 'sending' end
redis.call('HSET', KEYS[1], 'state', state, 'owner', ARGV[1], 'until', now + tonumber(ARGV[2]))
if ARGV[6] ~= '' then redis.call('HSET', KEYS[1], 'relay', ARGV[6]) end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return stamp == here and 1 or 2
"""
)

_UNMARK = """
local held = redis.call('HMGET', KEYS[1], 'state', 'owner')
if held[2] ~= ARGV[1] then return end
if held[1] == 'sending' then redis.call('HSET', KEYS[1], 'state', 'claimed') end
if held[1] == 'resending' then redis.call('HSET', KEYS[1], 'state', 'doubted') end
"""

# Idempotent: the same verdict again, after a lost answer, succeeds.
_DECIDE = """
local held = redis.call('HMGET', KEYS[1], 'state', 'owner', 'verdict')
if held[1] and held[2] ~= ARGV[1] then return 0 end
if held[1] == 'decided' then return held[3] == ARGV[2] and 1 or 0 end
redis.call('HSET', KEYS[1], 'state', 'decided', 'owner', ARGV[1], 'verdict', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""

_RELEASE = """
local held = redis.call('HMGET', KEYS[1], 'state', 'owner')
if held[1] and (held[2] ~= ARGV[1] or held[1] == 'decided') then return 0 end
redis.call('DEL', KEYS[1])
return 1
"""

_RENEW = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local held = redis.call('HMGET', KEYS[1], 'state', 'owner')
local state, sending = held[1], ARGV[3]
if not state or state == 'decided' or held[2] ~= ARGV[2] then return 0 end
if sending ~= '' then
  state = (sending == 'again' or state == 'doubted' or state == 'resending') and 'resending' or 'sending'
  if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'relay', ARGV[4]) end
end
redis.call('HSET', KEYS[1], 'state', state, 'until', now + tonumber(ARGV[1]))
return 1
"""

# Starts are a set of tokens, so that one whose answer was lost is not counted twice.
_BEGIN = """
redis.call('SADD', KEYS[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[1])
return redis.call('SCARD', KEYS[1])
"""

_END = """
if ARGV[1] == '1' then redis.call('DEL', KEYS[1]) else redis.call('SREM', KEYS[1], ARGV[2]) end
"""


class RedisClaims:
    """`lease_seconds`: how long a claim holds without renewal. `verdict_seconds`: how long a verdict is kept."""

    def __init__(self, redis: RedisClient, *, lease_seconds: float, verdict_seconds: float) -> None:
        self._redis = redis
        self._lease_ms = round(lease_seconds * 1000)
        self._verdict_ms = round(verdict_seconds * 1000)
        self._certain = redis.script(_CERTAIN)
        self._claim = redis.script(_CLAIM)
        self._mark_sending = redis.script(_MARK_SENDING)
        self._unmark = redis.script(_UNMARK)
        self._decide = redis.script(_DECIDE)
        self._release = redis.script(_RELEASE)
        self._renew = redis.script(_RENEW)
        self._begin = redis.script(_BEGIN)
        self._end = redis.script(_END)
        self._starts: dict[str, list[str]] = {}
        """The tokens of our starts that have not ended, by delivery."""

    async def ping(self) -> None:
        """Raises `StoreUnavailableError`."""
        await translate_errors(self._redis.probe())

    async def certain(self) -> bool:
        """Whether the server can identify itself, without which no claim is certain. Raises `StoreUnavailableError`."""
        return bool(await translate_errors(self._certain(keys=[], args=[])))

    async def claim(self, notification_id: str, owner: str, *, reopen: bool = False) -> ClaimAnswer:
        answer, detail, *more = await translate_errors(
            self._claim(
                keys=[_key(notification_id)], args=[owner, self._lease_ms, self._verdict_ms, "reopen" if reopen else ""]
            )
        )
        match answer:
            case "fresh":
                return Claimed(fresh=True)
            case "granted":
                return Claimed(fresh=False, before=detail, certain=more[0] == 1)
            case "held":
                return Held(float(detail) / 1000)
            case "decided":
                return Decided(_readable(notification_id, detail))
            case _:
                certain, relay = more
                return InterruptedSend(again=answer == "doubtful again", certain=certain == 1, relay=relay or None)

    async def mark_sending(
        self,
        notification_id: str,
        owner: str,
        *,
        again: bool = False,
        create_if_missing: bool = False,
        relay: str | None = None,
    ) -> Fence:
        arguments: list[str | int] = [owner, self._lease_ms, self._verdict_ms, int(again), int(create_if_missing)]
        return await _fence(self._mark_sending(keys=[_key(notification_id)], args=[*arguments, relay or ""]))

    async def unmark(self, notification_id: str, owner: str) -> None:
        await translate_errors(self._unmark(keys=[_key(notification_id)], args=[owner]))

    async def decide(self, notification_id: str, owner: str, outcome: Outcome) -> Fence:
        return await _fence(
            self._decide(keys=[_key(notification_id)], args=[owner, _to_json(outcome), self._verdict_ms])
        )

    async def release(self, notification_id: str, owner: str) -> Fence:
        return await _fence(self._release(keys=[_key(notification_id)], args=[owner]))

    async def renew(self, held: Mapping[str, Tenure]) -> Collection[str]:
        """One call for each key, sent together: in a cluster, keys are on several servers.

        Raises `StoreUnavailableError` only where none succeeds: one that fails must not cost the others their leases.
        """
        renewed = await asyncio.gather(
            *(
                translate_errors(
                    self._renew(keys=[_key(name)], args=[self._lease_ms, each.owner, _marker(each), each.relay or ""])
                )
                for name, each in held.items()
            ),
            return_exceptions=True,
        )
        problems = [each for each in renewed if isinstance(each, BaseException)]
        if problems and len(problems) == len(renewed):
            raise problems[0]
        return [name for name, done in zip(held, renewed, strict=True) if done == 1]

    async def begin(self, delivery: str) -> int:
        token = secrets.token_hex(8)
        self._starts.setdefault(delivery, []).append(token)
        begun = self._begin(keys=[_PREFIX_STARTS + delivery], args=[_STARTS_SECONDS, token])
        return int(await translate_errors(begun)) - 1

    async def end(self, delivery: str, *, forget: bool = False) -> None:
        token = self._starts.get(delivery, [""]).pop()
        if not self._starts.get(delivery):
            self._starts.pop(delivery, None)
        await translate_errors(self._end(keys=[_PREFIX_STARTS + delivery], args=[int(forget), token]))


_FENCES = (Fence.LOST, Fence.HELD, Fence.HELD_HERE)


async def _fence(call: Awaitable[int]) -> Fence:
    return _FENCES[await translate_errors(call)]


def _marker(tenure: Tenure) -> str:
    return "" if not tenure.sending else "again" if tenure.again else "sending"


def _to_json(outcome: Outcome) -> str:
    summary = summarize(outcome)
    return json.dumps(
        {
            "status": summary.status,
            "outcome": summary.outcome,
            "reason": summary.reason,
            "detail": mask_in(summary.detail) if summary.detail else None,
            "possible_duplicate": summary.possible_duplicate,
            **({"fingerprint": summary.fingerprint} if summary.fingerprint else {}),
        }
    )


def _from_json(verdict: str) -> Outcome:
    fields = json.loads(verdict)
    return recall(Summary(**{**fields, "status": Status(fields["status"])}))


def _readable(notification_id: str, verdict: str) -> Outcome:
    try:
        return _from_json(verdict)
    except (ValueError, KeyError, TypeError) as problem:
        detail = (
            f"this version cannot read the verdict in {_key(notification_id)} ({problem}): run the version that wrote "
            "it, or delete the key, and the record alone decides"
        )
        raise StoreUnavailableError("Redis", detail) from problem


def _key(notification_id: str) -> str:
    return _PREFIX + notification_id
