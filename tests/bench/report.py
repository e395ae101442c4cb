"""Paired ratios, verdicts, the JSON file and the table."""

import json
from statistics import median

from targets import TARGETS


def paired(ours, peers):
    """Ratios round by round; medians of single columns would compare different moments."""
    return [mine / theirs for mine, theirs in zip(ours, peers) if theirs]


def row_of(target, series):
    """series[(server, shape)] is a list of measurements, one per round."""
    ours = [one[target.metric] for one in series[target.ours, target.shape]]
    row = {"bench": target.bench, "metric": target.metric, "ours": round(median(ours), 3), "peer": None,
           "peer_name": target.peer, "ratio": None, "ratio_min": None, "ratio_max": None, "must": target.must,
           "goal": target.goal, "better": "higher" if target.more else "lower"}
    decisive = median(ours)
    if target.peer:
        theirs = [one[target.metric] for one in series[target.peer, target.shape]]
        ratios = paired(ours, theirs)
        decisive = median(ratios)
        row.update(peer=round(median(theirs), 3), ratio=round(decisive, 3), ratio_min=round(min(ratios), 3),
                   ratio_max=round(max(ratios), 3))
    row["verdict"] = target.verdict(decisive)
    return row


def build(machine, rounds, series):
    everything = [{"server": server, "load": shape, "rounds": measured}
                  for (server, shape), measured in series.items()]
    foreign = [one["foreign"] for measured in series.values() for one in measured if "foreign" in one]
    return {"machine": machine, "rounds": rounds, "foreign_load": round(median(foreign), 3),
            "foreign_load_max": round(max(foreign), 3),
            "rows": [row_of(target, series) for target in TARGETS if (target.ours, target.shape) in series],
            "series": everything}


def plain(value):
    """Three significant digits, thousands grouped."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    for limit, digits in ((0.995, 3), (9.95, 2)):
        if abs(value) < limit:
            return f"{value:.{digits}f}"
    return f"{value:.1f}"


def columns(rows, left):
    """Lines of aligned columns; the first `left` columns are text."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [cell.ljust(width) if i < left else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]
        yield "  ".join(cells).rstrip()


def target_lines(report):
    rows = [("verdict", "benchmark", "metric", "peer", "ours", "peer's", "ratio", "min-max", "must", "goal")]
    for row in report["rows"]:
        sign = ">=" if row["better"] == "higher" else "<="
        unit = "x" if row["peer_name"] else ""
        rows.append((row["verdict"], row["bench"], row["metric"], row["peer_name"] or "-", plain(row["ours"]),
                     plain(row["peer"]), f"{row['ratio']:.2f}x" if unit else "-",
                     f"{row['ratio_min']:.2f}-{row['ratio_max']:.2f}" if unit else "-",
                     f"{sign}{row['must']:g}{unit}", f"{sign}{row['goal']:g}{unit}"))
    return columns(rows, 4)


def series_lines(report):
    fields = ("req/s", "rows/s", "p50 ms", "p99 ms", "CPU s/100k", "PG CPU s/100k", "client CPU s/100k",
              "CPU s/M rows", "RSS MiB", "PSS MiB")
    rows = [("load", "server", *fields)]
    for one in report["series"]:
        values = [[r[f] for r in one["rounds"] if f in r] for f in fields]
        rows.append((one["load"], one["server"], *(plain(median(v)) if v else "-" for v in values)))
    return columns(rows, 2)


def render(report):
    lines = [f"Sluice bench: {report['rounds']} interleaved rounds on {report['machine']}.",
             f"Other programs used {report['foreign_load']:.0%} of the machine (median of the runs; "
             f"{report['foreign_load_max']:.0%} at most). Only ratios travel: they are paired per round, the "
             "median decides.", "", *target_lines(report), "",
             "Medians of each server. CPU and PG CPU are user + system seconds per 100,000 requests or rows;",
             "the gateway's are those of all its processes. RSS is the peak during the run, summed over the",
             "processes. Every lookup draws another key; every answer's grpc-status was 0.", "",
             *series_lines(report), ""]
    return "\n".join(lines)


def write(report, folder, name):
    folder.mkdir(parents=True, exist_ok=True)
    text = render(report)
    (folder / f"{name}.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    (folder / f"{name}.txt").write_text(text)
    return text
