"""What a trace of Chromium says of the tasks of pages."""

from pack.workbench.bench.page_trace import Task, tasks_of


def event(name, start, took, thread=1, cpu=None, **args):
    found = {"name": name, "ph": "X", "ts": start, "dur": took, "pid": 1, "tid": thread, "args": args}
    return found if cpu is None else {**found, "tdur": cpu}


def test_tasks_of_main_threads_are_told_with_whether_the_pack_ran_in_them():
    names = [
        {"name": "thread_name", "ph": "M", "pid": 1, "tid": thread, "args": {"name": name}}
        for thread, name in ((1, "CrRendererMain"), (2, "Compositor"))
    ]
    call = {"url": "http://127.0.0.1:1/extensions/lora-bakery/train/train_panel.js"}
    events = [
        event("RunTask", 0, 60_000, cpu=20_000),
        event("FunctionCall", 10, 500, data=call),
        event("RunTask", 20, 50),  # within the first
        event("RunTask", 70_000, 3_000, cpu=2_000),
        event("FunctionCall", 70_010, 10, data={"url": "http://127.0.0.1:1/assets/index.js"}),
        event("RunTask", 0, 900_000, thread=2),
    ]
    assert list(tasks_of([*names, *reversed(events)])) == [Task(60.0, 20.0, True), Task(3.0, 2.0, False)]
