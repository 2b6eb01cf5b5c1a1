"""Strongly connected components of a graph of millions of edges, without recursion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

Edges = Sequence[Sequence[tuple[int, int]]]  # for each node: (label, next node)


def components(edges: Edges) -> Iterator[list[int]]:
    """Each component once (Sharir 1981): nodes in the order they are finished, backwards, gather who reaches them."""
    backwards: list[list[int]] = [[] for _ in edges]
    for at, leaving in enumerate(edges):
        for _, after in leaving:
            backwards[after].append(at)
    gathered = [False] * len(edges)
    for root in reversed(_finished(edges)):
        if not gathered[root]:
            yield list(_gather(root, backwards, gathered))


def _finished(edges: Edges) -> list[int]:
    """All nodes, each after all that were first reached through it."""
    seen = [False] * len(edges)
    order: list[int] = []
    for root in range(len(edges)):
        if seen[root]:
            continue
        seen[root] = True
        work = [(root, iter(edges[root]))]
        while work:
            at, rest = work[-1]
            after = next((node for _, node in rest if not seen[node]), None)
            if after is None:
                order.append(at)
                work.pop()
            else:
                seen[after] = True
                work.append((after, iter(edges[after])))
    return order


def _gather(root: int, backwards: Sequence[Sequence[int]], gathered: list[bool]) -> Iterator[int]:
    gathered[root] = True
    work = [root]
    while work:
        at = work.pop()
        yield at
        for before in backwards[at]:
            if not gathered[before]:
                gathered[before] = True
                work.append(before)
