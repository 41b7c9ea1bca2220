"""What each process does in the tests of shared work; started by torchrun with the folder for results."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from holdfast import models, privacy
from holdfast.core.errors import TrainingStopped
from holdfast.data import Dataset, load_data
from holdfast.tasks import IntentSlot
from holdfast.training import FittedModel, TrainingSettings, train
from holdfast.training.distributed import Group, joined

DATA = load_data("assistant:train=160,validation=30,test=60,users=20", seed=3)
TASK = IntentSlot(unseen_labels="count as wrong")
MODEL = models.BiLSTM(embedding=6, hidden=5, characters=4, character_width=3, dropout=0.0, word_dropout=0.0)
SETTINGS = TrainingSettings(checkpoint_every=4, optimizer="sgd", learning_rate=0.05, averaging=0.5)
WHOLE = {"clip_norm": 0.5, "noise_multiplier": 0.8, "delta": 1e-4}
COMMON = {"examples": len(DATA.train)} | WHOLE
FLAT = privacy.dp_sgd(**COMMON, batch_size=20, steps=6)
MECHANISMS = {
    "dp-sgd": FLAT,
    "edp-sgd": privacy.edp_sgd(**COMMON, batch_size=20, micro_batch_size=5, steps=6),
    "tiny": privacy.dp_sgd(**COMMON, batch_size=1, steps=12, sampler="poisson"),
    "adaptive": replace(FLAT, clipper=privacy.AdaptiveClipping(clip_norm=0.5, quantile=0.5, count_noise=2.0)),
    "users": privacy.dp_sgd(**WHOLE, users=len(set(DATA.train.user_ids())), unit="user", examples_per_user=4, batch_size=10, steps=6),
    "none": privacy.non_private(examples=len(DATA.train), batch_size=20, epochs=1),
}


CONTRARY = [replace(row, label="stop", tags=["O"] * len(row.tokens)) for row in list(DATA.train)[:40] if row.label != "stop"]
PATIENT = replace(SETTINGS, learning_rate=0.5, patience=2)


def run_patiently(folder: Path) -> FittedModel:
    """Stops early: the more is learned, the worse it looks on validation data that contradict the training data."""
    data = replace(DATA, validation=Dataset.from_examples(CONTRARY, name=DATA.name, split="validation"))
    mechanism = privacy.dp_sgd(**COMMON, batch_size=80, epochs=10)
    return train(TASK, data, model=MODEL, mechanism=mechanism, settings=PATIENT, seed=5, folder=folder / "patient", name="patient")


class Breaks(IntentSlot):
    """A task whose loss turns to NaN in one process alone."""

    def per_example_loss(self, model, batch):
        losses = super().per_example_loss(model, batch)
        training = model.training and torch.is_grad_enabled() and len(losses) > 3
        return losses * float("nan") if training and Group.current().rank == 1 else losses


def run(name: str, folder: Path, *, task: IntentSlot = TASK, seed: int | None = 5) -> None:
    train(task, DATA, model=MODEL, mechanism=MECHANISMS[name], settings=SETTINGS, seed=seed, folder=folder / name, name=name)


def main(folder: Path) -> None:
    """One training after the other, the last of which breaks."""
    with joined() as group:
        for name in MECHANISMS:
            run(name, folder)
        run("dp-sgd", folder / "secret", seed=None)
        patient = run_patiently(folder)
        save_file(patient.module.state_dict(), folder / f"patient-{group.rank}.safetensors")
        (folder / f"patient-{group.rank}.json").write_text(
            json.dumps([patient.history.validation, patient.history.kept, patient.history.step])
        )
        try:
            run("dp-sgd", folder / "broken", task=Breaks(unseen_labels="count as wrong"))
        except TrainingStopped as error:
            (folder / f"error-{group.rank}").write_text(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
