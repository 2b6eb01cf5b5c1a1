"""Recipes by the `kind` of their configuration."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from worker.errors import ConfigurationError
from worker.lab.training.config import TrainConfig

if TYPE_CHECKING:
    from worker.lab.training.recipe import Recipe

# Kind to module of `worker.lab.training.recipes`.
KINDS = {
    "instance": "instance",  # our embedder
    "segment": "segment",  # our segmenter, and Tiramisu
    "category-similarity": "category_similarity",  # paper 2: OC, OC+OS, OC+IS
    "siamese": "siamese",  # paper 4
    "autoencoder": "autoencoder",  # paper 3, and paper 1's denoising form
    "attributes": "attributes",  # paper 1: ResNet18 for an SVM
    "tagger": "tagger",  # papers 2 and 3: categories
}


def build_recipe(config: TrainConfig, source: Path) -> Recipe:
    """The recipe a configuration names; `source` is the file it came from (relative paths are of its folder).

    A kind with a dot is a module of one's own that can be imported and has a `build` (`worker.lab.training.recipe.Builder`).

    Raises:
        ConfigurationError: no such kind, its part is not valid, its data are not there, or torch is missing.
    """
    own = "." in config.kind
    if config.kind not in KINDS and not own:
        raise ConfigurationError(
            f"{source}: recipe.kind is {config.kind!r}; there are {', '.join(KINDS)}, or a module with `build`"
        )
    name = config.kind if own else f"worker.lab.training.recipes.{KINDS[config.kind]}"
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if own and error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigurationError(f"{source}: recipe.kind names the module {name}, and there is no {error.name}") from error
        raise missing_part(error) from error
    from worker.lab.training.randomness import isolated  # noqa: PLC0415  torch

    with isolated(config.run.seed):  # first weights are drawn here
        recipe: Recipe = module.build(config.recipe, config.run, source)
    return recipe


def missing_part(error: ModuleNotFoundError) -> ConfigurationError:
    """What to say where torch or something else of the lab is not installed."""
    return ConfigurationError(f"training needs {error.name}, of the extra `lab`: pip install 'intake-worker[lab]'")
