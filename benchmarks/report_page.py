"""The report as one HTML file: what a flush reached, beside the limit of the wire; no script, nothing to fetch."""

from __future__ import annotations

import html
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from report_charts import Bar, Parts, efficiency_bars, percent, rate_curves, stacks

Result = dict[str, Any]
"""One case of `flush_matrix.py --out`."""

CONDITIONS: Final = {
    "clean": "clean",
    "timer": "16 ms latency timer",
    "ber-1e-5": "1 bit in 100,000 wrong",
    "ber-1e-4": "1 bit in 10,000 wrong",
    "drop-1e-3": "1 byte in 1,000 lost",
    "outages": "3 times 2 s unplugged",
    "shop": "a shop's records",
    "50-MiB": "50 MiB",
}
NOISE_PACKED: Final = 0.992
"""Of 16,000 bytes of noise in a message DEFLATE makes 15,870."""
STYLE: Final = Path(__file__).with_name("report.css")


class Results:
    """All cases by name, in the order of the matrix."""

    def __init__(self, results: Sequence[Result]) -> None:
        self.all = {one["case"]["name"]: one for one in results}
        self.flushes = [one for name, one in self.all.items() if not name.endswith("-zmodem")]
        self.noise = [one for one in self.flushes if one["case"]["kind"] == "noise" and not _is_large(one)]
        self.shops = [one for one in self.flushes if one["case"]["kind"] == "shop"]

    def zmodem(self, name: str) -> float | None:
        held = self.all.get(f"{name}-zmodem")
        return None if held is None else float(held["median"])


def page(results: Results) -> str:
    parts = [
        _headline(results),
        _tiles(results),
        _efficiency(results),
        _time(results),
        _rates(results),
        _table(results),
        _zmodem_table(results),
        _machine(results),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        "<title>posdecom: how fast a terminal is read out</title>\n"
        f"<style>{STYLE.read_text(encoding='utf-8')}</style></head>\n<body>{chr(10).join(parts)}</body></html>\n"
    )


def group_and_condition(name: str) -> tuple[str, str]:
    baud, _, condition = name.removesuffix("-zmodem").partition("-")
    return f"{int(baud):,} baud", CONDITIONS.get(condition, condition)


def label(name: str) -> str:
    group, condition = group_and_condition(name)
    return f"{group.removesuffix(' baud')}, {condition}"


# ---- the point in ten seconds


def _headline(results: Results) -> str:
    wanted = [one for one in results.flushes if one["case"]["target"]]
    met = sum(one["median"] >= one["case"]["target"] for one in wanted)
    return (
        "<header><h1>A terminal is read out as fast as the wire carries</h1>"
        "<p>Stored records a second, from the first request until the last one is synced to disk, encryption and all, "
        f"as a share of what an 8N1 line carries. <b>{met} of {len(wanted)} targets met</b>; "
        "ZMODEM (lrzsz) on the same line beside it.</p></header>"
    )


def _tiles(results: Results) -> str:
    asked = (
        ("115200-clean", "of the wire at 115,200 baud"),
        ("115200-ber-1e-4", "of the wire with 1 bit in 10,000 wrong"),
        ("3000000-timer", "of the wire at 3,000,000 baud, USB latency timer"),
        ("115200-shop", "the line rate with a shop's records, packed"),
    )
    tiles = [_tile(results, name, words) for name, words in asked if name in results.all]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _tile(results: Results, name: str, words: str) -> str:
    median, zmodem = results.all[name]["median"], results.zmodem(name)
    number = f"{median:.2f} \u00d7" if median > 1.5 else percent(median)
    beside = ""
    if zmodem is not None:
        beside = f"ZMODEM: {percent(zmodem)}" if zmodem else "ZMODEM: did not finish intact"
    elif results.all[name]["case"]["kind"] == "shop":
        beside = f"xz -9 makes them {results.all[name]['xz_ratio']:.1f} times smaller"
    return f'<div class="tile"><b>{number}</b><span>{words}</span><em>{beside}</em></div>'


def _efficiency(results: Results) -> str:
    keys = (
        '<span class="key ours"></span>posdecom (median; thin line: least to most of the runs)'
        '<span class="key zmodem"></span>ZMODEM<span class="key target"></span>what was wanted'
    )
    noise = efficiency_bars([_bar(results, one) for one in results.noise], 1.1, "Efficiency by condition")
    shop = efficiency_bars([_bar(results, one) for one in results.shops], 2.5, "With records that compress")
    return (
        f'<section><h2>How fast, beside the limit of the wire</h2><p class="soft">{keys}</p>'
        f"<figure>{noise}</figure>"
        '<p class="soft">Records of which all but 5 of 250 bytes are random, so that they do not compress. '
        "DEFLATE still saves 0.8 % on those five bytes, and frames and TLS cost less than that: a fast line may pass "
        "100 %.</p>" + (f"<figure>{shop}</figure>" if results.shops else "") + "</section>"
    )


def _bar(results: Results, one: Result) -> Bar:
    name = one["case"]["name"]
    target = one["case"]["target"]
    group, _, condition = label(name).partition(", ")
    return Bar(
        f"{group} baud", condition, one["median"], one["least"], one["most"], target, results.zmodem(name)
    )


# ---- where the time goes


_KEYS: Final = (
    ("wire", "records (packed)"),
    ("again", "around them, and sent again"),
    ("cpu", "agent computes"),
    ("disk", "agent waits for its disk"),
    ("quiet", "nothing arrives; the agent waits"),
)


def _time(results: Results) -> str:
    keys = "".join(f'<span class="key {kind}"></span>{words}' for kind, words in _KEYS)
    rows = [
        (*group_and_condition(one["case"]["name"]), _wire_parts(one), _agent_parts(one))
        for one in results.flushes
        if not _is_large(one)
    ]
    return (
        f'<section><h2>Where the time goes</h2><p class="soft">{keys}</p>'
        f"<figure>{stacks(rows, 'What wire and agent do with the time')}</figure>"
        '<p class="soft">The agent waits for the wire; that holds what other programs took of the processor, too. '
        "The bytes around a shop's records are counted as records.</p></section>"
    )


def _wire_parts(one: Result) -> Parts:
    busy = min(1.0, _median(one, "wire_share"))
    records = busy
    if one["case"]["kind"] == "noise":
        records = min(busy, one["median"] * NOISE_PACKED)
    return ("wire", records), ("again", busy - records), ("quiet", 1 - busy)


def _agent_parts(one: Result) -> Parts:
    cpu, disk = _median(one, "cpu_share"), _median(one, "disk_share")
    return ("cpu", cpu), ("disk", disk), ("quiet", 1 - cpu - disk)


def _rates(results: Results) -> str:
    figures = [
        f"<figure><figcaption>{html.escape(label(one['case']['name']))}</figcaption>"
        + rate_curves(
            [run["arrived_over_time"] for run in one["runs"]], 0.5, f"Arrivals, {one['case']['name']}"
        )
        + "</figure>"
        for one in results.flushes
        if not _is_large(one)
    ]
    return (
        "<section><h2>Rate over time, each run</h2>"
        '<p class="soft">What arrived in each half second, as a share of what the line carries.</p>'
        f'<div class="curves">{"".join(figures)}</div></section>'
    )


# ---- all figures


_COLUMNS: Final = (
    "condition", "wanted", "median", "least to most", "runs", "seconds", "records", "agent CPU", "disk",
    "resident", "first byte", "others' load",
)  # fmt: skip


def _table(results: Results) -> str:
    head = "".join(f"<th>{column}</th>" for column in _COLUMNS)
    rows = "".join(_row(one) for one in results.flushes)
    return (
        f'<section><h2>All figures</h2><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
        '<p class="soft">Medians of the runs. CPU: of one core; disk: of the time, waiting for the journal; resident: '
        "the agent's most; first byte: from the start of the command to the first byte on the wire (imports and what "
        "others leave of the processor); others' load: of all cores, what was not ours.</p></section>"
    )


def _row(one: Result) -> str:
    target, median = one["case"]["target"], one["median"]
    kind = "" if not target else "met" if median >= target else "missed"
    cells = (
        percent(target) if target else "80 MiB" if _is_large(one) else "finishes",
        f'<td class="{kind}">{percent(median)}</td>',
        f"{one['least'] * 100:.1f} \u2013 {percent(one['most'])}",
        str(len(one["runs"])),
        f"{_median(one, 'seconds'):.1f}",
        f"{one['items']:,}",
        percent(_median(one, "cpu_share")),
        percent(_median(one, "disk_share")),
        f"{_median(one, 'rss_max_mib'):.0f} MiB",
        f"{_median(one, 'start_to_first_byte_s') * 1000:.0f} ms",
        f"{_median(one, 'others_cpu_share') * 100:.0f} %",
    )
    made = "".join(cell if cell.startswith("<td") else f"<td>{cell}</td>" for cell in cells)
    return f"<tr><td>{html.escape(label(one['case']['name']))}</td>{made}</tr>"


def _zmodem_table(results: Results) -> str:
    held = [one for name, one in results.all.items() if name.endswith("-zmodem")]
    if not held:
        return ""
    rows = "".join(
        f"<tr><td>{html.escape(label(one['case']['name']))}</td><td>{', '.join(_zmodem_runs(one))}</td></tr>"
        for one in held
    )
    return (
        '<section><h2>ZMODEM on the same line</h2><div class="scroll"><table><thead><tr><th>condition</th>'
        f"<th>each run</th></tr></thead><tbody>{rows}</tbody></table></div>"
        '<p class="soft">lrzsz\'s sz and rz with their defaults, as many bytes of noise as the line carries in 20 s, '
        "from their start until the file is complete and the same; given up after 60 s.</p></section>"
    )


def _zmodem_runs(one: Result) -> Iterable[str]:
    runs = [run["efficiency"] for run in one["runs"]]
    if not any(runs):
        return [f"did not finish intact ({len(runs)} of {len(runs)})"]
    return [percent(share) if share else "did not finish intact" for share in runs]


def _machine(results: Results) -> str:
    machines = [one["machine"] for one in results.all.values()]
    first = machines[0]
    commits = " ".join(dict.fromkeys(one["commit"][:12] + "+" * one["changed"] for one in machines))
    dates = sorted(one["measured_at"] for one in results.all.values())
    facts = {
        "machine": f"{first['processor']}, {first['cores']} cores, {first['system']}",
        "versions": f"posdecom {first['posdecom']}, Python {first['python']}, "
        + ", ".join(f"{name} {version}" for name, version in first["packages"].items()),
        "commit": commits,
        "measured": f"{dates[0]} to {dates[-1]}, at nice {first['nice']}",
        "line": "posdecom-sim line, 8N1, each direction paced, 1 ms latency; latency timer: 62 bytes or 16 ms",
        "speeds": "a flush begins at 115,200 baud and raises the speed itself",
    }
    listed = "".join(f"<dt>{name}</dt><dd>{html.escape(value)}</dd>" for name, value in facts.items())
    return (
        f"<footer><h2>This machine, and how to repeat it</h2><dl>{listed}</dl>"
        "<pre>python benchmarks/report.py                       # measures, half an hour; writes docs/benchmarks/\n"
        "python benchmarks/report.py --read flush.json     # writes the page again from its figures\n"
        "python benchmarks/flush_matrix.py --case NAME     # one condition</pre></footer>"
    )


def _median(one: Result, name: str) -> float:
    return float(statistics.median(run[name] for run in one["runs"]))


def _is_large(one: Result) -> bool:
    return str(one["case"]["name"]).endswith("50-MiB")
