"""Fine-tune a `transformers` model privately with `transformers.Trainer`: a thin subclass that replaces what would void the promise.

Trainer draws its batches by shuffling, averages the loss over the batch (or over all tokens of several), clips the mean gradient and
updates. `PrivateTrainer` has the mechanism draw the batches, asks for one loss for each example, and updates through
`private.step`; everything else (schedules, evaluation, checkpoints, callbacks, logging) stays Trainer's.

Run it with ``python examples/hf_trainer.py``; it takes about half a minute on two cores and needs no network.
"""

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

import holdfast
from holdfast import privacy

WORDS, STATE = 2048, "private.json"


class PrivateTrainer(Trainer):
    """Trains as the mechanism says. `per_device_train_batch_size` is how many examples go through the model together."""

    def __init__(self, model: Any, args: TrainingArguments, *, mechanism: privacy.Mechanism, seed: int | None = None, **parts: Any) -> None:
        refused = {
            "max_grad_norm": 0.0,  # examples are clipped one by one, before the noise
            "gradient_accumulation_steps": 1,  # the mechanism's batch comes in parts by itself
            "max_steps": mechanism.steps,
            "ignore_data_skip": True,  # the mechanism knows where it stands
            "fp16": False,  # scaled losses would scale the norms; bf16 is fine
            "torch_compile": False,
            "auto_find_batch_size": False,
            "deepspeed": None,
        }
        for name, wanted in refused.items():
            if getattr(args, name) != wanted:
                raise ValueError(f"{name} is {getattr(args, name)!r}; private training needs {name}={wanted!r}")
        if args.world_size > 1 or args.n_gpu > 1:
            raise ValueError(f"{args.world_size} processes, {args.n_gpu} devices; private training with Trainer takes one of each")
        super().__init__(model, args, **parts)
        self.add_callback(KeepAccount(self))
        self.mechanism, self.private_seed = mechanism, seed

    def train(self, resume_from_checkpoint: str | None = None, **options: Any) -> Any:
        """Trains to the end of the mechanism, from a checkpoint if one is named."""
        with privacy.attach(self.model, self.mechanism, seed=self.private_seed) as self.private:
            if resume_from_checkpoint is not None:
                self.private.load_state_dict(json.loads((Path(resume_from_checkpoint) / STATE).read_text()))
            return super().train(resume_from_checkpoint, **options)

    def get_train_dataloader(self) -> Iterator[Any]:
        """The mechanism's batches, in parts that fit."""
        self.drawn = self.private.batches(
            self.train_dataset, collate_fn=self.data_collator, physical_batch_size=self.args.per_device_train_batch_size
        )
        return self.drawn

    def get_batch_samples(self, epoch_iterator: Iterator[Any], num_batches: int, device: Any) -> tuple[list[Any], None]:
        """One part at a time, and no count of tokens in the batch: it would couple examples."""
        return [next(epoch_iterator)], None

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: None = None) -> torch.Tensor:
        """Goes through all parts of one batch and updates the model; Trainer's own update then finds no gradients."""
        model.train()
        while True:
            with self.compute_loss_context_manager():
                losses = self.per_example_losses(model, self._prepare_inputs(inputs))
            if self.private.step(losses, self.optimizer):
                return torch.zeros((), device=self.args.device)  # training losses are private: they are not logged
            inputs = next(self.drawn)

    def per_example_losses(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """One loss for each example, (B,). For token labels: the mean over the example's own tokens."""
        labels = inputs.pop("labels")
        return F.cross_entropy(model(**inputs).logits.float(), labels, reduction="none")


class KeepAccount(TrainerCallback):
    """Puts the account of what was spent into every checkpoint."""

    def __init__(self, trainer: PrivateTrainer) -> None:
        self.trainer = trainer

    def on_save(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        """Is called when a checkpoint was written."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        (folder / STATE).write_text(json.dumps(self.trainer.private.state_dict()))


def encode(example: Any, intents: list[str]) -> dict[str, Any]:
    return {"input_ids": [1 + zlib.crc32(word.encode()) % WORDS for word in example.tokens], "label": intents.index(example.label)}


def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row["input_ids"]) for row in rows], batch_first=True)
    return {"input_ids": ids, "attention_mask": ids.ne(0).long(), "labels": torch.tensor([row["label"] for row in rows])}


def main(folder: Path = Path("hf_trainer")) -> None:
    torch.manual_seed(7)
    data = holdfast.load_data("assistant:train=2000,validation=300,test=1000")
    intents = sorted({example.label for example in data.train})
    train, test = ([encode(example, intents) for example in part if example.label in intents] for part in (data.train, data.test))
    size = {"vocab_size": WORDS + 1, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    model = BertForSequenceClassification(
        BertConfig(**size, num_labels=len(intents), max_position_embeddings=64, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    )
    mechanism = privacy.dp_sgd(examples=len(train), batch_size=512, epochs=10, clip_norm=1.0, target=privacy.Budget(epsilon=8, delta=1e-5))
    args = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=128,
        max_steps=mechanism.steps,
        learning_rate=1e-2,
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
        ignore_data_skip=True,
        save_steps=40,
        save_total_limit=1,
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = PrivateTrainer(
        model,
        args,
        mechanism=mechanism,
        train_dataset=train,
        eval_dataset=test,
        data_collator=collate,
        compute_metrics=lambda found: {"accuracy": float((found.predictions.argmax(1) == found.label_ids).mean())},
    )
    trainer.train()
    print(trainer.private.claim("intents"))
    print(f"accuracy on {len(test)} utterances: {trainer.evaluate()['eval_accuracy']:.3f}")


if __name__ == "__main__":
    main()
