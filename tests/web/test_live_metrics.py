"""What the page Live makes of `/metrics`: its modules run in a browser, on a server's own text."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from tests.support import Server, grey
from tests.web.browser import visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def page(browser: "Browser", server: Server) -> Iterator["Page"]:
    with visiting(browser, server.url) as visitor:
        yield visitor.open("/live")


def _send(client: httpx2.Client, answered: int, refused: int) -> None:
    """Photos to the fake model, and files that are none."""
    for number in range(answered):
        sent = client.post("/v1/classify?model=fake@1", files={"file": grey(number)})
        assert sent.status_code == 200
    for _ in range(refused):
        assert client.post("/v1/classify", files={"file": b"no photo"}).status_code == 415


def _in_page(page: "Page", script: str, *given: object) -> Any:
    """What a script says that gets the page's own modules, and what is given."""
    return page.evaluate(
        f"""async (given) => {{
            const metrics = await import("/static/js/metrics.js");
            const figures = await import("/static/js/live/figures.js");
            const {{ History }} = await import("/static/js/live/history.js");
            return ({script})(...given);
        }}""",
        list(given),
    )


def test_rates_and_quantiles_are_those_of_what_was_sent(
    page: "Page", client: httpx2.Client
) -> None:
    before = client.get("/metrics").text
    _send(client, 20, 5)
    after = client.get("/metrics").text
    script = """(before, after) =>
        figures.figuresOf(metrics.parse(before), metrics.parse(after), 10)"""
    found = _in_page(page, script, before, after)
    assert (found["answered"], found["refused"], found["failed"]) == (2, 0.5, 0)
    assert (found["refusals"], found["images"], found["fake@1 only"]) == (0.5, 2, 2)
    assert 0 < found["p50"] <= found["p95"] <= found["p99"] < 10_000
    assert found["people"] == found["jobs"] == 0
    assert found["memory"] > 10e6
    assert found["processor"] >= 0


ODD = r"""# HELP a Text with {braces} and "quotes"
# TYPE a counter
a 1
  b{x="1"} 2 1700000000000
c{ x = "a\\b\"c\nd" , y="} 7", } +Inf
d{x=""} -Inf
e NaN
f{le="+Inf"} 1.5e-3
g{z="1",y="2"} 4
colons:are_names 5
no_value
no_number twelve
open{x="1" 3
bad{x=1} 3
bad{="1"} 3
9name 3
{x="1"} 3

carriage 6@
last 7"""


def test_odd_lines_are_read_as_prometheus_reads_them(page: "Page") -> None:
    script = """(text) => [...metrics.parse(text).values()]
        .map(({ name, labels, value }) => [name, { ...labels }, String(value)])"""
    assert _in_page(page, script, ODD.replace("@", "\r")) == [
        ["a", {}, "1"],
        ["b", {"x": "1"}, "2"],
        ["c", {"x": 'a\\b"c\nd', "y": "} 7"}, "Infinity"],
        ["d", {"x": ""}, "-Infinity"],
        ["e", {}, "NaN"],
        ["f", {"le": "+Inf"}, "0.0015"],
        ["g", {"z": "1", "y": "2"}, "4"],
        ["colons:are_names", {}, "5"],
        ["carriage", {}, "6"],
        ["last", {}, "7"],
    ]


def test_every_line_of_a_real_server_is_read(page: "Page", client: httpx2.Client) -> None:
    _send(client, 1, 1)
    text = client.get("/metrics").text
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    read = _in_page(
        page,
        "(text) => [...metrics.parse(text).values()].map(({ name, value }) => [name, value])",
        text,
    )
    assert [name for name, _ in read] == [re.split(r"[{ ]", line)[0] for line in lines]
    assert [value for _, value in read] == [float(line.rsplit(" ", 1)[1]) for line in lines]


def test_counters_that_begin_anew_are_never_negative(page: "Page") -> None:
    script = """(before, after) => {
        const [old, young] = [metrics.parse(before), metrics.parse(after)];
        const grown = [...metrics.increase(old, young).values()];
        return [metrics.isAnother(old, young), ...grown.map(({ value }) => value)];
    }"""

    def look(total: int, pid: int, start: float) -> str:
        return (
            f"requests_total {total}\n"
            f'process_cpu_seconds_total{{pid="{pid}"}} 1\n'
            f'process_start_time_seconds{{pid="{pid}"}} {start}\n'
        )

    assert _in_page(page, script, look(5, 1, 9.5), look(8, 1, 9.5)) == [False, 3, 0, 0]
    assert _in_page(page, script, look(5, 1, 9.5), look(2, 1, 9.5)) == [True, 0, 0, 0]
    assert _in_page(page, script, look(5, 1, 9.5), look(9, 1, 20)) == [True, 4, 0, 10.5]
    dead = look(5, 1, 9.5) + 'process_start_time_seconds{pid="2"} 9\n'
    assert _in_page(page, script, dead, look(6, 1, 9.5))[0] is False
    assert _in_page(page, script, look(5, 1, 9.5), "other 1")[0] is True


def test_quantiles_are_those_of_prometheus(page: "Page") -> None:
    script = """(share, parts) =>
        metrics.quantile(share, parts.map(([end, count]) => [end ?? Infinity, count]))"""
    parts = [[0.1, 0], [0.2, 10], [0.5, 10], [None, 20]]
    assert _in_page(page, script, 0.25, parts) == pytest.approx(0.2)
    assert _in_page(page, script, 0.125, parts) == pytest.approx(0.15)
    assert _in_page(page, script, 0.375, parts) == pytest.approx(0.35)
    assert _in_page(page, script, 0.99, parts) == pytest.approx(0.5)
    assert _in_page(page, script, 0.5, [[0.1, 0], [None, 0]]) is None


def test_servers_that_answer_in_turns_are_noticed_and_forgotten(page: "Page") -> None:
    script = """(starts) => {
        const history = new History();
        starts.forEach((start, place) => {
            const text = `process_start_time_seconds ${start}\\nrequests_total ${100 * start}`;
            history.add(2000 * place, metrics.parse(text));
        });
        return [history.changes, history.points.length];
    }"""
    assert _in_page(page, script, [1, 2, 1, 2, 1]) == [4, 0]
    assert _in_page(page, script, [1, 2, 2, 2, 2, 2, 2]) == [0, 5]


def test_what_is_remembered_is_bounded(page: "Page") -> None:
    script = """() => {
        const history = new History();
        for (let second = 0; second < 2000; second += 1) {
            const text = `viewfinder_refusals_total{reason="x"} ${second}`;
            history.add(1000 * second, metrics.parse(text));
        }
        const { points, counted } = history;
        return [points.length, points.at(-1).at - points[0].at, counted.reasons];
    }"""
    number, span, reasons = _in_page(page, script)
    assert number == 150
    assert span <= 300_000
    assert reasons == [["x", 150]]
