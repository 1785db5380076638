"""The page: Gradio and plain JavaScript over `Studio`. Sees `webui.studio` and `webui.core`; never the engine, the API or torch."""
