"""The race protocol as a small explicit-state model, driven by the worker's own rules.

A world is an index (for each arrival's photo: absent, pending or settled) and workers, each with a micro-batch. Whatever a worker does
next comes from the very `Race` the worker runs; this file only plays the catalogue and the scheduler. A step is one call to the
catalogue, or one point of a writing call where `micro` is set. At every step a worker may crash (its event is read again), a wait may
reach its bound, and a committed batch may be read again. `explore` visits every reachable world.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import lru_cache
from itertools import product

from tests.matching.graph import components
from worker.matching.race import Answer, Claims, Ending, Own, Phase, Race, Sight, Step, StepKind


class Mark(IntEnum):
    """One photo of an arrival in the index."""

    ABSENT = 0
    PENDING = 1
    SETTLED = 2


Index = tuple[tuple[Mark, ...], ...]  # for each arrival, for each photo
Sees = tuple[tuple[bool, ...], ...]  # sees[a][b]: a search for a finds b's points


@dataclass(frozen=True)
class Setup:
    """What is enumerated.

    `batches`: for each worker its arrivals, by number. Numbers are ids: smaller goes first. `photos`: of each arrival; peers see each
    other through the last one only, the worst case of a half-done write. `ghost`: a worker whose event was given to another (a stopped
    process) may wake up and go on, but cannot commit; with `ghost_calls` it makes at most so many more changing calls. `janitor`:
    somebody may withdraw any pending points at any time.
    """

    batches: tuple[tuple[int, ...], ...]
    sees: Sees
    photos: int = 1
    micro: bool = False
    crashes: bool = True
    bounds: bool = False
    replays: bool = True
    ghost: bool = False
    ghost_calls: int | None = None
    janitor: bool = False
    rules: Callable[[tuple[frozenset[int], ...], tuple[frozenset[int], ...]], Race] = Race

    @property
    def arrivals(self) -> int:
        return len(self.sees)


class Stage(IntEnum):
    SEARCH = 0  # the first search, a stage of its own
    SETTLE = 1
    COMMIT = 2  # decided, not committed
    OVER = 3


@dataclass(frozen=True)
class Local:
    """Where one worker's life stands. `done`: what was committed for each of its arrivals."""

    batch: tuple[int, ...]
    stage: Stage = Stage.SEARCH
    first: tuple[Sight, ...] = ()
    claims: Claims = ()
    todo: frozenset[tuple[int, int]] | None = None  # points of the writing call in work that are not written yet
    done: tuple[tuple[int, Ending], ...] = ()
    replayed: bool = False
    calls: int = 0  # changing calls a ghost made


@dataclass(frozen=True)
class Move:
    label: str  # go, crash, bound, replay
    local: Local
    index: Index


World = tuple[Index, tuple[Local, ...], Local | None]


@dataclass
class Findings:
    """What was found. `problems`: each with the way that leads to it."""

    states: int = 0
    steps: int = 0
    ends: int = 0
    problems: list[str] = field(default_factory=list)


class Model:
    """One setup, and its moves."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.moves = lru_cache(maxsize=None)(self._moves)
        self.race = lru_cache(maxsize=None)(self._race)

    def start(self) -> World:
        index: Index = ((Mark.ABSENT,) * self.setup.photos,) * self.setup.arrivals
        return index, tuple(Local(batch) for batch in self.setup.batches), None

    def next_worlds(self, world: World) -> Iterator[tuple[int, str, World]]:
        """Each possible step: who (the ghost is -1), what, and the world after it."""
        index, locals_, ghost = world
        for w, local in enumerate(locals_):
            for move in self.moves(local, index):
                yield w, move.label, (move.index, (*locals_[:w], move.local, *locals_[w + 1 :]), ghost)
            if self.setup.ghost and ghost is None and local.stage in {Stage.SETTLE, Stage.COMMIT}:
                fresh = Local(local.batch, done=local.done)
                yield w, "overtaken", (index, (*locals_[:w], fresh, *locals_[w + 1 :]), replace(local, done=()))
        yield from self._sweeps(world)
        if ghost is not None and ghost.stage is Stage.SETTLE:
            yield from self._ghost_steps(index, locals_, ghost)

    def _sweeps(self, world: World) -> Iterator[tuple[int, str, World]]:
        index, locals_, ghost = world
        for arrival, marks in enumerate(index if self.setup.janitor else ()):
            if Mark.PENDING in marks:
                swept = tuple(Mark.ABSENT if mark is Mark.PENDING else mark for mark in marks)
                yield -2, "swept", ((*index[:arrival], swept, *index[arrival + 1 :]), locals_, ghost)

    def _ghost_steps(self, index: Index, locals_: tuple[Local, ...], ghost: Local) -> Iterator[tuple[int, str, World]]:
        yield -1, "ghost-ends", (index, locals_, Local(ghost.batch, stage=Stage.OVER))
        for move in self.moves(ghost, index):
            if move.label == "go" and move.local.stage is Stage.SETTLE:
                calls = ghost.calls + (move.index != index)
                if self.setup.ghost_calls is None:
                    yield -1, "ghost", (move.index, locals_, move.local)
                elif calls <= self.setup.ghost_calls:
                    yield -1, "ghost", (move.index, locals_, replace(move.local, calls=calls))

    def _race(self, batch: tuple[int, ...]) -> Race:
        sees = self.setup.sees
        same = tuple(frozenset(i for i in range(j) if batch[i] == batch[j]) for j in range(len(batch)))
        twins = tuple(
            frozenset(i for i in range(j) if sees[batch[i]][batch[j]] or sees[batch[j]][batch[i]]) for j in range(len(batch))
        )
        return self.setup.rules(same, twins)

    def _moves(self, local: Local, index: Index) -> tuple[Move, ...]:
        return tuple(self._forward(local, index)) + tuple(self._backward(local, index))

    def _backward(self, local: Local, index: Index) -> Iterator[Move]:
        if self.setup.crashes and local.stage in {Stage.SETTLE, Stage.COMMIT}:
            yield Move("crash", Local(local.batch, done=local.done, replayed=local.replayed), index)
        if self.setup.replays and local.stage is Stage.OVER and not local.replayed:
            batch = tuple(a for a, _ in local.done)
            yield Move("replay", Local(batch, done=local.done, replayed=True), index)

    def _forward(self, local: Local, index: Index) -> Iterator[Move]:
        if local.stage is Stage.SEARCH:
            race = self.race(local.batch)
            first = tuple(self.sight(a, index) for a in local.batch)
            yield Move("go", replace(local, stage=Stage.SETTLE, first=first, claims=race.start()), index)
        elif local.stage is Stage.COMMIT:
            yield Move("go", self._commit(local), index)
        elif local.stage is Stage.SETTLE:
            yield from self._settle(local, index)

    def _settle(self, local: Local, index: Index) -> Iterator[Move]:
        race = self.race(local.batch)
        step = race.next_step(local.claims)
        if step is None:
            yield Move("go", replace(local, stage=Stage.COMMIT, first=()), index)
            return
        if step.kind is StepKind.WAIT:
            yield Move("go", replace(local, claims=race.advance(local.claims, step, {})), index)
            if self.setup.bounds:
                for ending in (Ending.LEFT, Ending.OVERDUE):
                    claims = race.expire(local.claims, dict.fromkeys(step.who, ending))
                    yield Move("bound", replace(local, claims=claims), index)
            return
        if step.kind in {StepKind.LOOK, StepKind.CONFIRM, StepKind.SEARCH}:
            claims = race.advance(local.claims, step, self._answers(local, step, index))
            yield Move("go", replace(local, claims=claims), index)
            return
        todo = local.todo
        if todo is None:
            todo = frozenset((i, photo) for i in step.who for photo in range(self.setup.photos))
        parts = [frozenset({point}) for point in todo] if self.setup.micro else [todo]
        for part in parts:
            after = self._change(local, step, index, part)
            left = todo - part
            claims = local.claims if left else race.advance(local.claims, step, {})
            yield Move("go", replace(local, claims=claims, todo=left or None), after)

    def _change(self, local: Local, step: Step, index: Index, points: frozenset[tuple[int, int]]) -> Index:
        changed = [list(marks) for marks in index]
        for i, photo in points:
            arrival = local.batch[i]
            mark = changed[arrival][photo]
            if step.kind is StepKind.WRITE:
                repair = local.claims[i].phase is Phase.REPAIR
                changed[arrival][photo] = Mark.SETTLED if repair else max(mark, Mark.PENDING)
            elif mark is Mark.PENDING:
                changed[arrival][photo] = Mark.SETTLED if step.kind is StepKind.SETTLE else Mark.ABSENT
        return tuple(tuple(marks) for marks in changed)

    def _answers(self, local: Local, step: Step, index: Index) -> dict[int, Answer]:
        answers: dict[int, Answer] = {}
        for i in step.who:
            arrival = local.batch[i]
            if step.kind is StepKind.SEARCH:
                answers[i] = self.sight(arrival, index)
            elif step.kind is StepKind.CONFIRM:
                answers[i] = own(index[arrival])
            else:
                answers[i] = (own(index[arrival]), None if self.race(local.batch).same[i] else local.first[i])
        return answers

    def sight(self, arrival: int, index: Index) -> Sight:
        seen = [(b, index[b][-1]) for b in range(self.setup.arrivals) if b != arrival and self.setup.sees[arrival][b]]
        return Sight(
            settled=any(mark is Mark.SETTLED for _, mark in seen),
            smaller=tuple(str(b) for b, mark in seen if mark is Mark.PENDING and b < arrival),
            larger=tuple(str(b) for b, mark in seen if mark is Mark.PENDING and b > arrival),
        )

    def _commit(self, local: Local) -> Local:
        """Outputs and offsets at once. What left is read again; the rest of the batch is over."""
        endings = {a: claim.ending for a, claim in zip(local.batch, local.claims, strict=True)}
        again = tuple(a for a in local.batch if endings[a] in {Ending.LEFT, Ending.LOST})
        done = {**dict(local.done), **{a: e for a, e in endings.items() if e is not None and a not in again}}
        kept = tuple(sorted(done.items()))
        if again:
            return Local(again, done=kept, replayed=local.replayed)
        return Local((), stage=Stage.OVER, done=kept, replayed=local.replayed)


def own(marks: tuple[Mark, ...]) -> Own:
    """What an arrival finds of itself, as `own_points` tells it."""
    complete = all(marks)
    if Mark.SETTLED in marks:
        return Own.SETTLED if all(mark is Mark.SETTLED for mark in marks) else Own.PART_SETTLED
    if Mark.PENDING in marks:
        return Own.PENDING if complete else Own.PART_PENDING
    return Own.NONE


def explore(setup: Setup, most_problems: int = 1) -> Findings:
    """Visit every reachable world; check each, each end, and that a fair scheduler always reaches an end."""
    model = Model(setup)
    findings = Findings()
    start = model.start()
    number = {start: 0}
    worlds = [start]
    came: list[tuple[int, str]] = [(-1, "start")]
    fair_edges: list[list[tuple[int, int]]] = []  # for each world: (worker, next world), without crashes, bounds, replays
    queue = deque([0])
    while queue and len(findings.problems) < most_problems:
        at = queue.popleft()
        world = worlds[at]
        problem = check(setup, world)
        if problem:
            findings.problems.append(f"{problem}: {way(came, at)}")
            continue
        edges = []
        alive = False
        for worker, label, after in model.next_worlds(world):
            findings.steps += 1
            problem = check_replay(world, after)
            known = number.get(after)
            if known is None:
                known = number[after] = len(worlds)
                worlds.append(after)
                came.append((at, f"{worker}:{label}"))
                queue.append(known)
            if problem:
                findings.problems.append(f"{problem}: {way(came, at)} {worker}:{label}")
            if label in {"go", "ghost"}:
                alive = True
                edges.append((worker, known))
        findings.ends += not alive
        while len(fair_edges) <= at:
            fair_edges.append([])
        fair_edges[at] = edges
    findings.states = len(worlds)
    if not findings.problems:
        stuck = livelock(worlds, fair_edges)
        if stuck is not None:
            findings.problems.append(f"a fair scheduler never ends: {way(came, stuck)}")
    return findings


def way(came: list[tuple[int, str]], at: int) -> str:
    """The steps that lead to a world, shortest."""
    steps = []
    while at > 0:
        at, label = came[at]
        steps.append(label)
    return " ".join(reversed(steps))


def check(setup: Setup, world: World) -> str | None:
    """What must hold in every world, and in those where all is over."""
    index, locals_, ghost = world
    pairs = product(range(setup.arrivals), repeat=2)
    for a, b in pairs:
        if a < b and setup.sees[a][b] and setup.sees[b][a] and Mark.SETTLED in index[a] and Mark.SETTLED in index[b]:
            return f"two settled peers {a} and {b}"
    if any(local.stage is not Stage.OVER for local in locals_) or (ghost is not None and ghost.stage is not Stage.OVER):
        return None
    outcome = dict(pair for local in locals_ for pair in local.done)
    problems = (check_end(setup, index, arrival, outcome.get(arrival)) for arrival in range(setup.arrivals))
    return next((problem for problem in problems if problem), None)


def check_end(setup: Setup, index: Index, arrival: int, ending: Ending | None) -> str | None:
    """What must hold for one arrival where all is over."""
    marks = set(index[arrival])
    peers = [b for b in range(setup.arrivals) if b != arrival and setup.sees[arrival][b]]
    if ending is None:
        return f"no outcome for {arrival}"
    if ending is Ending.SETTLED and marks != {Mark.SETTLED}:
        return f"an insert without its article {arrival}"
    if ending is not Ending.SETTLED and marks != {Mark.ABSENT}:
        return f"an orphan of {arrival}"
    if ending is Ending.ALERTED and not any(Mark.SETTLED in index[b] for b in peers):
        return f"an alert of {arrival} without an article"
    return None


def check_replay(before: World, after: World) -> str | None:
    """A settled arrival that is read again gives its recorded event again."""
    for old, new in zip(before[1], after[1], strict=True):
        now = dict(new.done)
        for arrival, ending in old.done:
            if ending is Ending.SETTLED and now.get(arrival) is not Ending.SETTLED:
                return f"the replay of {arrival} decided otherwise"
    return None


def livelock(worlds: list[World], edges: list[list[tuple[int, int]]]) -> int | None:
    """A world in a cycle in which every worker that is not over takes steps, and yet none gets over; None if there is none.

    Weak fairness: a worker that can always take a step takes one some time. So a strongly connected component is harmless if some
    worker that is not over cannot stay in it: each of its steps leaves.
    """
    for component in components(edges):
        inside = set(component)
        movers = {worker for at in component for worker, after in edges[at] if after in inside}
        if not movers:
            continue
        _, locals_, ghost = worlds[component[0]]
        restless = {w for w, local in enumerate(locals_) if local.stage is not Stage.OVER}
        # A ghost may stop for good at any time: nobody may depend on its steps, so it need not take any.
        if ghost is not None and movers == {-1}:
            continue
        if restless and restless <= movers:
            return component[0]
    return None


def all_see(arrivals: int) -> Sees:
    """Every arrival is a peer of every other."""
    return tuple(tuple(a != b for b in range(arrivals)) for a in range(arrivals))


def symmetric(arrivals: int) -> Iterator[Sees]:
    """Every way in which arrivals can be peers of one another."""
    pairs = [(a, b) for a in range(arrivals) for b in range(a + 1, arrivals)]
    for chosen in product((False, True), repeat=len(pairs)):
        linked = {pair for pair, yes in zip(pairs, chosen, strict=True) if yes}
        yield tuple(tuple((min(a, b), max(a, b)) in linked and a != b for b in range(arrivals)) for a in range(arrivals))
