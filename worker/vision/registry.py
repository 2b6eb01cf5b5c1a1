"""The registry: every model row there is, from this package and from the user's own folder."""

from __future__ import annotations

import json
import tomllib
from importlib import resources
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from worker.errors import ModelError
from worker.settings.vision import VisionSettings
from worker.vision.calibration import PairCalibration, uncalibrated
from worker.vision.rows import ModelRow, Task
from worker.vision.store import xdg

ROWS = "rows"  # folder of model rows, one TOML or JSON file each
PAIRS = "pairs"  # folder of calibrations, one file for each pair of segmenter and embedder
SUFFIXES = (".toml", ".json")
DEFAULT = "default"

PartT = TypeVar("PartT", bound=BaseModel)


def registry_dir(settings: VisionSettings) -> Path:
    """Where the user's own rows and calibrations lie."""
    return settings.registry_dir or xdg("XDG_DATA_HOME", ".local/share") / "intake" / "registry"


def package_dir() -> Path:
    """Where this package's own lie."""
    return Path(str(resources.files("worker.vision")))


def load_part(path: Path, kind: type[PartT]) -> PartT:
    """One row or calibration from its TOML or JSON file.

    Raises:
        ModelError: the file cannot be read or is not a valid one; names the field.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return kind.model_validate(json.loads(text) if path.suffix == ".json" else tomllib.loads(text))
    except ValidationError as error:
        lines = [f"{'.'.join(str(part) for part in e['loc']) or 'row'}: {e['msg']}" for e in error.errors()]
        raise ModelError(f"{path} is not a valid {kind.__name__}: " + "; ".join(lines)) from error
    except (OSError, ValueError) as error:  # both decoders' errors, and wrong UTF-8, are ValueErrors
        raise ModelError(f"{path}: {error}") from error


def part_files(folder: Path) -> list[Path]:
    """The row or calibration files in a folder, in order; half-written ones (they begin with a dot) are left out."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and not path.name.startswith("."))


class Registry:
    """Rows by id. A user's row may not take a built-in row's id: what an id means is the same everywhere."""

    def __init__(self, settings: VisionSettings) -> None:
        """Reads every row and calibration file; raises `ModelError` on a wrong one."""
        self.user_dir = registry_dir(settings)
        self._rows: dict[str, ModelRow] = {}
        self._own: set[str] = set()
        self._pairs: dict[tuple[str, str], PairCalibration] = {}
        for folder in (package_dir(), self.user_dir):
            self._read(folder, own=folder == self.user_dir)

    def _read(self, folder: Path, *, own: bool) -> None:
        for path in part_files(folder / ROWS):
            row = load_part(path, ModelRow)
            if row.id in self._rows:
                raise ModelError(f"{path}: there already is a model {row.id}; give it another id")
            self._rows[row.id] = row
            if own:
                self._own.add(row.id)
        for path in part_files(folder / PAIRS):
            pair = load_part(path, PairCalibration)
            self._pairs[pair.segmenter, pair.embedder] = pair  # the user's measurement wins over the package's

    @property
    def rows(self) -> tuple[ModelRow, ...]:
        """All rows, segmenters first, by id."""
        return tuple(sorted(self._rows.values(), key=lambda row: (row.task != "segment", row.id)))

    def is_own(self, model_id: str) -> bool:
        """Whether the row is the user's."""
        return model_id in self._own

    def row(self, model_id: str, task: Task) -> ModelRow:
        """The row called `model_id` (`default`: the default row of this task).

        Raises:
            ModelError: there is none, or it is for another task.
        """
        if model_id == DEFAULT:
            chosen = next((row for row in self.rows if row.default and row.task == task and not self.is_own(row.id)), None)
            if chosen is None:
                raise ModelError(f"there is no default model for {task}; name one, `intake models list` shows them")
            return chosen
        row = self._rows.get(model_id)
        if row is None or row.task != task:
            fits = ", ".join(row.id for row in self.rows if row.task == task)
            what = f"is no model for {task}" if row else "is in no registry"
            raise ModelError(f"{model_id!r} {what}; there are: {fits}. `intake models add FILE` adds one")
        return row

    def get(self, model_id: str) -> ModelRow:
        """The row called `model_id`, whatever its task."""
        row = self._rows.get(model_id)
        if row is None:
            raise ModelError(f"{model_id!r} is in no registry; there are: {', '.join(self._rows)}")
        return row

    def calibration(self, segmenter: str, embedder: str) -> PairCalibration:
        """What was measured of this pair; a cautious guess (`calibrated` is False) where nothing was."""
        return self._pairs.get((segmenter, embedder)) or uncalibrated(segmenter, embedder)
