"""Genomes: bounds, determinism, log-normal steps, and the genes that need care."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agents import genome
from agents.config import GenomeConfig
from arena.errors import ConfigError

CONFIG = GenomeConfig()
LIMITS = genome.bounds(CONFIG)


def in_bounds(genes: np.ndarray) -> bool:
    """Return whether every gene is finite and within its bounds."""
    return bool(np.all(np.isfinite(genes)) and np.all(genes >= LIMITS.low) and np.all(genes <= LIMITS.high))


def test_genes_are_the_bounds_of_the_configuration_in_order() -> None:
    """Eleven genes; founder_spread is none."""
    assert len(genome.GENES) == genome.N_GENES == 11
    assert genome.GENES[0] == "learning_rate"
    assert "founder_spread" not in genome.GENES
    assert genome.GENES[genome.GAMMA] == "gamma"


@given(seed=st.integers(0, 2**63 - 1), agent=st.integers(1, 2**40), spread=st.floats(0.0, 50.0))
def test_founders_stay_within_bounds(seed: int, agent: int, spread: float) -> None:
    """Whatever the spread."""
    assert in_bounds(genome.founder_genes(GenomeConfig(founder_spread=spread), seed, agent))


@given(seed=st.integers(0, 2**63 - 1), child=st.integers(1, 2**40), place=st.lists(st.floats(0, 1), min_size=11))
def test_children_stay_within_bounds(seed: int, child: int, place: list[float]) -> None:
    """From any parent within bounds, the corners included."""
    parent = LIMITS.low + np.array(place[:11]) * (LIMITS.high - LIMITS.low)
    assert in_bounds(genome.mutate(np.clip(parent, LIMITS.low, LIMITS.high), CONFIG, seed, child))


def test_a_long_line_of_descent_stays_within_bounds() -> None:
    """A thousand generations."""
    genes = genome.founder_genes(CONFIG, 1, 1)
    for child in range(2, 1002):
        genes = genome.mutate(genes, CONFIG, 1, child)
        assert in_bounds(genes)


def test_mutation_is_a_pure_function_of_parent_seed_and_child_id() -> None:
    """Same arguments, same genes; another child or seed, other genes; the parent is not touched."""
    parent = genome.founder_genes(CONFIG, 3, 1)
    before = parent.copy()
    child = genome.mutate(parent, CONFIG, 3, 8)
    assert np.array_equal(child, genome.mutate(parent, CONFIG, 3, 8))
    assert not np.array_equal(child, genome.mutate(parent, CONFIG, 3, 9))
    assert not np.array_equal(child, genome.mutate(parent, CONFIG, 4, 8))
    assert np.array_equal(parent, before)


def test_steps_are_log_normal_with_the_parents_strength() -> None:
    """Kolmogorov-Smirnov on 2,000 children, for a plain gene, gamma's complement and a gene that may be 0."""
    parent = LIMITS.typical.copy()
    parent[genome.MUTATION_STRENGTH] = 0.05
    children = np.stack([genome.mutate(parent, CONFIG, 5, child) for child in range(1, 2001)])

    def scale(values: np.ndarray, gene: int) -> np.ndarray:
        moved: np.ndarray = 1 - values if gene == genome.GAMMA else values + genome.offsets(LIMITS)[gene]
        return moved

    for gene in (genome.LEARNING_RATE, genome.GAMMA, genome.TAU, genome.DRAWDOWN_WEIGHT, genome.MUTATION_STRENGTH):
        z = np.log(scale(children[:, gene], gene) / scale(parent[gene], gene)) / 0.05
        assert stats.kstest(z, "norm").pvalue > 0.001, genome.GENES[gene]
        assert stats.kstest(z * 1.5, "norm").pvalue < 0.001, "the check cannot fail"


def test_strength_is_itself_inherited() -> None:
    """A child of a strong mutator scatters more and stays a strong mutator."""
    calm, wild = LIMITS.typical.copy(), LIMITS.typical.copy()
    calm[genome.MUTATION_STRENGTH], wild[genome.MUTATION_STRENGTH] = 0.01, 0.4
    few = np.stack([genome.mutate(calm, CONFIG, 1, child) for child in range(300)])
    many = np.stack([genome.mutate(wild, CONFIG, 1, child) for child in range(300)])
    gene = genome.LEARNING_RATE
    assert np.log(many[:, gene]).std() > 10 * np.log(few[:, gene]).std()
    assert np.median(many[:, genome.MUTATION_STRENGTH]) == pytest.approx(0.4, rel=0.2)


def test_a_gene_at_zero_can_leave_zero() -> None:
    """Zero is no trap: half of the children of a parent at 0 are above it."""
    parent = LIMITS.typical.copy()
    parent[[genome.EPSILON_FINAL, genome.SCAR_WEIGHT]] = 0.0
    children = np.stack([genome.mutate(parent, CONFIG, 2, child) for child in range(200)])
    for gene in (genome.EPSILON_FINAL, genome.SCAR_WEIGHT):
        assert 60 < np.count_nonzero(children[:, gene] > 0) < 140


def test_a_zero_that_is_all_there_is_stays() -> None:
    """Bounds (0, 0, 0) switch a gene off."""
    off = GenomeConfig(scar_weight=(0.0, 0.0, 0.0))
    assert genome.founder_genes(off, 1, 1)[genome.SCAR_WEIGHT] == 0.0


def test_spread_of_zero_gives_typical_founders() -> None:
    """No scatter, no difference."""
    assert np.allclose(genome.founder_genes(GenomeConfig(founder_spread=0.0), 1, 1), LIMITS.typical, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", (1e-3, 1e-4, 1e-2)),
        ("learning_rate", (1e-5, 1e-4, 1e-5)),
        ("learning_rate", (-1.0, 1e-4, 1e-2)),
        ("learning_rate", (1e-5, 1e-4, float("inf"))),
        ("learning_rate", (1e-5, float("nan"), 1e-2)),
        ("gamma", (0.5, 0.9, 1.1)),
        ("epsilon_final", (0.0, 0.1, 1.5)),
        ("tau", (0.0, 0.1, 2.0)),
        ("mutation_strength", (0.0, 0.1, 0.5)),
        ("epsilon_decay_ticks", (0.0, 100.0, 200.0)),
        ("position_scale", (0.0, 1.0, 2.0)),
    ],
)
def test_impossible_bounds_are_refused_by_name(name: str, value: tuple[float, float, float]) -> None:
    """Out of order, out of range, not finite."""
    with pytest.raises(ConfigError, match=f"genome.{name}"):
        genome.bounds(GenomeConfig(**{name: value}))  # type: ignore[arg-type]
