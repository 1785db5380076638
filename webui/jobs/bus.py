"""`Bus`: tells whoever listens what happens, and keeps nothing."""

import logging
import threading
from collections.abc import Callable

from webui.core.events import BusEvent

log = logging.getLogger(__name__)

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

    def publish(self, event: BusEvent) -> None:
        """Tell all listeners. One that raises is named in the log and not called again; the others still hear."""
        with self._lock:
            listeners = tuple(self._listeners.items())
        for key, listener in listeners:
            try:
                listener(event)
            except Exception:  # a listener is foreign code, and the dispatcher's thread must outlive it
                name = f"{getattr(listener, '__module__', '?')}.{getattr(listener, '__qualname__', repr(listener))}"
                log.exception("the listener %s failed on %s and is not called again", name, type(event).__name__)
                with self._lock:
                    self._listeners.pop(key, None)
