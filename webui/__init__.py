"""Gesso: a local studio for making pictures with Stable Diffusion. Imports point down; see `docs/design.md`."""

__version__ = "0.1.0"
