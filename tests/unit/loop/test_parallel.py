"""Processes that share a batch end with the weights of one that has it all; one that is killed costs nothing."""

import os
import signal
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
from pack.tests.support.toy_model import At, ToyHooks, run, toy_dataset, toy_request
from pack.tests.support.toy_runs import exit_code, forked, left_in
from pack.training.data.dataset import Dataset
from pack.training.loop.job import StopTraining
from pack.training.loop.parallel import ALONE, RankLost, TorchRanks, check_batch_size
from pack.training.loop.stages import Stage
from pack.training.networks.settings import NetworkSettings
from pack.training.objective.settings import ObjectiveSettings
from pack.training.optimizers.settings import OptimizerSettings
from pack.training.run.lines import read_lines
from pack.training.session.request import ValidationSettings
from pack.training.session.session import run_training

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the processes are forked")
TOLERANCE = 2e-5
"""Largest difference of a weight; the weights are about 0.1, and moved by about as much."""


@contextmanager
def group(meeting, rank, size):
    dist.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=size, timeout=timedelta(seconds=30)
    )
    try:
        yield TorchRanks()
    finally:
        dist.destroy_process_group()


def together(tmp_path, request, size=2, callbacks=lambda rank: ()):
    """Exit codes of processes that train a request together."""

    def body(rank):
        with group(meeting, rank, size) as ranks:
            hooks = ToyHooks(tuple(callbacks(rank))).hooks()
            run_training(request, replace(hooks, ranks=ranks))

    meeting = tmp_path / f"meeting{len(list(tmp_path.iterdir()))}"
    children = [forked(lambda rank=rank: body(rank)) for rank in range(size)]
    return [exit_code(child) for child in children]


def regularized():
    first = toy_dataset().subsets[0]
    return Dataset((first, replace(first, is_regularization=True, repeats=1)))


CASES = {
    "AdamW": {},
    "SGD": {"optimizer": OptimizerSettings(optimizer="SGD", learning_rate=0.1)},
    "Prodigy": {"optimizer": OptimizerSettings(optimizer="Prodigy", learning_rate=1.0)},
    "batch of 4, accumulated, three buckets' ends": {
        "stages": (Stage(steps=6, batch_size=4, grad_accumulation_steps=2),)
    },
    "dropouts": {"network": NetworkSettings(
        rank=4, dropout=0.3, rank_dropout=0.2, module_dropout=0.2, include=("*middle_block*",)
    )},
    "dylora": {"network": NetworkSettings(algorithm="dylora", rank=4, include=("*middle_block*",))},
    "EMA, min-SNR, norms": {
        "optimizer": OptimizerSettings(learning_rate=1e-2, ema_decay=0.9),
        "objective": ObjectiveSettings(min_snr_gamma=5.0, scale_weight_norms=0.2),
    },
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_two_processes_give_the_weights_of_one(tmp_path, case):
    changes = CASES[case]
    alone = run(toy_request(tmp_path / "one", **changes))
    request = toy_request(tmp_path / "two", **changes)
    assert together(tmp_path, request) == [0, 0]
    shared = run(request)
    assert shared.step == alone.step and "already trained" in shared.message  # found again by one process
    different = {name: float((tensor - shared.tensors[name]).abs().max()) for name, tensor in alone.tensors.items()}
    assert max(different.values()) <= TOLERANCE
    one, two = (read_lines(result.folder.metrics) for result in (alone, shared))
    for line, same in zip(one, two, strict=True):
        assert same["loss"] == pytest.approx(line["loss"], rel=1e-4)
        assert [s["image_id"] for s in same["samples"]] == [s["image_id"] for s in line["samples"]]


def test_regularization_and_held_out_images(tmp_path):
    changes = {
        "dataset": regularized(),
        "objective": ObjectiveSettings(prior_loss_weight=0.3),
        "validation": ValidationSettings(share=0.3),
    }
    alone = run(toy_request(tmp_path / "one", **changes))
    assert together(tmp_path, toy_request(tmp_path / "two", **changes)) == [0, 0]
    shared = run(toy_request(tmp_path / "two", **changes))
    assert all(torch.allclose(alone.tensors[n], shared.tensors[n], atol=TOLERANCE) for n in alone.tensors)
    lines = [[m for m in read_lines(r.folder.metrics) if "validation_loss" in m] for r in (alone, shared)]
    assert len(lines[0]) == len(lines[1]) > 1


def test_a_run_goes_from_one_process_to_two_and_back(tmp_path):
    whole = run(toy_request(tmp_path / "one", steps=9))

    def stop(job, state):
        raise StopTraining

    request = toy_request(tmp_path / "two", steps=9)
    run(request, At(2, stop))
    assert together(tmp_path, request, callbacks=lambda rank: [At(6, stop)]) == [0, 0]  # both end when the first stops
    assert left_in(request.root).steps_saved == 6
    back = run(request)
    assert back.step == 9 and len(back.losses) == 3
    assert all(torch.allclose(whole.tensors[n], back.tensors[n], atol=TOLERANCE) for n in whole.tensors)


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_the_other_and_the_run_goes_on(tmp_path, killed):
    def kill(job, state):
        os.kill(os.getpid(), signal.SIGKILL)

    def callbacks(rank):
        return [At(5, kill)] if rank == killed else []

    request = toy_request(tmp_path, steps=9)
    if killed:  # only the first process has a host's callbacks; the other one is killed inside a step
        base = request.base
        calls = []

        def count():
            calls.append(1)
            if dist.is_initialized() and dist.get_rank() == 1 and len(calls) == 6:
                os.kill(os.getpid(), signal.SIGKILL)

        base.on_denoise = count
    codes = together(tmp_path, request, callbacks=callbacks)
    assert codes[killed] == -signal.SIGKILL and codes[1 - killed] == 1
    left = left_in(request.root)
    assert left.broken == ()
    assert left.lost <= request.saving.save_every
    request.base.on_denoise = lambda: None
    whole = run(toy_request(tmp_path / "one", steps=9))
    assert together(tmp_path, request) == [0, 0]
    shared = run(request)
    assert shared.step == 9
    assert all(torch.allclose(whole.tensors[n], shared.tensors[n], atol=TOLERANCE) for n in whole.tensors)


@pytest.mark.parametrize("step", [0, 6])
def test_a_failing_process_ends_the_other_which_keeps_every_step(tmp_path, step):
    request, passes = toy_request(tmp_path, steps=9), []

    def fail():
        passes.append(1)
        if dist.is_initialized() and dist.get_rank() == 1 and len(passes) == step + 1:
            raise torch.OutOfMemoryError("this GPU is full")

    request.base.on_denoise = fail
    assert together(tmp_path, request) == [1, 1]
    left = left_in(request.root)
    assert (left.broken, left.steps_saved) == ((), step), "every finished step is saved, due or not"


def test_a_process_that_is_gone_is_noticed_where_the_gpus_would_wait_for_it(tmp_path):
    """Stands for NCCL: a sum on a device waits without end."""

    def body(rank):
        with group(tmp_path / "meeting", rank, 2) as ranks:
            ranks.add_up(torch.zeros(1))
            if rank == 1:
                os._exit(3)
            on_cpu = dist.all_reduce
            dist.all_reduce = lambda tensor: on_cpu(tensor) if tensor.device.type == "cpu" else time.sleep(60)
            with pytest.raises(RankLost):
                ranks.add_up(torch.zeros(1, device="meta"))

    started = time.monotonic()
    children = [forked(lambda rank=rank: body(rank)) for rank in range(2)]
    assert [exit_code(child) for child in children] == [0, 3]
    assert time.monotonic() - started < 50


def test_more_processes_than_samples_are_refused():
    two = type("Two", (), {"rank": 0, "size": 2})()
    check_batch_size(ALONE, [1])
    with pytest.raises(ValueError, match="batch_size.*2.*1"):
        check_batch_size(two, [4, 1])
