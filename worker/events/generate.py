"""Writes `schemas/` from the models (``python -m worker.events.generate``), or checks that it is current (``--check``).

`schemas/` itself is the last version: what is generated is compared with what lies there, which works on a clean checkout without
history. Writing refuses a change that would break a reader of the last version (the rule is in `worker.events.compatibility`): raise the
event's EVENT_VERSION instead, which writes a new file beside the old one; files of versions that are no longer generated stay, since
somebody may still hold such events. ``--force`` writes all the same, for contracts that were never published. ``--against FOLDER``
compares with another last version, such as the `schemas/` of the last release.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from worker.events.asyncapi import as_yaml, asyncapi_document
from worker.events.compatibility import breaking_changes
from worker.events.json_schema import schemas

ASYNCAPI_FILE = "asyncapi.yaml"
DEFAULT_FOLDER = Path(__file__).resolve().parent.parent.parent / "schemas"


def load_examples(folder: Path) -> dict[str, dict[str, Any]]:
    """Example events by schema file name and example name: ``match-alert.v1.NAME.json`` belongs to ``match-alert.v1.json``."""
    found: dict[str, dict[str, Any]] = {name: {} for name in schemas()}
    for path in sorted((folder / "examples").glob("*.json")):
        for schema, examples in found.items():
            stem = schema.removesuffix(".json")
            if path.stem == stem or path.stem.startswith(f"{stem}."):
                examples[path.stem.removeprefix(stem).strip(".") or "typical"] = json.loads(path.read_text(encoding="utf-8"))
    return found


def generated(folder: Path) -> dict[str, str]:
    """Every generated file's text by its name. Examples are read from `folder`; they are kept by hand."""
    texts = {name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, (_, schema) in schemas().items()}
    texts[ASYNCAPI_FILE] = as_yaml(asyncapi_document(load_examples(folder)))
    return texts


def breaks(last: Path) -> list[str]:
    """What the present models would break for whoever knows only the schemas in `last`."""
    found = []
    for name, (direction, schema) in schemas().items():
        path = last / name
        if path.is_file():
            found += [f"{name}: {change}" for change in breaking_changes(json.loads(path.read_text("utf-8")), schema, direction)]
    return found


def stale(folder: Path, texts: Mapping[str, str]) -> list[str]:
    """Generated files that are missing in `folder` or differ there."""
    return [
        name
        for name, text in texts.items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m worker.events.generate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if files are not current or a reader would break"
    )
    parser.add_argument("--force", action="store_true", help="write even what breaks readers of the last version")
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="where the schemas lie")
    parser.add_argument("--against", type=Path, help="folder with the last version (unset: --folder)")
    options = parser.parse_args(arguments)
    folder: Path = options.folder
    texts = generated(folder)
    broken = breaks(options.against or folder)
    for change in broken:
        sys.stderr.write(f"breaks readers of the last version: {change}\n")
    if broken and not options.force:
        sys.stderr.write("raise EVENT_VERSION of the event (a new file is written beside the old one)\n")
        return 1
    old = stale(folder, texts)
    if options.check:
        for name in old:
            sys.stderr.write(f"not current: {folder.name}/{name}; run `make schemas`\n")
        return 1 if old else 0
    folder.mkdir(parents=True, exist_ok=True)
    for name in old:
        (folder / name).write_text(texts[name], encoding="utf-8")
        sys.stdout.write(f"wrote {folder.name}/{name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
