"""Pieces of the page that Gradio does not have: plain markup, brought to life by `assets/`. No handlers."""
