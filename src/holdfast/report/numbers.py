"""How numbers are written: one name, scale and rounding for each quantity, and no digit that its interval does not support."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from holdfast.core.evidence import Estimate
from holdfast.report.fairness import names

Style = Literal["percent", "points", "plain", "gap", "nats", "bits", "bytes", "seconds", "times", "count", "whole percent"]

MINUS = "\N{MINUS SIGN}"
DIFFERENCE, RATIO = "_difference", "_ratio"
_LABELS: dict[str, tuple[str, Style]] = {
    "intent_accuracy": ("Intent accuracy", "percent"),
    "slot_f1": ("Slot F1", "percent"),
    "accuracy": ("Accuracy", "percent"),
    "macro_f1": ("Macro F1", "percent"),
    "tag_accuracy": ("Tag accuracy", "percent"),
    "reply_auc": ("Reply AUC", "plain"),
    "perplexity": ("Perplexity", "plain"),
    "next_word_accuracy": ("Next\N{NON-BREAKING HYPHEN}word accuracy", "percent"),
    "unknown_words": ("Unknown words", "percent"),
    "membership_auc": ("Attack AUC", "plain"),
    "tpr_at_fpr": ("TPR", "percent"),
    "membership_advantage": ("Attack advantage", "plain"),
    "blind_auc": ("Blind AUC", "plain"),
    "epsilon": ("Promised ε", "nats"),
    "epsilon_naive": ("ε by naive accounting", "nats"),
    "epsilon_rdp": ("ε by a second accountant", "nats"),
    "epsilon_lower_bound": ("Lower bound on ε", "nats"),
    "group_auc": ("AUC in a group", "plain"),
    "group_auc_gap": ("Largest difference of AUC between groups", "plain"),
    "group_tpr_one_threshold": ("TPR in a group, one threshold", "percent"),
    "group_fpr_one_threshold": ("FPR in a group, one threshold", "percent"),
    "group_tpr_own_threshold": ("TPR in a group, threshold of its own", "percent"),
    "group_advantage": ("Advantage in a group", "plain"),
    "one_run_epsilon": ("Lower bound on ε by canaries", "nats"),
    "one_run_gaussian_epsilon": ("The same, if the mechanism is Gaussian", "nats"),
    "one_run_accuracy": ("Canaries guessed right", "percent"),
    "record_fpr": ("Non-members that score as high as a record", "percent"),
    "secret_rank": ("Rank of a planted secret", "count"),
    "secret_exposure": ("Exposure", "bits"),
    "secret_p_value": ("p\N{NON-BREAKING HYPHEN}value of the rank", "plain"),
    "secret_epsilon": ("Lower bound on ε by the rank", "nats"),
    "secrets_p_value": ("p\N{NON-BREAKING HYPHEN}value of all secrets together", "plain"),
    "extraction_accuracy": ("Secrets found whole", "percent"),
    "extraction_hamming": ("Words of a secret found wrong", "percent"),
    "optimiser_gap": ("Optimiser gap", "nats"),
    "random_search_accuracy": ("Secrets found whole by random fills", "percent"),
    "random_search_hamming": ("Words found wrong by random fills", "percent"),
    "token_precision": ("Token precision", "percent"),
    "token_recall": ("Token recall", "percent"),
    "token_f1": ("Token F1", "percent"),
    "token_f1_gain": ("Token F1 above guessing", "points"),
    "sentences_recovered": ("Sentences recovered whole", "percent"),
    "gradient_rank": ("Rank of the gradient", "plain"),
    "seconds_per_epoch": ("Seconds per epoch", "seconds"),
    "parameters": ("Trainable parameters", "count"),
}
_ACROSS_CLIENTS: dict[str, str] = {  # written as their unit says
    "client_score_decile": "Mean score of the clients of a decile",
    "client_score_percentile": "Score of a client at a percentile",
    "participation_decile": "Rounds that a client of a decile took part in",
    "update_norm_decile": "Share of a decile in the norm of all updates",
    "activity_gini": "Gini index of activity",
    "participation_gini": "Gini index of participation",
    "clients": "Clients",
    "examples": "Examples of all clients",
    "mean_js_distance": "Mean Jensen\N{EN DASH}Shannon distance of two clients",
    "bytes_up": "Bytes sent up in all",
    "bytes_down": "Bytes sent down in all",
    "bytes_up_per_client": "Bytes up, one client and round",
    "bytes_down_per_client": "Bytes down, one client and round",
    "clients_left_out": "Updates left out",
    "round_seconds": "Seconds of a round",
    "local_steps": "Steps of all clients",
    "prequential_score": "Prequential score",
    "forgetting": "Forgetting",
    "static_gap": "Static training less this",
    "mean_score": "Score",
    "mean_score_light": "Score, three lightest deciles",
    "mean_score_heavy": "Score, three heaviest deciles",
    "worst_decile": "Score, worst decile",
    "rounds_to_score": "Rounds to the target",
    "gain_over_uniform": "Gain over uniform selection",
    "gain_over_fedavg": "Gain over FedAvg as usual",
    "gain_light": "Gain, three lightest deciles",
    "gain_heavy": "Gain, three heaviest deciles",
}
_GAPS = ("forgetting", "static_gap", "gain_over_uniform", "gain_over_fedavg", "gain_light", "gain_heavy")  # differences of scores
_UNITS: dict[str, Style] = {
    **{"share": "percent", "nats": "nats", "bits": "bits", "bytes": "bytes", "seconds": "seconds", "parameters": "count"},
    **{"clients": "count", "examples": "count", "steps": "count"},
}
_SUFFIX: dict[Style, str] = {"percent": "%", "whole percent": "%", "points": " points", "bits": " bits", "seconds": " s", "times": "×"}
_WORDS = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"))
_BYTES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


@dataclass(frozen=True, kw_only=True)
class Written:
    """A number in words.

    Args:
        value: With its unit, such as "95.3%"; "not resolvable" or "not measured" where it is missing.
        interval: With its unit, such as "94.1–96.3%", or empty.
        missing: Why there is no value, or empty.
    """

    value: str
    interval: str = ""
    missing: str = ""

    @property
    def full(self) -> str:
        """Value and interval on one line."""
        return f"{self.value} ({self.interval})" if self.interval else self.value


def label(estimate: Estimate) -> str:
    """The name of a quantity for people, the same everywhere."""
    fpr = estimate.conditions.get("fpr")
    if estimate.name == "tpr_at_fpr" and isinstance(fpr, float):
        return f"TPR at {share(fpr)} FPR"
    return label_of(estimate.name)


def label_of(name: str) -> str:
    """The name of a quantity for people, from its name in the evidence.

    >>> label_of("slot_f1"), label_of("gender_gap")
    ('Slot F1', 'Gender gap')
    """
    if name in _LABELS:
        return _LABELS[name][0]
    return _ACROSS_CLIENTS.get(name) or names.LABELS.get(name) or names.spelt(name)


def in_percent(name: str) -> bool:
    """Whether a share of this name is written in percent, as most are.

    >>> in_percent("slot_f1"), in_percent("perplexity")
    (True, False)
    """
    return _LABELS.get(name, ("", "percent"))[1] == "percent"


def written(estimate: Estimate) -> Written:
    """Writes an estimate with no more digits than its interval supports.

    The last digit shown is the one where the half-width of the interval, itself rounded to one or two digits by the rule of
    the Particle Data Group, ends. Without an interval three significant digits are shown.

    References:
        Particle Data Group, Review of Particle Physics, section 5.3 "Rounding".
    """
    if estimate.value is None:
        reason = estimate.missing or ""
        return Written(value="not resolvable" if reason.startswith("not resolvable") else "not measured", missing=reason)
    style = _style(estimate)
    if style == "bytes":
        return Written(value=in_bytes(estimate.value))
    scale = 100 if style in ("percent", "points") else 1
    suffix = _SUFFIX.get(style, "")
    value = estimate.value * scale
    interval = estimate.interval
    if interval is None or interval.high - interval.low <= 1e-9 * abs(estimate.value):  # equal but for rounding
        text = f"{value:,.0f}" if style == "count" else significant(value)
        return Written(value=_signed(text, style, estimate) + suffix)
    decimals = supported(scale * (interval.high - interval.low) / 2)
    ends = [_signed(fixed(scale * end, decimals), style, estimate) for end in (interval.low, interval.high)]
    joint = " to " if style in ("points", "gap") or ends[0].startswith(MINUS) else "–"
    unit = "" if style in ("points", "bits") else suffix  # a word is not said twice
    return Written(value=_signed(fixed(value, decimals), style, estimate) + suffix, interval=joint.join(ends) + unit)


def supported(half_width: float) -> int:
    """Decimals that an interval of this half-width supports.

    >>> [supported(half) for half in (0.011, 0.0047, 0.97, 12.0, 40.0)]
    [3, 3, 1, 0, 0]
    """
    leading = math.floor(math.log10(half_width))
    head = half_width / 10**leading  # the first digits, in [1, 10)
    place = leading - 1 if head < 3.55 else leading
    return min(6, max(0, -place))


def fixed(value: float, decimals: int) -> str:
    """A number with so many decimals, thousands separated, and never a negative nought.

    >>> fixed(-0.004, 2), fixed(-1234.5, 1)
    ('0.00', '−1,234.5')
    """
    text = f"{abs(value):,.{decimals}f}"
    return MINUS + text if value < 0 and float(text.replace(",", "")) else text


def significant(value: float, digits: int = 3) -> str:
    """A number with so many significant digits and no trailing noughts.

    >>> significant(7.99999), significant(31.72), significant(1e-5), significant(13084), significant(0.0)
    ('8', '31.7', '1e-5', '13,084', '0')
    """
    size = abs(value)
    if size != 0 and not 1e-3 <= size < 1e15:
        mantissa, exponent = f"{size:.{digits - 1}e}".split("e")
        text = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    elif size >= 10 ** (digits - 1):
        text = f"{size:,.0f}"
    else:
        text = f"{float(f'{size:.{digits}g}'):.{digits + 3}f}".rstrip("0").rstrip(".")
    return MINUS + text if value < 0 and size else text


def share(value: float) -> str:
    """A share in [0, 1] as a percentage of at most three digits.

    >>> share(0.1), share(0.001), share(0.0738)
    ('10%', '0.1%', '7.38%')
    """
    return significant(100 * value) + "%"


def named(sign: str, value: float) -> str:
    """A sign with its value, which no line break parts.

    >>> named("ε", 7.9996).split()
    ['ε', '=', '8']
    """
    return f"{sign}\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{significant(value)}".replace("-", "\N{NON-BREAKING HYPHEN}")


def one_in(chance: float) -> str:
    """A small chance as a lay person says it.

    >>> one_in(1e-5)
    'one in 100,000'
    """
    return f"one in {significant(1 / chance)}"


def factor(epsilon: float) -> str:
    """Writes e to the power of epsilon in a form that says how large it is.

    >>> factor(0.5), factor(2.0), factor(8.0), factor(31.7), factor(50.0)
    ('1.65', '7.39', '2,980', '58 trillion', '10^21')
    """
    if epsilon > math.log(1e15):
        return f"10^{math.floor(epsilon / math.log(10))}"
    value = math.exp(epsilon)
    for size, word in _WORDS:
        if value >= size:
            return f"{significant(value / size, 2)} {word}"
    rounded = float(f"{value:.3g}")
    return significant(rounded)


def in_bytes(count: float) -> str:
    """A number of bytes in the decimal unit that suits it.

    >>> in_bytes(950), in_bytes(13084), in_bytes(1_204_332)
    ('950 bytes', '13.1 kB', '1.2 MB')
    """
    for size, unit in _BYTES:
        if float(f"{abs(count):.3g}") >= size:
            return f"{significant(count / size)} {unit}"
    return f"{significant(count)} bytes"


def large(count: float) -> str:
    """A count in words where it is large.

    >>> large(950), large(13084), large(1_204_332)
    ('950', '13,084', '1.2 million')
    """
    for size, word in _WORDS:
        if count >= size:
            return f"{significant(count / size, 2)} {word}"
    return f"{count:,.0f}"


def _style(estimate: Estimate) -> Style:
    if names.METRIC in estimate.conditions:
        return names.style_of(estimate.name, estimate.unit, estimate.conditions.get("statistic", ""))
    if estimate.name.endswith(DIFFERENCE):
        return "points" if estimate.unit == "share" and in_percent(estimate.name.removesuffix(DIFFERENCE)) else "gap"
    if estimate.name in _GAPS and estimate.unit == "share":
        return "points"
    if estimate.name.endswith(RATIO):
        return "times"
    return _LABELS[estimate.name][1] if estimate.name in _LABELS else _UNITS.get(estimate.unit, "plain")


def _signed(text: str, style: Style, estimate: Estimate) -> str:
    """A difference above nought carries a plus, unless it cannot be below nought, as the gap between the best and the worst group."""
    positive = style in ("points", "gap") and not text.startswith(MINUS) and any(digit in text for digit in "123456789")
    return f"+{text}" if positive and not names.unsigned(estimate) else text
