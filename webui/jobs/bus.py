"""`Bus`: tells whoever listens what happens, and keeps nothing."""

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

from webui.core.events import BusEvent

log = logging.getLogger(__name__)

BEHIND = 1000  # events

Listener = Callable[[BusEvent], None]


class Bus:
    """Listeners are called in the publisher's thread, so each hears one publisher's events in order. They must be quick."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[object, Listener] = {}

    def listen(self, callback: Listener) -> Callable[[], None]:
        """Call `callback` for every event from now on; returns how to stop (more than once does no harm)."""
        key = object()
        with self._lock:
            self._listeners[key] = callback

        def stop() -> None:
            with self._lock:
                self._listeners.pop(key, None)

        return stop

    def listen_apart(self, callback: Listener) -> Callable[[], None]:
        """Like `listen`, in a thread of its own: for code that may be slow. Of what it falls behind with, `BEHIND` events are kept."""
        events: SimpleQueue[BusEvent | None] = SimpleQueue()

        def put(event: BusEvent) -> None:
            if events.qsize() < BEHIND:
                events.put(event)

        def deliver() -> None:
            while (event := events.get()) is not None:
                if not _called(callback, event):
                    stop()

        stop_listening = self.listen(put)

        def stop() -> None:
            stop_listening()
            events.put(None)

        threading.Thread(target=deliver, name=f"listener-{_name(callback)}", daemon=True).start()
        return stop

    def publish(self, event: BusEvent) -> None:
        """Tell all listeners. One that raises is named in the log and not called again; the others still hear."""
        with self._lock:
            listeners = tuple(self._listeners.items())
        for key, listener in listeners:
            if not _called(listener, event):
                with self._lock:
                    self._listeners.pop(key, None)


def _called(listener: Listener, event: BusEvent) -> bool:
    """Whether the listener took the event without raising."""
    try:
        listener(event)
    except Exception:  # a listener is foreign code, and the publisher's thread must outlive it
        log.exception("the listener %s failed on %s and is not called again", _name(listener), type(event).__name__)
        return False
    return True


def _name(listener: Listener) -> str:
    return f"{getattr(listener, '__module__', '?')}.{getattr(listener, '__qualname__', repr(listener))}"
