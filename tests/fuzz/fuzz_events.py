"""Fuzzes every event parser with atheris.

    python -m tests.fuzz.fuzz_events [CORPUS_FOLDER] [-max_total_time=300] [any option of libFuzzer]

atheris (``pip install atheris``) is no dependency of the project. Without a corpus folder the fuzzer starts from the example events, in a
temporary one. Half of the mutations are libFuzzer's, of bytes; the other half change a value of the JSON and leave it JSON, since bytes alone
seldom get past the syntax.
"""

from __future__ import annotations

import importlib
import json
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# What a part of an event is replaced with.
_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        0,
        -1,
        2**64,
        1.5,
        "",
        "x",
        [],
        {},
        [[]],
        {"a": 1},
        "..",
        "a/../b",
        "%2e%2e/x",
        "http://169.254.169.254/x",
        "s3://b/k",
    ),
    *(
        "a\\b",
        "a\x00b",
        "a\nb",
        "\u202e",
        "\ud800",
        "x" * 1100,
        "ä" * 600,
        "2026-11-21T09:14:03Z",
        "0001-01-01T00:00:00+23:59",
        "1700000000",
    ),
    *(
        "intake.item-photographed.v2",
        "ObjectRemoved:Delete",
        "s3:ObjectCreated:Put",
        "in%2FA-1%2Ffront.jpg",
        "%zz",
        "%ff",
        "null",
        "confirm",
    ),
)


def spoil(body: bytes, drawn: random.Random) -> bytes | None:
    """`body` with one value replaced, removed, doubled or renamed; None if it is not JSON."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict | list):
        return None
    nodes: list[Any] = [value]
    for node in nodes:
        nodes.extend(
            inner for inner in (node.values() if isinstance(node, dict) else node) if isinstance(inner, dict | list) and inner
        )
        if len(nodes) > 500:
            break
    node = drawn.choice(nodes)
    if not node:
        return None
    where = drawn.choice(list(node)) if isinstance(node, dict) else drawn.randrange(len(node))
    action = drawn.randrange(4)
    if action == 0:
        del node[where]
    elif action == 1 and isinstance(node, dict):
        node[drawn.choice(["data", "Records", "key", "x" * 50, "id"])] = node[where]
    elif action == 2 and isinstance(node, list):
        node.append(node[where])
    else:
        node[where] = drawn.choice(_VALUES)
    return json.dumps(value).encode()


def mutator(part: bytes, mutate: Callable[[bytes, int], bytes]) -> Callable[[bytes, int, int], bytes]:
    """libFuzzer's custom mutator: JSON stays JSON in half of the cases. `part` parts headers from the body."""

    def custom(data: bytes, max_size: int, seed: int) -> bytes:
        drawn = random.Random(seed)
        if data and drawn.random() < 0.5:
            head, found, body = data[1:].rpartition(part)
            spoiled = spoil(body, drawn)
            if spoiled is not None:
                return (data[:1] + head + found + spoiled)[:max_size]
        return mutate(data, max_size)

    return custom


def main() -> None:
    """Fuzz until libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=["worker.events"]):
        events = importlib.import_module("tests.fuzz.events_target")
    arguments = sys.argv
    if all(argument.startswith("-") for argument in arguments[1:]):
        corpus = Path(tempfile.mkdtemp(prefix="fuzz-events-"))
        for index, seed in enumerate(events.seeds()):
            (corpus / f"seed-{index:02}").write_bytes(seed)
        arguments = [*arguments, str(corpus)]
    # atheris puts another Mutate in place when Fuzz begins: look it up at each call.
    custom = mutator(events.PART, lambda data, size: atheris.Mutate(data, size))  # noqa: PLW0108  # see above
    atheris.Setup(arguments, events.target, custom_mutator=custom)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
