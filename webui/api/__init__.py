"""The native REST API: FastAPI, thin over `Studio`. No gradio, no engine; nothing is decided here that another caller would need too."""

from webui.api.app import build, routes

__all__ = ["build", "routes"]
