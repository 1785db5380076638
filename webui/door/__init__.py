"""The door: one ASGI layer before every route, checking Host, Origin and passcode. No fastapi, no gradio; knows no route behind it."""

from webui.door.door import Door, person_of
from webui.door.link import Link

__all__ = ["Door", "Link", "person_of"]
