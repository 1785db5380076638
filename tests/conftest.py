"""Long tests run with `--run-long`; where GESSO_REQUIRE_BROWSER is set, a browser test that is skipped has failed."""

import os

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-long", action="store_true", help="also run the tests that take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--run-long"):
        return
    skip = pytest.mark.skip(reason="takes minutes: python launch.py test --all")
    for item in items:
        if "long" in item.keywords:
            item.add_marker(skip)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = yield
    required = os.environ.get("GESSO_REQUIRE_BROWSER") == "1"
    skipped_long = "long" in item.keywords and not item.config.getoption("--run-long")
    if required and report.skipped and "browser" in item.keywords and not skipped_long:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: a browser test may not be skipped here ({report.longrepr})"
    return report
