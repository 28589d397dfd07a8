"""A ComfyUI on the second device, in a process of its own."""

import gc
import os
from pathlib import Path

import pytest
from pack.tests.support.fixtures import give_up, import_for_tests
from pack.tests.support.second_device.build import compiler
from pack.tests.support.second_device.other_process import IN_OTHER_PROCESS, Reports, write_report

IS_OTHER_PROCESS = IN_OTHER_PROCESS in os.environ
reports = Reports(Path(__file__).resolve().parent)


def pytest_runtest_protocol(item, nextitem):
    """Runs the test in the process of the second device and tells here what came of it."""
    if IS_OTHER_PROCESS or not reports.holds(item):  # the hook hears of every folder's tests
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in reports.of(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


if IS_OTHER_PROCESS:

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(report):
        """Hands each report to the process that asked."""
        write_report(_config[0], report)

    def pytest_collection_finish(session):
        """Notes the session's configuration, which writes reports."""
        _config.append(session.config)

    _config = []


@pytest.fixture(scope="session")
def comfy(tmp_path_factory):
    """ComfyUI in this process, which takes the second device for a card."""
    if compiler() is None:
        give_up("COMPILER", "needs a C++ compiler for the second device: install g++ or clang++, or set CXX")
    from pack.tests.support.second_device import device

    device.install()
    settings = [("cpu", False), ("disable_pinned_memory", True)]
    host = import_for_tests(tmp_path_factory, settings)
    assert str(host.module("comfy.model_management").get_torch_device()) == device.DEVICE
    return host


@pytest.fixture
def device(comfy):
    """The second device, empty before the test."""
    from pack.tests.support.second_device import device

    comfy.forget_cached_results()
    comfy.module("comfy.model_management").unload_all_models()
    gc.collect()
    return device
