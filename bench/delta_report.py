# SPDX-License-Identifier: Apache-2.0
"""The tables of ``bench.delta``: pair by pair, the geometric means of each group, costs, and the goals with what was reached."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from bench.delta_peers import OURS, PEERS
from bench.fetch_pairs import Pair

_MB: Final = 10**6
_GIB: Final = 1 << 30
_MOST_SHARE: Final = 100.1
_TIERS: Final = tuple(method.name for method in OURS)
_PEERS: Final = tuple(method.name for method in PEERS)
_GOALS: Final = {("unseen", "best"): 5.0, ("unseen", "online"): 12.0, ("all", "best"): 3.0, ("all", "online"): 8.0}
"""Largest geometric means, in percent of the packages."""


class Results:
    """Figures by pair and method. ``start_seconds``: CPU seconds of a command of ours that does nothing."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.rows: dict[str, dict[str, Any]] = document.get("pairs", {})
        self.start_seconds: float = document.get("start_seconds", 0.0)

    def row(self, pair: Pair, method: str) -> dict[str, Any] | None:
        """The figures of one method that were got on the very files of ``pair``, without those that failed."""
        of_pair = self.rows.get(pair.id, {})
        row: dict[str, Any] | None = of_pair.get(method) if of_pair.get("sha256") == pair.new.sha256 else None
        return row if row and "error" not in row else None

    def share(self, pair: Pair, method: str) -> float | None:
        """Wire bytes in percent of the new file."""
        row = self.row(pair, method)
        return 100 * row["wire"] / pair.new.size if row else None

    def cpu(self, pair: Pair, method: str, what: str) -> float | None:
        """CPU seconds per MB of the new file; ``what`` is ``make`` or ``apply``."""
        row = self.row(pair, method)
        if not row:
            return None
        spent: float = row[what]["cpu_seconds"] - (self.start_seconds if method in _TIERS else 0)
        return max(spent, 0.0) / (pair.new.size / _MB)

    def memory(self, pair: Pair, method: str, what: str) -> int | None:
        """Bytes of the process and all its helpers together, at most."""
        row = self.row(pair, method)
        return row[what]["tree_bytes"] if row else None

    def errors(self, pair: Pair) -> list[str]:
        """What went wrong with our own tiers."""
        of_pair = self.rows.get(pair.id, {})
        return [f"{pair.id}, {tier}: {of_pair[tier]['error']}" for tier in _TIERS if "error" in of_pair.get(tier, {})]


def report(pairs: Sequence[Pair], results: Results) -> int:
    """Prints everything; 1 when a rebuilt file differs, a tier failed, or a pair costs more than its file."""
    groups = {name: [pair for pair in pairs if pair.group == name] for name in ("open", "unseen")}
    for name, members in groups.items():
        if members:
            _wire_table(f"{name} pairs", members, results)
    _means("geometric means, % of the package", {**groups, "all": list(pairs)}, results)
    _means("by format", _by(pairs, lambda pair: pair.format), results)
    _means("by size of the step", _by(pairs, lambda pair: pair.step), results)
    _cost_table(pairs, results)
    _goals(groups, pairs, results)
    wrong = [text for pair in pairs for text in results.errors(pair)]
    wrong += [f"{pair.id}, {tier}: {share:.2f} % of the file" for pair, tier, share in _shares(pairs, results) if share > _MOST_SHARE]
    for text in wrong:
        print(f"WRONG  {text}")
    return 1 if wrong else 0


def _by(pairs: Iterable[Pair], key: Callable[[Pair], str]) -> dict[str, list[Pair]]:
    out: dict[str, list[Pair]] = {}
    for pair in pairs:
        out.setdefault(key(pair), []).append(pair)
    return out


def _shares(pairs: Iterable[Pair], results: Results) -> list[tuple[Pair, str, float]]:
    found = [(pair, tier, results.share(pair, tier)) for pair in pairs for tier in _TIERS]
    return [(pair, tier, share) for pair, tier, share in found if share is not None]


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[place]) for row in [heads, *rows]) for place in range(len(heads))]
    print(f"\n{title}")
    for row in [heads, *rows]:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  " + "  ".join(cells).rstrip())


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.3f}" if share < 1 else f"{share:.2f}"


def _wire_table(title: str, pairs: Sequence[Pair], results: Results) -> None:
    heads = ["", "step", "bytes", *_TIERS, "best, bytes", *_PEERS, "against the prototype (online, best)"]
    rows = []
    for pair in pairs:
        best = results.row(pair, "best")
        shares = [_percent(results.share(pair, name)) for name in (*_TIERS, *_PEERS)]
        bytes_best = f"{best['wire']:,}" if best else "–"
        against = ", ".join(_against(pair, tier, results) for tier in _TIERS)
        rows.append([pair.id, pair.step, f"{pair.new.size:,}", *shares[:2], bytes_best, *shares[2:], against])
    _table(f"{title}: wire, % of the new file", heads, rows)


def _against(pair: Pair, tier: str, results: Results) -> str:
    row, known = results.row(pair, tier), pair.reference.get(f"prototype {tier}")
    if not row or not known:
        return "–"
    factor = row["wire"] / known
    return f"{factor:.2f}× {'better' if factor < 1 else 'level' if factor == 1 else 'WORSE'}"


def _mean(pairs: Iterable[Pair], method: str, results: Results) -> float | None:
    """Over all pairs or none: a mean without the pairs that failed would be a nicer one."""
    shares = [results.share(pair, method) for pair in pairs]
    known = [share for share in shares if share is not None]
    return statistics.geometric_mean(known) if known and len(known) == len(shares) else None


def _means(title: str, groups: dict[str, list[Pair]], results: Results) -> None:
    heads = ["", "pairs", *_TIERS, *_PEERS, *(f"zstd / {tier}" for tier in _TIERS)]
    rows = []
    for name, members in groups.items():
        means = {method: _mean(members, method, results) for method in (*_TIERS, *_PEERS)}
        peer = means[_PEERS[0]]
        ratios = [f"{peer / mean:.1f}×" if peer and (mean := means[tier]) else "–" for tier in _TIERS]
        rows.append([name, str(len(members)), *(_percent(means[method]) for method in (*_TIERS, *_PEERS)), *ratios])
    _table(title, heads, rows)


def _cost_table(pairs: Sequence[Pair], results: Results) -> None:
    methods = (*_TIERS, *_PEERS)
    rows = []
    for pair in pairs:
        cells = []
        for method in methods:
            making, applying = results.cpu(pair, method, "make"), results.cpu(pair, method, "apply")
            cells.append("–" if making is None or applying is None else f"{making:.2f}/{applying:.2f}")
        for method in _TIERS:
            sizes = [results.memory(pair, method, what) for what in ("make", "apply")]
            cells.append("/".join("–" if size is None else f"{size / _MB:.0f}" for size in sizes))
        rows.append([pair.id, *cells])
    _table(
        "CPU s per MB of the new file, make/apply; MB of memory with helpers, make/apply",
        ["", *methods, *(f"{t} MB" for t in _TIERS)],
        rows,
    )


def _goals(groups: dict[str, list[Pair]], pairs: Sequence[Pair], results: Results) -> None:
    """CPU seconds are asked of all packages together, their sum over the sum of sizes, as the prototype's were told; the worst one stands beside."""
    rows = []
    for (name, tier), most in _GOALS.items():
        mean = _mean(groups.get(name, pairs) if name != "all" else pairs, tier, results)
        rows.append(_goal(f"{name} pairs, {tier}: mean <= {most:g} %", mean, most, "%"))
    open_pairs = [(pair, tier) for pair in groups["open"] for tier in _TIERS if results.row(pair, tier)]
    worse = [f"{pair.id} ({tier})" for pair, tier in open_pairs if "WORSE" in _against(pair, tier, results)]
    rows.append(
        ["open pairs better than the prototype, each", ", ".join(worse) or ("all" if open_pairs else "–"), "MISSED" if worse else "met"]
    )
    rows.append(_goal("largest share of any pair <= 100.1 %", _most(share for _, _, share in _shares(pairs, results)), _MOST_SHARE, "%"))
    for text, most, tiers, what, xz in (
        ("online make, deflate formats: <= 0.4 CPU s/MB", 0.4, _TIERS[:1], "make", False),
        ("rebuild, deflate formats: <= 1 CPU s/MB", 1.0, _TIERS, "apply", False),
        ("rebuild, xz: <= 3 CPU s/MB", 3.0, _TIERS, "apply", True),
    ):
        asked = [(pair, tier) for pair in pairs for tier in tiers if (pair.format == "deb") == xz]
        costs = [(cost, f"{pair.id}, {tier}", pair.new.size) for pair, tier in asked if (cost := results.cpu(pair, tier, what)) is not None]
        if not costs:
            rows.append(_goal(text, None, most, ""))
            continue
        rate = sum(cost * size for cost, _, size in costs) / sum(size for *_, size in costs)
        largest, of_whom, _ = max(costs)
        over = sum(cost > most for cost, *_ in costs)
        rows.append(_goal(text, rate, most, f"all together; at most {largest:.2f} ({of_whom}), {over} of {len(costs)} above"))
    sizes = [results.memory(pair, tier, what) for pair in pairs for tier in _TIERS for what in ("make", "apply")]
    largest_size = _most(size for size in sizes if size is not None)
    rows.append(_goal("memory of either side, helpers included: <= 1 GiB", largest_size and largest_size / _GIB, 1.0, "GiB at most"))
    _table("goals", ["", "reached", ""], rows)


def _most(values: Iterable[float]) -> float | None:
    return max(values, default=None)


def _goal(text: str, found: float | None, most: float, unit: str) -> list[str]:
    if found is None:
        return [text, "–", "not measured"]
    return [text, f"{found:.2f} {unit}", "met" if found <= most else "MISSED"]
