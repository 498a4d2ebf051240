import asyncio

import pytest

from qrelay.tasks import stopped, uncut

pytestmark = pytest.mark.anyio


async def test_a_task_that_a_cancellation_was_lost_on_is_stopped_all_the_same() -> None:
    heard: list[str] = []

    async def never_gives_up() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                heard.append("lost" if not heard else "kept")
                if heard[-1] == "kept":
                    raise

    task = asyncio.create_task(never_gives_up())
    await asyncio.sleep(0)
    await stopped(task)
    assert task.cancelled()
    assert heard == ["lost", "kept"]


async def test_what_it_had_failed_with_is_told() -> None:
    async def fails() -> None:
        raise ValueError("this")

    task = asyncio.create_task(fails())
    await asyncio.wait({task})
    with pytest.raises(ValueError, match="this"):
        await stopped(task)


async def test_what_must_not_be_cut_ends_before_its_cancellation() -> None:
    go_on, done = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await go_on.wait()
        done.set()

    task = asyncio.create_task(uncut(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()


async def test_what_must_not_be_cut_and_fails_says_so() -> None:
    async def fails() -> None:
        raise ValueError("this")

    with pytest.raises(ValueError, match="this"):
        await uncut(fails())
    task = asyncio.create_task(uncut(fails()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_none_is_stopped_at_once() -> None:
    await stopped()
