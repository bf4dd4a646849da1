"""What `viewfinder bench` has found, as tables and bars of text."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from viewfinder.cli.console import print_table

if TYPE_CHECKING:
    from viewfinder.capacity.advice import Advice, Item
    from viewfinder.capacity.measured import Compute, Measured, Pictures, Served, Step

_BAR = 24
_MB = 1_000_000
_KB = 1000
# A generator that is busier than this may be what limits.
_BUSY = 0.9
# Photos a second of which digits behind the point matter.
_FEW = 10


def print_report(measured: "Measured", advice: "Advice") -> None:
    """Print all of it."""
    where = measured.url or f"{measured.machine}, {_cores(measured.cores)}"
    typer.echo(f"{measured.model} {measured.variant} on {where}")
    typer.echo(_pictures(measured.pictures) + "\n")
    if measured.compute is not None:
        _print_compute(measured.compute)
    _print_served(measured.served)
    if measured.split is not None:
        _print_served(measured.split)
    _print_bars(measured.chosen.steps)
    print_table(("",), ([sentence] for sentence in _sentences(measured, advice)))
    typer.echo()
    if advice.settings:
        _print_items("setting", advice.settings)
    _print_items("containers", advice.deployment)


def _pictures(pictures: "Pictures") -> str:
    low, _, high = (f"{size / _KB:.0f}" for size in pictures.bytes)
    small, large = (f"{width}x{height}" for width, height in pictures.pixels)
    kilobytes = low if low == high else f"{low}-{high}"
    sides = small if small == large else f"{small} to {large}"
    text = f"{_count(pictures.count, 'photo')}, {kilobytes} kB, {sides}: {pictures.source}"
    if pictures.left_out:
        text += f"; {pictures.left_out:,} cannot be decoded and were left out"
    return text


def _print_compute(compute: "Compute") -> None:
    threads = _count(compute.threads, "thread")
    one, many = "ms, 1 thread", f"photos/s, {threads}"
    rows = {
        "decode and resize": compute.decode,
        "inference": compute.inference,
        "both: the limit": compute.both,
    }
    print_table(
        ("without a server", one, many),
        (
            (name, f"{work.p50_ms:{len(one)}.2f}", f"{work.per_second:{len(many)}.1f}")
            for name, work in rows.items()
        ),
    )
    typer.echo()


def _print_served(served: "Served") -> None:
    """What each number of clients got, and what that took."""
    here = served.process is not None
    lost = any(step.unanswered for step in served.steps)
    if served.process is not None and served.process.workers > 1:
        typer.echo(f" with {served.process.workers} workers")
    columns = ["clients", "photos/s", "p50 ms", "p99 ms", "own CPU"]
    columns += ["server CPU", "loop"] if here else []
    columns += ["refused", "failed"] if lost else []

    def cells(step: "Step") -> Iterable[str]:
        mark = "*" if step is served.best else " "
        yield f"{step.clients:6}{mark}"
        yield f"{step.rate:8.1f}"
        yield f"{step.p50_ms:6.1f}"
        yield f"{step.p99_ms:6.1f}"
        yield f"{step.client_cores:7.2f}"
        if here:
            yield f"{step.server_cores or 0:10.2f}"
            yield f"{100 * (step.loop_share or 0):3.0f}%"
        if lost:
            yield f"{step.refused:7,}"
            yield f"{step.failed:6,}"

    print_table(columns, (cells(step) for step in served.steps))
    typer.echo()


def _print_bars(steps: "tuple[Step, ...]") -> None:
    from viewfinder.capacity.bars import bars

    rates = bars([step.rate for step in steps], _BAR)
    waits = bars([step.p99_ms for step in steps], _BAR)
    print_table(
        ("clients", "photos/s", "p99 ms"),
        (
            (f"{step.clients:7}", f"{rate} {_rate(step.rate)}", f"{wait} {step.p99_ms:.0f}")
            for step, rate, wait in zip(steps, rates, waits, strict=True)
        ),
    )
    typer.echo()


def _sentences(measured: "Measured", advice: "Advice") -> Iterable[str]:
    served, best = measured.chosen, measured.chosen.best
    yield (
        f"It does {_rate(best.rate)} photos/s from {_count(best.clients, 'client')} on, "
        f"p99 {best.p99_ms:.0f} ms."
    )
    if measured.compute is not None and served.process is not None:
        if measured.capacity > best.rate:
            yield (
                f"The clients took {best.client_cores:.2f} cores of this machine; without them it "
                f"would be {_rate(measured.capacity)}/s."
            )
        if measured.was_quiet:
            share = 100 * measured.capacity / measured.compute.both.per_second
            yield f"That is {share:.0f}% of what the model allows without a server."
        else:
            yield (
                "Something else took a part of the cores meanwhile: measure again when nothing "
                "else runs."
            )
        process, per_core = served.process, best.per_core
        if per_core is not None:
            yield f"It answered {_rate(per_core)} for each second of a core that it took."
        yield (
            f"It started in {process.start_s:.1f} s; it had {process.idle_bytes / _MB:.0f} MB "
            f"idle, {process.peak_bytes / _MB:.0f} MB under load."
        )
    yield f"Plan {_rate(advice.per_replica)} requests/s for each server like this one."
    if best.client_cores > _BUSY and measured.capacity == best.rate:
        yield "The clients were busy all the time: the server may do more than they could ask."
    if measured.varied:
        yield "It keeps answers; each photo was made different, so that none came from there."
    refused = sum(step.refused for step in served.steps)
    if refused:
        yield (
            f"{_count(refused, 'request')} of {served.steps[-1].clients} or fewer clients were "
            "refused (429, 503, 504): a limit of the server, not of its speed."
        )
    failed = sum(step.failed for step in served.steps)
    if failed:
        yield f"{_count(failed, 'request')} failed: look at the log of the server."


def _print_items(title: str, items: "Iterable[Item]") -> None:
    print_table(
        (title, "value", "why"),
        (
            (one.name.split(".", 1)[-1] if title != "setting" else one.name, one.value, one.why)
            for one in items
            if one.why
        ),
    )
    typer.echo()


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _cores(number: int) -> str:
    return _count(number, "core")


def _rate(number: float) -> str:
    """Two digits of a slow model's, which would be 0."""
    return f"{number:.0f}" if number >= _FEW else f"{number:.2g}"
