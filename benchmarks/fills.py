"""What it costs to rank a secret among all fills: by mixing what the model makes of each word, by whole sentences, by asking for losses."""

from __future__ import annotations

import dataclasses
import functools

from harness import Row, interleaved, options, report, timed_rows

from holdfast.audit.canaries.fills import AskedFills, OpenFills, every_loss, open_fills
from holdfast.core.randomness import Streams
from holdfast.data import draw_secrets, load_data, pattern, plant_secrets
from holdfast.privacy import non_private
from holdfast.tasks import IntentSlot
from holdfast.training import FittedModel, train

ROWS = 300


def fitted_on_secret(length: int) -> FittedModel:
    """The default BiLSTM after one epoch: how well it is trained does not change how fast it is."""
    data = load_data(f"assistant:train={ROWS},validation=50,test=50")
    streams = Streams.from_seed(0)
    secrets = draw_secrets([(pattern("pin", length=length), 1)], streams=streams)
    planted = dataclasses.replace(data, train=plant_secrets(data, secrets, streams=streams, min_count=1).train)
    mechanism = non_private(examples=len(planted.train), batch_size=32, epochs=1)
    return train(IntentSlot(), planted, mechanism=mechanism, seed=0)


def engines(fills: OpenFills, fitted: FittedModel) -> dict[str, OpenFills | AskedFills]:
    """Three ways to the same losses."""
    return {
        "holdfast": fills,
        "whole module": dataclasses.replace(fills, states_VTD=None),
        "asked for losses": AskedFills(pattern=fills.pattern, model=fitted),
    }


def main() -> None:
    arguments = options(__doc__)
    rows: list[Row] = []
    for length, repeats, slow in [(2, 1, True)] if arguments.quick else [(4, 5, True), (6, 1, False)]:
        fitted = fitted_on_secret(length)
        fills = open_fills(pattern("pin", length=length), fitted)
        calls = {
            name: functools.partial(every_loss, one) for name, one in engines(fills, fitted).items() if slow or name != "asked for losses"
        }
        timings = interleaved(calls, repeats=repeats, warm_up=int(repeats > 1))
        rows += timed_rows("fills", f"my pin code is + {length} digits, {fills.pattern.size:,} fills", timings, ratio_to="holdfast")
    report(rows, arguments.json)


if __name__ == "__main__":
    main()
