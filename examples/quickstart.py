"""Train a voice assistant's model privately, attack it, and write the report: the twenty lines of the README.

Run it with ``python examples/quickstart.py``; it takes about a minute on two cores and needs no network.
"""

import holdfast
from holdfast import audit, models, privacy, tasks


def main() -> None:
    data = holdfast.load_data("assistant:train=3000,validation=300,test=1000")
    task = tasks.IntentSlot(unseen_labels="count as wrong")
    model = models.BiLSTM(embedding=32, hidden=48, characters=16, vocabulary="hashed", buckets=4096, dropout=0.0, word_dropout=0.0)
    mechanism = privacy.dp_sgd(
        examples=len(data.train),
        batch_size=256,
        epochs=8,
        clip_norm=1.0,
        target=privacy.Budget(epsilon=8, delta=1e-5),
    )
    settings = holdfast.TrainingSettings(learning_rate=0.03, averaging=0.9, schedule="linear")
    fitted = holdfast.train(task, data, model=model, mechanism=mechanism, settings=settings, seed=7)
    print(fitted.claim)

    scores = audit.loss_threshold(fitted, members=data.train, nonmembers=data.test)
    found = scores.evidence(fitted.claim, subject=fitted.name)
    for verdict in found.verdicts:
        print(f"{verdict.outcome}: {verdict.reason}")
    files = holdfast.write_report("trust.html", fitted, found, title="A voice assistant")
    print(f"open {files.html}")


if __name__ == "__main__":
    main()
