"""Collects the server's websocket messages in a thread."""

import asyncio
import threading
from collections.abc import Callable

import aiohttp

from .events import Event, decode_binary, decode_text
from .patience import Deadline, time_limit

MAX_MESSAGE_BYTES = 256 * 2**20


class EventListener:
    """A websocket that stays open in a thread; `events` grows as messages come in.

    Args:
        url: the server's address, http://...
        client_id: the id whose messages are wanted; the same must be given when queueing.
        on_event: called in the listener's thread for every message.
    """

    def __init__(self, url: str, client_id: str, on_event: Callable[[Event], None] | None = None) -> None:
        self.events: list[Event] = []
        self._url = f"{url.replace('http', 'ws', 1)}/ws?clientId={client_id}"
        self._on_event = on_event
        self._arrived = threading.Condition()
        self._connected = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="comfy-events", daemon=True)

    def open(self, timeout_s: float = 30.0) -> "EventListener":
        """Connect.

        Raises:
            TimeoutError: the server did not accept the websocket.
        """
        self._thread.start()
        if not self._connected.wait(time_limit(timeout_s)):
            raise TimeoutError(f"no websocket from {self._url} within {timeout_s:.0f} s")
        return self

    def close(self) -> None:
        """Disconnect; the events stay readable."""
        if self._task is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)

    def wait_for(self, matches: Callable[[Event], bool], timeout_s: float = 60.0, start: int = 0) -> Event:
        """Return the first event from index `start` on that matches, waiting for it if need be.

        Raises:
            TimeoutError: none came in time.
        """
        deadline = Deadline(timeout_s)
        with self._arrived:
            while True:
                for event in self.events[start:]:
                    if matches(event):
                        return event
                start = len(self.events)
                if not self._arrived.wait(1.0) and deadline.is_over:
                    raise TimeoutError(f"no matching event within {timeout_s:.0f} s, got {self._summary()}")

    def of_type(self, event_type: str) -> list[Event]:
        """Return the events of one type so far."""
        with self._arrived:
            return [event for event in self.events if event.type == event_type]

    def _summary(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for event in self.events:
            counts[event.type] = counts.get(event.type, 0) + 1
        return counts

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._listen())
        try:
            self._loop.run_until_complete(self._task)
        except (asyncio.CancelledError, aiohttp.ClientError, OSError):
            self._add(Event(type="disconnected"))
        finally:
            self._loop.close()

    async def _listen(self) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(self._url, max_msg_size=MAX_MESSAGE_BYTES) as socket,
        ):
            await socket.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
            self._connected.set()
            async for message in socket:
                if message.type == aiohttp.WSMsgType.TEXT:
                    self._add(decode_text(message.data))
                elif message.type == aiohttp.WSMsgType.BINARY:
                    self._add(decode_binary(message.data))
        self._add(Event(type="disconnected"))

    def _add(self, event: Event) -> None:
        with self._arrived:
            self.events.append(event)
            self._arrived.notify_all()
        if self._on_event is not None:
            self._on_event(event)
