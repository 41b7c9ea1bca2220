"""What can be asked of the corpus `assistant`, checked, and the truth that was planted in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal, get_args

from holdfast.core.errors import InputError, nearest

Split = Literal["random", "time"]

ATTRIBUTE, MAJORITY, MINORITY = "dialect", "avel", "brin"
CONTROL_ATTRIBUTE, CONTROL_VALUES = "device", ("hearth", "pocket")


@dataclass(frozen=True, kw_only=True)
class AssistantSettings:
    """Sizes, drift and planted disparity of the corpus `assistant`.

    The group attribute "dialect" has two invented values, "avel" and "brin"; the disparity is between them. The attribute
    "device" ("hearth", "pocket") is a control: nothing depends on it.

    Args:
        train: Utterances to train on, at least 1.
        validation: Utterances to choose on, at least 1.
        test: Utterances to report on, at least 1.
        users: People who speak, at least 10. All of them may speak in every part.
        seed: Integer >= 0; the same settings give the same utterances on every machine.
        split: "random" (the parts are exchangeable) or "time" (the test comes after the validation after the training).
        drift: How strongly the mix of intents changes over the twelve weeks, >= 0; 0 is no drift.
        minority_share: Share of the users, and nearly of the utterances, that is "brin", in (0, 1).
        label_noise: Rate in [0, 1] at which an "avel" utterance carries the label of another intent.
        label_noise_gap: What is added to that rate for "brin".
        slot_noise: Rate in [0, 1] at which a slot is left untagged, the same for everybody.
        rare_wording: Rate in [0, 1] at which "avel" uses a rare wording.
        rare_wording_gap: What is added to that rate for "brin".

    Raises:
        InputError: For a value out of its range.
    """

    train: int = 6000
    validation: int = 1000
    test: int = 1500
    users: int = 600
    seed: int = 0
    split: Split = "random"
    drift: float = 1.0
    minority_share: float = 0.3
    label_noise: float = 0.01
    label_noise_gap: float = 0.03
    slot_noise: float = 0.015
    rare_wording: float = 0.05
    rare_wording_gap: float = 0.35

    def __post_init__(self) -> None:
        for name, least in (("train", 1), ("validation", 1), ("test", 1), ("users", 10), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"assistant: {name} is {value!r}; give an integer >= {least}")
        if self.split not in get_args(Split):
            raise InputError(f"assistant: split is {self.split!r}; {nearest(str(self.split), get_args(Split))}")
        if not 0 <= self.drift < float("inf"):
            raise InputError(f"assistant: drift is {self.drift}; give a finite number >= 0")
        if not 0 < self.minority_share < 1:
            raise InputError(f"assistant: minority_share is {self.minority_share}; give a share in (0, 1)")
        if not 0 <= self.slot_noise <= 1:
            raise InputError(f"assistant: slot_noise is {self.slot_noise}; give a rate in [0, 1]")
        for name in ("label_noise", "rare_wording"):
            for group, rate in self._rates(name).items():
                if not 0 <= rate <= 1:
                    raise InputError(f"assistant: {name} for {group!r} is {rate}; keep {name} and {name} + {name}_gap in [0, 1]")

    @classmethod
    def parse(cls, text: str, *, seed: int = 0) -> AssistantSettings:
        """Reads ``"train=6000,users=600,drift=0"``; an empty text gives the defaults.

        Args:
            text: Comma-separated settings.
            seed: The seed where the text gives none.

        Raises:
            InputError: For an unknown name (with the nearest one) or a value that is no number.
        """
        kinds: dict[str, type] = {field.name: type(field.default) for field in fields(cls)}
        values: dict[str, object] = {"seed": seed}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, _, value = (piece.strip() for piece in part.partition("="))
            if name not in kinds:
                raise InputError(f"assistant has no setting {name!r}; {nearest(name, kinds)}")
            try:
                values[name] = kinds[name](value)
            except ValueError:
                raise InputError(f"assistant: {name}={value!r}; give {'an integer' if kinds[name] is int else 'a number'}") from None
        return cls(**values)  # type: ignore[arg-type]  # each value was made by the type of its own default

    def truth(self) -> Truth:
        """What is planted: see `Truth`."""
        return Truth(label_noise=self._rates("label_noise"), rare_wording=self._rates("rare_wording"))

    def _rates(self, name: str) -> dict[str, float]:
        base: float = getattr(self, name)
        gap: float = getattr(self, f"{name}_gap")
        return {MAJORITY: base, MINORITY: round(base + gap, 12)}  # .01 + .03 should read .04


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The disparity between the values of "dialect" that was planted, exactly.

    An *oracle* answers with the intent that the utterance was made from (`clean_labels` gives its answers). Its accuracy is
    known without measuring, so a fairness metric that is fed with the oracle's answers has a known truth: expected rates
    here, and on any one split the exact counts of `clean_labels` against the labels. A model that was trained cannot
    be right more often than the oracle except by luck or by having memorised the wrong labels.

    Args:
        label_noise: Group to the probability that its label is not the clean one (another of the intents, each equally likely).
        rare_wording: Group to the probability that a rare wording is used. Harder to learn; how much harder depends on the model.
        attribute: The attribute that the rates belong to.
        control_attribute: An attribute that nothing depends on: every expected difference between its values is 0.
    """

    label_noise: Mapping[str, float]
    rare_wording: Mapping[str, float]
    attribute: str = ATTRIBUTE
    control_attribute: str = CONTROL_ATTRIBUTE

    @property
    def oracle_accuracy(self) -> dict[str, float]:
        """Expected accuracy of the oracle in each group."""
        return {group: 1 - rate for group, rate in self.label_noise.items()}

    @property
    def accuracy_difference(self) -> float:
        """Largest minus smallest expected accuracy of the oracle."""
        return max(self.oracle_accuracy.values()) - min(self.oracle_accuracy.values())

    @property
    def accuracy_ratio(self) -> float:
        """Smallest divided by largest expected accuracy of the oracle; 1 where both are 0."""
        largest = max(self.oracle_accuracy.values())
        return min(self.oracle_accuracy.values()) / largest if largest else 1.0
