"""What four pages cost a server that trains, in words and tables for docs/performance.md."""

from statistics import median
from typing import Any

from .page import NUM_IMAGES, NUM_PREVIEWS, NUM_STEPS, ROUNDS

WAYS = {"alone": "no page", "asked": "what four pages ask, without their drawing", "watched": "four pages in Chromium"}


def page_section(result: dict[str, Any]) -> str:
    """The figures of `measure_page`."""
    steps, late = result["step_ms"], result["late_ms"]
    used = {way: median(rounds) for way, rounds in result["used_ms"].items()}
    rows = [
        f"| {title} | {steps[way][0]:.1f} ({steps[way][1]:.1f} to {steps[way][2]:.1f}) | {used[way]:.1f} "
        f"| {late[way]['in_99']:.1f} | {late[way]['own']:.0f} | {late[way]['collection']:.0f} |"
        for way, title in WAYS.items()
    ]
    frames = [f"| {name} | {ms:.0f} | {cpu:.0f} | {count} |" for name, (ms, cpu, count) in result["task_ms"].items()]
    alone, asked = (", ".join(f"{ms:.1f}" for ms in result["round_ms"][way]) for way in ("alone", "asked"))
    rounds = result["round_ms"]
    apart, spread = median(rounds["asked"]) - median(rounds["alone"]), max(rounds["alone"]) - min(rounds["alone"])
    used_alone, used_asked = (", ".join(f"{ms:.1f}" for ms in result["used_ms"][way]) for way in ("alone", "asked"))
    answers = ", ".join(f"{count} of status {status}" for status, count in sorted(result["answers"].items()))
    return f"""## Pages that watch

`--only page`, processor only

Four pages on a server that trains the small model on the same processor. Each shows a run of {NUM_STEPS:,} steps with \
{NUM_PREVIEWS:,} previews that tells of a step five times a second and of new pictures every two seconds, a dataset of \
{NUM_IMAGES:,} images and the run that is trained; one scrolls and types. Chromium takes most of the cores that the \
training runs on, and a page is usually on another machine. So what the pages asked of the server is recorded, and a \
process that draws nothing asks the same at the same moments, over four sockets: what that adds to a step is what the \
pages cost the training.

| | a step takes ms (quartiles) | processor ms of the server, by step | the loop is late in 99 of 100 cases ms \
| its own work in one go, at most processor ms | search for garbage, at most ms |
|---|---|---|---|---|---|
{chr(10).join(rows)}

The training alone and the one beside the requests were measured {ROUNDS} times, in turn. Medians of the rounds: alone \
{alone} ms, beside the requests {asked} ms: the two kinds differ by {apart:.1f} ms, the rounds alone among themselves \
by {spread:.1f} ms, as other programs run. Processor time of the server from the start of a training to its end, \
divided by its steps: alone {used_alone} ms, beside the requests {used_asked} ms. Answers: {answers}.

The own work of the server's loop is what answers cost it. It is late by more where the thread that trains holds \
Python, or other programs have the cores. The search for garbage is ComfyUI's, once after each workflow; it stops \
every thread and is not part of that work.

A task of a page's main thread holds up its next frame. The longest ones, by Chromium's trace of all four pages:

| tasks | by the clock ms | processor time ms | tasks seen |
|---|---|---|---|
{chr(10).join(frames)}"""
