import asyncio

import pytest

from qrelay.tasks import stopped

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


async def test_none_is_stopped_at_once() -> None:
    await stopped()
