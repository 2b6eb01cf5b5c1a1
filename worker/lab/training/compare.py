"""The papers' training methods side by side: ``python -m worker.lab.training.compare --data FOLDER --output FOLDER``.

Every method learns from the same crops of the same garments, begins with the same network, and gets the same processor time (of all threads together,
so that what else a machine does changes nothing); then each is judged once, on the same held-out photos. A method that is done stays done: a
stopped comparison goes on. Writes table.md, comparison.html and results.json.
"""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc"

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from worker.lab.files import writing
from worker.lab.training.comparison_page import loss_curve, write_page
from worker.lab.training.config import Optimizer, RunConfig, Schedule, TrainConfig, parse
from worker.lab.training.crops import load_crops
from worker.lab.training.embedders import Maskless
from worker.lab.training.garments import Garments, garments_of
from worker.lab.training.judging import Judge, Judging
from worker.lab.training.loop import Trainer
from worker.lab.training.nets.trunk import Trunk, load_trunk, pooled
from worker.lab.training.recipe import Recipe
from worker.lab.training.recipes.attributes import Attributes, AttributesConfig
from worker.lab.training.recipes.autoencoder import AutoencoderConfig, AutoencoderRecipe
from worker.lab.training.recipes.category_similarity import CategorySimilarity, CategorySimilarityConfig
from worker.lab.training.recipes.instance import Instance, InstanceConfig
from worker.lab.training.recipes.siamese import Siamese, SiameseConfig

BACKBONE = "efficientnet-lite0"
FROZEN_STAGES = 6  # the stem and five blocks: two thirds of a step's time is above them at these sizes
FROZEN_BLOCKS = 5
# A draw is judged right by chance within this many deviations in 19 of 20 cases.
DEVIATIONS = 1.96
UNTRAINED, RESULT = "untrained", "result.json"
COLUMNS = {
    "phone": "phone",
    "found": "found at 1 % false alerts",
    "phone_back": "phone, back",
    "back": "studio back",
    "other": "other view",
    "harsh": "harsh phone",
    "score": "weighted mean",
}


@dataclass(frozen=True, slots=True)
class Budget:
    """What is equal.

    Attributes:
        seconds: of processor time for training.
        side: of the crops, in pixels; the autoencoders' is always 64.
        batch: crops.
    """

    seconds: float
    side: int
    batch: int
    seed: int


@dataclass(frozen=True, slots=True)
class Shared:
    """What all methods are given."""

    data: Path
    garments: Garments
    judge: Judging
    budget: Budget
    crop_side: int

    @property
    def common(self) -> dict[str, Any]:
        """Of every recipe part."""
        return {"data": self.data, "side": self.budget.side, "crop_side": self.crop_side}

    @property
    def network(self) -> dict[str, Any]:
        """Of those that begin with the network."""
        return {**self.common, "backbone": BACKBONE, "frozen_stages": FROZEN_STAGES}


@dataclass(frozen=True, slots=True)
class Method:
    """One row: its recipe, and the learning rate of Adam that suits it."""

    name: str
    what: str
    lr: float
    make: Callable[[Shared, RunConfig], Recipe]


def _category(losses: str) -> Callable[[Shared, RunConfig], Recipe]:
    def make(shared: Shared, run: RunConfig) -> Recipe:
        content = {"kind": "category-similarity", "losses": losses, "dense_lr": 10.0, **shared.network}
        wanted = parse(CategorySimilarityConfig, content, losses)
        return CategorySimilarity(wanted, run, shared.garments, shared.judge, trunk())

    return make


def _siamese(shared: Shared, run: RunConfig) -> Recipe:
    wanted = parse(SiameseConfig, {"kind": "siamese", **shared.network, "frozen_stages": -1}, "siamese")
    return Siamese(wanted, run, shared.garments, shared.judge, trunk(frozen_stages=-1))


def _autoencoder(form: str) -> Callable[[Shared, RunConfig], Recipe]:
    def make(shared: Shared, run: RunConfig) -> Recipe:
        wanted = parse(AutoencoderConfig, {"kind": "autoencoder", "form": form, **shared.common, "side": 64}, form)
        return AutoencoderRecipe(wanted, run, shared.garments, shared.judge)

    return make


def _attributes(shared: Shared, run: RunConfig) -> Recipe:
    wanted = parse(AttributesConfig, {"kind": "attributes", **shared.network}, "attributes")
    return Attributes(wanted, run, shared.garments, shared.judge, trunk())


def _instance(shared: Shared, run: RunConfig) -> Recipe:
    content = {
        "kind": "instance", "data": shared.data, "backbone": BACKBONE, "side": shared.budget.side, "frozen_blocks": FROZEN_BLOCKS,
    }  # fmt: skip
    wanted = parse(InstanceConfig, content, "instance")
    return Instance(wanted, run, shared.garments.articles, shared.judge)


METHODS = (
    Method("OC", "categories (Park et al. 2019)", 1e-4, _category("OC")),
    Method("OC+OS", "categories, similarity by category (Park et al. 2019)", 1e-4, _category("OC+OS")),
    Method("OC+IS", "categories, similarity by article (Park et al. 2019)", 1e-4, _category("OC+IS")),
    Method("siamese", "scored pairs of pretrained features (Menezes and Kanitkar 2018)", 1e-3, _siamese),
    Method("autoencoder", "14 layers, code of 512 (Li et al. 2020)", 1e-3, _autoencoder("plain")),
    Method("denoising", "the same, phone view to studio view (Yam 2018)", 1e-3, _autoencoder("denoising")),
    Method("attributes", "categories, then SVM scores (Yam 2018)", 1e-4, _attributes),
    Method("instance", "this project's embedder", 2e-4, _instance),
)


class Untrained(nn.Module):
    """What all begin with: pooled features of the network, L2-normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = trunk()

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        """(n, s, s, 3) uint8 to (n, channels)."""
        return nn.functional.normalize(pooled(self.trunk(rgb)), dim=1)


def trunk(frozen_stages: int = FROZEN_STAGES) -> Trunk:
    """The network every method begins with."""
    return load_trunk("efficientnet-lite0", frozen_stages=frozen_stages, frozen_norms=True)


def trained(method: Method, shared: Shared, folder: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Train one method for the budget and judge it."""
    run = RunConfig(
        seed=shared.budget.seed, device="cpu", threads=1, batch=shared.budget.batch, epochs=10_000, evaluate_every=10_000,
        optimizer=Optimizer(name="adam", lr=method.lr, weight_decay=0.0), schedule=Schedule(name="constant"),
    )  # fmt: skip
    recipe = method.make(shared, run)
    began = time.process_time()
    losses: list[tuple[float, float]] = []

    def watch(_what: str, _done: int, _total: int, figures: dict[str, float]) -> None:
        spent = time.process_time() - began
        if "loss" in figures:
            losses.append((spent, figures["loss"]))
        if spent >= shared.budget.seconds:
            trainer.stop()

    config = TrainConfig(run=run, recipe={"kind": method.name, "budget": asdict(shared.budget)})
    trainer = Trainer(config, recipe, folder, watch)
    if trainer.progress.step:
        tell(f"{method.name}: goes on from batch {trainer.progress.step}; its processor time is counted anew")
    began = time.process_time()
    trainer.run()
    seconds = time.process_time() - began
    first, last = losses[0][1], losses[-1][1]
    tell(f"{method.name}: {trainer.progress.step} batches in {seconds:.0f} s of processor time; loss {first:.3g} to {last:.3g}")
    recipe.model().eval()
    figures = recipe.evaluate()
    return {
        "name": method.name,
        "what": method.what,
        "batches": trainer.progress.step,
        "seconds": seconds,
        "curve": loss_curve(losses),
        "figures": figures,
    }


def untrained(shared: Shared) -> dict[str, Any]:
    """The row of what all begin with."""
    figures = shared.judge.figures(Maskless(Untrained().eval()), shared.budget.side)
    return {"name": UNTRAINED, "what": f"{BACKBONE}, ImageNet, mean pooling", "batches": 0, "seconds": 0.0, "figures": figures}


def table(rows: Sequence[Mapping[str, Any]], shared: Shared) -> str:
    """Markdown: percent found first, and what is chance."""
    counts = shared.judge.provenance
    counted = {"found": "phone", "score": ""}
    heads = []
    for key, title in COLUMNS.items():
        number = counts.get(counted.get(key, key))
        heads.append(f"{title} ({number})" if number and key != "found" else title)
    lines = ["| method | " + " | ".join(heads) + " | batches |", "|---" * (len(COLUMNS) + 2) + "|"]
    for row in rows:
        cells = [_percent(row["figures"].get(key)) for key in COLUMNS]
        lines.append(f"| `{row['name']}`: {row['what']} | " + " | ".join(cells) + f" | {row['batches']} |")
    lines += ["", _said(shared)]
    return "\n".join(lines) + "\n"


def _said(shared: Shared) -> str:
    """Budget, data and noise in words."""
    budget, counts = shared.budget, shared.judge.provenance
    articles, phones, backs = (max(1, int(counts.get(kind, 1))) for kind in ("catalogue", "phone", "phone_back"))
    return (
        f"{budget.seconds:.0f} s of processor time each on one thread, crops of {budget.side} pixels, batches of {budget.batch}, "
        f"{len(shared.garments)} garments ({len(shared.garments.crops)} crops); searched among {articles} articles, "
        f"{counts.get('unseen', 0)} unseen garments. Percent found first; by chance {100 / articles:.1f}. A share of 50 % is known to "
        f"{_points(phones)} points with {phones} queries and to {_points(backs)} with {backs}."
    )


def _points(queries: int) -> str:
    return f"{100 * DEVIATIONS * math.sqrt(0.25 / queries):.0f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f}"


def compare(shared: Shared, methods: Sequence[Method], output: Path, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """Every method in turn; table and results are written after each."""
    rows: list[dict[str, Any]] = []
    key = hashlib.sha256(json.dumps([asdict(shared.budget), shared.garments.crops.digest, shared.judge.provenance]).encode())
    for method in (None, *methods):
        name = UNTRAINED if method is None else method.name
        place = output / f"{name}-{key.hexdigest()[:12]}"
        if not (place / RESULT).is_file():
            made = untrained(shared) if method is None else trained(method, shared, place, tell)
            with writing(place / RESULT) as part:
                part.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
        kept: dict[str, Any] = json.loads((place / RESULT).read_text(encoding="utf-8"))
        rows.append(kept)
        tell(f"{name}: " + ", ".join(f"{title} {_percent(kept['figures'].get(figure))}" for figure, title in COLUMNS.items()))
        with writing(output / "table.md") as part:
            part.write_text(table(rows, shared), encoding="utf-8")
        write_page(rows, COLUMNS, _said(shared), output)
        with writing(output / "results.json") as part:
            content = {"budget": asdict(shared.budget), "held_out": shared.judge.provenance, "methods": rows}
            part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with luma/, venia/ and clothing/")
    parser.add_argument("--output", type=Path, required=True, help="folder for runs, table.md and results.json")
    parser.add_argument("--minutes", type=float, default=4.0, help="processor time of each method's training")
    parser.add_argument("--side", type=int, default=128, help="of the crops, in pixels")
    parser.add_argument("--batch", type=int, default=32, help="crops in a batch")
    parser.add_argument("--most-phones", type=int, default=None, help="photos of clothing/; all unless given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", nargs="*", default=[method.name for method in METHODS], help="which; all unless given")
    options: Any = parser.parse_args(arguments)
    chosen = [method for method in METHODS if method.name in options.methods]
    unknown = set(options.methods) - {method.name for method in METHODS}
    if unknown:
        parser.error(f"no method {', '.join(sorted(unknown))}; there are {', '.join(method.name for method in METHODS)}")
    torch.set_num_threads(1)
    crop_side = options.side * 5 // 4  # views are drawn a little larger and then made smaller
    data, most = options.data.resolve(), options.most_phones
    shared = Shared(
        data,
        garments_of(load_crops(data, crop_side, "development", most_phones=most)),
        Judge(data, crop_side, options.seed, most),
        Budget(options.minutes * 60, options.side, options.batch, options.seed),
        crop_side,
    )
    compare(shared, chosen, options.output, lambda text: print(text, flush=True))  # noqa: T201
    print((options.output / "table.md").read_text(encoding="utf-8"))  # noqa: T201


if __name__ == "__main__":
    main()
