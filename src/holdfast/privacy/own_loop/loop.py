"""What `attach` yields: it draws the batches, records the forward pass between a batch and its step, and takes the steps."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.core.claim import PrivacyClaim
from holdfast.core.errors import InputError, RunError
from holdfast.core.randomness import Streams
from holdfast.privacy import preflight, sums
from holdfast.privacy.clipping import ClippingState, Execution, Indices
from holdfast.privacy.events import Ledger
from holdfast.privacy.mechanism import Mechanism
from holdfast.privacy.own_loop import watching
from holdfast.privacy.own_loop.account import Account
from holdfast.privacy.own_loop.drawing import Collate, Source
from holdfast.privacy.own_loop.passes import Pass
from holdfast.privacy.own_loop.summing import Part, Summing, check_mechanism, parts, summing


class PrivateLoop:
    """A training loop of your own, made private. `attach` makes one.

    Args:
        model: The bare model.
        mechanism: Draws, clips and blurs.
        seed: Makes batches and noise reproducible; None for secret randomness.
        ledger: A file that says what may have been spent; None for none.
    """

    def __init__(self, model: nn.Module, mechanism: Mechanism, *, seed: int | None, ledger: Path | None) -> None:
        check_mechanism(mechanism)
        watching.check_model(model, private=mechanism.private)
        preflight.check_layers(model, mechanism.clipper)
        self._model, self._mechanism, self._seed = model, mechanism, seed
        self._streams = Streams.from_seed(seed)
        self._clipping = mechanism.clipping_state()
        self._account = Account(mechanism, ledger)
        self._claimed = watching.claim_parameters(model)
        self._shape = watching.Shape.of(model)
        self._movement = preflight.Movement(model)
        self._taken = self._began = 0
        self._looked = self._rehearsed = False
        self._sum: Summing | None = None
        self._pass: Pass | None = None  # the part that was handed out and waits for its step
        self._optimizer: torch.optim.Optimizer | None = None

    @property
    def steps_taken(self) -> int:
        """Updates so far, those before a checkpoint included."""
        return self._taken

    @property
    def steps_left(self) -> int:
        """Updates that the mechanism still allows."""
        return self._mechanism.steps - self._taken

    @property
    def ledger(self) -> Ledger:
        """What the steps so far have released, those included that a resumed run had to count as lost."""
        return self._account.ledger(self._taken)

    @property
    def epsilon(self) -> float | None:
        """What the steps so far have spent at the mechanism's delta; None where nothing is promised."""
        return self._account.epsilon(self._taken)

    def claim(self, subject: str = "own loop", *, conditions: tuple[str, ...] = ()) -> PrivacyClaim | None:
        """The promise of the weights as they are now; None without noise or before the first step.

        Args:
            subject: The run that the claim speaks of.
            conditions: Sentences that must hold beside those that follow from the mechanism and the loop.
        """
        looked = "seen in the derivatives of the first batch" if self._looked else "not checked"
        how = "tried on a few examples" if self._rehearsed else looked
        found = [
            f"the loss of each example depends on that example alone ({how})",
            "nothing but the private step changed the weights",
        ]
        if self._seed is not None:
            found.append(
                f"seed {self._seed} stays secret: whoever has it can replay the noise, so this run is reproducible and not for release"
            )
        return self._account.claim(subject, self._taken, conditions=(*found, *conditions))

    def batches(
        self,
        data: Any,
        *,
        collate_fn: Collate | None = None,
        physical_batch_size: int | None = None,
        steps: int | None = None,
        num_workers: int = 0,
        probe: Callable[[Any], Tensor] | None = None,
    ) -> Iterator[Any]:
        """Draws the batches of the coming steps; hand the losses of each to `step` before taking the next.

        Args:
            data: The training examples: anything with a length that is read by position, or a `DataLoader` over it in its order,
                which contributes data set, `collate_fn` and `num_workers`, and nothing else.
            collate_fn: Turns a list of examples into a batch; None for torch's own.
            physical_batch_size: Examples that go through the model together. A batch that is larger comes in parts, and `step`
                updates the model at the last of them. None hands out whole batches.
            steps: How many steps to draw for; None for all that the mechanism has left.
            num_workers: Processes that read ahead.
            probe: Gives the losses of a batch, as the loop will: then the loss is tried on a few examples alone and together, and
                their gradients are compared with ordinary ones, before anything is spent.

        Yields:
            What `collate_fn` gives. An empty batch comes as one example whose loss is ignored: the step takes noise alone.

        Raises:
            InputError: If the data do not fit the mechanism, a loader draws by itself, or too many steps are asked for.
            PreflightError: If the probe shows that the loss or the model would void the promise.
        """
        source = Source.of(data, examples=self._mechanism.sampler.examples, collate_fn=collate_fn, num_workers=num_workers)
        execution = None if physical_batch_size is None else Execution(physical_batch_size=physical_batch_size)
        if self.steps_left == 0:
            raise InputError(
                f"all {self._mechanism.steps} steps of the mechanism are taken; batches() goes through all epochs at once, so loop over "
                "it once, or give steps= for a part of them"
            )
        steps = self.steps_left if steps is None else steps
        if not 1 <= steps <= self.steps_left:
            raise InputError(f"steps is {steps}; it must lie between 1 and what the mechanism has left, {self.steps_left}")
        if probe is not None:
            self._rehearse(source, probe)
        self._abandon()
        return self._hand_out(source, execution, range(self._taken, self._taken + steps))

    def _rehearse(self, source: Source, probe: Callable[[Any], Tensor]) -> None:
        def losses_of(indices: Indices) -> Tensor:
            return probe(source.batch(indices.tolist()))

        probes = np.unique(np.linspace(0, self._mechanism.sampler.examples - 1, preflight.PROBES).astype(np.int64))
        preflight.preflight(self._model, losses_of, probes, self._mechanism, execution=Execution())
        self._rehearsed = True

    def _hand_out(self, source: Source, execution: Execution | None, steps: range) -> Iterator[Any]:
        plan, again = tee(part for step in steps for part in self._parts(step, execution))
        lists = (part.indices.tolist() for part in plan)
        mine: Pass | None = None
        try:
            for part, batch in zip(again, source.batches(lists, streams=self._streams), strict=False):
                mine = self._begin(part)
                yield batch
            if self._pass is not None:
                raise InputError(_NOT_STEPPED)
        finally:
            if mine is not None and self._pass is mine:  # the loop was left between a batch and its step
                self._abandon()

    def _parts(self, step: int, execution: Execution | None) -> Iterator[Part]:
        indices = self._mechanism.sampler.indices(step, self._streams)
        return parts(self._mechanism.clipper, indices, execution=execution, streams=self._streams, step=step)

    def _begin(self, part: Part) -> Pass:
        """Gets ready for the forward pass of a part."""
        if self._pass is not None:
            raise InputError(_NOT_STEPPED)
        if part.step != self._taken or part.position != self._began:
            raise InputError("the batch before was refused, or another loop over batches() has gone on; begin a new loop over batches()")
        self._shape.check(self._model)
        if self._sum is None:
            self._account.reserve(self._taken)
            self._sum = summing(self._model, self._mechanism.clipper, streams=self._streams, step=part.step, state=self._clipping)
        self._pass = Pass(part, self._model, self._sum, private=self._mechanism.private)
        return self._pass

    def step(self, losses: Tensor, optimizer: torch.optim.Optimizer) -> bool:
        """Takes the place of ``losses.mean().backward(); optimizer.step(); optimizer.zero_grad()``.

        Args:
            losses: One for each example of the batch, (B,), with its graph: not their mean, and before any `backward`.
            optimizer: Of the attached model's parameters.

        Returns:
            True where the model was updated; False after a part of a batch that is not its last.

        Raises:
            InputError: If the losses are not one for each example, no batch waits, or the model was changed; nothing is updated then.
            TrainingStopped: If a loss is not finite; nothing is updated then.
            PreflightError: If the losses couple examples, or a parameter is used in a way that cannot be clipped.
        """
        one, total = self._pass, self._sum
        if one is None or total is None:
            raise InputError("there is no batch to step on: loop over private.batches(...) and call step in that loop, once a batch")
        one.check_place()
        try:
            with torch._C.DisableTorchFunction():  # what is only looked at need not go through the recording
                self._shape.check(self._model)
                one.check(losses, optimizer, before=self._optimizer)
            self._looked = self._looked or one.look(losses, self._streams)
            one.add(losses)
        except BaseException:
            self._abandon()
            raise
        self._pass, self._optimizer, self._began = None, optimizer, one.part.position + 1
        if one.part.last:
            self._update(total, optimizer)
        return one.part.last

    @torch.no_grad()
    def _update(self, total: Summing, optimizer: torch.optim.Optimizer) -> None:
        mechanism, step = self._mechanism, self._taken
        gradients = sums.complete(self._model, total.total)
        mechanism.finish(gradients, streams=self._streams, step=step, state=self._clipping)
        for name, parameter in self._model.named_parameters():
            parameter.grad = gradients[name].to(parameter.dtype) if name in gradients else None
        self._taken, self._began, self._sum, self._optimizer = step + 1, 0, None, None
        optimizer.step()
        self._model.zero_grad(set_to_none=True)
        unmoved = self._movement.unmoved(self._model, self._taken, of=mechanism.steps)
        if unmoved is not None:
            warnings.warn(unmoved, stacklevel=3)

    def _abandon(self) -> None:
        """Drops a part that was handed out and the sum that it belongs to; none of it was released."""
        dropped, self._pass = self._pass, None
        self._sum = self._optimizer = None
        self._began = 0
        if dropped is not None:
            dropped.drop()

    def detach(self) -> None:
        """Ends the attachment; the model stays as it was trained. `attach` calls it at the end of its block."""
        try:
            self._abandon()
        finally:
            watching.release_parameters(self._claimed)
            self._account.close(self._taken)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs beside the model and the optimiser: plain data, no randomness.

        Raises:
            InputError: In the middle of a batch, of which nothing can be kept.
        """
        if self._began or self._pass is not None:
            raise InputError("a batch is not finished; take the checkpoint after a step that updated the model (returned True)")
        return {**self._account.state(self._taken), "clipping": asdict(self._clipping)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where a checkpoint stands, with the model and the optimiser that were saved with it.

        Without a seed batches and noise are drawn anew, so no noise is ever used twice; with one they are those that an
        uninterrupted run would have drawn. Steps that the ledger file knows of beyond the checkpoint count as spent.

        Args:
            state: From `state_dict`.

        Raises:
            InputError: If steps were taken already.
            RunError: If the state belongs to another mechanism, or the ledger file to another run.
        """
        if self._taken or self._sum is not None:
            raise InputError(f"{self._taken} steps were taken already; load a state right after attaching")
        taken = self._account.resume(state)
        if self._streams.secret and taken < self._mechanism.steps and not self._mechanism.sampler.begins_event(taken):
            raise RunError(
                f"{self._mechanism.sampler} is accounted by whole rounds, and step {taken} lies within one, of which new randomness "
                "would draw some examples again; take checkpoints between rounds, or give a seed"
            )
        self._taken, self._clipping = taken, ClippingState(**state["clipping"])
        self._movement = preflight.Movement(self._model, since=self._taken)


_NOT_STEPPED = "the batch before was never stepped on; call private.step(losses, optimizer) once for each batch"
