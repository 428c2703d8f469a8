"""`make mutants`: breaks each guard once, in a copy, and sees a test fail. A mutant that lives is a gap."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "notification_service"
_LIMIT = 300


@dataclass(frozen=True)
class Mutant:
    """`file`: below the package. `tests`: those that are to notice that `old` has become `new`."""

    guard: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS = (
    Mutant(
        "suppression: the list is heeded",
        "delivery/sending.py",
        "        if isinstance(cleared, Skipped):\n",
        "        if isinstance(cleared, Skipped) and not job:\n",
        ("tests/unit/test_suppressed_mail.py",),
    ),
    Mutant(
        "quiet hours: the hour is asked again right before the handover",
        "delivery/sending.py",
        " or self.waiting.is_quiet(job, relevance.event)",
        "",
        ("tests/unit/test_quiet_hours.py", "-k", "waited_in_the_channel"),
    ),
    Mutant(
        "relevance: after a try that sent nothing it is asked again, however soon",
        "delivery/sending.py",
        "        self.relevance.forget(job)\n",
        "",
        ("tests/unit/test_booking_history.py", "-k", "however_soon"),
    ),
    Mutant(
        "devices: one that is gone is left out",
        "delivery/sending.py",
        "            recipient = cleared.recipient\n",
        "",
        ("tests/unit/test_gone_devices.py", "-k", "left_out"),
    ),
    Mutant(
        "feedback: a report counts for the address that was written to",
        "feedback/handling.py",
        "if signal.source == REPORT:",
        "if not signal.source:",
        ("tests/contract/test_signals.py",),
    ),
    Mutant(
        "feedback: a report counts once, however many recipients it names",
        "feedback/suppression.py",
        "if signal.source == REPORT else",
        "if not signal.source else",
        ("tests/unit/test_suppression_handler.py",),
    ),
    Mutant(
        "listener: a header that decides stands there once",
        "callbacks/app.py",
        "times > 1 and",
        "times > 9 and",
        ("tests/unit/test_callbacks_attacked.py",),
    ),
    Mutant(
        "suppression: what was known before a lift no longer counts",
        "contract/suppressions.py",
        "if lifted is None or each.at > lifted",
        "if each.at",
        ("tests/unit/test_suppressions.py",),
    ),
    Mutant(
        "links: the redirect leads to our hosts alone",
        "callbacks/links.py",
        "if click is None or plain_links.refusal(target, self.link_hosts):",
        "if click is None:",
        ("tests/unit/test_reader_routes.py", "-k", "outside_the_hosts"),
    ),
    Mutant(
        "links: only a POST unsubscribes",
        "callbacks/links.py",
        'if request.method != "POST":',
        'if request.method == "HEAD":',
        ("tests/unit/test_reader_routes.py", "-k", "thousand or button"),
    ),
    Mutant(
        "links: a code is for its purpose",
        "foundation/keyed_tokens.py",
        "head = bytes((len(purpose),)) + purpose + bytes((size,))",
        "head = bytes((size,))",
        ("tests/unit/test_keyed_tokens.py",),
    ),
    Mutant(
        "channels: what the broker takes from a channel's queue is parked for that channel",
        "broker/messages.py",
        'if died_in := message.headers.get("x-first-death-queue"):',
        "if died_in := None:",
        ("tests/e2e/test_second_channel.py", "-k", "broker_itself"),
    ),
    Mutant(
        "channels: a replay reaches the channel that parked the event, and no other",
        "broker/parking.py",
        "again_queue(channel_of(message))",
        "again_queue(ChannelKind.EMAIL)",
        ("tests/e2e/test_second_channel.py", "-k", "listed_replayed"),
    ),
    Mutant(
        "claim: one owner at a time",
        "stores/redis/claims.py",
        "if state and held[2] ~= owner and left > 0 then",
        "if false then",
        ("tests/contract/test_claims.py",),
    ),
    Mutant(
        "claim: its own token is known again",
        "stores/redis/claims.py",
        "if state and held[2] ~= owner and left > 0 then",
        "if state and left > 0 then",
        ("tests/contract/test_claims.py", "-k", "was_lost or were_lost"),
    ),
    Mutant(
        "experiments: a resend, a retry and a replay read the variant from the record",
        "delivery/state.py",
        "job.created_at, job.assignment = found.entry.created_at, found.entry.assignment",
        "job.created_at = found.entry.created_at",
        ("tests/unit/test_experiments.py", "-k", "resend or replay"),
    ),
    Mutant(
        "experiments: a fallback is written before the mail is handed over",
        "delivery/sending.py",
        "        await self.state.note_fallback(job, self.composer.digest(template))\n",
        "",
        ("tests/unit/test_experiments.py", "-k", "fallback"),
    ),
    Mutant(
        "experiments: the test stops where its variant fails",
        "delivery/sending.py",
        "            self.experiment.stop(",
        "            str(",
        ("tests/unit/test_experiments.py", "-k", "costs_no_mail"),
    ),
    Mutant(
        "experiments: an event that the control cannot show either does not stop the test",
        "delivery/sending.py",
        "            message = self._compose(job, event, recipient, control)\n"
        "            await self._fall_back(job, problem)\n",
        "            await self._fall_back(job, problem)\n"
        "            message = self._compose(job, event, recipient, control)\n",
        ("tests/unit/test_experiments.py", "-k", "no_variant_can_show"),
    ),
    Mutant(
        "experiments: what was used under a salt stays",
        "stores/mongo/experiments.py",
        '{"_id": _ID, field: {"$exists": False}}',
        '{"_id": _ID}',
        ("tests/contract/test_experiments.py", "-k", "first_definition"),
    ),
    Mutant(
        "experiments: erasing a person takes the unit",
        "stores/mongo/personal_data.py",
        '("experiment", "variant", "fell_back", "shadow")',
        '("experiment", "variant", "fell_back", "shadow", "unit")',
        ("tests/contract/test_experiments.py", "-k", "erasing"),
    ),
    Mutant(
        "experiments of channels: one without the variant has no part in its test",
        "content/short_texts.py",
        'return self._digests.get(template, "") if template in TEMPLATES else self._digests[template]',
        'return self._digests.get(template, "")',
        ("tests/unit/test_variants_of_channels.py", "-k", "no_part or no_digest"),
    ),
    Mutant(
        "experiments of channels: a text of a variant is checked at each start",
        "content/short_texts.py",
        "self.texts_of(RULES[type(event)].template)",
        "(RULES[type(event)].template,)",
        ("tests/unit/test_variants_of_channels.py", "-k", "wrong_or_long"),
    ),
    Mutant(
        "experiments of channels: a look-up counts no fallback, no remark and no shadow",
        "delivery/sending.py",
        "            return self.composer.compose(relevance.event, recipient, _ids(job, name))\n",
        "            return await self._composed(job, relevance.event, recipient) if name else None\n",
        ("tests/unit/test_variants_of_channels.py", "-k", "look_up"),
    ),
    Mutant(
        "experiments: only the first exposure of a unit counts",
        "records/experiment_analysis.py",
        "    return list(first.values())\n",
        "    return list(records)\n",
        ("tests/unit/test_experiment_analysis.py", "-k", "first_exposure"),
    ),
    Mutant(
        "marker: set before DATA",
        "delivery/sending_marks.py",
        "    async def set(self, job: Job) -> Fence:\n",
        "    async def set(self, _: Job) -> Fence:\n        return Fence.HELD\n\n"
        "    async def _unused(self, job: Job) -> Fence:\n",
        ("tests/faults/test_worker_crash_points.py", "-k", "after_the_marker or after_the_250"),
    ),
    Mutant(
        "marker: at another server than the claim's, the entry is marked too",
        "delivery/sending_marks.py",
        "fence is Fence.HELD_HERE or (",
        "fence is Fence.LOST or (",
        ("tests/model/test_model_counterexamples.py",),
    ),
    Mutant(
        "marker: it says that the claim is another server's",
        "stores/redis/claims.py",
        "return stamp == here and 1 or 2",
        "return 1",
        ("tests/contract/test_claims.py", "-k", "another_server"),
    ),
    Mutant(
        "claim: asked for again at another server, it is still of the first",
        "stores/redis/claims.py",
        "local stamp = state == 'claimed' and held[2] ~= owner and here",
        "local stamp = state == 'claimed' and here",
        ("tests/contract/test_claims.py", "-k", "another_server"),
    ),
    Mutant(
        "marker: a lease that is over does not begin to send",
        "delivery/sending_marks.py",
        "        if job.lease is not None and not job.lease.valid:\n            return Fence.LOST\n",
        "",
        ("tests/unit/test_pipeline.py",),
    ),
    Mutant(
        "marker: taken back where nothing went out",
        "channels/breaker.py",
        "            await nothing_sent()\n",
        "",
        ("tests/unit/test_breaker.py",),
    ),
    Mutant(
        "order: the verdict after the 250, not before",
        "delivery/sending.py",
        "            verdict = await self.channel.deliver(\n",
        "            await self.state.close(job, Sent())\n            verdict = await self.channel.deliver(\n",
        ("tests/faults/test_worker_crash_points.py", "-k", "after_rcpt or after_the_marker"),
    ),
    Mutant(
        "order: the outcome before the ack",
        "broker/consumer.py",
        "        started = time.monotonic()\n",
        "        started = time.monotonic()\n        await _ack(message)\n",
        ("tests/faults/test_worker_crash_points.py", "-k", "before_the_claim or between_verdict"),
    ),
    Mutant(
        "order: the copy before the ack",
        "broker/consumer.py",
        "        waits = pauses(_MIN_PAUSE_S, _MAX_PAUSE_S)\n",
        "        waits = pauses(_MIN_PAUSE_S, _MAX_PAUSE_S)\n        await _ack(message)\n",
        ("tests/faults/test_broker_outages.py", "-k", "retry_queue_is_missing"),
    ),
    Mutant(
        "publisher: an unroutable copy is an error",
        "broker/connection.py",
        "    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)\n    _watch",
        "    channel = await connection.channel(publisher_confirms=True, on_return_raises=False)\n    _watch",
        ("tests/faults/test_broker_outages.py", "-k", "retry_queue_is_missing"),
    ),
    Mutant(
        "publisher: confirms are waited for",
        "broker/connection.py",
        "    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)\n    _watch",
        "    channel = await connection.channel(publisher_confirms=False)\n    _watch",
        ("tests/faults/test_broker_outages.py", "-k", "memory_alarm or retry_queue_is_missing"),
    ),
    Mutant(
        "client: discarded on anything but a clean reply",
        "channels/email/smtp/pool.py",
        "if session.kept and session.wire.in_step:",
        "if session.wire.in_step_so_far:",
        ("tests/integration/test_smtp_channel.py", "-k", "nobody_asked_for or cancelled"),
    ),
    Mutant(
        "client: an early reply is noticed",
        "channels/email/smtp/wire.py",
        "        return self._problem is None and not (self.surplus or self._buffer or self._transport.is_closing())",
        "        return self._problem is None and not self._transport.is_closing()",
        ("tests/integration/test_smtp_channel.py", "-k", "nobody_asked_for or cancelled"),
    ),
    Mutant(
        "doubt: what breaks after DATA is unknown, not failed",
        "channels/email/smtp/channel.py",
        "        if talk.phase is Phase.DATA:\n            return _Tried(InDoubt",
        "        if False:\n            return _Tried(InDoubt",
        ("tests/integration/test_smtp_channel.py", "-k", "doubt"),
    ),
    Mutant(
        "doubt: one more mail, not two",
        "delivery/decisions.py",
        "    if resends and resends >= asked.max_resends:\n        return _given_up(asked)\n",
        "",
        ("tests/unit/test_decisions.py",),
    ),
    Mutant(
        "doubt: a claim of another server proves nothing",
        "delivery/decisions.py",
        "if claim.certain and not entry.sending:",
        "if not entry.sending:",
        ("tests/unit/test_decisions.py",),
    ),
    Mutant(
        "doubt: what is marked in the ledger alone",
        "delivery/decisions.py",
        "if claim.certain and not entry.sending:",
        "if claim.certain:",
        ("tests/unit/test_decisions.py",),
    ),
    Mutant(
        "doubt: a resend whose marker is lost",
        "delivery/decisions.py",
        "(entry.sending or not claim.certain)",
        "entry.sending",
        ("tests/unit/test_decisions.py",),
    ),
    Mutant(
        "fence: without a claim, the entry",
        "delivery/sending_marks.py",
        "fence is Fence.HELD_HERE or (fence is Fence.HELD and self._has_to_ask_ledger(job))",
        "fence is Fence.HELD_HERE",
        ("tests/model/test_model_counterexamples.py",),
    ),
    Mutant(
        "fence: what was marked since it was read is not taken over",
        "stores/mongo/ledger.py",
        'which["sending"] = {"$ne": True}',
        "pass",
        ("tests/contract/test_ledger.py",),
    ),
    Mutant(
        "claims: a renewal makes nothing certain",
        "stores/redis/claims.py",
        "redis.call('HSET', KEYS[1], 'state', state, 'until', now + tonumber(ARGV[1]))",
        "redis.call('HSET', KEYS[1], 'state', state, 'until', now + tonumber(ARGV[1]), 'server', 'x')",
        ("tests/contract/test_claims.py",),
    ),
    Mutant(
        "claims: a lost marker is set again",
        "stores/redis/claims.py",
        "if sending ~= '' then",
        "if false then",
        ("tests/contract/test_claims.py",),
    ),
    Mutant(
        "fence: only its owner closes an entry",
        "stores/mongo/ledger.py",
        '        if owner is not None:\n            which["owner"] = owner\n',
        "",
        ("tests/contract/test_ledger.py",),
    ),
    Mutant(
        "ledger: the intent is unique",
        "stores/mongo/ledger.py",
        "write(InsertOne(new)) is Written.DONE:\n                return Opened()",
        "write(InsertOne(new)) is not None:\n                return Opened()",
        ("tests/contract/test_ledger.py",),
    ),
    Mutant(
        "replay: a wish is granted once",
        "delivery/decisions.py",
        "asked.replay is not None and asked.replay not in entry.replays",
        "asked.replay is not None",
        ("tests/unit/test_decisions.py",),
    ),
    Mutant(
        "resends: a few and no more",
        "delivery/decisions.py",
        "    if resends and resends >= asked.max_resends:\n",
        "    if resends and not asked.max_resends:\n",
        ("tests/unit/test_decisions.py",),
    ),
    Mutant(
        "breaker: a channel that is to blame is closed",
        "channels/breaker.py",
        "case Unavailable(attempt, hint) if not stale:",
        "case Unavailable(attempt, hint) if False:",
        ("tests/unit/test_breaker.py",),
    ),
    Mutant(
        "breaker: one domain alone does not close the channel",
        "channels/refusal_patterns.py",
        "_MIN_DOMAINS = 2\n",
        "_MIN_DOMAINS = 1\n",
        ("tests/unit/test_refusal_patterns.py",),
    ),
    Mutant(
        "breaker: a domain of which others passed closes it no more",
        "channels/refusal_patterns.py",
        "        if domain in self._suspects and self._enough",
        "        if self._enough",
        ("tests/unit/test_refusal_patterns.py",),
    ),
    Mutant(
        "breaker: the probe goes to another domain",
        "channels/admission.py",
        "rank=self._refusals.probe_rank if self._opened_by_mail else None",
        "rank=None",
        ("tests/unit/test_refusal_patterns.py",),
    ),
    Mutant(
        "net: an accepted mail ends the row",
        "channels/refusal_patterns.py",
        "        self._alike.clear()\n",
        "",
        ("tests/unit/test_refusal_patterns.py",),
    ),
    Mutant(
        "recall: a bounce has one token, whoever publishes it",
        "records/recalls.py",
        "    text = f\"{record['_id']} {order.opening} {record['updated_at'].isoformat()}\"\n",
        '    text = f"{datetime.now(UTC)}"\n',
        ("tests/unit/test_recalls.py",),
    ),
    Mutant(
        "recall: an order stands until mail passes",
        "records/recalls.py",
        "        if over:\n            await self._recalls.carried_out(order)\n",
        "        await self._recalls.carried_out(order)\n",
        ("tests/unit/test_recalls.py",),
    ),
    Mutant(
        "reopening: only another address opens what bounced",
        "delivery/decisions.py",
        "is_about_the_address(outcome) and _is_another(asked.recipient, entry)",
        "is_about_the_address(outcome)",
        ("tests/unit/test_decisions.py",),
    ),
    Mutant(
        "poison_guard: starts are counted",
        "delivery/poison_guard.py",
        "            return await self._claims.begin(key)",
        "            return 0 * await self._claims.begin(key)",
        ("tests/unit/test_pipeline.py",),
    ),
    Mutant(
        "poison_guard: one at a time",
        "delivery/poison_guard.py",
        "                await self._free.acquire()\n",
        "                if not self._free.locked():\n                    await self._free.acquire()\n",
        ("tests/unit/test_poison_guard.py",),
    ),
    Mutant(
        "limits: what came back often leaves a queue that drops it",
        "broker/consumer.py",
        "returns(message) >= _MAX_RETURNS",
        "returns(message) < 0",
        ("tests/integration/test_delivery_limits.py", "-k", "again_and_again"),
    ),
    Mutant(
        "shutdown: a job in hand is drained",
        "broker/consumer.py",
        "time.monotonic() + grace_s",
        "time.monotonic()",
        ("tests/e2e/test_lifecycle.py", "-k", "sigterm_lets"),
    ),
    Mutant(
        "delivery: a lost channel does not end the job",
        "broker/consumer.py",
        "        task = asyncio.create_task(self._process(message))\n",
        "        task = asyncio.current_task() or asyncio.create_task(self._process(message))\n"
        "        await self._process(message)\n",
        ("tests/faults/test_broker_outages.py", "-k", "cut_during_data"),
    ),
    Mutant(
        "TLS: STARTTLS is demanded",
        "channels/email/smtp/logins.py",
        "            start_tls=server.start_tls,\n",
        "            start_tls=None,\n",
        ("tests/integration/test_smtp_channel.py", "-k", "starttls_is_stripped"),
    ),
    Mutant(
        "header: control characters do not reach one",
        "channels/email/mime.py",
        'def clean(text: str, max_length: int, keep: str = "") -> str:\n',
        'def clean(text: str, max_length: int, keep: str = "") -> str:\n    return text\n\n\n'
        "def _unused(text: str) -> str:\n",
        ("tests/unit/test_mime.py",),
    ),
    Mutant(
        "header: no isolate stays open in a subject",
        "channels/email/mime.py",
        "    return subject if subject.isprintable() or _balanced(subject) else clean(text, _MAX_SUBJECT_LENGTH)\n",
        "    return subject\n",
        ("tests/unit/test_mime.py", "-k", "isolate"),
    ),
    Mutant(
        "wallet: no pass by an expired certificate",
        "channels/email/wallet/apple.py",
        "        if self._clock() >= self._signer.expires:\n",
        "        if False:\n",
        ("tests/unit/test_wallet.py", "-k", "expires"),
    ),
    Mutant(
        "console: nobody without a session",
        "console/middleware.py",
        "answer = self._app if known else html(",
        "answer = self._app if True else html(",
        ("tests/console/test_http.py", "-k", "stranger"),
    ),
    Mutant(
        "console: no form from another site",
        "console/middleware.py",
        "elif request.method not in _SAFE_METHODS and not self._public_address.is_from_here(request.headers):",
        "elif False:",
        ("tests/console/test_http.py", "-k", "elsewhere"),
    ),
    Mutant(
        "console: no request for another host",
        "console/middleware.py",
        "if not self._public_address.is_addressed(request.headers):",
        "if False:",
        ("tests/console/test_http.py", "-k", "gateway"),
    ),
    Mutant(
        "console: no form of another session",
        "console/sign_in.py",
        'if not self._access.is_csrf_token(form.pop(_CSRF_FIELD, ""), self._public_address.session(request)):',
        "if form.pop(_CSRF_FIELD, None) is None:",
        ("tests/console/test_http.py", "-k", "own_session"),
    ),
    Mutant(
        "console: a session ends",
        "console/auth.py",
        'await self._sessions.end(self._key("session", session))',
        "pass",
        ("tests/unit/test_console.py", "-k", "session"),
    ),
    Mutant(
        "console: a new token ends every session",
        "console/auth.py",
        "hmac.new(self._token, f",
        "hmac.new(b'', f",
        ("tests/unit/test_console.py", "-k", "another_worker"),
    ),
    Mutant(
        "console: attempts are counted where they come from",
        "console/login_attempts.py",
        "while found and hops and any(found in network for network in proxies):",
        "while found and hops:",
        ("tests/unit/test_console.py", "-k", "proxy"),
    ),
    Mutant(
        "http: nobody is waited for without an end",
        "observability/serving.py",
        "self._deadline = self.loop.call_later(seconds, self._expired, part)",
        "self._deadline = None",
        ("tests/unit/test_serving.py", "-k", "in_time"),
    ),
    Mutant(
        "http: a further client finds a place",
        "observability/serving.py",
        "self._to_close().cut_off()",
        "connection.cut_off()",
        ("tests/unit/test_serving.py", "-k", "further"),
    ),
    Mutant(
        "console: what others wrote is escaped",
        "console/pages.py",
        "autoescape=True",
        "autoescape=False",
        ("tests/console/test_http.py", "-k", "whatever_the_records_hold"),
    ),
    Mutant(
        "console: addresses are masked",
        "console/pages.py",
        "return mask_in(str(value))",
        "return str(value)",
        ("tests/console/test_http.py", "-k", "masked_until"),
    ),
    Mutant(
        "console: a mail runs nothing",
        "console/views/notification.html",
        'mail.html" sandbox title',
        'mail.html" title',
        ("tests/console/test_http.py", "-k", "nothing_of_it_runs"),
    ),
    Mutant(
        "console: only what was shown is discarded",
        "broker/parked_events.py",
        "(self.until is None or event.parked_at <= self.until)",
        "True",
        ("tests/unit/test_console.py", "-k", "choice"),
    ),
    Mutant(
        "search: a page begins where the last one ended",
        "stores/mongo/search.py",
        'yield {"created_at": until, "_id": {"$lt": after.notification_id}}',
        "pass",
        ("tests/contract/test_search.py",),
    ),
    Mutant(
        "relays: what may be with one goes by no other",
        "channels/relays.py",
        "if message.held_by in (None, relay.name)]",
        "if message]",
        ("tests/unit/test_relays.py", "-k", "waits_for_it_though or though_the_first_is_back"),
    ),
    Mutant(
        "relays: what is about a recipient goes by no other",
        "channels/relays.py",
        "        if not isinstance(tried, Unavailable | Blocked):\n            if relay",
        "        if not isinstance(tried, Unavailable | Blocked | Deferred):\n            if relay",
        ("tests/unit/test_relays.py", "-k", "never_goes_over"),
    ),
    Mutant(
        "relays: the mark is taken back before another gets the mail",
        "channels/relays.py",
        "            await nothing_sent()\n",
        "",
        ("tests/unit/test_relays.py", "-k", "its_mark_is_taken_back"),
    ),
    Mutant(
        "relays: the mark says which one gets the content",
        "channels/relays.py",
        "partial(before_handover, relay.name)",
        "before_handover",
        ("tests/unit/test_relays.py", "-k", "told_which_relay"),
    ),
    Mutant(
        "relays: a claim tells whoever doubts which one may have the mail",
        "stores/redis/claims.py",
        "if ARGV[6] ~= '' then redis.call('HSET', KEYS[1], 'relay', ARGV[6]) end\n",
        "",
        ("tests/contract/test_claims.py", "-k", "which_relay_may_have"),
    ),
    Mutant(
        "relays: a resend stays with the one of the worker that was lost",
        "delivery/steps.py",
        "job.held_by = _relay_of_mark(claim, found.entry) or found.entry.held_by",
        "job.held_by = found.entry.held_by",
        ("tests/unit/test_pipeline.py", "-k", "a_lost_worker_was_sending"),
    ),
    Mutant(
        "relays: the attempt of a lost worker is recorded, for Redis forgets",
        "delivery/state.py",
        "                lost=job.lost,\n",
        "",
        ("tests/unit/test_pipeline.py", "-k", "redis_forgets"),
    ),
    Mutant(
        "relays: what was not sent does not count against the account",
        "channels/relays.py",
        "            await _give_back(relay, place)\n",
        "            pass\n",
        ("tests/unit/test_relays.py", "-k", "does_not_count_against"),
    ),
    Mutant(
        "groups: a reply without an end does not fill the memory",
        "channels/email/smtp/wire.py",
        "if len(self._buffer) > _MAX_REPLY_LENGTH:",
        "if False:",
        ("tests/unit/test_smtp_wire.py", "-k", "without_an_end"),
    ),
    Mutant(
        "groups: a line that is no reply is none",
        "channels/email/smtp/wire.py",
        "            if not (_CODE.match(line) and len(line) <= _MAX_LINE_LENGTH):\n",
        "            if len(line) < 3:\n",
        ("tests/unit/test_smtp_wire.py", "-k", "no_reply"),
    ),
    Mutant(
        "groups: what was said beyond the login answers nothing",
        "channels/email/smtp/wire.py",
        "    if protocol._buffer:  # noqa: SLF001",
        "    if protocol is None:  # noqa: SLF001",
        ("tests/unit/test_smtp_wire.py", "-k", "beyond_the_login"),
    ),
    Mutant(
        "groups: a server that answers before the end of the content gets no more of it",
        "channels/email/smtp/wire.py",
        "        return None if reply.done() else data[start:]\n",
        "        return data[start:]\n",
        ("tests/integration/test_smtp_groups.py", "-k", "before_the_content_is_written"),
    ),
    Mutant(
        "turns: who comes later does not go before those that wait",
        "channels/email/smtp/turns.py",
        "        if self._free and not self._waiting:\n",
        "        if self._free:\n",
        ("tests/unit/test_smtp_turns.py", "-k", "order_of_arrival"),
    ),
    Mutant(
        "turns: a mail that was given a session of its own does not ride",
        "channels/email/smtp/turns.py",
        "            if waiting.may_ride and not waiting.turn.done()",
        "            if not waiting.turn.done()",
        ("tests/unit/test_smtp_turns.py", "-k", "may_not_ride"),
    ),
    Mutant(
        "turns: a cancelled mail leaves its session to others",
        "channels/email/smtp/turns.py",
        "        else:\n            self.give_back()\n",
        "",
        ("tests/unit/test_smtp_turns.py", "-k", "cancelled"),
    ),
    Mutant(
        "turns: a cancelled mail leaves its ride",
        "channels/email/smtp/turns.py",
        "            unused(ride)\n",
        "            pass\n",
        ("tests/unit/test_smtp_turns.py", "-k", "cancelled"),
    ),
)


def _killed(mutant: Mutant, copy: Path) -> bool:
    path = copy / "notification_service" / mutant.file
    sound = path.read_text("utf-8")
    if sound.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.guard}: {mutant.file} does not have this once any more: {mutant.old!r}")
    path.write_text(sound.replace(mutant.old, mutant.new), "utf-8")
    try:
        return not _pass(mutant.tests, copy)
    finally:
        path.write_text(sound, "utf-8")


def _pass(tests: tuple[str, ...], copy: Path) -> bool:
    command = (sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests)
    environment = {**os.environ, "PYTHONPATH": str(copy), "FUZZ_TIMES": "1"}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, check=False, timeout=_LIMIT)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout.decode()[-2000:]}")
    return done.returncode == 0


def main(wanted: str) -> int:
    chosen = [mutant for mutant in MUTANTS if wanted in mutant.guard]
    alive = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        ignored = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "outbox", "var")
        shutil.copytree(ROOT, copy, ignore=ignored)
        for mutant in chosen:
            killed = _killed(mutant, copy)
            alive += not killed
            sys.stdout.write(f"{'killed' if killed else 'LIVES '} {mutant.guard}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(chosen)} mutants, {alive} alive\n")
    return min(alive, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
