"""Which garments are for learning and which for judging: by style and by sender, never by photo. One rule for the whole lab."""

from __future__ import annotations

import hashlib
import zlib
from typing import Literal

Part = Literal["development", "held-out"]
PARTS = ("development", "held-out")
HELD_OUT_OF = 3  # one in three; of senders the rule under which the default embedder was made


def style_of(article: str) -> str:
    """What an article shares with its other colourways: its name without the colour, the part after the last hyphen."""
    return article.rpartition("-")[0] or article


def part_of_style(style: str) -> Part:
    """Which part a style, with all its colours and views, belongs to."""
    return "held-out" if zlib.crc32(style.encode()) % HELD_OUT_OF == 0 else "development"


def part_of_sender(sender: int) -> Part:
    """Which part a sender's photos belong to: photos of one sender share a floor."""
    return "held-out" if sender % HELD_OUT_OF == 0 else "development"


def fold_of(group: str, folds: int, purpose: str) -> int:
    """One of `folds` parts, 0 .. folds - 1, that a group (style, sender, photo) belongs to; for each purpose another division."""
    digest = hashlib.sha256(f"{purpose}\0{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % folds
