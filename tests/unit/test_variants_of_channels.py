"""A test of two variants in SMS and push: as in e-mail, one variant for one person, and no message lost."""

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from notification_service import bootstrap
from notification_service.channels.email.composer import EmailComposer
from notification_service.channels.email.template_loading import load as load_mails
from notification_service.channels.push import payloads, template_loading as push_texts
from notification_service.channels.push.composer import PushComposer
from notification_service.channels.push.devices import PushService
from notification_service.channels.push.message import OutgoingPush
from notification_service.channels.sms import template_loading as sms_texts
from notification_service.channels.sms.composer import SmsComposer
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.devices import Device
from notification_service.contract.experiments import assign, parse_experiment
from notification_service.contract.outcomes import Parked, ParkReason, Sent
from notification_service.contract.variants import Experiment, Variant
from notification_service.delivery.experiments import RunningExperiment
from notification_service.delivery.observer import NoObserver, Observer
from notification_service.delivery.pipeline import Pipeline
from notification_service.delivery.ports.channel import Found, LookUpAnswer, NotFound, OutgoingMessage
from notification_service.delivery.ports.composer import Composer, CompositionError
from notification_service.delivery.ports.directory import Recipient
from notification_service.delivery.ports.shadow import ShadowResult
from notification_service.delivery.settlements import Done, Park, Retry
from notification_service.delivery.shadow import Shadow
from notification_service.foundation.errors import ConfigurationError
from notification_service.preview import checks, phone_page, proofs
from notification_service.settings import load
from notification_service.stores.memory.experiments import MemoryExperiments
from tests.samples import sample
from tests.unit.fakes import IN_DOUBT, TEMPLATES, attempt, deferred, inbound
from tests.unit.test_experiments import BROKEN, EVERYBODY_B, TESTED, settings_of, write_variant
from tests.unit.test_pipeline import SENDER, Cinema

JANE = Recipient("jane@guests.example", "Jane", phone="+4915112345678", device_tokens=(Device("ab" * 32),))
TEXT = f"Variant B of your payment{BROKEN}\n"
BOTH = pytest.mark.parametrize("kind", [ChannelKind.SMS, ChannelKind.PUSH])
EVERY = pytest.mark.parametrize("kind", list(ChannelKind))


def sms(templates: Path) -> SmsComposer:
    return sms_texts.load(templates, bootstrap.profile(load(None)), default_country=None)


def push(templates: Path) -> PushComposer:
    return push_texts.load(templates, bootstrap.profile(load(None)), tuple(PushService))


def email(templates: Path) -> EmailComposer:
    return EmailComposer(load_mails(templates, bootstrap.profile(load(None))), SENDER, max_attachment_bytes=10**6)


COMPOSERS: dict[ChannelKind, Callable[[Path], Composer]] = {
    ChannelKind.EMAIL: email,
    ChannelKind.SMS: sms,
    ChannelKind.PUSH: push,
}
Composers = dict[ChannelKind, Composer]


def composers(templates: Path) -> Composers:
    return {kind: made(templates) for kind, made in COMPOSERS.items()}


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return shutil.copytree(TEMPLATES, tmp_path / "templates")


@pytest.fixture(scope="module")
def without_b() -> Composers:
    return composers(TEMPLATES)


@pytest.fixture(scope="module")
def with_b(tmp_path_factory: pytest.TempPathFactory) -> Composers:
    copy = shutil.copytree(TEMPLATES, tmp_path_factory.mktemp("short") / "templates")
    return composers(write_variant(copy, subject_txt=TEXT, sms_txt=TEXT, push_txt=TEXT))


class Counting(NoObserver):
    def __init__(self) -> None:
        self.told: Counter[str] = Counter()

    def fell_back(self, template: str) -> None:
        self.told[f"fell back: {template}"] += 1

    def shadowed(self, result: ShadowResult) -> None:
        self.told[f"shadow: {result.name}"] += 1


@dataclass
class Trial(Cinema):
    """One channel of a cinema with a test of `payment_failed`."""

    composer: Composer | None = None
    experiment: Experiment | None = EVERYBODY_B
    register: Any = field(default_factory=MemoryExperiments)
    observer: Observer = field(default_factory=Counting)
    shadow: str | None = None

    def process(self) -> Pipeline:
        composer = self.composer or super().process().composer
        running = RunningExperiment(self.experiment, self.register).for_channel(composer) if self.experiment else None
        return replace(
            super().process(),
            composer=composer,
            experiment=running,
            shadow=Shadow.of(composer, self.shadow) if self.shadow else None,
            observer=self.observer,
        )

    async def start(self) -> "Trial":
        if self.pipeline.experiment:
            await self.pipeline.experiment.start()
        return self

    async def restart(self, **changes: Any) -> None:  # noqa: ANN401 - whatever a field holds
        for name, value in changes.items():
            setattr(self, name, value)
        self.clock.after_the_lease()
        self.pipeline = self.process()
        await self.start()

    async def fail(self, **changes: Any) -> Done | Park | Retry:  # noqa: ANN401 - JSON
        return await self.pipeline.handle(inbound(sample("payment.failed", **changes)))

    @property
    def told(self) -> Counter[str]:
        assert isinstance(self.observer, Counting)
        return self.observer.told


def trial(composer: Composer, *steps: Any, **more: Any) -> Trial:  # noqa: ANN401 - whatever a field holds
    return Trial(list(steps), **{"people": {"user456": JANE}, "composer": composer, **more})


def is_b(message: OutgoingMessage) -> bool:
    return b"Variant B of your payment" in message.content


# ── the way of a message ─────────────────────────────────────────────────────────────────────────────
@BOTH
async def test_the_assigned_variant_is_sent_and_recorded(with_b: Composers, kind: ChannelKind) -> None:
    cinema = await trial(with_b[kind]).start()
    assert await cinema.fail() == Done(Sent())
    assert [is_b(each) for each in cinema.mails] == [True]
    assert cinema.record.entry.assignment == assign(EVERYBODY_B, "user456")
    assert cinema.record.intent.template == "payment_failed"
    assert cinema.record.intent.template_digest == with_b[kind].digest("payment_failed@b")


async def test_one_person_gets_one_variant_in_all_channels(with_b: Composers) -> None:
    got: dict[str, set[tuple[Variant, bool]]] = {}
    for kind in ChannelKind:
        cinema = await trial(with_b[kind], experiment=TESTED, people={f"u{each}": JANE for each in range(12)}).start()
        for number in range(12):
            ids = {"event_id": f"e{number}", "booking_id": f"B{number}", "transaction_id": f"T{number}"}
            assert await cinema.fail(user_id=f"u{number}", user_email="", **ids) == Done(Sent())
        for record, message in zip(cinema.ledger.records.values(), cinema.mails, strict=True):
            assert record.entry.assignment
            got.setdefault(record.entry.assignment.unit, set()).add((record.entry.assignment.variant, is_b(message)))
    assert len(got) == 12
    assert all(len(seen) == 1 for seen in got.values())
    assert set.union(*got.values()) == {(Variant.A, False), (Variant.B, True)}


@BOTH
@pytest.mark.parametrize("experiment", [EVERYBODY_B, None, replace(TESTED, share=0.000001, salt="other")])
async def test_a_resend_after_a_doubt_has_the_same_bytes(
    with_b: Composers, kind: ChannelKind, experiment: Experiment | None
) -> None:
    cinema = await trial(with_b[kind], IN_DOUBT).start()
    assert isinstance(await cinema.fail(), Retry)
    await cinema.restart(experiment=experiment)
    assert await cinema.fail() == Done(Sent(possible_duplicate=True))
    first, second = cinema.mails
    assert is_b(first)
    assert first.content == second.content


@EVERY
@pytest.mark.parametrize("step", [IN_DOUBT, deferred()], ids=["doubt", "retry"])
async def test_without_the_folder_a_later_try_is_the_control_and_marked(
    with_b: Composers,
    without_b: Composers,
    kind: ChannelKind,
    step: Any,  # noqa: ANN401 - a scripted answer
) -> None:
    cinema = await trial(with_b[kind], step).start()
    assert isinstance(await cinema.fail(), Retry)
    await cinema.restart(composer=without_b[kind], experiment=None)
    settled = await cinema.pipeline.handle(inbound(sample("payment.failed"), attempt=1))
    assert settled == Done(Sent(possible_duplicate=step is IN_DOUBT))
    assert [is_b(each) for each in cinema.channel.seen] == [True, False]
    found = cinema.record.entry.assignment
    assert found
    assert (found.variant, found.sent_variant, found.fell_back) == (Variant.B, Variant.A, True)
    assert cinema.record.intent.template_digest == without_b[kind].digest("payment_failed")


@BOTH
async def test_a_variant_that_fails_at_run_time_costs_no_message_and_stops_the_test_everywhere(
    with_b: Composers, kind: ChannelKind
) -> None:
    register = MemoryExperiments()
    running = RunningExperiment(EVERYBODY_B, register)
    await running.start()
    mails, short = trial(with_b[ChannelKind.EMAIL]), trial(with_b[kind])
    for each in (mails, short):
        each.pipeline = replace(each.pipeline, experiment=running)
    assert await short.fail(failure_reason="boom") == Done(Sent())
    assert [is_b(each) for each in short.mails] == [False]
    found = short.record.entry.assignment
    assert found
    assert (found.variant, found.sent_variant, found.fell_back) == (Variant.B, Variant.A, True)
    assert not running.running
    assert await mails.fail() == Done(Sent())
    assert mails.record.entry.assignment is None
    await running.refresh()
    known = await register.read(EVERYBODY_B.salt)
    assert known
    part = {ChannelKind.SMS: "sms.txt", ChannelKind.PUSH: "push.txt"}[kind]
    assert known.stop_reason == f"variant b of payment_failed could not be composed: {part}:1"


@pytest.mark.parametrize("text", ["", "{{ 'long ' * 1000 }}"], ids=["empty", "too long for any provider"])
@BOTH
async def test_a_variant_that_no_provider_would_take_costs_no_message(
    copied: Path, kind: ChannelKind, text: str
) -> None:
    only_then = f'{{% if event.failure_reason == "boom" %}}{text}{{% else %}}Variant B of your payment{{% endif %}}\n'
    cinema = await trial(COMPOSERS[kind](write_variant(copied, sms_txt=only_then, push_txt=only_then))).start()
    assert await cinema.fail(failure_reason="boom") == Done(Sent())
    assert cinema.mails[0].content
    assert cinema.record.entry.assignment
    assert cinema.record.entry.assignment.fell_back


@BOTH
async def test_an_event_that_no_variant_can_show_does_not_stop_the_test(copied: Path, kind: ChannelKind) -> None:
    for part in ("sms.txt", "push.txt"):
        control = copied / "payment_failed" / part
        control.write_text(control.read_text("utf-8") + BROKEN)
    write_variant(copied, sms_txt=TEXT, push_txt=TEXT)
    cinema = await trial(COMPOSERS[kind](copied)).start()
    parked = await cinema.fail(failure_reason="boom")
    assert isinstance(parked, Park)
    assert isinstance(parked.outcome, Parked)
    assert parked.outcome.reason is ParkReason.TEMPLATE_ERROR
    assert cinema.pipeline.experiment
    assert cinema.pipeline.experiment.running


# ── a message in doubt that the provider is asked for ────────────────────────────────────────────────
@dataclass
class Provider:
    """Answers look-ups, and keeps what it was asked for."""

    answer: LookUpAnswer
    asked: list[OutgoingMessage] = field(default_factory=list)

    async def look_up(self, message: OutgoingMessage, _since: object) -> LookUpAnswer:
        self.asked.append(message)
        return self.answer


@BOTH
@pytest.mark.parametrize("failure_reason", ["card_declined", "boom"])
@pytest.mark.parametrize("answer", [NotFound(), Found(attempt())], ids=["not found", "found"])
async def test_a_look_up_asks_for_what_was_sent_and_writes_nothing_twice(
    with_b: Composers, kind: ChannelKind, answer: LookUpAnswer, failure_reason: str
) -> None:
    event = {"failure_reason": failure_reason, "retry_url": "http://not.allowed/"}
    fell_back = failure_reason == "boom"
    cinema = await trial(with_b[kind], IN_DOUBT, shadow="payment_failed@b").start()
    assert isinstance(await cinema.fail(**event), Retry)
    before = cinema.told.copy()
    assert before == Counter({"shadow: payment_failed@b": 1, **({"fell back: payment_failed": 1} if fell_back else {})})
    provider = Provider(answer)
    await cinema.restart()
    cinema.pipeline = replace(cinema.pipeline, look_up=provider.look_up)
    assert await cinema.fail(**event) == Done(Sent(possible_duplicate=isinstance(answer, NotFound)))
    assert [each.content for each in provider.asked] == [cinema.mails[0].content]
    assert {each.content for each in cinema.mails} == {cinema.mails[0].content}
    assert is_b(cinema.mails[0]) is not fell_back
    again = Counter({"shadow: payment_failed@b": 1} if isinstance(answer, NotFound) else {})
    assert cinema.told == before + again
    assert cinema.record.entry.assignment
    assert cinema.record.entry.assignment.fell_back is fell_back


# ── what a channel has of a variant ──────────────────────────────────────────────────────────────────
@EVERY
async def test_where_the_channel_does_not_differ_the_variant_is_recorded_and_says_the_same(
    copied: Path, without_b: Composers, kind: ChannelKind
) -> None:
    only = {"sms_txt": TEXT} if kind is not ChannelKind.SMS else {"push_txt": TEXT}
    composer = COMPOSERS[kind](write_variant(copied, **only))
    assert composer.digest("payment_failed@b") == composer.digest("payment_failed")
    cinema, control = await trial(composer).start(), trial(without_b[kind], experiment=None)
    assert await cinema.fail(failure_reason="boom") == await control.fail(failure_reason="boom") == Done(Sent())
    assert [len(each.content) for each in cinema.mails] == [len(each.content) for each in control.mails]
    assert cinema.record.entry.assignment == assign(EVERYBODY_B, "user456")


@BOTH
def test_a_channel_without_a_text_of_the_template_has_no_part_in_the_test(copied: Path, kind: ChannelKind) -> None:
    (copied / "payment_success@b").mkdir()
    (copied / "payment_success@b" / "subject.txt").write_text("B")
    for part in ("sms.txt", "push.txt"):
        (copied / "payment_success" / part).unlink(missing_ok=True)
    composer = COMPOSERS[kind](copied)
    test = parse_experiment("payment_success:b=0.5:salt=x:wanted=0.05")
    assert RunningExperiment(test, MemoryExperiments()).for_channel(composer) is None
    assert composer.digest("payment_success") == ""
    assert Shadow.of(composer, "payment_success@b") is None


def test_an_app_hears_the_templates_name_and_not_the_variants(with_b: Composers) -> None:
    event = {"user_id": "user456"}
    cinema = trial(with_b[ChannelKind.PUSH])
    asyncio.run(_sent(cinema, event))
    (message,) = cinema.mails
    assert isinstance(message, OutgoingPush)
    assert is_b(message)
    assert b'"template":"payment_failed"' in payloads.apns(message)


async def _sent(cinema: Trial, event: dict[str, str]) -> None:
    await cinema.start()
    assert await cinema.fail(**event) == Done(Sent())


# ── shadow ───────────────────────────────────────────────────────────────────────────────────────────
@BOTH
async def test_a_shadow_is_composed_beside_the_text_and_never_sent(with_b: Composers, kind: ChannelKind) -> None:
    cinema = await trial(with_b[kind], experiment=None, shadow="payment_failed@b").start()
    assert await cinema.fail() == Done(Sent())
    assert [is_b(each) for each in cinema.mails] == [False]
    seen = cinema.record.shadow
    assert seen
    assert (seen.name, seen.failed, seen.differs) == ("payment_failed@b", False, True)


@BOTH
async def test_a_shadow_that_fails_costs_no_text(with_b: Composers, kind: ChannelKind) -> None:
    cinema = await trial(with_b[kind], experiment=None, shadow="payment_failed@b").start()
    assert await cinema.fail(failure_reason="boom") == Done(Sent())
    assert cinema.record.shadow
    assert cinema.record.shadow.failed


def test_where_the_new_template_changes_nothing_no_shadow_is_composed(copied: Path) -> None:
    made = composers(write_variant(copied, sms_txt=TEXT))
    composed = {kind for kind, each in made.items() if Shadow.of(each, "payment_failed@b")}
    assert composed == {ChannelKind.SMS}


# ── what stops the start, and what people see ────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("sms.txt", "one\n{{ nothing.here }}", r"payment_failed@b/sms\.txt:2: .*'nothing' is undefined"),
        ("sms.txt", "word " * 80, r"payment_failed@b/sms\.txt:1: .* in \w+: \d segments"),
        ("sms.txt", "Ж" * 135, r"payment_failed@b/sms\.txt:1: .* 3 segments \(UCS-2"),
        ("sms.txt", '{% if style.language == "ja" %}{{ nothing }}{% endif %}x', r"@b/sms\.txt:1: .* in ja: "),
        ("sms.txt", " ", r"payment_failed@b/sms\.txt:1: .*the text is empty"),
        ("push.txt", "one\n{{ nothing.here }}", r"payment_failed@b/push\.txt:2: .*'nothing' is undefined"),
        ("push.txt", "x" * 101, r"payment_failed@b/push\.txt:1: .*the title has 101 characters"),
        ("push.txt", "title\n" + "x" * 401, r"payment_failed@b/push\.txt:2: .*the body has 401 characters"),
        ("push.txt", "title\n" + "🎬" * 2000, r"payment_failed@b/push\.txt:1: .*bytes, and FCM and APNs take"),
        ("push.txt", " ", r"payment_failed@b/push\.txt:1: .*the text is empty"),
        ("push.txt", "{% if %}", r"payment_failed@b/push\.txt:1: "),
    ],
)
def test_a_wrong_or_long_variant_stops_the_start_with_file_and_line(
    copied: Path, tmp_path: Path, file: str, text: str, said: str
) -> None:
    write_variant(copied, **{file.replace(".", "_"): text})
    with pytest.raises(ConfigurationError, match=said) as problem:
        (sms if file == "sms.txt" else push)(copied)
    assert "\n" not in str(problem.value)


def test_template_check_names_what_is_wrong_in_a_variant(copied: Path, tmp_path: Path) -> None:
    write_variant(copied, sms_txt="word " * 80, push_txt="x" * 101)
    report = checks.run(settings_of(copied, tmp_path), ["en"])
    found = [(str(where).removeprefix(f"{copied}/"), fault.what) for where, fault in report.found]
    for where, words in (
        ("payment_failed@b/sms.txt:1", "stands outside of the catalogues"),
        ("payment_failed@b/sms.txt:1", "payment.failed in de: 3 segments"),
        ("payment_failed@b/push.txt:1", "payment.failed in de: the title has 101 characters"),
    ):
        assert any(file == where and words in what for file, what in found), (where, words)


def test_the_lock_screens_show_both_variants(copied: Path, tmp_path: Path) -> None:
    settings = settings_of(write_variant(copied, sms_txt=TEXT, push_txt=TEXT), tmp_path)
    found = [(each, planned) for each, planned in proofs.mailed(settings) if each.name.startswith("payment.failed")]
    shown = {(each.sample, each.language): each.notes for each in phone_page.lock_screens(settings, found)}
    assert [note.kind for note in shown["payment.failed@b", "en"]] == ["push", "SMS"]
    assert all("Variant B" in note.title + note.body for note in shown["payment.failed@b", "en"])
    assert not any("Variant B" in note.title + note.body for note in shown["payment.failed", "en"])


@EVERY
def test_a_variant_that_there_is_not_has_no_digest(without_b: Composers, kind: ChannelKind) -> None:
    with pytest.raises((CompositionError, LookupError)):
        without_b[kind].digest("payment_failed@b")
