"""The robust term, against loops over rows and items."""

from collections import Counter
from math import exp, log

import pytest
import torch

from baselines.robust import robust_term

ALPHA, BETA, GAMMA = 0.4, 0.7, 0.5
STATES = [[[1.0, -0.5], [0.2, 0.3], [-1.0, 2.0]], [[0.4, 0.1], [0.0, 1.0], [0.6, -0.6]]]
"""(R, n, size)."""
ROWS = [
    [[0.5, 1.0, 0.1], [-0.3, 0.2, 0.0], [1.5, -1.0, -0.2]],
    [[0.1, 0.1, 0.3], [0.9, -0.4, 0.2], [-0.7, 0.6, 0.5]],
]
"""(R, n_items, size + 1): two weights and a bias."""
TARGETS = [[0, 2, 0], [1, 1, 1]]
"""Item 1 of the first replica, 0 and 2 of the second are no target of their own."""


COUNTS = [[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]]


def term_by_hand(replica: int, n_other_items: int, alpha: float, beta: float, gamma: float) -> float:
    """Of one replica, from what the docstring of `robust_term` says; others have y_j = 0, so exp(0) = 1 each."""
    rows, counts = ROWS[replica], Counter(TARGETS[replica])
    own = sorted(counts)  # the others are targets of other replicas alone
    total = sum(counts[item] + 1 for item in own) + n_other_items
    popularity = {item: ((counts[item] + 1) / total) ** gamma for item in own}
    logs = []
    for state, target in zip(STATES[replica], TARGETS[replica], strict=True):
        inside = float(n_other_items)
        for item in own:
            first, second, bias = rows[item]
            logit = first * state[0] + second * state[1] + bias
            pull = (logit - 1) ** 2 if item == target else logit**2
            inside += exp(popularity[item] * pull / beta)
        logs.append(log(inside))
    return alpha * sum(logs) / len(logs)


def term(n_other_items: int, alpha: float, beta: float, gamma: float) -> list[float]:
    states, rows = (torch.tensor(values, dtype=torch.float64) for values in (STATES, ROWS))
    counts, others = torch.tensor(COUNTS), torch.full((2, 1), float(n_other_items))
    return robust_term(alpha, beta, gamma)(states, rows, torch.tensor(TARGETS), counts, others).tolist()


@pytest.mark.parametrize("n_other_items", [0, 2, 50])
@pytest.mark.parametrize(("alpha", "beta", "gamma"), [(ALPHA, BETA, GAMMA), (1.0, 1.0, 1.0), (2.0, 5.0, 0.0)])
def test_the_term_is_that_of_loops_over_rows_and_items(
    n_other_items: int, alpha: float, beta: float, gamma: float
) -> None:
    expected = [term_by_hand(replica, n_other_items, alpha, beta, gamma) for replica in range(2)]
    assert term(n_other_items, alpha, beta, gamma) == pytest.approx(expected, abs=1e-12)


def test_a_case_that_fits_on_paper() -> None:
    # Targets 0 and 1 of one training row each, 0 in this batch: its logit is 2 and its popularity 2/5, the other's -1
    # and 2/5; one more item to validate on has 0.
    states = torch.tensor([[[1.0]]], dtype=torch.float64)
    rows = torch.tensor([[[2.0, 0.0], [-2.0, 1.0]]], dtype=torch.float64)
    expected = 3 * log(exp(2 / 5 * (2 - 1) ** 2 / 2) + exp(2 / 5 * (-1) ** 2 / 2) + 1)
    about = torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0]])
    found = robust_term(alpha=3.0, beta=2.0, gamma=1.0)(states, rows, torch.tensor([[0]]), *about)
    assert found.tolist() == pytest.approx([expected], abs=1e-12)


def test_targets_of_other_replicas_have_no_part() -> None:
    states, rows = (torch.tensor(values, dtype=torch.float64) for values in (STATES, ROWS))
    rows.requires_grad_()
    about = torch.tensor(COUNTS), torch.full((2, 1), 4.0)
    robust_term(ALPHA, BETA, GAMMA)(states, rows, torch.tensor(TARGETS), *about).sum().backward()
    assert rows.grad is not None
    assert (rows.grad.abs().sum(2) > 0).tolist() == [[count > 0 for count in counts] for counts in COUNTS]


def test_its_gradient_is_the_numerical_one() -> None:
    states, rows = (torch.tensor(values, dtype=torch.float64, requires_grad=True) for values in (STATES, ROWS))
    penalty, targets = robust_term(ALPHA, BETA, GAMMA), torch.tensor(TARGETS)
    about = torch.tensor(COUNTS), torch.full((2, 1), 3.0)
    assert torch.autograd.gradcheck(lambda one, other: penalty(one, other, targets, *about), (states, rows))


def test_it_pulls_the_target_to_1_and_the_others_to_0() -> None:
    states = torch.ones(1, 1, 1, dtype=torch.float64)
    rows = torch.zeros(1, 3, 2, dtype=torch.float64)  # logits are the biases
    rows[0, :, 1] = torch.tensor([0.5, 0.5, -0.5])
    rows.requires_grad_()
    about = torch.ones(1, 3), torch.zeros(1, 1)
    robust_term(ALPHA, BETA, GAMMA)(states, rows, torch.tensor([[0]]), *about).sum().backward()
    assert rows.grad is not None
    target, above, below = rows.grad[0, :, 1].tolist()
    assert target < 0 < above  # descent raises the target and lowers the other
    assert below == pytest.approx(-above)
