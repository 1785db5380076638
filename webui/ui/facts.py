"""What the scripts need to know of checkpoints and samplers, as plain JSON."""

from typing import Any

from webui.core.records import ModelRecord
from webui.studio import Studio
from webui.ui.form import CUSTOM, SHAPES, native_size, size_of


def checkpoint(record: ModelRecord, family: str) -> dict[str, Any]:
    """One checkpoint: its name, what it wants, and what it knows."""
    native = native_size(record)
    return {
        "id": record.id,
        "label": record.label,
        "family": family,
        "bytes": record.bytes,
        "starter": record.starter,
        "native": [native.width, native.height],
        "shapes": {shape: list(size_of(shape, record) or native) for shape in SHAPES},
        "defaults": {
            "sampling.steps": record.defaults.steps,
            "sampling.guidance": record.defaults.guidance,
            "sampling.clip_skip": 1,
            "batch_size": 1,
        },
        "words": {group: list(words) for group, words in record.words.items()},
        "suggestions": list(record.suggestions),
    }


def known(studio: Studio) -> dict[str, Any]:
    """All that the page needs before the first job."""
    labels = {family.id: family.label.replace("Stable Diffusion", "SD") for family in studio.capabilities().families}
    return {
        "checkpoints": [
            checkpoint(record, labels.get(record.family, record.family)) for record in studio.checkpoints() if record.family is not None
        ],
        "unusable": [{"label": record.label, "problem": record.problem} for record in studio.checkpoints() if record.family is None],
        "custom": CUSTOM,
    }
