"""`carnet doctor`: what this installation is, and where each of its settings comes from."""

import datetime as dt
import platform
from importlib.metadata import version
from pathlib import Path

import click
import msgspec
from click.core import ParameterSource

from carnet.cli import options
from carnet.cli.asked import check_choices, countries_of
from carnet.cli.exits import Command, Exit
from carnet.policy.enforcement import Policy, digest
from carnet.rules.names import COUNTRIES
from carnet.rules.rulebook import Rulebook
from carnet.store.policies import default_policy, read_policy
from carnet.store.shelves import law_version, load_rulebook
from carnet.words.catalogue import stamp


@click.command(cls=Command)
@options.law
@options.at
@options.policy
@options.as_json
@click.pass_context
def doctor(
    ctx: click.Context, law: tuple[Path, ...], at: dt.datetime | None, policy: Path | None, as_json: bool
) -> int:
    """Say what is installed and set.

    Versions, rulebook, shelves and policy; where each setting comes from; how fresh the provisions are."""
    rulebook = load_rulebook(*law)
    rules = read_policy(policy)
    check_choices(rules, rulebook)
    moment = at or options.now()
    countries = countries_of(rulebook)
    facts: dict[str, object] = {
        "carnet": version("carnet"),
        "python": platform.python_version(),
        "law": law_version(),
        "rulebook": rulebook.digest,
        "blocks": len(rulebook.blocks),
        "cases": len(rulebook.cases),
        "countries": None if countries is None else len(countries),
        "shelves": ["shipped", *(str(directory) for directory in law)],
        "shelves_from": _source(ctx, "law", "CARNET_LAW"),
        "policy": rules.name,
        "policy_file": None if policy is None else str(policy),
        "policy_from": _source(ctx, "policy", "CARNET_POLICY"),
        "policy_digest": digest(rules),
        "settings": settings(rules, policy),
        "freshness": freshness(rulebook, moment, rules.choices.stale_after_days),
    }
    if as_json:
        click.echo(options.json_of(facts))
    else:
        click.echo(_text(facts))
    return Exit.OK


def settings(policy: Policy, file: Path | None) -> dict[str, dict[str, object]]:
    """Every setting of a policy with its value and the file that it comes from."""
    default = _flat("", default_policy())
    found = {}
    for name, value in _flat("", policy).items():
        own = file is not None and default.get(name) != value
        found[name] = {"value": value, "from": str(file) if own else "default.toml"}
    return found


def _flat(prefix: str, value: object) -> dict[str, object]:
    """A policy as dotted names and plain values."""
    plain = msgspec.to_builtins(value)
    found: dict[str, object] = {}

    def walk(name: str, part: object) -> None:
        if isinstance(part, dict) and part:
            for key, inner in part.items():
                walk(f"{name}.{key}" if name else key, inner)
        elif part not in ({}, None) and name not in ("format", "name"):
            found[name] = part

    walk(prefix, plain)
    return found


def freshness(rulebook: Rulebook, at: dt.datetime, limit: int | None) -> dict[str, object]:
    """How long ago the provisions were held against their texts; those never or too long ago, by file."""
    looked: dict[str, dt.datetime | None] = {}
    for block in rulebook.blocks:
        looked[block.file] = block.verified
    never = sorted(file for file, verified in looked.items() if verified is None)
    dates = [verified for verified in looked.values() if verified is not None]
    stale = (
        []
        if limit is None
        else [
            file
            for file, verified in sorted(looked.items())
            if verified is None or verified + dt.timedelta(days=limit) <= at
        ]
    )
    return {
        "files": len(looked),
        "oldest": min(dates, default=None),
        "newest": max(dates, default=None),
        "never_verified": never,
        "stale_after_days": limit,
        "stale": stale,
    }


def _source(ctx: click.Context, name: str, variable: str) -> str:
    source = ctx.get_parameter_source(name)
    if source == ParameterSource.ENVIRONMENT:
        return variable
    return "the command line" if source == ParameterSource.COMMANDLINE else "default"


def _text(facts: dict[str, object]) -> str:
    fresh = facts["freshness"]
    assert isinstance(fresh, dict)
    shelves = facts["shelves"]
    assert isinstance(shelves, list)
    told = facts["settings"]
    assert isinstance(told, dict)
    countries = f"{facts['countries']} countries" if facts["countries"] else f"no list `{COUNTRIES}`"
    held = f"{facts['blocks']} blocks, {facts['cases']} cases, {countries}"
    source = f"{facts['policy_file'] or 'default.toml'}, {facts['policy_from']}"
    lines = [
        f"carnet     {facts['carnet']} (Python {facts['python']})",
        f"law        {facts['law']}",
        f"rulebook   {str(facts['rulebook'])[:12]}: {held}",
        f"shelves    {', '.join(shelves)} ({facts['shelves_from']})",
        f"policy     {facts['policy']} {str(facts['policy_digest'])[:12]} ({source})",
    ]
    lines += [f"  {name} = {_plain(row['value'])} ({row['from']})" for name, row in told.items()]
    oldest = fresh["oldest"]
    when = "never" if oldest is None else stamp(oldest)[:10]
    lines.append(f"freshness  {fresh['files']} files, the oldest verified {when}")
    lines += [f"  never verified: {file}" for file in fresh["never_verified"]]
    lines += [f"  stale: {file}" for file in fresh["stale"]]
    if fresh["stale_after_days"] is None:
        lines.append("  no limit is set: a provision never counts as stale")
    return "\n".join(lines)


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
