"""`experiment`: how long a test of two variants takes, and what it has shown."""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from notification_service.cli import terminal
from notification_service.cli.configuration import command_settings
from notification_service.cli.options import AsJson
from notification_service.cli.tables import Column
from notification_service.cli.terminal import say, say_json
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.experiments import parse_experiment
from notification_service.contract.variants import Experiment
from notification_service.delivery.ports.experiments import RegisteredExperiment
from notification_service.foundation.errors import ConfigurationError
from notification_service.records import database, experiment_sentences as sentences, experiments
from notification_service.records.experiment_analysis import Analysis, Plan
from notification_service.records.experiments import ShadowReport
from notification_service.settings import Settings

app = typer.Typer(help="Plan a test of two variants of a template, and read its result.", no_args_is_help=True)

_Channel = Annotated[ChannelKind, typer.Option("--channel", help="The messages of this channel.")]


@app.command()
def plan(
    test: Annotated[str | None, typer.Argument(help="As in EXPERIMENT, which is the default.", metavar="TEST")] = None,
    *,
    channel: _Channel = ChannelKind.EMAIL,
    as_json: AsJson = False,
) -> None:
    """Say how many days a test takes at the traffic of the last week."""
    settings = command_settings()
    experiment = _experiment(settings, test)
    with terminal.progress("Reading records"):
        made = asyncio.run(_plan(settings, experiment, channel))
    if as_json:
        figures = {**asdict(made), "duration_days": made.duration_days} if made else None
        say_json({"experiment": asdict(experiment), "plan": figures})
        return
    for sentence in sentences.planned(experiment, made):
        say(sentence)


@app.command()
def report(
    salt: Annotated[
        str | None, typer.Argument(help="The salt of a test; by default the one of EXPERIMENT, else the latest.")
    ] = None,
    *,
    channel: _Channel = ChannelKind.EMAIL,
    as_json: AsJson = False,
) -> None:
    """Say what a test has shown so far, and what SHADOW_VARIANT has composed.

    It may be read as often as you like. It changes nothing.
    """
    settings = command_settings()
    with terminal.progress("Reading records"):
        found, shadow = asyncio.run(_report(settings, salt, channel))
    if as_json:
        say_json({"experiment": sentences.as_json(found) if found else None, "shadow": shadow and asdict(shadow)})
        return
    if found:
        show(found)
    else:
        say("No test was ever started: EXPERIMENT starts one; docs/experiments.md says how")
    if shadow:
        say(sentences.shadowed(shadow))


def show(found: Analysis) -> None:
    say(sentences.state(found.registered))
    say(sentences.ratio(found))
    say()
    terminal.table([Column(name, right=name != "variant") for name in sentences.COLUMNS], sentences.rows(found))
    say()
    for sentence in sentences.meaning(found):
        say(sentence)


def _experiment(settings: Settings, test: str | None) -> Experiment:
    try:
        experiment = parse_experiment(test) if test else settings.service.experiment
    except ValueError as problem:
        raise ConfigurationError(f"experiment plan: {problem}") from problem
    if experiment is None:
        raise ConfigurationError("experiment plan: set EXPERIMENT, or name a test as it would be set there")
    return experiment


async def _plan(settings: Settings, experiment: Experiment, channel: ChannelKind) -> Plan | None:
    async with database.opened(settings) as db:
        await experiments.prepare(db, settings.mongodb.collection)
        return await experiments.plan(db, settings.mongodb.collection, experiment, channel, datetime.now(UTC))


async def _report(
    settings: Settings, salt: str | None, channel: ChannelKind
) -> tuple[Analysis | None, ShadowReport | None]:
    now, collection, shadow = datetime.now(UTC), settings.mongodb.collection, settings.service.shadow_variant
    async with database.opened(settings) as db:
        await experiments.prepare(db, collection)
        known = _chosen(settings, await experiments.registered(db), salt)
        found = await experiments.analysis(db, collection, known, channel, now) if known else None
        return found, await experiments.shadow(db, collection, shadow, channel, now) if shadow else None


def _chosen(settings: Settings, known: list[RegisteredExperiment], salt: str | None) -> RegisteredExperiment | None:
    by_salt = {each.experiment.salt: each for each in known}
    if salt is not None and salt not in by_salt:
        raise ConfigurationError(
            f"experiment report: no test has the salt {salt!r}; there are {', '.join(by_salt) or 'none'}"
        )
    configured = settings.service.experiment
    return by_salt.get(salt or (configured.salt if configured else "")) or (known[-1] if known else None)
