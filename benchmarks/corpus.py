"""How long the embedded corpus takes to generate, at three sizes, and how much memory it holds."""

from __future__ import annotations

import functools

from harness import Row, interleaved, options, report, timed_rows

from holdfast.data import DataSplits, load_data


def source(utterances: int) -> str:
    """The corpus with that many utterances in all and ten for each user."""
    held_out = utterances // 10
    return f"assistant:train={utterances - 2 * held_out},validation={held_out},test={held_out},users={utterances // 10}"


def main() -> None:
    arguments = options(__doc__)
    rows: list[Row] = []
    for utterances in (1_000, 10_000) if arguments.quick else (10_000, 100_000, 1_000_000):
        case = f"{utterances:,} utterances"
        repeats = 1 if arguments.quick or utterances > 100_000 else 5
        timings = interleaved({"holdfast": functools.partial(load_data, source(utterances))}, repeats=repeats, warm_up=int(repeats > 1))
        data = timings["holdfast"].result
        assert isinstance(data, DataSplits)
        held = sum(part.table.nbytes for part in data.parts)
        rows += timed_rows("corpus", case, timings, ratio_to="")
        rate = utterances / timings["holdfast"].median
        rows.append(Row(bench="corpus", case=case, engine="holdfast", metric="rate", value=rate, unit="utterances/s"))
        rows.append(Row(bench="corpus", case=case, engine="holdfast", metric="memory", value=held / 2**20, unit="MiB"))
    report(rows, arguments.json)


if __name__ == "__main__":
    main()
