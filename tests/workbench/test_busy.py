"""What the demo takes beside busy cores."""

import time

import psutil
from pack.workbench.bench.busy import busy_cores, busy_table


def test_cores_are_busy_while_it_is_entered_and_not_afterwards():
    with busy_cores(1) as programs:
        program = psutil.Process(programs[0].pid)
        before, started = program.cpu_times().user, time.monotonic()
        while program.cpu_times().user == before:
            assert time.monotonic() - started < 60
            time.sleep(0.05)
    assert not program.is_running()


def test_the_table_has_ratios_to_the_same_way_alone():
    table = busy_table({"seconds": {"calm": [10, 15, 20], "spinning": [8, 80, 160]}})
    assert "| calm | 10 s | 15 s (1.5) | 20 s (2.0) |" in table
    assert "| spinning | 8 s | 80 s (10.0) | 160 s (20.0) |" in table
