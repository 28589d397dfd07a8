"""The pack's own socket types and those of the host that it shares."""

from .comfy_bridge.host.node_api import io

Dataset = io.Custom("BAKERY_DATASET")
Network = io.Custom("BAKERY_NETWORK")
Optimizer = io.Custom("BAKERY_OPTIMIZER")
Objective = io.Custom("BAKERY_OBJECTIVE")
Stages = io.Custom("BAKERY_STAGES")
Preview = io.Custom("BAKERY_PREVIEW")
Run = io.Custom("BAKERY_RUN")
LoraModel = io.Custom("LORA_MODEL")
LossMap = io.Custom("LOSS_MAP")
