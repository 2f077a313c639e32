"""What the replay says on a screen. What it counts is in `carnet.service.replay`."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence

from carnet.model.determination import Ask, Determination, Outcome
from carnet.words.catalogue import ENGLISH

CLOSED = ("prohibited", "license_required")
LAW = "the law"
CARNET = "Carnet"
PROVIDER = "the provider, then"
NO_SOURCE = "no source says"
NOTHING_READ = "no requirement of the law in force reads this use"
NOT_ADVICE = (
    "Not legal advice. The letters are known only as others quoted them;"
    " every person and organisation is invented."
)
REFUSED = "covered, and refused"
SERVED = "not covered, and served"
ASKED = "asked for what would settle it"
SENT = "sent to a human"

OUTCOME: Mapping[Outcome, str] = {
    "prohibited": "prohibited",
    "license_required": "license required",
    "needs_human": "needs a human",
    "needs_facts": "needs a fact",
    "license_exception": "license exception",
    "authorized": "authorized",
    "no_license_required": "no license required",
    "not_an_event": "no act of export",
    "not_subject": "not subject",
}
ACTION = {"serve": "serves", "ask": "asks", "fall_back": "falls back", "refuse": "refuses", "cut": "cuts"}
MISMATCH = "MISMATCH"


def mark(action: str, outcome: Outcome) -> str:
    """One character for an answer."""
    if outcome == "needs_human":
        return "§"
    return {"serve": "●", "ask": "?", "fall_back": "↓"}.get(action, "✕")


def did(what: str, permitted: bool, carved_out: bool) -> str:
    """What the provider did with one use, from what it did with the product."""
    match what:
        case "off":
            return "off for everyone, without need" if permitted else "off for everyone"
        case "annex only" if carved_out:
            return "back, under the annex"
        case "annex only":
            return "still off, without need" if permitted else "still off"
        case "in steps":
            return "coming back in steps"
        case _:
            return what or NO_SOURCE


def more(count: int) -> str:
    """How many cases are not shown."""
    return f"… and {count} more, as expected (--all shows them)"


def when(at: dt.datetime, heading: dt.datetime) -> list[str]:
    """An instant in the margin, below its day where that is not the heading's."""
    at = at.astimezone(dt.UTC)
    clock = f"{at:%H:%M:%S}" if at.second else f"{at:%H:%M}Z"
    return [clock] if at.date() == heading.astimezone(dt.UTC).date() else [f"{at.day} {at:%b}", clock]


def fact(path: str) -> str:
    """What a fact is called, without its path."""
    return ENGLISH.fact(path).partition(" (`")[0].strip("`")


def cause(name: str) -> str:
    """Why a human is needed."""
    return ENGLISH.say(f"cause.{name}") if ENGLISH.has(f"cause.{name}") else name


def settled_by(asks: Sequence[Ask], outcome: Outcome) -> str:
    """The facts that would settle an answer, with who can give them and the proof that is needed."""
    parts = []
    for one in asks:
        proof = f", proof {one.needed}" if one.needed and one.needed != "S0" else ""
        held = f", so far {one.held}" if one.held else ""
        parts.append(f"{fact(one.fact)} ({ENGLISH.say(f'who.{one.who}')}{proof}{held})")
    head = {"needs_facts": "settled by", "needs_human": "it would help to know"}.get(
        outcome, "may change with"
    )
    return f"{head}: {'; '.join(parts)}"


def human(determination: Determination) -> str:
    """Why no fact settles it."""
    causes = sorted({cause(one.cause) for one in determination.humans})
    text = "for a human: " + ", ".join(causes or ["the answer is open"])
    closed = [key for key, outcome in determination.by_reading.items() if outcome in CLOSED]
    if closed:
        text += "; license required only if " + " or ".join(reading(key) for key in sorted(closed))
    return text


def reading(key: str) -> str:
    """`axis=value,axis2=value2` in words: the axes by their last part."""
    pairs = [part.partition("=") for part in key.split(",")]
    return " and ".join(f"{axis.rpartition('.')[2].replace('_', ' ')} is {value}" for axis, _, value in pairs)


def clocks(binding: dt.datetime | None, deadline: dt.datetime) -> str:
    """The two instants of a notice side by side."""
    since = f"binds from {binding.astimezone(dt.UTC):%H:%M}Z" if binding else "binds"
    until = f"to be enforced by {deadline.astimezone(dt.UTC):%H:%M}Z"
    return f"{since}  │  {until} (90 minutes: reported, not confirmed)"


def counted(counts: Mapping[str, int], name: Callable[[str], str]) -> list[str]:
    """`7  the US status of the recipient`, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [f"{count:>3}  {name(key)}" for key, count in ordered]


def headline(cases: int, mismatches: int, rulebook: str) -> str:
    return f"{cases} uses decided, {mismatches} mismatches · rulebook {rulebook[:12]}"


def switch_off(total: int, needed: int, undecided: int, needless: int) -> str:
    """What a switch-off for everybody would have done, against what the law asked."""
    return (
        f"A worldwide switch-off, from the first letter to the third, refuses all {total} uses"
        f" of the two models. The letters asked for {needed} of these refusals; {undecided} hung on"
        f" one more fact or on a human. {needless} were refused without need."
    )


def differs(expected: Mapping[str, object], got: Mapping[str, object]) -> str:
    """What came out otherwise than expected."""
    parts = [
        f"{key}: expected `{want}`, got `{got[key]}`" for key, want in expected.items() if got[key] != want
    ]
    return "; ".join(parts)
