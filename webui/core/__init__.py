"""Plain data and pure arithmetic: stdlib, pydantic, Pillow. No I/O, no torch, no gradio."""
