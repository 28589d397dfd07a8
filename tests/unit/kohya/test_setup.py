"""Setups of sd-scripts are taken over whole or listed, in all three forms, and settings come back from a command."""

import contextlib
import json
import random
import sys
from dataclasses import replace

import dadaptation
import prodigyopt
import pytest
from pack.tests.unit.optimizers.problem import regression
from pack.training.kohya import export_kohya, import_datasets, import_kohya
from pack.training.kohya.reading import read_kohya
from pack.training.kohya.tables import ELSEWHERE, OPTIONS
from pack.training.loop.stages import Stage, stage_steps
from pack.training.networks.block_weights import BlockWeights
from pack.training.networks.settings import NetworkSettings
from pack.training.objective.settings import ObjectiveSettings
from pack.training.optimizers import build_optimizer, check_optimizer, find_optimizer
from pack.training.optimizers.rates import part_rate
from pack.training.optimizers.schedules import ScheduleSettings, schedule_multiplier
from pack.training.optimizers.settings import OptimizerSettings

ALL_PARTS = ("unet", "text_encoder", "text_encoder_2")
COMMAND = r"""
accelerate launch --num_cpu_threads_per_process 2 train_network.py \
  --pretrained_model_name_or_path="C:\models\base model.safetensors" --train_data_dir=data --resolution=512,512 \
  --network_module=networks.lora --network_dim=64 --network_alpha 32 --network_args "conv_dim=8" "conv_alpha=4" \
  --learning_rate=1e-4 --unet_lr=1e-4 --text_encoder_lr 5e-5 1e-5 --optimizer_type=AdamW8bit \
  --optimizer_args "betas=0.9,0.99" "weight_decay=0.05" --lr_scheduler=cosine_with_restarts \
  --lr_scheduler_num_cycles=3 --lr_warmup_steps=10% --max_train_epochs=8 --train_batch_size=2 --min_snr_gamma=5 \
  --noise_offset 0.05 --shuffle_caption --keep_tokens=1 --clip_skip=2 --xformers --mixed_precision=fp16 \
  --strange_option=7
"""
TOML = """
[model]
pretrained_model_name_or_path = "base.safetensors"
[network]
network_module = "lycoris.kohya"
network_dim = 16
network_alpha = 8
network_args = ["algo=lokr", "preset=attn-mlp", "factor=8", "dora_wd=True"]
network_train_unet_only = true
[optimizer]
optimizer_type = "Prodigy"
learning_rate = 1.0
optimizer_args = ["d_coef=2", "decouple=True"]
[training]
max_train_steps = 500
masked_loss = true
v_pred_like_loss = 0.1
scale_weight_norms = 1.0
"""


def test_a_command_line_is_taken_over():
    setup = import_kohya(COMMAND)
    assert setup.network == NetworkSettings(
        algorithm="locon", rank=64, alpha=32.0, conv_rank=8, conv_alpha=4.0, parts=ALL_PARTS
    )
    assert setup.optimizer == OptimizerSettings(
        optimizer="AdamW8bit", learning_rate=1e-4, unet_lr=1e-4, text_encoder_lr=5e-5, text_encoder_2_lr=1e-5,
        weight_decay=0.05, arguments="betas=0.9,0.99",
        schedule=ScheduleSettings(schedule="cosine_with_restarts", cycles=3, warmup_steps=0.1),
    )  # fmt: skip
    assert setup.objective == ObjectiveSettings(min_snr_gamma=5.0, noise_offset=0.05)
    assert setup.stages == (Stage(epochs=8.0, batch_size=2),)


def test_nothing_of_a_command_line_is_silently_dropped():
    text = import_kohya(COMMAND).text()
    for wanted in (
        r"C:\models\base model.safetensors: Load Checkpoint", "resolution 512,512: Resolution & Buckets",
        "keep_tokens 1: Captions",
        "shuffle_caption: Captions", "clip_skip 2: CLIP Set Last Layer", "xformers: ComfyUI", "mixed_precision fp16",
        "strange_option 7: no equivalent", "accelerate launch",
    ):  # fmt: skip
        assert wanted in text


def test_every_option_is_either_set_or_listed():
    """Each single option, with a value that is no default, changes the settings or appears in the lists."""
    from pack.training.kohya.tables import ELSEWHERE, OPTIONS, WITHOUT_EQUIVALENT

    plain = import_kohya("--learning_rate=1e-4 --noise_offset=0.2 --debiased_estimation_loss=0")
    for name in [*ELSEWHERE, *WITHOUT_EQUIVALENT]:
        assert name in import_kohya(f"--{name}=7 --learning_rate=1e-4").text()
    values = {"loss_type": "huber", "huber_schedule": "constant", "huber_c": "0.3"}
    for option in OPTIONS:
        value = (
            "" if option.kind == "flag" else "=" + values.get(option.name, "0.7" if option.kind == "number" else "7")
        )
        setup = import_kohya(f"--learning_rate=1e-4 --noise_offset=0.2 --{option.name}{value}")
        setup = replace(setup, lost=(), elsewhere=())
        assert setup != replace(plain, lost=(), elsewhere=()), option.name


def test_a_toml_file_is_taken_over():
    if sys.version_info < (3, 11):
        with pytest.raises(ValueError, match="cannot read TOML"):
            import_kohya(TOML)
        return
    setup = import_kohya(TOML)
    assert setup.network == NetworkSettings(
        algorithm="lokr", rank=16, alpha=8.0, factor=8, weight_decompose=True, parts=("unet",)
    )
    assert (setup.optimizer.optimizer, setup.optimizer.arguments) == (
        "Prodigy",
        "d_coef=2 decouple=True use_bias_correction=False",
    )
    assert setup.objective == ObjectiveSettings(
        min_snr_gamma=None, v_pred_like_loss=0.1, scale_weight_norms=1.0, is_mask_area_normalized=False
    )
    assert setup.stages == (Stage(steps=500),)


def test_json_of_the_gui_is_taken_over():
    text = (
        '{"network_dim": 8, "network_alpha": 1, "optimizer": "AdamW", "epoch": 3, "learning_rate": 0.0002, '
        '"lr_scheduler": "linear", "optimizer_args": "", "max_resolution": "768,768", "flip_aug": false}'
    )
    setup = import_kohya(text)
    assert (setup.network.rank, setup.network.alpha, setup.stages) == (8, 1.0, (Stage(epochs=3.0),))
    assert setup.optimizer.schedule.schedule == "linear"
    assert setup.elsewhere == ("resolution 768,768: Resolution & Buckets: resolution",)


def test_what_is_not_given_is_what_sd_scripts_takes():
    setup = import_kohya("--network_module=networks.lora")
    assert (setup.network.rank, setup.network.alpha) == (4, 1.0)
    assert setup.optimizer.learning_rate == 2e-6
    assert any("learning_rate is not given" in line for line in setup.lost)
    assert setup.objective.min_snr_gamma is None
    assert setup.stages == (Stage(steps=1600),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "text is empty"),
        ("{oh", "starts like JSON"),
        ("--network_dim=many", "network_dim must be a number, got 'many'"),
        ("--network_dim=2.5", "network_dim must be a whole number, got 2.5"),
        ('--output_name="open', "does not end"),
        ("--lr_warmup_steps=soon", "lr_warmup_steps must be a number of steps"),
        ("--min_snr_gamma=-1", "min_snr_gamma must be above 0"),
        ("--network_args conv_dim", "network_args must be key=value"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(text, message):
    with pytest.raises(ValueError, match=message):
        import_kohya(text)


def test_toml_without_a_reader_is_said(monkeypatch):
    import pack.training.kohya.reading as reading

    def missing(name):
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(reading, "import_module", missing)
    with pytest.raises(ValueError, match="cannot read TOML"):
        read_kohya(TOML)
    assert "network_dim" in read_kohya(COMMAND).options


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("--network_module=networks.oft", "network_module networks.oft: no equivalent"),
        ("--network_module=networks.lora_fa", "frozen down matrices"),
        ("--optimizer_type=SGDNesterov8bit", "optimizer_type SGDNesterov8bit: no equivalent, AdamW"),
        ("--lr_scheduler=piecewise_constant", "lr_scheduler piecewise_constant: no equivalent"),
        ("--network_module=lycoris.kohya --network_args algo=strange", "algo=strange: no equivalent"),
        ("--network_args block_alphas=1,1", "block_alphas=1,1: no equivalent"),
    ],
)
def test_what_has_no_equivalent_is_listed(text, lost):
    assert lost in import_kohya(text).text()


def steps_of(settings, reference, num_steps=50):
    """How far our path is from the original's, and d x learning rate of both at the end."""
    ours = regression()
    theirs = ours.copy()
    our_optimizer, their_optimizer = build_optimizer(settings, ours.groups()), reference([theirs.down, theirs.up])
    for step in range(num_steps):
        ours.step(our_optimizer, step)
        theirs.step(their_optimizer, step)
    rates = [float(one.param_groups[0]["d"]) for one in (our_optimizer, their_optimizer)]
    return float((ours.up - theirs.up).norm() / theirs.up.norm()), rates


@pytest.mark.parametrize("decay", [0.0, 0.05])
@pytest.mark.parametrize(
    ("name", "original"),
    [
        ("Prodigy", prodigyopt.Prodigy),
        ("DAdaptAdam", dadaptation.DAdaptAdam),
        ("DAdaptSGD", dadaptation.DAdaptSGD),
        ("DAdaptAdaGrad", dadaptation.DAdaptAdaGrad),
        ("DAdaptLion", dadaptation.DAdaptLion),
    ],
)
def test_what_finds_its_rate_does_it_as_its_own_package_where_nothing_is_said(name, original, decay):
    said = f"--optimizer_args weight_decay={decay}" if decay else ""
    setup = import_kohya(f"--optimizer_type={name} --learning_rate=1 {said}")
    distance, (ours, theirs) = steps_of(setup.optimizer, lambda p: original(p, lr=1.0, weight_decay=decay))
    assert distance < 0.002
    assert ours == pytest.approx(theirs, rel=1e-3)


def test_other_defaults_are_named_on_the_way_in_and_written_on_the_way_out():
    setup = import_kohya("--optimizer_type=prodigy --learning_rate=1")
    assert setup.optimizer.arguments == "use_bias_correction=False" and "use_bias_correction=False" in setup.text()
    assert import_kohya("--optimizer_type=DAdaptAdam --learning_rate=1").optimizer.arguments == "decouple=False"
    ours = OptimizerSettings(optimizer="Prodigy", learning_rate=1.0, arguments="weight_decouple=False fixed_decay=True")
    commands = export_kohya(NETWORKS[0], ours, ObjectiveSettings(), (Stage(steps=10),))
    assert '"use_bias_correction=True"' in commands.text and '"decouple=False"' in commands.text
    assert "fixed_decay" not in commands.text and any("fixed_decay=True" in line for line in commands.lost)


def test_an_argument_that_the_optimizer_lacks_here_is_listed_and_the_rest_is_taken():
    setup = import_kohya("--optimizer_type=Prodigy --learning_rate=1 --optimizer_args slice_p=11 d_coef=0.8")
    assert "d_coef=0.8" in setup.optimizer.arguments and "slice_p" not in setup.optimizer.arguments
    assert any("slice_p=11" in line for line in setup.lost)
    check_optimizer(setup.optimizer)


def test_decay_within_prodigy_s_gradient_is_said_to_be_beside_it():
    setup = import_kohya("--optimizer_type=Prodigy --learning_rate=1 --optimizer_args decouple=False weight_decay=0.01")
    assert "decouple" not in setup.optimizer.arguments and setup.optimizer.weight_decay == 0.01
    assert any("decouple=False" in line for line in setup.lost)
    without = import_kohya("--optimizer_type=Prodigy --learning_rate=1 --optimizer_args decouple=False")
    assert not any("no equivalent" in line for line in without.lost)


LYCORIS = "--network_module=lycoris.kohya --network_dim=8 --network_args "


@pytest.mark.parametrize(
    ("text", "network", "notes"),
    [
        (f"{LYCORIS} algo=lora conv_dim=0", {"algorithm": "lora", "targets": "all_linear"}, ()),
        ("--network_module=networks.lora --network_args conv_dim=0", {"algorithm": "lora", "targets": "blocks"}, ()),
        (
            f"{LYCORIS} algo=lokr preset=unet-transformer-only",
            {"algorithm": "lokr", "targets": "attention_feed_forward", "parts": ("unet",)},
            (),
        ),
        (f"{LYCORIS} algo=loha preset=full", {"targets": "blocks"}, ("conv_in",)),
        (f"{LYCORIS} algo=lokr full_matrix=True decompose_both=True", {"full_matrix": True}, ("decompose_both",)),
        (f"{LYCORIS} algo=lora dora_wd=True dropout=0.1", {"weight_decompose": True, "dropout": 0.0}, ("dropout=0.1",)),
        (f"{LYCORIS} algo=glora dora_wd=True", {"algorithm": "glora", "weight_decompose": False}, ("dora_wd",)),
        (
            f"{LYCORIS} algo=diag-oft constraint=0.001 use_tucker=True",
            {"algorithm": "lycoris", "lycoris_arguments": "algo=diag-oft constraint=0.001"},
            ("use_tucker",),
        ),
        (
            f"{LYCORIS} algo=loha use_tucker=True dora_wd=True wd_on_output=True",
            {"algorithm": "lycoris"},
            ("wd_on_out",),
        ),
    ],
)
def test_networks_of_lycoris_as_people_write_them(text, network, notes):
    setup = import_kohya(text)
    assert {name: getattr(setup.network, name) for name in network} == network
    for note in notes:
        assert any(note in line for line in setup.lost), setup.lost


def test_both_text_encoders_keep_their_rates():
    for text in ("--text_encoder_lr 1e-5 5e-6", '{"text_encoder_lr": [1e-5, 5e-6], "learning_rate": 1e-4}'):
        setup = import_kohya(text)
        assert (setup.optimizer.text_encoder_lr, setup.optimizer.text_encoder_2_lr) == (1e-5, 5e-6)
    assert [part_rate(setup.optimizer, part) for part in ALL_PARTS] == [1e-4, 1e-5, 5e-6]
    assert "5e-06" in setup.text()
    same = import_kohya("--text_encoder_lr=1e-5 --learning_rate=1e-4").optimizer
    assert same.text_encoder_2_lr is None and part_rate(same, "text_encoder_2") == 1e-5


def test_min_snr_beside_debiased_estimation_is_taken_over():
    objective = import_kohya("--min_snr_gamma=5 --debiased_estimation_loss").objective
    assert objective.min_snr_gamma == 5.0 and objective.debiased_estimation


def test_a_stable_schedule_decays_only_where_it_is_asked_to():
    plain = import_kohya("--lr_scheduler=warmup_stable_decay --learning_rate=1e-4").optimizer.schedule
    assert schedule_multiplier(plain, 99, 100) == 1.0
    text = "--lr_scheduler=warmup_stable_decay --lr_warmup_steps=10 --lr_scheduler_min_lr_ratio=0.1 --learning_rate=1"
    assert schedule_multiplier(import_kohya(text).optimizer.schedule, 0, 100) == pytest.approx(0.1)


def test_epochs_of_accumulated_steps_are_said_to_be_counted_otherwise():
    text = import_kohya("--max_train_epochs=10 --gradient_accumulation_steps=4").text()
    assert "63 steps" in text and "70" in text
    assert stage_steps(Stage(epochs=10, grad_accumulation_steps=4), 25) == 63
    assert "63 steps" not in import_kohya("--max_train_steps=70 --gradient_accumulation_steps=4").text()


BROKEN = [
    '{"datasets": [5]}', '{"datasets": 5}', '{"datasets": {}}', '{"datasets": []}', '{"general": [], "datasets": []}',
    '{"general": [], "datasets": [{"subsets": [{"image_dir": "a"}]}]}', '{"datasets": [{"subsets": 5}]}',
    '{"datasets": [{"subsets": [5]}]}', '{"datasets": [{"subsets": [{"image_dir": 5}]}]}', "datasets = 5",
    "datasets = [5]", '{"network_dim": 1e400}', '{"learning_rate": NaN}', '{"lr_warmup_steps": 1e400}',
    '{"optimizer_args": 5}', '{"network_args": true}', '{"optimizer_args": {"weight_decay": "much"}}',
    '{"seed": ' + "9" * 5000 + "}", '{"a":' * 5000 + "1" + "}" * 5000, "a = " + "[" * 5000 + "]" * 5000,
    "[" + "a." * 200 + "a]\nb = 1", '{"datasets": [{"subsets": [{"image_dir": "a", "num_repeats": 1e400}]}]}',
    '{"datasets": [{"resolution": {"x": 1}, "subsets": [{"image_dir": "a"}]}]}', "--train_data_dir --network_dim 4",
]  # fmt: skip


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: text[:40])
def test_text_that_makes_no_sense_ends_in_words(text):
    said = []
    for read in (import_kohya, import_datasets):
        try:
            read(text)
        except ValueError as error:
            said.append(str(error))
    assert said and all(len(one) > 20 for one in said)


def test_any_value_in_any_place_ends_in_settings_or_in_words():
    draw = random.Random(3)
    odd = [
        5,
        -1,
        0,
        1e308,
        float("inf"),
        float("nan"),
        "",
        "x",
        "1e400",
        True,
        None,
        [],
        {},
        [[]],
        [{}],
        {"a": {"b": 1}},
        [None],
        [None, 2],
    ]
    names = [*(option.name for option in OPTIONS), *ELSEWHERE, "network_args", "optimizer_args", "optimizer_type",
             "network_dim", "network_alpha", "network_module", "lr_scheduler", "lr_warmup_steps", "max_train_steps",
             "resolution", "datasets", "general", "subsets", "image_dir", "train_data_dir"]  # fmt: skip
    for _ in range(1500):
        table = {name: draw.choice(odd) for name in draw.sample(names, 4)}
        if draw.random() < 0.5:
            inner = {name: draw.choice(odd) for name in draw.sample(names, 2)}
            table = {"datasets": [{**table, "subsets": [{"image_dir": "a", **inner}]}]}
        for read in (import_kohya, import_datasets):
            with contextlib.suppress(ValueError):
                read(json.dumps(table))


def test_a_table_of_arguments_is_read_like_their_texts():
    as_texts = import_kohya('{"optimizer_args": ["betas=0.9,0.99", "weight_decay=0.2"], "learning_rate": 1e-4}')
    as_table = import_kohya('{"optimizer_args": {"betas": [0.9, 0.99], "weight_decay": 0.2}, "learning_rate": 1e-4}')
    assert as_table.optimizer == as_texts.optimizer and as_table.optimizer.weight_decay == 0.2


def test_passwords_are_not_repeated():
    text = import_kohya("--huggingface_token=abc123 --wandb_api_key xyz789").text()
    assert "huggingface_token: no equivalent" in text and "wandb_api_key" in text
    assert "abc123" not in text and "xyz789" not in text


def test_adafactor_finds_its_rate_unless_told_not_to():
    found = import_kohya("--optimizer_type=Adafactor --learning_rate=1e-4 --unet_lr=1e-4 --text_encoder_lr=1e-5")
    assert found.optimizer.arguments == "relative_step=True scale_parameter=True"
    assert check_optimizer(found.optimizer).text_encoder_lr is None
    fixed = import_kohya(
        '--optimizer_type=AdaFactor --learning_rate=1e-4 --optimizer_args "relative_step=False" "scale_parameter=False"'
    )
    assert fixed.optimizer.arguments == ""


NETWORKS = [
    NetworkSettings(rank=8, alpha=4.0, parts=ALL_PARTS, dropout=0.25),
    NetworkSettings(rank=32, alpha=1.0, rank_dropout=0.1, module_dropout=0.2),
    NetworkSettings(algorithm="locon", conv_rank=4, conv_alpha=2.0, parts=ALL_PARTS),
    NetworkSettings(algorithm="dylora", rank=16, block_size=4, parts=("text_encoder", "text_encoder_2")),
    NetworkSettings(algorithm="dylora", rank=16, block_size=4, targets="blocks", conv_rank=16, conv_alpha=8.0),
    NetworkSettings(algorithm="loha", targets="blocks", conv_rank=4, conv_alpha=1.0, weight_decompose=True),
    NetworkSettings(algorithm="lokr", factor=8, full_matrix=True, parts=ALL_PARTS),
    NetworkSettings(rank_stabilized=True, targets="attention", dropout=0.1),
    NetworkSettings(algorithm="ia3", train_norms=True),
    NetworkSettings(block_weights=BlockWeights(down="sine", mid="1", up="cosine+.25", zero_threshold=0.1)),
    NetworkSettings(block_weights=BlockWeights(ranks=",".join(["4"] * 25))),
]
OPTIMIZERS = [
    OptimizerSettings(),
    OptimizerSettings(optimizer="Prodigy", learning_rate=1.0, arguments="d_coef=2.0 betas=0.9,0.99", weight_decay=0.0),
    OptimizerSettings(optimizer="DAdaptAdam", learning_rate=1.0, arguments="decouple=False"),
    OptimizerSettings(optimizer="DAdaptSGD", learning_rate=1.0, weight_decay=0.0),
    OptimizerSettings(text_encoder_lr=1e-5, text_encoder_2_lr=5e-6),
    OptimizerSettings(unet_lr=3e-4, text_encoder_lr=0.0, max_grad_norm=0.0, loraplus_ratio=16.0),
    OptimizerSettings(schedule=ScheduleSettings(schedule="cosine", warmup_steps=0.1, min_ratio=0.2)),
    OptimizerSettings(schedule=ScheduleSettings(schedule="polynomial", power=1.5)),
    OptimizerSettings(schedule=ScheduleSettings(schedule="constant", warmup_steps=50.0)),
    OptimizerSettings(schedule=ScheduleSettings(schedule="warmup_stable_decay", decay_steps=0.3, warmup_steps=10.0)),
    OptimizerSettings(optimizer="Adafactor", learning_rate=5e-4),
    OptimizerSettings(optimizer="Adafactor", arguments="relative_step=True scale_parameter=True", weight_decay=0.0),
    OptimizerSettings(optimizer="ScheduleFreeAdamW", learning_rate=1e-3),
]
OBJECTIVES = [
    ObjectiveSettings(),
    ObjectiveSettings(min_snr_gamma=None, debiased_estimation=True, loss_type="huber", huber_c=0.2),
    ObjectiveSettings(noise_offset=0.1, noise_offset_random=True, adaptive_noise_scale=0.02, scale_weight_norms=1.0),
    ObjectiveSettings(multires_noise_iterations=6, multires_noise_discount=0.4, min_timestep=100, max_timestep=900),
    ObjectiveSettings(input_perturbation=0.1, input_perturbation_random=True, v_pred_like_loss=0.5),
]
STAGES = [Stage(steps=321, batch_size=3, grad_accumulation_steps=2), Stage(epochs=7.0)]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.algorithm)
def test_networks_come_back(network):
    commands = export_kohya(network, OptimizerSettings(), ObjectiveSettings(), (Stage(steps=10),))
    assert commands.lost == ()
    assert import_kohya(commands.text).network == network


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: optimizer.schedule.schedule)
def test_optimizers_come_back(optimizer):
    commands = export_kohya(NETWORKS[0], optimizer, ObjectiveSettings(), (Stage(steps=10),))
    assert import_kohya(commands.text).optimizer == optimizer
    assert commands.lost == ()


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("prodigy", "Prodigy"),
        ("dadapt-lion", "DAdaptLion"),
        ("ademamix", "pytorch_optimizer.AdEMAMix"),
        ("CAME", "pytorch_optimizer.CAME"),
        ("ProdigyPlusScheduleFree", "prodigyplus.ProdigyPlusScheduleFree"),
        ("RAdamScheduleFree", "RAdamScheduleFree"),
        ("schedulefreesgd", "SGDScheduleFree"),
    ],
)
def test_optimizers_have_the_names_that_sd_scripts_takes(name, written):
    settings = OptimizerSettings(optimizer=name, learning_rate=1.0)
    command = export_kohya(NETWORKS[0], settings, ObjectiveSettings(), (Stage(steps=10),)).text
    assert f"--optimizer_type={written} " in command
    assert find_optimizer(import_kohya(command).optimizer.optimizer) == find_optimizer(name)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("stage", STAGES)
def test_objectives_and_stages_come_back(objective, stage):
    commands = export_kohya(NETWORKS[0], OptimizerSettings(), objective, (stage,))
    setup = import_kohya(commands.text)
    assert (setup.objective, setup.stages) == (objective, (stage,))
    assert commands.lost == () and setup.elsewhere == ()


def test_stages_become_commands_that_go_on_from_each_other():
    slower = OptimizerSettings(learning_rate=1e-5)
    plan = (Stage(steps=90), Stage(steps=10, optimizer=slower))
    commands = export_kohya(NetworkSettings(), OptimizerSettings(), ObjectiveSettings(), plan)
    first, second = commands.text.splitlines()
    assert "network_weights" not in first and '--network_weights="stage 1.safetensors"' in second
    assert [import_kohya(line).optimizer.learning_rate for line in (first, second)] == [2e-4, 1e-5]


def test_what_sd_scripts_lacks_is_listed():
    commands = export_kohya(
        NetworkSettings(include=("*attn2*",), targets="all", block_weights=BlockWeights(lbw="INS")),
        OptimizerSettings(ema_decay=0.9, schedule=ScheduleSettings(schedule="rex")),
        ObjectiveSettings(soft_min_snr=True, timestep_distribution="logit_normal"),
        (Stage(epochs=2.5, resolution=512),),
    )
    for wanted in ("include", "targets all", "LBW", "ema_decay", "rex", "soft_min_snr", "timestep_distribution", "2.5"):
        assert any(wanted in line for line in commands.lost), wanted
