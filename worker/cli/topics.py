"""`intake topics`: the topics the worker needs."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from worker.settings import load_settings
from worker.stream.topics import INPUT_PARTITIONS, TopicAdmin, TopicState, create_topics, plan_topics

app = typer.Typer(no_args_is_help=True, help="The Kafka topics: create them, list them, check them.")

_Partitions = Annotated[int, typer.Option(min=1, help="Partitions of the input and output topics; the dead letters have one.")]
_Factor = Annotated[int | None, typer.Option(min=1, help="Copies of each record; by default 3, or as many as there are brokers.")]


@app.command()
def create(
    partitions: _Partitions = INPUT_PARTITIONS,
    replication_factor: _Factor = None,
    *,
    update: Annotated[bool, typer.Option("--update", help="Set differing configurations of topics that exist.")] = False,
) -> None:
    """Create the topics that do not exist. May be run again at any time."""
    console = Console(highlight=False)
    for state, done in create_topics(
        load_settings(), partitions=partitions, replication_factor=replication_factor, update=update
    ):
        console.print(f"{state.plan.name}: {done}", markup=False)


@app.command(name="list")
def list_topics() -> None:
    """Show the topics as they are."""
    table = Table("topic", "partitions", "replicas", "retention", "max.message.bytes", "min.insync.replicas")
    for state in _states(1, 1):
        configs = state.configs
        days = f"{int(configs['retention.ms']) / 86_400_000:g} days" if configs.get("retention.ms", "-1") != "-1" else "for ever"
        table.add_row(
            state.plan.name,
            *(
                (
                    str(state.partitions),
                    str(state.replication_factor),
                    days,
                    configs["max.message.bytes"],
                    configs["min.insync.replicas"],
                )
                if state.exists
                else ("does not exist", "", "", "", "")
            ),
        )
    Console(highlight=False).print(table)


@app.command()
def check(partitions: _Partitions = 1, replication_factor: _Factor = None) -> None:
    """Compare the topics with what the worker needs; exit with 1 if something is missing or differs."""
    console = Console(highlight=False)
    bad = 0
    for state in _states(partitions, replication_factor):
        console.print(f"{state.plan.name}: {'; '.join(state.differences) or 'good'}", markup=False)
        bad += bool(state.differences)
    if bad:
        console.print("`intake topics create` makes what is missing; with --update it sets configurations that differ")
        raise typer.Exit(1)


def _states(partitions: int, replication_factor: int | None) -> list[TopicState]:
    settings = load_settings()
    admin = TopicAdmin(settings)
    try:
        factor = replication_factor if replication_factor is not None else admin.sensible_replication_factor()
        return admin.states(plan_topics(settings, partitions=partitions, replication_factor=factor))
    finally:
        admin.close()
