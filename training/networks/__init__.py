"""Trainable networks attached to a frozen base model: LoRA, LoCon and the LyCORIS family."""

from .block_weights import BlockWeights as BlockWeights
from .network import Network as Network
from .network import ParameterGroup as ParameterGroup
from .settings import NetworkSettings as NetworkSettings
