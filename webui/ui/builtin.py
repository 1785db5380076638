"""The page's own tabs, registered the way an extension registers its."""

from collections.abc import Sequence

from webui.hooks import hookimpl
from webui.ui.tabs import Tab, gallery, settings, text_to_image


@hookimpl
def register_tabs() -> Sequence[Tab]:
    return (text_to_image.TAB, gallery.TAB, settings.TAB)
