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

    Raises:
        ConfigurationError: no such kind, its part is not valid, its data are not there, or torch is missing.
    """
    if config.kind not in KINDS:
        raise ConfigurationError(f"{source}: recipe.kind is {config.kind!r}; there are {', '.join(KINDS)}")
    try:
        module = import_module(f"worker.lab.training.recipes.{KINDS[config.kind]}")
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"training needs {error.name}: pip install 'intake-worker[lab]'") from error
    recipe: Recipe = module.build(config.recipe, config.run, source)
    return recipe
