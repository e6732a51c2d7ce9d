"""All networks of one model in one module. Each is described in its own file."""

from torch import nn

from progcodec.config import ModelConfig
from progcodec.network.hyperprior import HyperAnalysis, MeanPath
from progcodec.network.scale import ScalePath
from progcodec.network.tic import TicAnalysis, TicSynthesis
from progcodec.network.transform import Analysis, Synthesis

TRANSFORMS = {"lite": (Analysis, Synthesis), "tic": (TicAnalysis, TicSynthesis)}
"""g_a and g_s of each family."""


class Model(nn.Module):
    """g_a, g_s, h_a, the mean path and the scale path.

    Args:
        frozen: build the scale path in its exported integer form, as codecs use it; else the
            trainable one.
    """

    def __init__(self, config: ModelConfig, frozen: bool = False) -> None:
        super().__init__()
        self.config = config
        analysis, synthesis = TRANSFORMS[config.family]
        self.analysis = analysis(config)
        self.synthesis = synthesis(config)
        self.hyper_analysis = HyperAnalysis(config)
        self.mean_path = MeanPath(config)
        self.scale_path = ScalePath(config, frozen)
