"""In processes of their own, since a module is imported once."""

import subprocess
import sys

from webui.settings import ROOT

QUICK = """
import sys
from webui.imports import without_stubs
before = list(sys.meta_path)
with without_stubs():
    import gradio
assert sys.meta_path == before
import gradio.component_meta, gradio.events
assert gradio.component_meta.create_or_modify_pyi(None, None, None) is None
assert gradio.events.EventListener.set_doc(None, component='') is None
with gradio.Blocks() as page:
    box = gradio.Textbox()
    gradio.Button().click(lambda text: text, box, box)
print(len(page.fns), gradio.__version__)
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_gradio_works_without_what_it_does_for_editors() -> None:
    assert run(QUICK).startswith("1 6.")


def test_other_modules_are_imported_as_ever() -> None:
    code = "from webui.imports import without_stubs\nwith without_stubs():\n    import wave\nprint(wave.__file__)"
    assert run(code).strip().endswith("wave.py")
