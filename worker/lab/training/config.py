"""How a training run is described: a TOML or YAML file, checked before anything is loaded."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from worker.errors import ConfigurationError

Model = TypeVar("Model", bound=BaseModel)


class Part(BaseModel):
    """Base of all parts of a configuration: immutable, and a misspelt name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Optimizer(Part):
    """What moves the weights."""

    name: Literal["adamw", "adam", "sgd", "rmsprop"] = "adamw"
    lr: float = Field(default=3e-4, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Of sgd and rmsprop.")
    clip_norm: float = Field(default=0.0, ge=0, description="Largest norm of the gradient; 0: any.")


class Schedule(Part):
    """How the learning rate goes. `step` multiplies it by `factor` after each of `milestones` (epochs): paper 2's."""

    name: Literal["constant", "cosine", "step", "plateau"] = "cosine"
    warmup_steps: int = Field(default=0, ge=0)
    milestones: tuple[int, ...] = ()
    factor: float = Field(default=0.1, gt=0, lt=1)
    patience: int = Field(default=3, ge=1, description="Of plateau: evaluations without a better score.")


class RunConfig(Part):
    """What every recipe has in common."""

    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto", description="auto: bf16 on a GPU that has it, fp16 on others, fp32 on a CPU."
    )
    threads: int = Field(default=0, ge=0, description="torch threads on the CPU; 0: torch's own choice.")
    workers: int = Field(default=0, ge=0, description="Processes that prepare batches; 0: the training process itself.")
    epochs: int = Field(default=10, ge=0, description="0: nothing is learned; the network is judged and kept as it begins.")
    batch: int = Field(default=32, ge=1)
    minutes: float = Field(default=0.0, ge=0, description="Stop after this time (resumable); 0: when the epochs are done.")
    evaluate_every: int = Field(default=1, ge=1, description="Epochs between evaluations.")
    save_every_s: float = Field(
        default=120.0, gt=0, description="Seconds between checkpoints; one is written after every epoch, too."
    )
    early_stop: int = Field(
        default=0, ge=0, description="Evaluations without a better score after which training ends; 0: never."
    )
    average: float = Field(
        default=0.0, ge=0, lt=1, description="Decay of the running average of the weights, which is judged; 0: none."
    )
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()


class TrainConfig(Part):
    """A whole file: `[run]` and `[recipe]`, whose `kind` names the recipe; the recipe checks the rest of its part."""

    run: RunConfig = RunConfig()
    recipe: dict[str, Any]

    @property
    def kind(self) -> str:
        """Which recipe."""
        return str(self.recipe.get("kind", ""))


def read_config(path: Path, overrides: Mapping[str, str] | None = None) -> TrainConfig:
    """Read a file; `overrides` (``run.batch`` to ``64``) win over it, their values read as TOML or else as text.

    Raises:
        ConfigurationError: it cannot be read or is not valid; names what is wrong, one fault a line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = _read_yaml(text) if path.suffix in (".yaml", ".yml") else tomllib.loads(text)
    except (OSError, ValueError) as error:  # wrong UTF-8 and wrong TOML are ValueErrors
        raise ConfigurationError(f"{path} cannot be read as a training configuration: {error}") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path} holds no tables [run] and [recipe]")
    for name, value in (overrides or {}).items():
        set_value(content, name, value)
    return parse(TrainConfig, content, str(path))


def parse(model: type[Model], content: Mapping[str, Any], source: str) -> Model:
    """`content` as `model`.

    Raises:
        ConfigurationError: one line for each fault.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        faults = "\n".join(f"  {'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors())
        raise ConfigurationError(f"{source} is no valid training configuration:\n{faults}") from error


def _read_yaml(text: str) -> Any:
    try:
        import yaml  # noqa: PLC0415  of the lab extra
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "a YAML configuration needs PyYAML: pip install 'intake-worker[lab]', or write it as TOML"
        ) from error

    class Loader(yaml.SafeLoader):
        """YAML 1.2's numbers: `3e-4` is one (YAML 1.1, which PyYAML reads, takes it for text)."""

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
    )
    try:
        return yaml.load(text, Loader)  # noqa: S506  a SafeLoader  # nosec B506
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def parse_overrides(texts: Sequence[str]) -> dict[str, str]:
    """``run.batch=64`` as name and value.

    Raises:
        ConfigurationError: one is not NAME=VALUE.
    """
    overrides = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not all(name.split(".")) or "." not in name:
            raise ConfigurationError(f"{text!r} is not PART.NAME=VALUE, as in run.batch=64")
        overrides[name.strip()] = value.strip()
    return overrides


def set_value(content: dict[str, Any], name: str, text: str) -> None:
    """Set a value by its dotted name; `text` is read as TOML where it is that, else taken as it is.

    Raises:
        ConfigurationError: something on the way to it is no table.
    """
    try:
        parsed = tomllib.loads(f"value = {text}")
        value: Any = parsed["value"] if len(parsed) == 1 else text
    except tomllib.TOMLDecodeError:
        value = text
    *parents, last = name.split(".")
    for parent in parents:
        content = content.setdefault(parent, {})
        if not isinstance(content, dict):
            raise ConfigurationError(f"{name} cannot be set: {parent} is no table")
    content[last] = value
