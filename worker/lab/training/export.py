"""`intake lab export`: a run to a model of the registry, checked, measured, with its card."""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from worker.errors import ConfigurationError, ModelError
from worker.lab.cache import LabCache
from worker.lab.comparing import compare
from worker.lab.embed import FitOptions
from worker.lab.embedding import open_bench
from worker.lab.evaluation import ALL
from worker.lab.files import writing
from worker.lab.method import parse_method
from worker.lab.models import Workbench
from worker.lab.training.calibration_photos import feeds, locations_of, manifest_of
from worker.lab.training.catalogue import build_recipe
from worker.lab.training.checkpoint import BEST, LAST, PROVENANCE, load
from worker.lab.training.config import TrainConfig, parse, set_value
from worker.lab.training.graphs import OPSET, check_graph, write_graph, write_half, write_int8, write_stored_as_half
from worker.lab.training.measuring import cost_text, loss, outputs
from worker.lab.training.recipe import Exportable
from worker.lab.training.showing import figures_text
from worker.settings import Settings
from worker.settings.vision import VisionSettings
from worker.vision.registry import ROWS, Registry, package_dir, registry_dir
from worker.vision.rows import ModelRow
from worker.vision.session import Feed
from worker.vision.store import file_sha256

MODELS = "models"
Checkpoint = Literal["best", "last"]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What is wanted of a run.

    Attributes:
        model_id: id of the row; variants are called `model_id`-fp16 and `model_id`-int8.
        output: folder that gets models/ and rows/; None: the user's registry.
        checkpoint: the best by the held-out score, or the last.
        half, int8: variants.
        calibrate: manifest or folder: what int8 learns ranges from, and what variants are measured on.
        replace: write over a model of this id in `output`.
        default: the row says that it is the default of its task (for this package's own models).
        overrides: changes to the run's configuration, as where the photos are now.
    """

    model_id: str
    output: Path | None = None
    checkpoint: Checkpoint = "best"
    half: bool = False
    int8: bool = False
    calibrate: Path | None = None
    replace: bool = False
    default: bool = False
    overrides: Mapping[str, str] | None = None


def export_run(run: Path, options: ExportOptions, settings: Settings, say: Say) -> list[ModelRow]:
    """Export; `say` hears one line for each model.

    Returns:
        the rows that were written, the model itself first.

    Raises:
        ConfigurationError: there is no such run or checkpoint, its recipe cannot be built, or int8 has no photos.
        ModelError: the id is taken, the network cannot be written, or the file differs from torch.
    """
    if options.int8 and options.calibrate is None:
        raise ConfigurationError("int8 learns the ranges of activations from photos: give --calibrate MANIFEST or FOLDER")
    locations = locations_of(options.calibrate) if options.calibrate is not None else []
    folder = (options.output or registry_dir(settings.vision)).absolute()
    vision = settings.vision.model_copy(update={"provider": "cpu", "fp16": False})
    if folder != package_dir():
        vision = vision.model_copy(update={"registry_dir": folder})
    settings = settings.model_copy(update={"vision": vision})
    _check_free(options, folder, vision)
    exportable, facts = read_run(run, options.checkpoint, options.overrides or {})
    with tempfile.TemporaryDirectory(prefix="intake-export-") as scratch:
        work = _Work(exportable, facts, options, folder, settings, Path(scratch), say)
        return work.run(locations)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the card says of the run."""

    name: str
    figures: Mapping[str, float]
    epoch: int
    step: int
    checkpoint: Checkpoint
    config: str
    config_sha256: str
    commit: str


def read_run(run: Path, checkpoint: Checkpoint, overrides: Mapping[str, str]) -> tuple[Exportable, Facts]:
    """The trained network of a run.

    Raises:
        ConfigurationError: as `export_run`.
    """
    try:
        content = json.loads((run / PROVENANCE).read_text(encoding="utf-8"))
        stored, source = content["config"], Path(content["source"] or run / PROVENANCE)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{run} is no folder that `intake lab train` wrote: {error}") from error
    for name, value in {**overrides, "run.device": "cpu", "run.workers": "0"}.items():
        set_value(stored, name, value)
    config = parse(TrainConfig, stored, str(run / PROVENANCE))
    path = run / (BEST if checkpoint == "best" else LAST)
    if not path.exists():
        raise ConfigurationError(
            f"{path} is not there: "
            + ("nothing was judged yet; train on, or give --checkpoint last" if checkpoint == "best" else "train first")
        )
    state = load(path)
    recipe = build_recipe(config, source)
    weights = state["model"] if checkpoint == "best" or state["averaged"] is None else state["averaged"]
    try:
        recipe.model().load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigurationError(f"{path} does not fit the network that its configuration builds now: {error}") from error
    recipe.model().cpu().eval()
    progress, figures = state["progress"], state.get("figures", {})
    facts = Facts(
        run.name,
        figures,
        progress["epoch"],
        progress["step"],
        checkpoint,
        source.name,
        content["config_sha256"],
        content["commit"],
    )
    return recipe.export(), facts


def _check_free(options: ExportOptions, folder: Path, vision: VisionSettings) -> None:
    taken = {row.id for row in Registry(vision).rows}
    if folder != package_dir() and (folder / ROWS).is_dir() and options.replace:
        taken -= {path.stem for path in (folder / ROWS).glob("*.json")}
    elif options.replace:
        return
    wanted = [options.model_id, *(f"{options.model_id}-{kind}" for kind in _kinds(options))]
    if clash := [name for name in wanted if name in taken]:
        raise ModelError(f"there already is a model {', '.join(clash)}; give another --id, or --replace where it is in {folder}")


def _kinds(options: ExportOptions) -> list[str]:
    return [kind for kind, wanted in (("fp16", options.half), ("int8", options.int8)) if wanted]


class _Work:
    """One export."""

    def __init__(
        self,
        exportable: Exportable,
        facts: Facts,
        options: ExportOptions,
        folder: Path,
        settings: Settings,
        scratch: Path,
        say: Say,
    ) -> None:
        self._exportable, self._facts, self._options = exportable, facts, options
        self._folder, self._settings, self._scratch, self._say = folder, settings, scratch, say
        self._vision = settings.vision
        self._base = scratch / "base.onnx"
        self._base_row: ModelRow

    def run(self, locations: list[str]) -> list[ModelRow]:
        write_graph(self._exportable, self._base)
        self._base_row = self._row(self._options.model_id, self._base, "")
        worst = check_graph(self._exportable, self._base, self._base_row, self._vision)
        examples = self._examples()
        stored, weights = self._store_small(examples)
        card = f"{self._card()} In float32 it differs from torch by at most {worst:.1e}. {weights}"
        row = self._place(self._options.model_id, stored, card)
        rows = [row]
        kinds = _kinds(self._options)
        photos = feeds(row, locations, self._settings) if locations else examples
        measured = photos[1::2] if locations else photos
        cost = cost_text(self._path(row), row, self._vision, measured[0])
        row = rows[0] = self._place(self._options.model_id, stored, f"{card} {cost}.")
        self._say(f"{row.id}: {self._path(row)}; {cost}; differs from torch by {worst:.1e}. {weights}")
        if kinds:
            wanted = outputs(self._base, self._base_row, self._vision, measured)
            rows += [self._variant(kind, wanted, measured, photos[::2], from_photos=bool(locations)) for kind in kinds]
            rows = self._with_recall(rows)
        return rows

    def _examples(self) -> list[Feed]:
        inputs = {name: tensor.numpy() for name, tensor in self._exportable.inputs.items()}
        return [
            {name: array[number : number + 1] for name, array in inputs.items()}
            for number in range(len(next(iter(inputs.values()))))
        ]

    def _store_small(self, examples: Sequence[Feed]) -> tuple[Path, str]:
        """The file that is shipped, and what to say of its weights."""
        small = self._scratch / "small.onnx"
        write_stored_as_half(self._base, small)
        wanted = outputs(self._base, self._base_row, self._vision, examples)
        lost = loss(self._base_row, wanted, outputs(small, self._row(self._options.model_id, small, ""), self._vision, examples))
        if lost.none:
            return small, f"Large weights are stored as halves and computed with in float32 ({lost.text})."
        return self._base, f"Weights are stored in float32: as halves they would change results ({lost.text})."

    def _variant(
        self, kind: str, wanted: Sequence[Any], measured: Sequence[Feed], ranges: Sequence[Feed], *, from_photos: bool
    ) -> ModelRow:
        path = self._scratch / f"{kind}.onnx"
        if kind == "fp16":
            write_half(self._base, path, self._base_row)
            how = "Weights and arithmetic in half precision, for GPUs: a CPU converts to and fro and gains nothing."
        else:
            write_int8(self._base, path, self._exportable.keep_full, ranges)
            how = f"Convolutions and matrix products in eight bits (static, QDQ, a scale for each channel), ranges from {len(ranges)} photos."
        name = f"{self._options.model_id}-{kind}"
        scratch_row = self._row(name, path, "")
        lost = loss(scratch_row, wanted, outputs(path, scratch_row, self._vision, measured))
        cost = cost_text(path, scratch_row, self._vision, measured[0])
        where = "photos the ranges were not learned from" if from_photos else "the recipe's own examples"
        row = self._place(
            name, path, f"{self._options.model_id} in another number type. {how} {lost.text} ({where}); {cost}. {self._card()}"
        )
        self._say(f"{row.id}: {self._path(row)}; {cost}; {lost.text} ({where})")
        return row

    def _with_recall(self, rows: list[ModelRow]) -> list[ModelRow]:
        """What a variant finds first and what the model itself does, where a manifest with queries was given."""
        source = self._options.calibrate
        manifest = manifest_of(source)
        if (
            self._exportable.task != "embed"
            or manifest is None
            or source is None
            or not manifest.rows("query")
            or not manifest.rows("catalogue")
        ):
            return rows
        methods = [parse_method(f"default+{row.id}") for row in rows]
        with open_bench(self._settings, LabCache(None)) as bench:
            evaluated = compare(manifest, methods, Workbench(self._settings), bench, FitOptions(), {})
        shares = []
        for each in evaluated:
            kinds = each.result.kinds
            overall = next((kind for kind in kinds if kind.kind in {ALL, f"({ALL})"}), kinds[0] if kinds else None)
            if overall is None:
                return rows
            shares.append((overall.top[1], overall.queries))
        changed = []
        for row, (share, queries) in zip(rows, shares, strict=True):
            text = f"Finds {share:.1%} of {queries} queries of {source.name} first"
            text += "." if row is rows[0] else f", float32 {shares[0][0]:.1%}."
            self._say(f"{row.id}: {text}")
            changed.append(self._write(row.model_copy(update={"card": f"{row.card} {text}"})))
        return changed

    def _card(self) -> str:
        facts = self._facts
        figures = f"Held out: {figures_text(facts.figures)}. " if facts.figures else ""
        return (
            f"{self._exportable.recipe.rstrip()} {figures}{facts.checkpoint.capitalize()} checkpoint, after {facts.epoch} epochs and "
            f"{facts.step} steps. Made by `intake lab train {facts.config} --output {facts.name}` (configuration "
            f"{facts.config_sha256[:12]}, code {facts.commit}) and `intake lab export {facts.name} --id {self._options.model_id}`."
        )

    def _row(self, name: str, path: Path, card: str) -> ModelRow:
        made = self._exportable
        try:
            return ModelRow.model_validate(
                {
                    "id": name,
                    "task": made.task,
                    "default": self._options.default and name == self._options.model_id,
                    "source": f"package:{name}.onnx" if self._folder == package_dir() else f"file:{MODELS}/{name}.onnx",
                    "sha256": file_sha256(path),
                    "size": path.stat().st_size,
                    "licence": made.licence,
                    "notice": made.notice,
                    "card": card,
                    "opset": OPSET,
                    "input": made.input,
                    "output": made.output,
                    "fp16_keep": made.keep_full,
                    **made.extra,
                }
            )
        except ValidationError as error:
            raise ModelError(f"the recipe does not make a row of {name}: {error}") from error

    def _path(self, row: ModelRow) -> Path:
        return self._folder / MODELS / f"{row.id}.onnx"

    def _place(self, name: str, file: Path, card: str) -> ModelRow:
        row = self._row(name, file, card)
        with writing(self._path(row)) as part:
            part.write_bytes(file.read_bytes())
        return self._write(row)

    def _write(self, row: ModelRow) -> ModelRow:
        text = row.model_dump_json(indent=2, exclude_none=True, exclude_defaults=True)
        with writing(self._folder / ROWS / f"{row.id}.json") as part:
            part.write_text(text + "\n", encoding="utf-8")
        return row
