"""Which VAE a checkpoint is decoded with, when a request does not say."""

from collections.abc import Iterable

from webui.core.records import ModelRecord
from webui.core.request import AUTOMATIC_VAE, BUILT_IN


def chosen_vae(checkpoint: ModelRecord, vaes: Iterable[ModelRecord], setting: str = AUTOMATIC_VAE, own: str = "") -> str:
    """The name of a VAE, or `BUILT_IN`: the checkpoint's own; in A1111's order (its `sd_vae.resolve_vae`).

    `setting` is what is set for all checkpoints; `own` is what is noted for this one (A1111's `x.json`), which gives way to a
    setting that is not `AUTOMATIC_VAE`, as there by default. Then comes a VAE whose file is called as the checkpoint is, up to a
    dot (A1111 takes `dreamlike.vae` for `dream`, too), unless its shapes do not fit the checkpoint's family.
    """
    if setting and setting != AUTOMATIC_VAE:
        return setting
    if own and own != AUTOMATIC_VAE:
        return own
    stem = checkpoint.id.rpartition("/")[2].casefold()
    fitting = [vae for vae in vaes if checkpoint.family in vae.fits]
    beside = [vae for vae in fitting if vae.id.rpartition("/")[2].casefold().startswith(f"{stem}.")]
    exact = [vae for vae in fitting if vae.id.rpartition("/")[2].casefold() in (stem, f"{stem}.vae")]
    return next((vae.id for vae in (*exact, *beside)), BUILT_IN)
