"""The simulated transport sends nothing, and logs a warning."""

from pathlib import Path

from notification_service.channels.outbox import FileOutbox
from notification_service.channels.simulated import SimulatedChannel
from notification_service.contract.outcomes import Simulated
from notification_service.delivery.ports.channel import HandoverRefused, SimulatedSend, Unavailable
from notification_service.delivery.ports.claims import Fence
from tests.unit.fakes import envelope, files, held


async def test_a_simulated_mail_lies_in_the_outbox_and_is_called_simulated(tmp_path: Path) -> None:
    verdict = await SimulatedChannel(FileOutbox(tmp_path)).send_once(envelope(), held)
    assert isinstance(verdict, SimulatedSend)
    assert isinstance(verdict.outcome, Simulated)
    assert files(tmp_path) == {verdict.outcome.path: envelope().content}
    assert (verdict.attempt.result, verdict.attempt.code) == ("simulated", None)


async def test_the_claim_is_marked_before_the_mail_is_kept(tmp_path: Path) -> None:
    seen = []

    async def marked() -> Fence:
        seen.append(files(tmp_path))
        return Fence.HELD

    await SimulatedChannel(FileOutbox(tmp_path)).send_once(envelope(), marked)
    assert seen == [{}]


async def test_a_lost_claim_keeps_nothing(tmp_path: Path) -> None:
    async def lost() -> Fence:
        return Fence.LOST

    assert await SimulatedChannel(FileOutbox(tmp_path)).send_once(envelope(), lost) == HandoverRefused()
    assert files(tmp_path) == {}


async def test_the_same_mail_twice_is_one_file(tmp_path: Path) -> None:
    channel = SimulatedChannel(FileOutbox(tmp_path))
    for _ in range(2):
        await channel.send_once(envelope(), held)
    assert len(files(tmp_path)) == 1


async def test_a_disk_that_refuses_is_the_channels_fault_and_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    verdict = await SimulatedChannel(FileOutbox(tmp_path / "taken")).send_once(envelope(), held)
    assert isinstance(verdict, Unavailable)
    assert verdict.hint.startswith("OUTBOX_DIR ")
    assert "FileExistsError" in (verdict.attempt.reply or "")
