"""A request through a gateway: what ours adds to the way to a model API and what it takes of a processor,
beside a bare ASGI proxy, nginx, Envoy and LiteLLM, before the same upstream on loopback, paired in one run.

Ours decides each request from facts on record: one model is covered by an invented letter and served under a
grant, the other by nothing. What is measured runs on one core, the clients and the upstream on another.
Requests per core come from the processor time of a side's processes, so that other work on the machine weighs
less; times are what a side adds to the direct way in the same round. Before and after anything is timed, the
answers through each side are compared with the direct one, and ours has to refuse somebody whom the letter
covers.
"""

import argparse
import contextlib
import io
import os
import statistics
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import gateway_client as client
import gateway_sides as sides
import report
from gateway_carnet import Carnet, carnet
from gateway_parts import (
    OTHERS,
    PROXIES,
    Missing,
    Side,
    free_port,
    process,
    resident,
    script,
    seconds_of,
    until_open,
)

AT_ONCE = 16
STREAMS = 200
WARM = 20
QUICK_SECONDS = 1.0
FEW = 50
"""Answers for each connection: with fewer, only a client that waits for the last of them counts fairly."""

OURS, OURS_FREE = "carnet", "carnet_uncontrolled"
PEERS: Mapping[str, Callable[[Path, int], AbstractContextManager[Side]]] = {
    "bare_asgi": sides.bare,
    "nginx": sides.nginx,
    "nginx_auth_request": sides.nginx_auth_request,
    "envoy": sides.envoy,
    "envoy_ext_authz": sides.envoy_ext_authz,
    "envoy_http_ext_authz": sides.envoy_http_ext_authz,
    "litellm": sides.litellm,
}


@dataclass(frozen=True)
class Target:
    """A ratio or a figure that is to be at least, or at most, so much."""

    name: str
    how: Literal["at least", "at most"]
    bound: float
    says: str

    def judged(self, value: float) -> tuple[bool, float]:
        """Whether it is met, and by how many times the bound is passed or missed."""
        factor = value / self.bound if self.how == "at least" else self.bound / max(value, 1e-9)
        return factor >= 1, factor if factor >= 1 else 1 / max(factor, 1e-9)


TARGETS = (
    Target("litellm", "at least", 30, "requests per core, times LiteLLM's"),
    Target("litellm_stream", "at least", 60, "streams per core, times LiteLLM's"),
    Target("litellm_added_p50", "at most", 1 / 20, "added p50, of LiteLLM's"),
    Target("nginx_auth_request", "at most", 4, "added p50, times that of nginx auth_request"),
    Target("envoy_ext_authz", "at least", 1, "requests per core, times Envoy's with ext_authz over gRPC"),
    Target("bare_asgi", "at most", 2, "processor time, times the bare proxy's"),
    Target("bare_asgi_stream", "at most", 2, "the same of a stream"),
    Target("resident_mb", "at most", 120, f"megabytes with {STREAMS} open streams"),
)


@dataclass
class Found:
    """What was measured of one side, a value for each round: milliseconds at one connection, microseconds of
    processor time at sixteen; plain, and streamed."""

    waits: dict[bool, list[tuple[float, float]]] = field(default_factory=lambda: {False: [], True: []})
    spent: dict[bool, list[float]] = field(default_factory=lambda: {False: [], True: []})
    resident_mb: float = 0.0
    requests: int = 0


@contextlib.contextmanager
def started(
    folder: Path, only: Collection[str]
) -> Iterator[tuple[dict[str, Side], Carnet | None, dict[str, str]]]:
    """The upstream and every side that is wanted: those that run, ours, and why others do not."""
    ways: dict[str, Side] = {}
    missing: dict[str, str] = {}
    ours: Carnet | None = None
    with ExitStack() as running:
        port, said = free_port(), folder / "upstream.log"
        pid = running.enter_context(process(script("gateway_upstream.py", str(port)), core=OTHERS, said=said))
        until_open(port, pid, said)
        ways["direct"] = Side("direct", port)
        for name in (*PEERS, OURS):
            if name not in only:
                continue
            place = folder / name
            place.mkdir()
            try:
                if name == OURS:
                    ours = running.enter_context(carnet(place, port))
                    ways |= {OURS: ours.controlled, OURS_FREE: ours.uncontrolled}
                else:
                    ways[name] = running.enter_context(PEERS[name](place, port))
            except Missing as why:
                missing[name] = str(why)
                print(f"{name} is left out: {why}", flush=True)
        yield ways, ours, missing


def compared(ways: Mapping[str, Side]) -> None:
    """Ends the bench if an answer differs from the direct one: in a byte, or, of a side that gives answers
    its own form, in what the model said."""
    for stream in (False, True):
        wanted = client.ask(ways["direct"], stream=stream)
        for side in ways.values():
            got = client.ask(side, stream=stream)
            if got.status != 200:
                raise SystemExit(f"{side.name} answered {got.status}: {got.body[:300]!r}")
            same = got.body == wanted.body
            if side.rewrites:
                same = client.text_of(got) == client.text_of(wanted)
            if not same:
                raise SystemExit(f"the answer through {side.name} differs: {got.body[:300]!r}")


def measure(side: Side, found: Found, seconds: float) -> None:
    """One turn of one side."""
    for stream in (False, True):
        one = client.load(side, at_once=1, seconds=seconds, stream=stream)
        found.waits[stream].append((one.p50, one.p99))
        found.requests += one.requests
        if not side.pids:
            continue
        before = seconds_of(side.pids)
        many = client.load(side, at_once=AT_ONCE, seconds=seconds, stream=stream)
        found.requests += many.requests
        if (
            many.requests < FEW * AT_ONCE and client.breaks_off()
        ):  # those that wrk broke off at the end would weigh
            before = seconds_of(side.pids)
            many = client.load(side, at_once=AT_ONCE, seconds=seconds, stream=stream, whole=True)
            found.requests += many.requests
        found.spent[stream].append((seconds_of(side.pids) - before) / many.requests * 1e6)


def run(
    folder: Path,
    *,
    only: Collection[str] = (*PEERS, OURS),
    rounds: int,
    seconds: float,
    streams: int = STREAMS,
) -> tuple[dict[str, Found], dict[str, str], dict[str, object]]:
    """Everything: what was found of each side, why others are left out, and what shows that ours decided."""
    with started(folder, only) as (ways, ours, missing):
        for side in ways.values():
            for number in range(WARM):
                client.ask(side, stream=bool(number % 2))
        compared(ways)
        record = ours.decides() if ours is not None else ""
        found = {name: Found() for name in ways}
        for number in range(rounds):
            names = list(ways)
            for name in names[number % len(names) :] + names[: number % len(names)]:
                measure(ways[name], found[name], seconds)
            if ours is not None:
                ours.decides()
        for name, side in ways.items():
            if side.pids:
                with client.open_streams(side, streams):
                    found[name].resident_mb = resident(side.pids)
        compared(ways)
        decided: dict[str, object] = {}
        if ours is not None:
            decided = proved(ours, record, found[OURS].requests)
    return found, missing, decided


def proved(ours: Carnet, record: str, requests: int) -> dict[str, object]:
    """Ends the bench unless ours has a record for its grant, refused whom it had to, and counted as many
    covered uses as were answered."""
    ours.decides()
    counts = ours.counted()
    served, refused = counts.get("serve bench/controlled", 0), 0
    for name, count in counts.items():
        refused += count if name.startswith("export_control_denied") else 0
    if served < requests or not refused:
        raise SystemExit(f"{requests} covered requests were answered, and these were counted: {counts}")
    if not ours.shown(record):
        raise SystemExit(f"the record `{record}` is empty")
    return {"record": record, "served_controlled": served, "refused": refused}


def ratios_of(found: Mapping[str, Found]) -> dict[str, float]:
    """How many times more ours gets from a core, except for the bare proxy: how many times its processor time
    ours takes; and added p50, ours in theirs. Paired by round."""
    ratios: dict[str, float] = {}
    if OURS not in found:
        return ratios
    ours = found[OURS]

    def spent(name: str, *, stream: bool = False) -> float:
        pairs = zip(found[name].spent[stream], ours.spent[stream], strict=True)
        return statistics.median(theirs / mine for theirs, mine in pairs)

    for name in ("litellm", "envoy_ext_authz", "envoy_http_ext_authz", "envoy"):
        if name in found:
            ratios[name] = spent(name)
            ratios[f"{name}_stream"] = spent(name, stream=True)
    if "bare_asgi" in found:
        ratios["bare_asgi"] = 1 / spent("bare_asgi")
        ratios["bare_asgi_stream"] = 1 / spent("bare_asgi", stream=True)
    mine = added(found, OURS)[0]
    for name, key in (("litellm", "litellm_added_p50"), ("nginx_auth_request", "nginx_auth_request")):
        if name in found:
            ratios[key] = mine / max(added(found, name)[0], 0.001)
    return ratios


def added(found: Mapping[str, Found], name: str, *, stream: bool = False) -> tuple[float, float]:
    """Milliseconds that a side adds to the direct way: the median over the rounds, of p50 and of p99."""
    pairs = list(zip(found[name].waits[stream], found["direct"].waits[stream], strict=True))
    p50 = statistics.median(through[0] - direct[0] for through, direct in pairs)
    return p50, statistics.median(through[1] - direct[1] for through, direct in pairs)


def figures_of(found: Mapping[str, Found]) -> dict[str, dict[str, float]]:
    figures: dict[str, dict[str, float]] = {}
    for name, side in found.items():
        about = figures[name] = {}
        for stream, suffix in ((False, ""), (True, "_stream")):
            if name == "direct":
                p50, p99 = (statistics.median(each) for each in zip(*side.waits[stream], strict=True))
                about |= {f"p50_ms{suffix}": round(p50, 3), f"p99_ms{suffix}": round(p99, 3)}
                continue
            p50, p99 = added(found, name, stream=stream)
            spent = statistics.median(side.spent[stream])
            about |= {
                f"added_p50_ms{suffix}": round(p50, 3),
                f"added_p99_ms{suffix}": round(p99, 3),
                f"cpu_us{suffix}": round(spent, 1),
                f"per_core{suffix}": round(1e6 / spent),
            }
        if name != "direct":
            about["resident_mb"] = round(side.resident_mb, 1)
    return figures


def printed(figures: Mapping[str, Mapping[str, float]]) -> None:
    for suffix, title in (("", "a chat request of 1.2 kB"), ("_stream", "the same, streamed in 52 events")):
        rows: list[list[object]] = []
        for name, about in figures.items():
            if name == "direct":
                rows.append(
                    [name, *(f"({about[f'{key}_ms{suffix}']:.3f})" for key in ("p50", "p99")), "", ""]
                )
                continue
            times = (f"{about[f'added_{key}_ms{suffix}']:.3f}" for key in ("p50", "p99"))
            rows.append([name, *times, f"{about[f'cpu_us{suffix}']:,.0f}", f"{about[f'per_core{suffix}']:,}"])
            rows[-1] += [] if suffix else [f"{about['resident_mb']:.0f}"]
        head = ["side", "added p50 ms", "added p99 ms", "CPU µs", "requests/s/core"]
        if not suffix:
            head.append(f"MB with {STREAMS} streams")
            rows[0].append("")
        report.table(title, head, rows)


def judged(values: Mapping[str, float]) -> dict[str, str]:
    """Each target: met or missed, and by how much."""
    found, rows = {}, []
    for target in TARGETS:
        bound = f"{target.how} {target.bound:g}"
        value, said = values.get(target.name), "not measured"
        if value is not None:
            met, times = target.judged(value)
            said = f"{'met' if met else 'missed'}, {times:.2f} times"
        found[target.name] = said
        rows.append([target.says, "" if value is None else f"{value:.2f}", bound, said])
    report.table("targets", ["what", "measured", "wanted", ""], rows)
    return found


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short round: shows that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the last line into a file too")
    parser.add_argument("--only", nargs="+", choices=[*PEERS, OURS], default=[*PEERS, OURS], metavar="SIDE")
    given = parser.parse_args(words)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        found, missing, decided = run(
            Path(folder),
            only=given.only,
            rounds=1 if given.quick else 7,
            seconds=QUICK_SECONDS if given.quick else 3.0,
        )
    ratios, figures = ratios_of(found), figures_of(found)
    printed(figures)
    values = dict(ratios)
    if OURS in figures:
        values["resident_mb"] = figures[OURS]["resident_mb"]
    targets = judged(values)
    if decided:
        print(
            f"  ours served {decided['served_controlled']:,} covered requests under the record "
            f"{decided['record']}, and refused {decided['refused']}"
        )
    about = {
        "sides": figures,
        "targets": targets,
        "left_out": missing,
        "decided": decided,
        "client": client.name(),
        "load_before": round(load, 2),
        "core_of_proxies": PROXIES,
    }
    with contextlib.redirect_stdout(io.StringIO()) as line:
        report.last_line("gateway", ratios, about)
    if given.json is not None:
        given.json.write_text(line.getvalue())
    print(line.getvalue(), end="")


if __name__ == "__main__":
    main()
