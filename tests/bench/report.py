"""What scripts/bench found, as Markdown, JSON and a chart. Everything is a function of what it found: a dictionary of
`date`, `command`, `commit`, `machine`, `cipher`, `group`, `gateways` (name: version), `columns` (key, label, unit,
`rounds` by gateway: pairs of a figure and the share of the core that others used, and `notes` by gateway) and `targets`
(column, by which gateway's, at most)."""

import html
import json
import statistics

DISTURBED = 0.05  # of the core: a round in which others used more is no best one
MARK = "*"  # at a figure that has no undisturbed round
START, END = "<!-- scripts/bench: from here -->", "<!-- scripts/bench: to here -->"


def as_json(run):
    return json.dumps(run, indent=1, ensure_ascii=False) + "\n"


def is_disturbed(one):
    return one[1] is not None and one[1] > DISTURBED


def best(rounds):
    """The smallest of the undisturbed rounds, or of all, and whether there was none undisturbed."""
    quiet = [one for one in rounds if not is_disturbed(one)]
    return min(figure for figure, _ in quiet or rounds), not quiet


def median(rounds):
    """Of all rounds, and whether most of them were disturbed."""
    return (statistics.median(figure for figure, _ in rounds),
            sum(map(is_disturbed, rounds)) * 2 > len(rounds))


def shown(value):
    """Three digits, or all that stand before the point."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def label(column):
    return column["label"] + (f", {column['unit']}" if column["unit"] else "")


def cell(rounds, pick, own):
    if not rounds:
        return "–"
    value, marked = pick(rounds)
    ratio = f" ({value / own:.2f}x)" if own else ""
    return f"{shown(value)}{MARK if marked else ''}{ratio}"


def table(run, pick):
    """A row for each column, with ratios to the first gateway's."""
    names = list(run["gateways"])
    lines = [f"| | {' | '.join(run['gateways'].values())} |", f"|---|{'---:|' * len(names)}"]
    for column in run["columns"]:
        rounds = column["rounds"]
        first = rounds.get(names[0])
        own = pick(first)[0] if first else None
        cells = [cell(rounds.get(name), pick, own if name != names[0] else None) for name in names]
        lines.append(f"| {label(column)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def reached(run):
    """By target: its column, by whose, at most, and what there is by the best rounds and by medians."""
    found = {column["key"]: column for column in run["columns"]}
    for key, base, most in run["targets"]:
        rounds = found.get(key, {"rounds": {}})["rounds"]
        if "sallyport" not in rounds or (base and base not in rounds):
            continue
        values = [pick(rounds["sallyport"])[0] / (pick(rounds[base])[0] if base else 1) for pick in (best, median)]
        yield found[key], base, most, values


def targets(run):
    """Empty when nothing that has a target was measured."""
    rows = []
    for column, base, most, (by_best, by_median) in reached(run):
        what = f"{column['label']}, by {base}'s" if base else label(column)
        digits = 3 if base else 2
        rows.append(f"| {what} | {most:g} | {by_best:.{digits}f} | {by_median:.{digits}f} | "
                    f"{'yes' if by_best <= most else 'no'} |")
    if not rows:
        return ""
    return "\n".join(["| | at most | best | median | reached |", "|---|---:|---:|---:|---|", *rows])


def setting(run):
    machine = run["machine"]
    return (f"{', '.join(run['gateways'].values())}; Sallyport at {run['commit']}. {machine['cores']} cores of "
            f"{machine['cpu']}, Linux {machine['kernel']}; {run['cipher']}, {run['group']}; {run['date']}, "
            f"`{run['command'].strip()}`.")


def disturbances(run):
    """How much others used the core that was measured."""
    rounds = [(one[1], column["label"], name) for column in run["columns"] for name, of in column["rounds"].items()
              for one in of if one[1] is not None]
    if not rounds:
        return ""
    share, what, name = max(rounds)
    count = sum(one[0] > DISTURBED for one in rounds)
    return (f"Others used more than {DISTURBED:.0%} of the core in {count} of {len(rounds)} rounds, "
            f"{statistics.median(one[0] for one in rounds):.1%} in the middle one and {share:.1%} in the worst "
            f"({what}, {name}). {MARK}: a figure without an undisturbed round (best), or with fewer than half (median).")


def system_calls(run):
    lines = []
    for column in run["columns"]:
        lines += [f"- {column['label']}, {name}: {note}." for name, note in column["notes"].items()]
    return "\n".join(lines)


def whole(run):
    """What is printed."""
    parts = [setting(run), disturbances(run), "Best round:", table(run, best), "Median:", table(run, median),
             targets(run), system_calls(run)]
    return "\n\n".join(part for part in parts if part)


def for_readme(run):
    machine = run["machine"]
    parts = [f"By `{run['command'].strip()}` on {run['date']} (two cores of {machine['cpu']}, Linux "
             f"{machine['kernel']}; the best of at least {rounds_of(run)} rounds). In brackets: times Sallyport's figure.",
             table(run, best), disturbances(run), "What was to be reached:", targets(run),
             "![CPU, memory and system calls of each, as bars](tests/bench/chart.svg)"]
    return "\n\n".join(part for part in parts if part)


def rounds_of(run):
    """Of the column that has the fewest, those that are counted once aside."""
    counts = [len(of) for column in run["columns"] for of in column["rounds"].values() if of[0][1] is not None]
    return min(counts, default=1)


def replace_marked(text, inner):
    """`text` with what stands between the markers replaced. Fails with ValueError when they are not there."""
    start, end = text.index(START) + len(START), text.index(END)
    return f"{text[:start]}\n{inner}\n{text[end:]}"


# The chart: a panel for each column, a bar for each gateway.

PANELS = 3  # beside each other
WIDTH, BAR, GAP, HEAD = 300, 14, 5, 26
NAME_WIDTH, VALUE_WIDTH = 74, 56

STYLE = """
.ground { fill: #ffffff; }
text { font: 12px system-ui, sans-serif; fill: #24292f; }
.title { font-weight: 600; }
.name { text-anchor: end; }
.bar { fill: #8c959f; }
.own { fill: #0969da; }
.none { fill: #6e7781; }
@media (prefers-color-scheme: dark) {
  .ground { fill: #0d1117; }
  text { fill: #e6edf3; }
  .bar { fill: #6e7681; }
  .own { fill: #58a6ff; }
  .none { fill: #8b949e; }
}
"""


def panel(column, names, x, y):
    """The lines of one column, at its place."""
    rounds = column["rounds"]
    values = {name: best(rounds[name])[0] for name in names if rounds.get(name)}
    longest = max(values.values(), default=0) or 1
    lines = [f'<text class="title" x="{x}" y="{y + 12}">{html.escape(label(column))}</text>']
    for row, name in enumerate(names):
        top = y + HEAD + row * (BAR + GAP)
        text = top + BAR - 3
        lines.append(f'<text class="name" x="{x + NAME_WIDTH - 8}" y="{text}">{html.escape(name)}</text>')
        if name not in values:
            lines.append(f'<text class="none" x="{x + NAME_WIDTH}" y="{text}">–</text>')
            continue
        width = max(1.0, values[name] / longest * (WIDTH - NAME_WIDTH - VALUE_WIDTH))
        kind = "own" if name == "sallyport" else "bar"
        lines.append(f'<rect class="{kind}" x="{x + NAME_WIDTH}" y="{top}" width="{width:.1f}" height="{BAR}" rx="2"/>')
        lines.append(f'<text x="{x + NAME_WIDTH + width + 6:.1f}" y="{text}">{shown(values[name])}</text>')
    return lines


def chart(run):
    """SVG: small bars, shorter is better, readable on light and dark."""
    names = list(run["gateways"])
    height = HEAD + len(names) * (BAR + GAP) + 22
    columns = [column for column in run["columns"] if column["rounds"]]
    rows = -(-len(columns) // PANELS)
    total_width, total_height = PANELS * (WIDTH + 16) + 8, rows * height + 52
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{total_width}" height="{total_height}" '
             f'viewBox="0 0 {total_width} {total_height}" role="img">',
             "<title>What each gateway uses: shorter is better</title>", f"<style>{STYLE}</style>",
             f'<rect class="ground" width="{total_width}" height="{total_height}" rx="6"/>',
             '<text class="title" x="16" y="24">What each gateway uses of the processor, of memory and of the kernel: '
             f"shorter is better ({run['date']})</text>"]
    for number, column in enumerate(columns):
        lines += panel(column, names, 16 + number % PANELS * (WIDTH + 16), 44 + number // PANELS * height)
    return "\n".join([*lines, "</svg>"]) + "\n"
