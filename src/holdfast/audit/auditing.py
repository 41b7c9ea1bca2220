"""One call that tests a model in several ways and holds its promise to what they find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from holdfast.audit.canaries import SecretTables, rank_secrets
from holdfast.audit.leakage import GroupedScores, risk_evidence, score_histograms
from holdfast.audit.one_run_audit import one_run_audit
from holdfast.audit.scores import Scores
from holdfast.audit.verdicts import judge_together
from holdfast.core.claim import PrivacyClaim
from holdfast.core.errors import InputError
from holdfast.core.evidence import Evidence
from holdfast.data.coin_canaries import CoinCanaries
from holdfast.data.dataset import Dataset
from holdfast.data.secrets import Secret

MOST_GROUPS = 40
"""An attribute with more values gets no figures by group: each would rest on few rows, and all would share one chance of error."""


class Attack(Protocol):
    """A membership attack, such as `holdfast.audit.loss_threshold`."""

    def __call__(self, fitted: Any, /, *, members: Dataset, nonmembers: Dataset) -> Scores:
        """Scores members and non-members."""
        ...


def audit(
    fitted: Any,
    *,
    members: Dataset,
    nonmembers: Dataset,
    attacks: Sequence[Attack],
    claim: PrivacyClaim | None,
    subject: str,
    level: float = 0.95,
    records: int = 0,
    canaries: CoinCanaries | None = None,
    secrets: Sequence[Secret] = (),
    tables: SecretTables | None = None,
) -> Evidence:
    """Attacks a model, and gives one verdict on its promise.

    Args:
        fitted: The model, with the access that the attacks need.
        members: Examples that it was trained on: the real ones alone (`canaries.rest`) where canaries were planted.
        nonmembers: Examples that it never saw, drawn from the same population.
        attacks: At least one, or none where there are canaries; each is another test of the promise, so they share the chance of
            error.
        claim: The promise, or None where there is none.
        subject: The run that was attacked.
        level: Confidence of the intervals, and of the verdict over all tests together.
        records: How many of the members at most risk to list, by hash. None by default: the list concerns persons.
        canaries: Canaries by fair coins, where the model was trained on `canaries.train`; the audit of the one run by them is one
            more test of the promise, see `one_run_audit`.
        secrets: Secrets that were planted in the training data; how likely the model finds each is one more test of the promise,
            see `holdfast.audit.canaries.rank_secrets`.
        tables: Losses of their fills, to be shared with other attacks on them; made here where left out.

    Returns:
        The evidence of every attack, whole, by group where the data have groups, and as histograms; that of the canaries and of the
        secrets; one verdict where there is a claim.

    Raises:
        InputError: For no attack, no canaries and no secrets, and whatever the attacks, `one_run_audit` and `rank_secrets` refuse.

    Guarantee:
        A true claim is contradicted with probability at most 1 - level, under the conditions of `registered_bound` and, where there
        are canaries or secrets, of `one_run_audit` and `rank_secrets`.
    """
    tests = len(attacks) + (canaries is not None) + bool(secrets)
    if not tests:
        raise InputError("no attack is given; name at least one, such as 'loss-threshold', or plant canaries or secrets")
    if canaries is not None and members.content_hash == canaries.train.content_hash:
        raise InputError("the canaries stand among the members, and words alone would tell them; give the real ones (canaries.rest)")
    each = 1 - (1 - level) / tests
    scored = [attack(fitted, members=members, nonmembers=nonmembers) for attack in attacks]
    names = [scores.attack for scores in scored]
    if len(set(names)) < len(names):
        raise InputError(f"the attacks are called {', '.join(names)}; give each once, or their figures could not be told apart")
    parts = [scores.evidence(claim, subject=subject, level=level, bound_level=each) for scores in scored]
    found = Evidence()
    for part in parts:  # what is known of the rows is the same for every attack
        known = found.estimate("blind_auc") is not None
        found += replace(part, estimates=tuple(one for one in part.estimates if one.name != "blind_auc" or not known))
    for scores in scored:
        found += _in_detail(scores, members, nonmembers, subject=subject, level=level, records=records)
    if canaries is not None:
        found += one_run_audit(
            fitted,
            canaries=canaries.candidates,
            included=canaries.included,
            claim=claim,
            subject=subject,
            level=level,
            bound_level=each,
            copies=canaries.copies,
        )
    if secrets:
        found += rank_secrets(fitted, secrets, claim=claim, subject=subject, level=level, bound_level=each, tables=tables)
    verdicts = (judge_together(found.verdicts, level=level),) if claim is not None else ()
    return replace(found, verdicts=verdicts, notes=tuple(dict.fromkeys(found.notes)))


def _in_detail(scores: Scores, members: Dataset, nonmembers: Dataset, *, subject: str, level: float, records: int) -> Evidence:
    """How the scores are spread, what they say by group, and which members are at most risk."""
    found = Evidence(curves=score_histograms(scores, subject=subject, level=level))
    for name in members.group_names:
        if name not in nonmembers.group_names:
            continue
        sides = [[value or None for value in side.group(name)] for side in (members, nonmembers)]  # an empty value is not known
        grouped = GroupedScores(scores=scores, attribute=name, members=sides[0], nonmembers=sides[1])
        if len(grouped.names) <= MOST_GROUPS:
            found += grouped.evidence(subject=subject, level=level)
        else:
            found += Evidence(notes=(f"{name!r} has {len(grouped.names):,} values: too many for figures by group.",))
    if records:
        ids = members.user_ids() if members.has("user_id") else [str(row) for row in range(len(members))]
        found += risk_evidence(scores, ids, salt=members.name, subject=subject, count=records, level=level)
    return found
