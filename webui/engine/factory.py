"""Makes engines by dotted name in the engine's process; nothing heavy is imported before it is asked for."""

from pathlib import Path
from typing import TYPE_CHECKING

from webui.engine.config import EngineConfig
from webui.engine.fake import FakeEngine

if TYPE_CHECKING:
    from webui.engine.diffusion import DiffusionEngine


def diffusion(config: EngineConfig) -> "DiffusionEngine":
    """Raises `SetupError` where there is no such device."""
    import diffusers  # torch comes with it
    import transformers

    from webui.engine.diffusion import DiffusionEngine

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    return DiffusionEngine(config)


def fake(options: dict[str, float | int | None | Path]) -> FakeEngine:
    """`options` are FakeEngine's."""
    return FakeEngine(**options)  # type: ignore[arg-type]  # plain data from another process
