"""One job at a time for each notification of a process."""

import asyncio

import pytest

from notification_service.contract.outcomes import Sent
from notification_service.delivery.jobs import Jobs
from notification_service.delivery.settlements import Done, Retry


@pytest.mark.timeout(10)
@pytest.mark.parametrize("arrivals", [1, 3])
async def test_what_arrives_in_the_turn_of_the_loop_in_which_a_job_ends_does_not_stop_the_loop(arrivals: int) -> None:
    jobs, under_way, most = Jobs(), 0, 0
    later: list[asyncio.Task[Done | Retry]] = []

    async def work() -> Done:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return Done(Sent())

    async def first() -> Done:
        done = await work()
        # They run before whoever waits for this job learns that it has ended.
        later.extend(asyncio.ensure_future(jobs.run("n1", work)) for _ in range(arrivals))
        return done

    assert await jobs.run("n1", first) == Done(Sent())
    assert await asyncio.gather(*later) == [Done(Sent())] * arrivals
    assert most == 1


@pytest.mark.timeout(10)
async def test_what_arrives_as_a_job_ends_comes_back_with_it() -> None:
    jobs, retry = Jobs(), Retry(1.0, counted=False, reason="put off")
    later: list[asyncio.Task[Done | Retry]] = []

    async def never() -> Done:
        raise AssertionError

    async def first() -> Retry:
        later.append(asyncio.ensure_future(jobs.run("n1", never)))
        return retry

    assert await jobs.run("n1", first) == retry
    assert await later[0] == retry


async def test_a_job_that_is_cancelled_before_it_began_leaves_nothing_behind() -> None:
    jobs = Jobs()

    async def work() -> Done:
        return Done(Sent())

    cancelled = asyncio.ensure_future(jobs.run("n1", work))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    assert await jobs.run("n1", work) == Done(Sent())
