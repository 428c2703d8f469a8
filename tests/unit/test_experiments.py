"""A test of two variants: who gets which, that each try has the same bytes, and that it never costs a mail."""

import asyncio
import functools
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from benchmarks.experiment import LIMIT_US, assignment_us, running
from notification_service import bootstrap
from notification_service.channels.email.composer import EmailComposer
from notification_service.channels.email.rendering import Renderer
from notification_service.channels.email.template_loading import load
from notification_service.console import reconstruction
from notification_service.console.reconstruction import Made
from notification_service.content.branding import Brand
from notification_service.content.profile import SenderProfile
from notification_service.contract.events import parse
from notification_service.contract.experiments import assign, parse_experiment, unit_of
from notification_service.contract.outcomes import Parked, ParkReason, Sent
from notification_service.contract.variants import Assignment, Experiment, Variant
from notification_service.delivery.booking_history import BookingHistory
from notification_service.delivery.experiments import RunningExperiment
from notification_service.delivery.pipeline import Pipeline
from notification_service.delivery.ports.channel import BeforeHandover, OutgoingMessage, Verdict
from notification_service.delivery.ports.experiments import RegisteredExperiment, UnreadableRegisterError
from notification_service.delivery.settlements import Done, Park, Retry
from notification_service.delivery.shadow import Shadow
from notification_service.foundation.errors import ConfigurationError, StoreUnavailableError
from notification_service.preview import checks, extraction, proofs
from notification_service.settings import Settings, loading
from notification_service.stores.memory.experiments import MemoryExperiments
from notification_service.stores.mongo import documents
from tests.samples import sample
from tests.unit.fakes import IN_DOUBT, TEMPLATES, deferred, inbound
from tests.unit.test_pipeline import JANE, SENDER, Cinema, Shelf

TESTED = parse_experiment("payment_failed:b=0.5:salt=2026-12:wanted=0.05")
EVERYBODY_B = replace(TESTED, share=0.999999)
BROKEN = '{% if event.failure_reason == "boom" %}{{ nothing.such }}{% endif %}'


# ── assignment ───────────────────────────────────────────────────────────────────────────────────────
def test_half_of_the_units_get_b_independently_of_another_test() -> None:
    first = [assign(TESTED, f"user-{number}").variant for number in range(20_000)]
    second = [assign(replace(TESTED, salt="2027-01"), f"user-{number}").variant for number in range(20_000)]
    assert 0.49 < first.count(Variant.B) / 20_000 < 0.51
    both = sum(one is another is Variant.B for one, another in zip(first, second, strict=True))
    assert 0.48 < both / first.count(Variant.B) < 0.52


def test_a_share_is_kept() -> None:
    tenth = replace(TESTED, share=0.1)
    found = [assign(tenth, f"user-{number}").variant for number in range(20_000)]
    assert 0.09 < found.count(Variant.B) / 20_000 < 0.11


def test_the_bucket_is_the_first_eight_bytes_of_the_digest_of_salt_and_unit() -> None:
    # Computed by sha256sum.
    found = assign(TESTED, "user456")
    assert found.unit == "da9aab4f32c6c3a15730a3ff5f7ed21a"
    assert found == Assignment("2026-12", found.unit, Variant.A)


@pytest.mark.parametrize(
    ("fields", "unit"),
    [
        ({"user_id": "U", "booking_id": "B", "transaction_id": "T"}, "U"),
        ({"booking_id": "B", "transaction_id": "T"}, "B"),
        ({"transaction_id": "T"}, "T"),
        ({}, None),
    ],
)
def test_the_unit_is_the_user_else_the_booking_else_the_payment(fields: dict[str, str], unit: str | None) -> None:
    event = parse(fields, "payment.failed")
    assert event
    assert unit_of(event) == unit


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("payment_failed", "one test such as|missing"),
        ("payment_failed:b=0.5:salt=x", "wanted is missing"),
        ("payment_failed:b=0.5:salt=x:wanted=0.05:c=0.1", "one test such as"),
        *(
            (f"payment_failed:b={share}:salt=x:wanted=0.05", f"b={share} has to be a number between 0 and 1")
            for share in ("1.5", "0", "1", "-0.5", "nan", "inf", "1e-400", "half", "")
        ),
        *(
            (f"payment_failed:b=0.5:salt={salt}:wanted=0.05", "the salt has")
            for salt in ("", "a b", "a\nb", "$x", "x" * 41)
        ),
        ("payment_failed:b=0.5:salt=x:wanted=1e-200", "wanted=1e-200 has to be"),
        ("payment_failed:a=nan:b=0.5:salt=x:wanted=0.05", "a=nan has to be"),
        ("payment_failed:a=1:b=0:salt=x:wanted=0.05", "b=0 has to be"),
        ("payment_failed:b=0.5:b=0.4:salt=x:wanted=0.05", "one test such as"),
        (f"{TESTED},{replace(TESTED, template='payment_success', salt='y')}", "one test such as"),
        (f"{TESTED};{replace(TESTED, template='payment_success', salt='y')}", "one test such as"),
        (f"{TESTED} {replace(TESTED, template='payment_success', salt='y')}", "one test such as"),
        ("payment_failed@b:b=0.5:salt=x:wanted=0.05", "unknown template 'payment_failed@b'"),
        ("payment_failed:a=0.6:b=0.5:salt=x:wanted=0.05", "do not add up to 1"),
        ("payment_failed:b=0.5:salt=a.b:wanted=0.05", "the salt has"),
        ("payment_faild:b=0.5:salt=x:wanted=0.05", "unknown template 'payment_faild'"),
        ("payment_failed:b=0.5:salt=x:wanted=zero", "wanted=zero has to be"),
    ],
)
def test_a_wrong_definition_says_what_to_do(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_experiment(text)


def test_a_definition_may_name_both_weights() -> None:
    assert parse_experiment("payment_failed:a=0.5:b=0.5:salt=2026-12:wanted=0.05") == TESTED
    assert parse_experiment(str(TESTED)) == TESTED


async def test_an_assignment_costs_microseconds() -> None:
    assert assignment_us(await running(), 2000) < LIMIT_US


# ── folders ──────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return shutil.copytree(TEMPLATES, tmp_path / "templates")


def write_variant(templates: Path, **files: str) -> Path:
    folder = templates / "payment_failed@b"
    folder.mkdir()
    for name, text in (files or {"subject.txt": "Variant B of your payment"}).items():
        (folder / name.replace("_", ".")).write_text(text)
    return templates


def loaded(templates: Path) -> Renderer:
    return load(templates, SenderProfile(Brand("Cinema")))


def test_a_variant_has_only_the_files_that_differ(copied: Path) -> None:
    renderer = loaded(write_variant(copied))
    event, jane = parse(sample("payment.failed"), "payment.failed"), next(iter(Cinema().people.values()))
    assert event
    control, variant = (renderer.render(name, event, jane) for name in ("payment_failed", "payment_failed@b"))
    assert (control.subject, variant.subject) == (control.subject, "Variant B of your payment")
    assert control.subject != variant.subject
    assert control.text == variant.text
    assert renderer.digest("payment_failed") != renderer.digest("payment_failed@b")


def test_the_digest_of_a_template_is_the_same_beside_a_variant(copied: Path) -> None:
    before = loaded(copied).digest("payment_failed")
    assert loaded(write_variant(copied)).digest("payment_failed") == before


@pytest.mark.parametrize(
    ("folder", "file", "said"),
    [
        ("payment_faild@b", "subject.txt", "there is no template 'payment_faild'"),
        ("payment_failed@c", "subject.txt", "the one variant of a template is payment_failed@b"),
        ("payment_failed@b", "subjct.txt", "payment_failed has no such file"),
        ("payment_failed@b", None, "is empty"),
        ("payment_failed@b", ".subject.txt.swp", "is empty"),
        ("payment_failed@b", "template.toml", "has no such file"),
        ("payment_failed@b", "es.po", r"has no such file.*translations of its sentences go into _languages/"),
        ("payment_failed@B", "subject.txt", "the one variant of a template is payment_failed@b"),
        ("PAYMENT_FAILED@B", "subject.txt", "there is no template 'PAYMENT_FAILED'"),
        ("PAYMENT_FAILED@b", "subject.txt", "there is no template 'PAYMENT_FAILED'"),
        ("payment_failed@b@b", "subject.txt", "the one variant of a template is payment_failed@b"),
        ("payment_failed@", "subject.txt", "the one variant of a template is payment_failed@b"),
        ("payment_failed@ b", "subject.txt", "the one variant of a template is payment_failed@b"),
        ("@b", "subject.txt", "there is no template ''"),
        ("_base@b", "layout.html", "there is no template '_base'"),
    ],
)
def test_a_folder_that_would_not_be_used_stops_the_start(
    copied: Path, folder: str, file: str | None, said: str
) -> None:
    (copied / folder).mkdir()
    if file:
        (copied / folder / file).write_text("x")
    with pytest.raises(ConfigurationError, match=said) as problem:
        loaded(copied)
    assert "\n" not in str(problem.value)


def test_a_file_that_could_never_differ_stops_the_start(copied: Path) -> None:
    for folder in ("payment_failed", "payment_failed@b"):
        (copied / folder).mkdir(exist_ok=True)
        (copied / folder / "template.toml").write_text("optional = false\n")
    with pytest.raises(ConfigurationError, match=r"variants have the same template\.toml: remove it"):
        loaded(copied)


@pytest.mark.parametrize("made", [Path.mkdir, lambda path: path.symlink_to("nowhere")], ids=["folder", "dangling link"])
def test_a_file_that_is_none_stops_the_start_and_is_not_passed_over(
    copied: Path, made: Callable[[Path], object]
) -> None:
    folder = write_variant(copied) / "payment_failed@b"
    made(folder / "body.txt")
    with pytest.raises(ConfigurationError, match=r"payment_failed@b/body\.txt cannot be read as a file"):
        loaded(copied)


def test_only_the_texts_of_a_catalogue_are_no_variant(copied: Path) -> None:
    (copied / "payment_failed@b" / "_languages").mkdir(parents=True)
    (copied / "payment_failed@b" / "_languages" / "es.po").write_text("")
    with pytest.raises(ConfigurationError, match=r"@b/_languages: .*translations of its sentences go into _languages/"):
        loaded(copied)


def test_a_folder_may_be_a_link_as_in_a_mounted_volume(copied: Path, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "..data").mkdir()
    (tmp_path / "volume" / "subject.txt").write_text('{{ _("A sentence of b") }}')
    (copied / "payment_failed@b").symlink_to(tmp_path / "volume")
    renderer = loaded(copied)
    assert renderer.digest("payment_failed@b") != renderer.digest("payment_failed")
    assert [fault for fault in extraction.faults(copied) if fault.startswith("de.po: ") and "A sentence of b" in fault]


def test_a_variant_is_rendered_on_every_sample_in_every_language(copied: Path) -> None:
    only_there = '{% if style.language == "ja" and event.retry_possible %}{{ nothing.such }}{% endif %}Subject'
    write_variant(copied, subject_txt=only_there)
    with pytest.raises(ConfigurationError, match=r"payment_failed@b/subject\.txt:1"):
        loaded(copied)


# ── the way of a mail ────────────────────────────────────────────────────────────────────────────────
@functools.cache
def renderer(folder: Path) -> Renderer:
    return loaded(folder)


@pytest.fixture(scope="module")
def with_b(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = shutil.copytree(TEMPLATES, tmp_path_factory.mktemp("b") / "templates")
    return write_variant(copy, subject_txt=f"Variant B of your payment{BROKEN}")


@dataclass
class Trial(Cinema):
    """A cinema with a test of `payment_failed`."""

    experiment: Experiment | None = EVERYBODY_B
    register: Any = field(default_factory=MemoryExperiments)

    def process(self) -> Pipeline:
        running = RunningExperiment(self.experiment, self.register) if self.experiment else None
        return replace(super().process(), experiment=running)

    async def start(self) -> "Trial":
        if self.pipeline.experiment:
            await self.pipeline.experiment.start()
        return self

    async def fail(self, **changes: Any) -> Done | Park | Retry:  # noqa: ANN401 - JSON
        return await self.pipeline.handle(inbound(sample("payment.failed", **changes)))

    @property
    def subjects(self) -> list[str]:
        return [str(message_from_bytes(mail.content, policy=default)["Subject"]) for mail in self.mails]


async def test_the_assigned_variant_is_sent_and_recorded(with_b: Path) -> None:
    cinema = await Trial(renderer=renderer(with_b)).start()
    assert await cinema.fail() == Done(Sent())
    assert cinema.subjects == ["Variant B of your payment"]
    found = cinema.record.entry.assignment
    assert found == assign(EVERYBODY_B, "user456")
    assert cinema.record.intent.template == "payment_failed"
    assert cinema.record.intent.template_digest == renderer(with_b).digest("payment_failed@b")


def test_a_channel_without_the_variant_has_no_part_in_the_test(with_b: Path) -> None:
    running_test = RunningExperiment(TESTED, MemoryExperiments())
    knows, lacks = (EmailComposer(renderer(each), SENDER, max_attachment_bytes=1) for each in (with_b, TEMPLATES))
    assert running_test.for_channel(knows) is running_test
    assert running_test.for_channel(lacks) is None


async def test_another_template_has_no_part_in_the_test(with_b: Path) -> None:
    cinema = await Trial(renderer=renderer(with_b)).start()
    assert await cinema.handle() == Done(Sent())
    assert cinema.record.entry.assignment is None


async def test_one_person_gets_one_variant_from_every_worker_after_every_restart(with_b: Path) -> None:
    cinema = await Trial(renderer=renderer(with_b), experiment=TESTED).start()
    for number in range(24):
        if number % 3 == 0:
            cinema.pipeline = cinema.process()
            await cinema.start()
        user = f"user-{number % 6}"
        person = {"user_id": user, "user_email": f"{user}@guests.example"}
        await cinema.fail(event_id=f"e{number}", booking_id=f"B{number}", transaction_id=f"T{number}", **person)
    variants: dict[str, set[str]] = {}
    for mail, subject in zip(cinema.mails, cinema.subjects, strict=True):
        variants.setdefault(mail.recipient, set()).add(subject.partition(" of ")[0])
    assert len(cinema.mails) == 24
    assert all(len(seen) == 1 for seen in variants.values())
    assert len(set.union(*variants.values())) == 2


Change = Callable[["Trial"], None]


def removed_from_the_settings(cinema: Trial) -> None:
    cinema.experiment = None


def other_weights_under_a_new_salt(cinema: Trial) -> None:
    cinema.experiment = replace(TESTED, share=0.000001, salt="other")


def nothing(_: Trial) -> None:
    """The same settings."""


@pytest.mark.parametrize("change", [nothing, removed_from_the_settings, other_weights_under_a_new_salt])
async def test_a_resend_after_a_doubt_has_the_same_bytes(with_b: Path, change: Change) -> None:
    cinema = await Trial([IN_DOUBT], renderer=renderer(with_b)).start()
    assert isinstance(await cinema.fail(), Retry)
    change(cinema)
    cinema.clock.after_the_lease()
    cinema.pipeline = cinema.process()
    await cinema.start()
    assert await cinema.fail() == Done(Sent(possible_duplicate=True))
    first, second = cinema.mails
    assert first.content == second.content
    assert cinema.record.mail_digest == first.digest


async def test_a_retry_and_a_replay_read_the_variant_from_the_record(with_b: Path) -> None:
    cinema = await Trial([deferred(), deferred(), deferred()], most=0, renderer=renderer(with_b)).start()
    assert isinstance(await cinema.fail(), Park)
    cinema.experiment, cinema.channel.steps = None, []
    cinema.pipeline = cinema.process()
    replayed = inbound(sample("payment.failed"), replay="wish")
    assert await cinema.pipeline.handle(replayed) == Done(Sent())
    assert cinema.subjects[-1] == "Variant B of your payment"


async def test_without_the_folder_a_resend_is_the_control_and_marked(with_b: Path) -> None:
    cinema = await Trial([IN_DOUBT], renderer=renderer(with_b)).start()
    await cinema.fail()
    cinema.experiment, cinema.renderer = None, renderer(TEMPLATES)
    cinema.clock.after_the_lease()
    cinema.pipeline = cinema.process()
    assert await cinema.fail() == Done(Sent(possible_duplicate=True))
    assert cinema.subjects[0] != cinema.subjects[1]
    found = cinema.record.entry.assignment
    assert found
    assert (found.sent_variant, found.fell_back) == (Variant.A, True)
    assert cinema.record.intent.template_digest == renderer(TEMPLATES).digest("payment_failed")


async def test_a_variant_that_fails_at_run_time_costs_no_mail_and_stops_the_test_for_all(with_b: Path) -> None:
    cinema = await Trial(renderer=renderer(with_b)).start()
    other = RunningExperiment(EVERYBODY_B, cinema.register)
    await other.start()
    for number in range(3):
        names = {"event_id": f"e{number}", "booking_id": f"B{number}", "transaction_id": f"T{number}"}
        assert await cinema.fail(**names, failure_reason="boom" if number == 1 else "card_declined") == Done(Sent())
    assert [subject.startswith("Variant B") for subject in cinema.subjects] == [True, False, False]
    first, second, third = (record.entry.assignment for record in cinema.ledger.records.values())
    assert first
    assert second
    assert (first.sent_variant, first.fell_back) == (Variant.B, False)
    assert (second.variant, second.sent_variant, second.fell_back) == (Variant.B, Variant.A, True)
    assert third is None
    running = cinema.pipeline.experiment
    assert running
    assert not running.running
    await running.refresh()
    await other.refresh()
    assert not other.running
    known = await cinema.register.read("2026-12")
    assert known.stop_reason == "variant b of payment_failed could not be composed: subject.txt:1"


async def test_a_fallback_has_the_same_bytes_in_its_resend_though_the_variant_was_mended(
    with_b: Path, tmp_path: Path
) -> None:
    cinema = await Trial([IN_DOUBT], renderer=renderer(with_b)).start()
    await cinema.fail(failure_reason="boom")
    cinema.clock.after_the_lease()
    cinema.renderer = loaded(write_variant(shutil.copytree(TEMPLATES, tmp_path / "mended")))
    cinema.pipeline = cinema.process()
    assert await cinema.fail(failure_reason="boom") == Done(Sent(possible_duplicate=True))
    first, second = cinema.mails
    assert first.content == second.content


async def test_an_event_that_no_variant_can_show_does_not_stop_the_test(tmp_path: Path) -> None:
    copy = shutil.copytree(TEMPLATES, tmp_path / "templates")
    subject = copy / "payment_failed" / "subject.txt"
    subject.write_text(subject.read_text() + BROKEN)
    write_variant(copy, subject_txt=f"Variant B{BROKEN}")
    cinema = await Trial(renderer=loaded(copy)).start()
    parked = await cinema.fail(failure_reason="boom")
    assert isinstance(parked, Park)
    assert isinstance(parked.outcome, Parked)
    assert parked.outcome.reason is ParkReason.TEMPLATE_ERROR
    assert cinema.pipeline.experiment
    assert cinema.pipeline.experiment.running


async def test_the_fallback_is_written_before_the_mail_is_handed_over(with_b: Path) -> None:
    async def look(message: OutgoingMessage, before_handover: BeforeHandover) -> Verdict:
        await before_handover()
        assert cinema.record.entry.assignment
        seen.append(cinema.record.entry.assignment.fell_back)
        raise asyncio.CancelledError

    seen: list[bool] = []
    cinema = await Trial([look], renderer=renderer(with_b)).start()
    with pytest.raises(asyncio.CancelledError):
        await cinema.fail(failure_reason="boom")
    assert seen == [True]


# ── the register ─────────────────────────────────────────────────────────────────────────────────────
class Unreadable(MemoryExperiments):
    """MongoDB, whose document of tests cannot be read while `problem` is set."""

    problem: Exception | None = None

    async def enter(self, experiment: Experiment, at: datetime) -> RegisteredExperiment:
        if self.problem:
            raise self.problem
        return await super().enter(experiment, at)

    async def read(self, salt: str) -> RegisteredExperiment | None:
        if self.problem:
            raise self.problem
        return await super().read(salt)


@pytest.mark.parametrize("problem", [StoreUnavailableError("MongoDB", "down"), UnreadableRegisterError("a list")])
async def test_while_the_register_cannot_be_read_everybody_gets_the_control(with_b: Path, problem: Exception) -> None:
    register = Unreadable()
    register.problem = problem
    cinema = await Trial(renderer=renderer(with_b), register=register).start()
    assert await cinema.fail() == Done(Sent())
    assert cinema.record.entry.assignment is None
    running = cinema.pipeline.experiment
    assert running
    for register.problem in (None, problem, None):
        await running.refresh()
        assert running.running == (register.problem is None)


@pytest.mark.parametrize(
    "other",
    [
        replace(TESTED, share=0.4),
        replace(TESTED, wanted=0.03),
        replace(TESTED, template="payment_success"),
    ],
)
async def test_a_salt_that_was_used_for_another_test_stops_the_start(other: Experiment) -> None:
    register = MemoryExperiments()
    await RunningExperiment(TESTED, register).start()
    with pytest.raises(ConfigurationError, match=r"the salt was used for payment_failed:b=0\.5:salt=2026-12:wanted"):
        await RunningExperiment(other, register).start()


async def test_a_test_that_was_stopped_stays_stopped_after_a_restart() -> None:
    register = MemoryExperiments()
    running = RunningExperiment(TESTED, register)
    await running.start()
    running.stop("variant b could not be composed: x:1")
    await running.refresh()
    again = RunningExperiment(TESTED, register)
    await again.start()
    assert not again.running


async def test_a_stop_that_mongodb_did_not_take_is_told_again() -> None:
    register = Unreadable()
    running = RunningExperiment(TESTED, register)
    await running.start()
    register.problem = StoreUnavailableError("MongoDB", "down")
    running.stop("broken")
    await running.refresh()
    register.problem = None
    await running.refresh()
    known = await register.read("2026-12")
    assert known
    assert known.stop_reason == "broken"
    assert not running.running


async def test_another_workers_stop_is_noticed_while_it_watches() -> None:
    register = MemoryExperiments()
    running = RunningExperiment(TESTED, register, poll_interval_s=0.01)
    await running.start()
    watching = asyncio.create_task(running.watch_forever())
    await register.stop("2026-12", "by another worker", datetime.now(UTC) + timedelta(seconds=1))
    async with asyncio.timeout(5):
        while running.running:  # noqa: ASYNC110 - it has no event that says so
            await asyncio.sleep(0.01)
    watching.cancel()


# ── shadow ───────────────────────────────────────────────────────────────────────────────────────────
async def test_a_shadow_is_composed_compared_and_never_sent(with_b: Path) -> None:
    cinema = Trial(renderer=renderer(with_b), experiment=None)
    cinema.pipeline = replace(cinema.pipeline, shadow=Shadow(cinema.pipeline.composer, "payment_failed@b"))
    assert await cinema.fail() == Done(Sent())
    assert not cinema.subjects[0].startswith("Variant B")
    seen = cinema.record.shadow
    assert seen
    assert (seen.name, seen.live_size, seen.failed, seen.differs) == (
        "payment_failed@b",
        len(cinema.mails[0].content),
        False,
        True,
    )


async def test_a_shadow_that_fails_costs_nothing(with_b: Path) -> None:
    cinema = Trial(renderer=renderer(with_b), experiment=None)
    cinema.pipeline = replace(cinema.pipeline, shadow=Shadow(cinema.pipeline.composer, "payment_failed@b"))
    assert await cinema.fail(failure_reason="boom") == Done(Sent())
    assert cinema.record.shadow
    assert cinema.record.shadow.failed


async def test_a_shadow_with_the_same_parts_has_the_same_bytes(tmp_path: Path) -> None:
    copy = shutil.copytree(TEMPLATES, tmp_path / "templates")
    shutil.copytree(copy / "payment_failed", copy / "payment_failed@b")
    cinema = Trial(renderer=loaded(copy), experiment=None, outbox=Shelf())
    cinema.pipeline = replace(cinema.pipeline, shadow=Shadow(cinema.pipeline.composer, "payment_failed@b"))
    await cinema.fail()
    assert cinema.record.shadow
    assert not cinema.record.shadow.differs


# ── what people see ──────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("fell_back", [False, True])
async def test_the_console_makes_the_variant_of_the_record_again(with_b: Path, *, fell_back: bool) -> None:
    cinema = await Trial(renderer=renderer(with_b)).start()
    data = sample("payment.failed", failure_reason="boom" if fell_back else "card_declined")
    await cinema.fail(**data)
    kept, event = cinema.record, parse(data, "payment.failed")
    assert event
    stored = documents.pending(replace(kept.intent, assignment=kept.entry.assignment), str)
    record = {**stored, **documents.closed(Sent(), kept.intent.created_at, str), "mail_digest": kept.mail_digest}
    composer = EmailComposer(cinema.renderer, SENDER, max_attachment_bytes=cinema.largest)
    history = BookingHistory([], cinema.renderer.zone)
    made = reconstruction.make(record, event, JANE, history=history, composer=composer)
    assert isinstance(made, Made)
    assert made.sure
    assert made.mail.subject.startswith("Variant B") is not fell_back


def settings_of(templates: Path, tmp_path: Path, **more: str) -> Settings:
    lines = {"TEMPLATES_DIR": str(templates), "EXPERIMENT": str(TESTED), **more}
    (tmp_path / "env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    return loading.load(tmp_path / "env")


def test_a_preview_shows_both_variants(with_b: Path, tmp_path: Path) -> None:
    written = proofs.write(settings_of(with_b, tmp_path), tmp_path / "out", languages=["en"])
    subjects = {made.name: made.mail.subject for made in written if made.sample.startswith("payment.failed")}
    assert subjects["payment.failed@b.en"] == "Variant B of your payment"
    assert subjects["payment.failed.en"] != subjects["payment.failed@b.en"]
    assert (tmp_path / "out" / "payment.failed@b.en.eml").is_file()


def test_template_check_judges_a_variant_too(copied: Path, tmp_path: Path) -> None:
    write_variant(copied, subject_txt="Variant B for {{ event.no_such_field or 'None' }}" + " long" * 20)
    with pytest.raises(ConfigurationError, match="payment_failed@b/subject"):
        checks.run(settings_of(copied, tmp_path), ["en"])
    (copied / "payment_failed@b" / "subject.txt").write_text("Variant B" + " long" * 20)
    report = checks.run(settings_of(copied, tmp_path), ["en"])
    found = [(where, fault.remedy) for where, fault in report.found if "subject has" in fault.what]
    assert ("payment.failed@b.en", "shorten payment_failed@b/subject.txt, or its translation, to 60") in found


def test_a_test_without_the_folder_of_its_variant_stops_the_start(tmp_path: Path) -> None:
    for more in ({}, {"EXPERIMENT": "", "SHADOW_VARIANT": "payment_failed@b"}):
        with pytest.raises(ConfigurationError, match="there is no template folder payment_failed@b"):
            bootstrap.load_renderer(settings_of(TEMPLATES, tmp_path, **more))


@pytest.mark.parametrize("name", ["payment_failed", "payment_failed@c", "payment_faild@b"])
def test_a_shadow_that_is_no_variant_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"SHADOW_VARIANT: .* is no variant of a template"):
        settings_of(TEMPLATES, tmp_path, SHADOW_VARIANT=name)


def test_a_wrong_test_is_refused_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"EXPERIMENT: the weights a=0\.6 and b=0\.5 do not add up to 1"):
        settings_of(TEMPLATES, tmp_path, EXPERIMENT="payment_failed:a=0.6:b=0.5:salt=x:wanted=0.05")
