"""Learning: fast equals reference, agents do not touch each other, failures stay where they are, and it learns."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from agents import brains as brain
from agents import learn_fast
from agents.brains import Brains
from agents.config import MindConfig
from agents.learn import LearnStats, Rates, learn_step
from agents.learn_fast import FastLearner
from agents.qnet import forward, head_matrix
from agents.replay import Batch

D, A, P = 12, 7, 9
Step = Callable[[Brains, Batch, Rates, np.ndarray, MindConfig], LearnStats]
BUFFERS = ("params", "target", "moment1", "moment2", "steps")


def fast_step(brains: Brains, batch: Batch, rates: Rates, active: np.ndarray, config: MindConfig) -> LearnStats:
    """Run the production learner once, with fresh buffers."""
    return FastLearner(brains, config).step(batch, rates, active)


BOTH = pytest.mark.parametrize("step", [learn_step, fast_step], ids=["reference", "fast"])


def small(**changes: object) -> MindConfig:
    """Return a small configuration."""
    return MindConfig(**({"hidden": (24, 40), "batch": 8} | changes))  # type: ignore[arg-type]


def make(config: MindConfig, ids: list[int] | None = None) -> Brains:
    """Return founders with the given ids, 1 to P by default."""
    ids = list(range(1, P + 1)) if ids is None else ids
    brains = brain.allocate(len(ids), D, A, config)
    for seat, agent in enumerate(ids):
        brain.init_founder(brains, seat, 3, agent)
    return brains


def batch_for(ids: list[int], seats: list[int], seed: int, config: MindConfig, weighted: bool = False) -> Batch:
    """Return random transitions; a seat's data is a function of its agent's id and the seed."""
    b = config.batch
    rngs = [np.random.default_rng([seed, ids[seat]]) for seat in seats]

    def stack(draw: Callable[[np.random.Generator], np.ndarray]) -> torch.Tensor:
        return torch.from_numpy(np.stack([draw(rng) for rng in rngs]))

    return Batch(
        seats=np.array(seats),
        x=stack(lambda rng: rng.normal(size=(2 * b, D)).astype(np.float32)),
        a_tm1=stack(lambda rng: rng.integers(0, A, b)),
        r_t=stack(lambda rng: 2.0 * rng.normal(size=b).astype(np.float32)),
        discount_t=stack(lambda rng: np.where(rng.random(b) < 0.1, 0, 0.9).astype(np.float32)),
        legal_t=stack(lambda rng: rng.integers(1, 2**A, b).astype(np.uint8)),
        weight=stack(lambda rng: (rng.random(b) < 0.7).astype(np.float32)) if weighted else None,
    )


def rates_for(ids: list[int]) -> Rates:
    """Return rates that differ from agent to agent."""
    return Rates(np.array(ids, dtype=np.float32) * 2e-4, np.array(ids, dtype=np.float32) * 3e-3)


def copies(brains: Brains) -> dict[str, torch.Tensor]:
    """Return copies of what an update changes."""
    return {name: getattr(brains, name).clone() for name in BUFFERS}


def same_rows(brains: Brains, before: dict[str, torch.Tensor], seats: list[int]) -> bool:
    """Return whether these seats have their old bytes."""
    return all(torch.equal(getattr(brains, name)[seats], value[seats]) for name, value in before.items())


SWITCHES: list[dict[str, object]] = [
    {},
    {"dueling": False},
    {"double": False},
    {"mask_bellman": False},
    {"target": "hard", "hard_target_every": 3},
    {"target": "none"},
    {"target": "none", "double": False, "dueling": False},
    {"grad_clip": 0.05},
    {"huber_delta": 0.3},
    {"hidden": (64, 64), "batch": 32},
    {"adam_beta1": 0.5, "adam_beta2": 0.9, "adam_eps": 1e-3},
]


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("seats", [list(range(P)), [0, 1, 4, 5, 8], [7]], ids=["all", "gaps", "one"])
@pytest.mark.parametrize("changes", SWITCHES, ids=str)
def test_fast_equals_reference(
    changes: dict[str, object], seats: list[int], weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven updates on random data, chunks of 4 and 3: every buffer to 3e-6, every figure to 1e-4."""
    monkeypatch.setattr(learn_fast, "CHUNK", 4)
    monkeypatch.setattr(learn_fast, "ADAM_CHUNK", 3)
    config = small(**changes)
    ids = list(range(1, P + 1))
    slow, quick = make(config), make(config)
    learner = FastLearner(quick, config)
    active = np.isin(np.arange(P), seats)
    active[seats[0]] = len(seats) == 1  # a seat in the batch that must not be updated
    one = two = LearnStats.allocate(P)
    for seed in range(7):
        batch = batch_for(ids, seats, seed, config, weighted)
        one = learn_step(slow, batch, rates_for(ids), active, config)
        two = learner.step(batch, rates_for(ids), active)
    for name in BUFFERS:
        assert torch.allclose(getattr(slow, name).float(), getattr(quick, name).float(), atol=3e-6, rtol=1e-4), name
    for name in ("loss", "td_error", "grad_norm", "q_mean", "q_max"):
        assert np.allclose(getattr(one, name), getattr(two, name), rtol=1e-4, atol=1e-6), name
    assert np.array_equal(one.updated, active) and np.array_equal(two.updated, active)
    assert not one.failed.any() and not two.failed.any()


@pytest.mark.parametrize("changes", [c for c in SWITCHES[1:] if not {"hidden", "dueling"} & set(c)], ids=str)
def test_every_switch_changes_what_is_learned(changes: dict[str, object]) -> None:
    """Sabotage of the comparison above: a switch that did nothing would pass it."""
    plain, switched = small(), small(**changes)
    ids = list(range(1, P + 1))
    one, two = make(plain), make(plain)
    for seed in range(4):
        batch = batch_for(ids, list(range(P)), seed, plain)
        learn_step(one, batch, rates_for(ids), np.ones(P, bool), plain)
        learn_step(two, batch, rates_for(ids), np.ones(P, bool), switched)
    assert not torch.allclose(one.params, two.params, atol=3e-6, rtol=1e-4)


def test_reference_equals_one_torch_dqn_a_seat() -> None:
    """The oracle: torch.optim.Adam, clip_grad_norm_ and a double-DQN loss for each agent alone."""
    config = small(adam_eps=1e-12, grad_clip=0.5)  # with epsilon near 0 both forms of Adam agree
    ids = list(range(1, P + 1))
    rates = rates_for(ids)
    stacked = make(config)
    alone = [torch.nn.Parameter(stacked.params[seat : seat + 1].clone()) for seat in range(P)]
    frozen = stacked.target.clone()
    adams = [torch.optim.Adam([p], lr=float(rates.learning_rate[s]), eps=1e-12) for s, p in enumerate(alone)]
    head = head_matrix(stacked.layout)
    for seed in range(5):
        batch = batch_for(ids, list(range(P)), seed, config)
        learn_step(stacked, batch, rates, np.ones(P, bool), config)
        for seat, (flat, adam) in enumerate(zip(alone, adams, strict=True)):
            one = slice(seat, seat + 1)
            with torch.no_grad():
                legal = ((batch.legal_t[one, :, None] >> torch.arange(A)) & 1).bool()
                selector = forward(brain.views(stacked.layout, flat), batch.s_t[one], head)
                best = torch.where(legal, selector, -torch.inf).argmax(dim=2, keepdim=True)
                q_t = forward(brain.views(stacked.layout, frozen[one]), batch.s_t[one], head)
                goal = batch.r_t[one] + batch.discount_t[one] * q_t.gather(2, best)[:, :, 0]
            q_tm1 = forward(brain.views(stacked.layout, flat), batch.s_tm1[one], head)
            chosen = q_tm1.gather(2, batch.a_tm1[one][:, :, None])[:, :, 0]
            adam.zero_grad()
            torch.nn.functional.smooth_l1_loss(chosen, goal).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_([flat], 0.5)
            adam.step()
            with torch.no_grad():
                frozen[one] += float(rates.tau[seat]) * (flat - frozen[one])
    # a zero gradient has no direction: compare where Adam's second moment is not at the rounding floor
    together = torch.cat([p.detach() for p in alone])
    clear = stacked.moment2 > 1e-10
    assert clear.float().mean() > 0.5
    assert torch.allclose(stacked.params[clear], together[clear], atol=2e-5)


@BOTH
def test_changing_one_agents_data_leaves_every_other_agents_bytes(step: Step) -> None:
    """And changes its own."""
    config = small()
    ids = list(range(1, P + 1))
    one, two = make(config), make(config)
    for seed in range(3):
        batch = batch_for(ids, list(range(P)), seed, config)
        step(one, batch, rates_for(ids), np.ones(P, bool), config)
        batch.x[4] += 1.0
        batch.r_t[4] *= -3.0
        step(two, batch, rates_for(ids), np.ones(P, bool), config)
    others = [seat for seat in range(P) if seat != 4]
    assert same_rows(two, copies(one), others)
    assert not same_rows(two, copies(one), [4])


@BOTH
def test_inactive_seats_keep_their_bytes(step: Step) -> None:
    """In the batch or not, a seat that is not active does not move; its step count neither."""
    config = small()
    ids = list(range(1, P + 1))
    brains = make(config)
    brains.moment1.normal_(generator=torch.Generator().manual_seed(1))
    before = copies(brains)
    active = np.isin(np.arange(P), [1, 2, 6])
    stats = step(brains, batch_for(ids, [0, 1, 2, 5, 6, 7], 1, config), rates_for(ids), active, config)
    assert same_rows(brains, before, [0, 3, 4, 5, 7, 8])
    assert all(not same_rows(brains, before, [seat]) for seat in (1, 2, 6))
    assert brains.steps.tolist() == active.astype(int).tolist()
    assert not stats.loss[~active].any() and np.all(stats.loss[active] > 0)


@BOTH
@pytest.mark.parametrize("poison", ["nan reward", "inf reward", "inf observation", "nan weight", "huge reward"])
def test_a_failure_is_flagged_and_stays_where_it_is(step: Step, poison: str) -> None:
    """The poisoned agent is not updated; the others come out as if nothing had happened, also in the next step."""
    config = small()
    ids = list(range(1, P + 1))
    healthy, sick = make(config), make(config)
    batch, next_batch = (batch_for(ids, list(range(P)), seed, config) for seed in (1, 2))
    step(healthy, batch, rates_for(ids), np.ones(P, bool), config)
    if poison == "nan weight":
        sick.params[3, 5] = torch.nan
    elif poison == "inf observation":
        batch.x[3, 0, 0] = torch.inf
    else:
        batch.r_t[3, 2] = {"nan reward": torch.nan, "inf reward": torch.inf, "huge reward": 3.4e38}[poison]
        batch.r_t[3, 3] = batch.r_t[3, 2]
    before = copies(sick)
    stats = step(sick, batch, rates_for(ids), np.ones(P, bool), config)
    assert stats.failed.tolist() == [seat == 3 for seat in range(P)]
    assert stats.updated.tolist() == [seat != 3 for seat in range(P)]
    unmoved = {name: torch.nan_to_num(value.float()) for name, value in before.items()}
    assert all(torch.equal(torch.nan_to_num(getattr(sick, name)[3].float()), unmoved[name][3]) for name in BUFFERS)
    others = [seat for seat in range(P) if seat != 3]
    assert same_rows(sick, copies(healthy), others)
    for brains in (healthy, sick):
        step(brains, next_batch, rates_for(ids), np.ones(P, bool), config)
    assert same_rows(sick, copies(healthy), others)


@BOTH
def test_draws_without_weight_do_not_matter(step: Step) -> None:
    """Their actions, rewards and successors can be anything."""
    config = small()
    ids = list(range(1, P + 1))
    one, two = make(config), make(config)
    batch = batch_for(ids, list(range(P)), 1, config, weighted=True)
    assert batch.weight is not None
    step(one, batch, rates_for(ids), np.ones(P, bool), config)
    dead = batch.weight == 0.0
    batch.r_t[dead] = 77.0
    batch.a_tm1[dead] = 0
    batch.discount_t[dead] = 0.3
    step(two, batch, rates_for(ids), np.ones(P, bool), config)
    assert same_rows(two, copies(one), list(range(P)))


@BOTH
def test_targets_follow_as_configured(step: Step) -> None:
    """soft: tau of the way; hard: a copy at every third update of this agent; none: always the same."""
    ids = list(range(1, P + 1))
    for kind in ("soft", "hard", "none"):
        config = small(target=kind, hard_target_every=3)
        brains = make(config)
        brains.steps[5] = 1  # this agent is one update ahead
        for update in range(1, 5):
            old = brains.target.clone()
            step(brains, batch_for(ids, list(range(P)), update, config), rates_for(ids), np.ones(P, bool), config)
            if kind == "soft":
                tau = torch.from_numpy(rates_for(ids).tau)[:, None]
                assert torch.allclose(brains.target, old + tau * (brains.params - old), atol=1e-6)
            elif kind == "none":
                assert torch.equal(brains.target, brains.params)
            else:
                copied = [seat for seat in range(P) if torch.equal(brains.target[seat], brains.params[seat])]
                assert copied == [seat for seat in range(P) if int(brains.steps[seat]) % 3 == 0]
                still = [seat for seat in range(P) if seat not in copied]
                assert torch.equal(brains.target[still], old[still])


def test_no_update_of_an_agent_exceeds_its_clipped_gradient() -> None:
    """With moments that remember nothing, moment1 is the gradient: its norm is at most the clip."""
    config = small(grad_clip=0.01, adam_beta1=0.0)
    ids = list(range(1, P + 1))
    brains = make(config)
    stats = fast_step(brains, batch_for(ids, list(range(P)), 1, config), rates_for(ids), np.ones(P, bool), config)
    assert np.all(stats.grad_norm > 0.01)
    assert torch.allclose(brains.moment1.norm(dim=1), torch.tensor(0.01), rtol=1e-4)


def test_padding_stays_zero() -> None:
    """The rows' tails take no part, whatever is learned."""
    config = small()
    ids = list(range(1, P + 1))
    brains = make(config)
    assert brains.layout.n_params > brains.layout.n_weights
    for seed in range(3):
        fast_step(brains, batch_for(ids, list(range(P)), seed, config), rates_for(ids), np.ones(P, bool), config)
    for name in BUFFERS[:-1]:
        assert not getattr(brains, name)[:, brains.layout.n_weights :].any()


@pytest.mark.parametrize(("threads", "chunk", "adam_chunk"), [(1, 3, 2), (2, 4, 16), (2, 64, 1), (3, 1, 1)])
def test_bytes_depend_neither_on_threads_nor_on_chunks_nor_on_the_seat(
    threads: int, chunk: int, adam_chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Agents in another order, in other chunks, by other threads, some seats empty: the same weights."""
    config = small()
    ids = list(range(1, P + 1))
    order = np.random.default_rng(threads).permutation(ids).tolist()
    one, two = make(config), make(config, order)
    for seed in range(3):
        fast_step(one, batch_for(ids, list(range(P)), seed, config), rates_for(ids), np.ones(P, bool), config)
    monkeypatch.setattr(learn_fast, "CHUNK", chunk)
    monkeypatch.setattr(learn_fast, "ADAM_CHUNK", adam_chunk)
    learner = FastLearner(two, config, threads)
    seats = [seat for seat in range(P) if order[seat] not in (2, 5)]
    for seed in range(3):
        learner.step(batch_for(order, seats, seed, config), rates_for(order), np.isin(np.arange(P), seats))
    for seat in seats:
        for name in BUFFERS:
            assert torch.equal(getattr(two, name)[seat], getattr(one, name)[order[seat] - 1]), name


@pytest.mark.parametrize("threads", [2, 3])
def test_an_agent_that_learns_alone_does_not_notice_the_number_of_threads(threads: int) -> None:
    """One agent makes one chunk; torch itself may use several threads in the meantime."""
    config, before = small(hidden=(16, 16), batch=32), torch.get_num_threads()
    one, two = make(config), make(config)
    batch = batch_for(list(range(1, P + 1)), [4], 1, config)
    active = np.ones(P, bool)
    try:
        for brains, count in ((one, 1), (two, threads)):
            torch.set_num_threads(count)
            learner = FastLearner(brains, config, count)
            for _ in range(20):
                learner.step(batch, rates_for(list(range(1, P + 1))), active)
    finally:
        torch.set_num_threads(before)
    assert same_rows(one, copies(two), list(range(P)))
