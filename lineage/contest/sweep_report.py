"""What a sweep found: outcomes of every run, paired effects between variants, and where genes went."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from lineage.ask.reading import open_run
from lineage.contest.genes import Course, gene_courses
from lineage.contest.outcomes import MEASURES, Outcome, outcome
from lineage.contest.statistics import Interval, mean, paired_difference, sign_agreement
from lineage.contest.sweep import Done
from lineage.contest.sweep_plan import Plan


@dataclass(frozen=True, slots=True)
class Effect:
    """By how much one variant's measure is above another's on the same seeds."""

    measure: str
    variant: str
    against: str
    difference: Interval  # mean of variant - against, resampled by seed
    sign_agreement: float | None  # share of the seeds whose difference has the sign of the mean
    dropped: int  # seeds on which one of the two is undefined


@dataclass(frozen=True, slots=True)
class GeneEffect:
    """What selection did to a gene under one variant, over seeds."""

    variant: str
    gene: str
    start: float  # mean over seeds of the founders' mean
    end: float  # mean over seeds of the last living's mean
    null_end: float  # what the neutral null makes of it
    excess: Interval  # end - null_end by seed
    differential: Interval  # selection differential a birth, by seed


@dataclass(slots=True)
class Report:
    """Everything that a sweep found."""

    variants: list[str]
    seeds: list[int]
    runs: list[tuple[Done, Outcome]] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    genes: list[GeneEffect] = field(default_factory=list)
    courses: dict[tuple[str, int], list[Course]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "variants": self.variants,
            "seeds": self.seeds,
            "measures": {measure.name: measure.meaning for measure in MEASURES},
            "runs": [_run_row(done) | {"measures": found} for done, found in self.runs],
            "effects": [
                {
                    "measure": effect.measure, "variant": effect.variant, "against": effect.against,
                    **effect.difference.as_dict(), "sign_agreement": effect.sign_agreement, "dropped": effect.dropped,
                }
                for effect in self.effects
            ],
            "genes": [
                {
                    "variant": item.variant, "gene": item.gene, "start": item.start, "end": item.end,
                    "null_end": item.null_end, "excess": item.excess.as_dict(),
                    "differential": item.differential.as_dict(),
                }
                for item in self.genes
            ],
            "courses": [
                {"variant": variant, "seed": seed} | _course_row(course)
                for (variant, seed), courses in self.courses.items()
                for course in courses
            ],
        }  # fmt: skip

    def flat_rows(self) -> list[dict[str, Any]]:
        """Return one row a run, for a CSV file."""
        return [_run_row(done) | found for done, found in self.runs]


def _run_row(done: Done) -> dict[str, Any]:
    return {"variant": done.task.variant, "seed": done.task.seed, "status": done.status, "reason": done.reason}


def _course_row(course: Course) -> dict[str, Any]:
    arrays = ("rounds", "observed", "null_mean", "null_low", "null_high")
    row: dict[str, Any] = {name: getattr(course, name).tolist() for name in arrays}
    scalars = ("gene", "excess", "p_value", "differential", "births")
    return {name: getattr(course, name) for name in scalars} | row


def report_on(plan: Plan, root: Path, done: Sequence[Done], resamples: int) -> Report:
    """Measure every finished run and compare the variants; unfinished and failed runs are named and left out."""
    report = Report([variant.name for variant in plan.variants], list(plan.seeds))
    for item in done:
        found: Outcome = dict.fromkeys((measure.name for measure in MEASURES), None)
        if item.status == "finished":
            with open_run(item.task.directory(root)) as connection:
                found = outcome(connection)
                report.courses[item.task.variant, item.task.seed] = gene_courses(connection, seed=item.task.seed)
        report.runs.append((item, found))
    table = {(item.task.variant, item.task.seed): found for item, found in report.runs}
    for against, variant in combinations(report.variants, 2):
        for measure in MEASURES:
            ours, theirs = ([table[name, seed][measure.name] for seed in report.seeds] for name in (variant, against))
            report.effects.append(_effect(measure.name, variant, against, ours, theirs, resamples))
    for variant in report.variants:
        report.genes += _gene_effects(variant, report, resamples)
    return report


def _effect(
    measure: str, variant: str, against: str, ours: list[float | None], theirs: list[float | None], resamples: int
) -> Effect:
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
    a, b = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    agreement = sign_agreement(a - b) if pairs else None
    found = _named(paired_difference(a, b, resamples), "undefined in every pair")
    return Effect(measure, variant, against, found, agreement, len(ours) - len(pairs))


def _named(interval: Interval, reason: str) -> Interval:
    """Say in the words of a sweep why an interval is undefined: what it resamples are seeds, each with its runs."""
    return replace(interval, reason=interval.reason.replace("market", "seed") if interval.n else reason)


def _gene_effects(variant: str, report: Report, resamples: int) -> list[GeneEffect]:
    mine = [courses for (name, _), courses in report.courses.items() if name == variant and courses]
    found = []
    for courses in zip(*mine, strict=True):
        excess, gaps = (
            np.array([getattr(course, name) for course in courses if getattr(course, name) is not None], dtype=float)
            for name in ("excess", "differential")
        )
        start, end, null = (
            float(np.mean([getattr(course, name)[place] for course in courses]))
            for name, place in (("observed", 0), ("observed", -1), ("null_mean", -1))
        )
        found.append(
            GeneEffect(
                variant,
                courses[0].gene,
                start,
                end,
                null,
                _named(mean(excess, resamples), "no heir in any run"),
                _named(mean(gaps, resamples), "no heir in any run"),
            )
        )
    return found
