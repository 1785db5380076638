"""The bench's arithmetic and its two faces."""

import json
from pathlib import Path

from webui.bench.report import Figure, interleaved, ratio, table, write_json


def test_a_figure_knows_whether_its_promise_is_kept() -> None:
    assert Figure("a", 1.0, "s", limit=1.0).kept is True
    assert Figure("a", 1.1, "s", limit=1.0).kept is False
    assert Figure("a", 1.1, "s").kept is None


def test_the_ratio_is_that_of_neighbours() -> None:
    assert ratio([1.0, 20.0, 3.0], [2.0, 20.0, 3.0]) == 1.0


def test_runs_take_turns() -> None:
    order: list[str] = []
    seconds = interleaved([lambda: order.append("a"), lambda: order.append("b")], rounds=2)
    assert order == ["a", "b", "a", "b"]
    assert [len(runs) for runs in seconds] == [2, 2]


def test_the_table_and_the_file_say_the_same(tmp_path: Path) -> None:
    figures = [Figure("start to page", 2.5, "s", limit=3.0), Figure("memory", 250.25, "MB", detail="serving process")]
    text = table(figures)
    assert "start to page" in text
    assert "ok" in text.splitlines()[0]
    assert "(serving process)" in text.splitlines()[1]
    write_json(tmp_path / "new" / "bench.json", figures)
    kept = json.loads((tmp_path / "new" / "bench.json").read_text(encoding="utf-8"))
    assert [row["value"] for row in kept["figures"]] == [2.5, 250.25]
    assert kept["machine"]["cores"] >= 1
