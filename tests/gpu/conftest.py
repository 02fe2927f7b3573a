"""Print failures at once, because a run that is cut off prints no summary."""

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.failed:
        reporter = item.config.pluginmanager.get_plugin('terminalreporter')
        reporter.write_line(f'\n{item.nodeid}\n{report.longreprtext}')
    return report
