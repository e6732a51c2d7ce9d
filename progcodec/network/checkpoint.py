"""Checkpoints: one safetensors file with the config, every exported tensor, the frequency tables,
and what they came from.

Float tensors are stored in half precision, those of the scale path as integers. The fingerprint (in
every stream's header) is the first 4 bytes of the SHA-256 over the config and every tensor: name,
shape, bytes. Metadata such as the licence is outside of it.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from progcodec.assets import FORMAT
from progcodec.config import (
    ALPHABET,
    HYPER_BINS,
    HYPER_CONTEXTS,
    HYPER_PHASES,
    SCALE_COUNT,
    ModelConfig,
)
from progcodec.errors import CheckpointError
from progcodec.network import weights_file
from progcodec.network.model import Model
from progcodec.network.scale import FrozenConv

TABLES = ("tables.gaussian", "tables.hyper", "tables.hyper_order", "tables.hyper_medians")
CONTEXT = ("tables.hyper_weights", "tables.hyper_thresholds")
"""Where the config has groups of channels."""
PRIORITIES = "tables.priorities"
"""Where the config has them."""
HYPER_LIMIT = 1 << 15
"""Of a weight and of a threshold."""


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint file.

    Attributes:
        config: shape of the model.
        tensors: network tensors as exported, and ``tables.gaussian`` (64, 255), ``tables.hyper``
            (C, 255) uint32 frequencies, ``tables.hyper_order`` (C,) int32, ``tables.hyper_medians``
            (C,) float32. With ``hyper_groups``, ``tables.hyper`` has 10 rows for each channel, and
            there are ``tables.hyper_weights`` (C, 3) and ``tables.hyper_thresholds`` (C, 2, 2)
            int32. With ``priorities``, there is ``tables.priorities`` (latent channels, 64) uint8.
        metadata: free text about origin: data, steps, licence.
    """

    config: ModelConfig
    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def tables(self) -> tuple[str, ...]:
        """The tensors that are no network's."""
        context = CONTEXT if self.config.hyper_groups else ()
        return (*TABLES, *context, *[PRIORITIES] * self.config.priorities)

    @property
    def fingerprint(self) -> bytes:
        """4 bytes that name exactly these weights and tables."""
        config = json.dumps(self.config.to_dict(), sort_keys=True)
        return weights_file.digest(config, self.tensors)[:4]

    def save(self, path: str | Path) -> None:
        """Writes the file whole or not at all. Raises OSError."""
        config = json.dumps(self.config.to_dict(), sort_keys=True)
        own = {"format": FORMAT, "config": config, "fingerprint": self.fingerprint.hex()}
        weights_file.write(path, self.tensors, {**self.metadata, **own})

    @classmethod
    def load(cls, path: str | Path) -> "Checkpoint":
        """Reads and checks a file. Raises CheckpointError on all but a sound checkpoint."""
        metadata, tensors = weights_file.read(path, "checkpoint", CheckpointError)
        if metadata.get("format") != FORMAT:
            raise CheckpointError(f"{path}: not a checkpoint of this package")
        try:
            config = ModelConfig.from_dict(json.loads(metadata["config"]))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise CheckpointError(
                f"{path}: unusable config in the checkpoint ({weights_file.one_line(error)})"
            ) from None
        keep = {k: v for k, v in metadata.items() if k not in ("format", "config", "fingerprint")}
        checkpoint = cls(config, tensors, keep)
        if checkpoint.fingerprint.hex() != metadata.get("fingerprint"):
            raise CheckpointError(
                f"{path}: damaged checkpoint (its fingerprint does not match its content)"
            )
        checkpoint._check(path)
        return checkpoint

    def _check(self, path: str | Path) -> None:
        channels, context = self.config.hyper_channels, bool(self.config.hyper_groups)
        rows = channels * (HYPER_CONTEXTS if context else 1)
        shapes = [(SCALE_COUNT, ALPHABET), (rows, ALPHABET), (channels,), (channels,)]
        types = [torch.uint32, torch.uint32, torch.int32, torch.float32]
        shapes += [(channels, 3), (channels, HYPER_PHASES - 1, HYPER_BINS - 1)] * context
        types += [torch.int32, torch.int32] * context
        shapes += [(self.config.latent_channels, SCALE_COUNT)] * self.config.priorities
        types += [torch.uint8] * self.config.priorities
        for name, shape, dtype in zip(self.tables, shapes, types, strict=True):
            tensor = self.tensors.get(name)
            if tensor is None or tuple(tensor.shape) != shape or tensor.dtype != dtype:
                raise CheckpointError(f"{path}: {name} is missing or has the wrong shape or type")
        if sorted(self.tensors["tables.hyper_order"].tolist()) != list(range(channels)):
            raise CheckpointError(f"{path}: tables.hyper_order is no permutation")
        for name in CONTEXT * context:
            if int(self.tensors[name].long().abs().max()) >= HYPER_LIMIT:
                raise CheckpointError(f"{path}: {name} holds values that are too large")
        if not bool(torch.isfinite(self.tensors["tables.hyper_medians"]).all()):
            raise CheckpointError(f"{path}: tables.hyper_medians holds values that are no numbers")

    def build(self) -> Model:
        """The model, float32 (scale path integer), on the CPU, for evaluation. Raises
        CheckpointError, before any are allocated, unless the tensors are exactly those that the
        config asks for.
        """
        state = {name: tensor for name, tensor in self.tensors.items() if name not in self.tables}
        try:
            model = weights_file.build(
                lambda: Model(self.config, frozen=True), _repeated(self.config), state
            )
            for module in model.modules():
                if isinstance(module, FrozenConv):
                    module.check()
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"the checkpoint's tensors do not fit its config: {weights_file.one_line(error)}"
            ) from None
        return model.eval().requires_grad_(False)


def _repeated(config: ModelConfig) -> int:
    """Blocks of both transforms together."""
    return 2 * (
        sum(config.swin_depths) if config.family == "tic" else config.depth + config.inner_depth
    )
