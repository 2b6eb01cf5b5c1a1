"""Fashion Product Images (Aggarwal 2019; also its small form): ``styles.csv`` and one photo a product, ``images/<id>.jpg``.

It has one photo of each product, so that what can be found again is a label: the item is the article type (Li et al. 2020 judge a search
by whether what is found carries the query's labels). It has no official split: a fifth, by a hash of the id, are the queries of `test`
(the paper's 80 / 20), the rest is the catalogue; `train` is that rest alone.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterator
from pathlib import Path

from worker.errors import ConfigurationError
from worker.lab.manifest import ManifestLine
from worker.lab.readers.layout import find_file

PLACES = (".", "myntradataset")
TEST_OF = 5
LABEL = "articleType"
CATEGORY = "masterCategory"


def fashion_products(folder: Path, split: str) -> Iterator[ManifestLine]:
    """`test` or `train`; products without a photo are left out, as some are in every copy of the data."""
    table = find_file(folder, "styles.csv", PLACES)
    with table.open(encoding="utf-8", newline="") as file:
        # Names with commas stand unquoted at the end of some lines: what is too much is put aside.
        reader = csv.DictReader(file, restkey="rest")
        missing = {"id", LABEL, CATEGORY} - set(reader.fieldnames or ())
        if missing:
            raise ConfigurationError(f"{table} has no column {', '.join(sorted(missing))}")
        rows = list(reader)
    for row in rows:
        photo = next(
            (p for p in (table.parent / "images" / f"{row['id']}.jpg", table.parent / f"{row['id']}.jpg") if p.is_file()), None
        )
        if photo is None:
            continue
        held_out = zlib.crc32(row["id"].encode()) % TEST_OF == 0
        if held_out and split == "train":
            continue
        yield ManifestLine(str(photo), row[LABEL], "query" if held_out else "catalogue", "product", row[CATEGORY])
