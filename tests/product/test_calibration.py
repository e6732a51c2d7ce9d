"""Calibration: factors, temperatures, and that stated probabilities come true."""

import numpy as np
import pytest

from progcodec.classification.calibration import (
    Calibration,
    at_knots,
    factors,
)
from progcodec.errors import ClassifierError
from progcodec.lab.train.validation import expected_calibration_error

GROUPS = np.array([[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 2, 2, 3, 3]])
"""Eight classes, four groups of two, two groups of four."""


def softmax(x):
    p = np.exp(x - x.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def sums(p, level):
    return np.stack([p[:, GROUPS[level] == g].sum(1) for g in range(GROUPS[level].max() + 1)], 1)


@pytest.fixture(scope="module")
def overconfident():
    """Logits that are too large by a factor that depends on bits and level, with labels drawn from
    the true distribution.
    """
    rng = np.random.default_rng(1)
    n = 6000
    coarse, middle, fine = (rng.normal(0, s, (n, c)) for s, c in ((1.2, 2), (1.0, 4), (0.8, 8)))
    bits = rng.choice([512.0, np.inf], n)
    wrong = {512.0: (3.0, 1.5, 2.0), np.inf: (2.0, 0.5, 1.0)}
    factor = np.array([wrong[b] for b in bits])

    def assemble(scale):
        log_p = np.zeros((n, 8))
        groups = [GROUPS[0], GROUPS[1], np.arange(8)]
        for k, (x, of) in enumerate(zip((coarse, middle, fine), groups, strict=True)):
            x = x * scale[:, k : k + 1]
            above = np.zeros(x.shape[1], int)
            if k:
                above = np.array([groups[k - 1][of == i][0] for i in range(x.shape[1])])
            parents = range(above.max() + 1)
            total = np.log(np.stack([np.exp(x[:, above == a]).sum(1) for a in parents], 1))
            log_p += (x - total[:, above])[:, of]
        return log_p

    truth = np.exp(assemble(np.ones((n, 3))))
    labels = np.array([rng.choice(8, p=row) for row in truth])
    return assemble(factor) + 5.0, labels, bits


def errors(p, labels):
    made = []
    for level in range(3):
        at = sums(p, level) if level < 2 else p
        truth = GROUPS[level][labels] if level < 2 else labels
        made.append(expected_calibration_error(at.max(1), at.argmax(1) == truth))
    return made


def test_factors_multiply_to_the_softmax():
    logits = np.random.default_rng(0).normal(0, 3, (5, 8))
    (first, _), (second, second_parent), (third, third_parent) = factors(logits, GROUPS)
    assert list(second_parent) == [0, 0, 1, 1] and list(third_parent) == list(GROUPS[1])
    p = softmax(logits)
    assert np.allclose(np.exp(first), sums(p, 0))
    assert np.allclose(np.exp(first[:, second_parent] + second), sums(p, 1))
    assert np.allclose(np.exp(first[:, GROUPS[0]] + second[:, GROUPS[1]] + third), p)


def test_a_temperature_of_one_factor_leaves_the_groups_above_alone():
    logits = np.random.default_rng(0).normal(0, 3, (5, 8))
    neutral = Calibration.neutral(GROUPS)
    hot = neutral.log_temperature.copy()
    hot[2] = 1.0
    p = Calibration(GROUPS, neutral.knots, hot).probabilities(logits, np.ones(5))
    assert np.allclose(sums(p, 1), sums(softmax(logits), 1)) and not np.allclose(p, softmax(logits))
    assert np.allclose(p.sum(1), 1)


def test_knots_interpolate_in_log2_of_bits_and_hold_at_the_ends():
    weights = at_knots(np.array([0.0, 2**0.25, 4.0, np.inf]), np.array([0.0, 1.0, 3.0]))
    assert np.allclose(weights, [[1, 0, 0], [0.75, 0.25, 0], [0, 0.5, 0.5], [0, 0, 1]])


@pytest.mark.parametrize(
    ("claimed", "right", "error"),
    [
        ([0.8] * 10, [True] * 8 + [False] * 2, 0),
        ([0.9] * 10, [True] * 4 + [False] * 6, 0.5),
        ([0.95] * 4 + [0.45] * 4, [True] * 4 + [False] * 4, (0.05 + 0.45) / 2),
    ],
)
def test_the_error_of_known_answers(claimed, right, error):
    assert expected_calibration_error(np.array(claimed), right) == pytest.approx(error)
    with pytest.raises(ValueError, match="nothing"):
        expected_calibration_error(np.array([]), [])


def test_calibration_makes_overconfident_logits_honest(overconfident):
    from progcodec.lab.train.calibrate import calibrate

    logits, labels, bits = overconfident
    half = np.arange(len(labels)) % 2 == 0
    before = errors(softmax(logits[~half]), labels[~half])
    assert max(before) > 0.1
    fitted = calibrate(logits[half], labels[half], bits[half], GROUPS)
    after = errors(fitted.probabilities(logits[~half], bits[~half]), labels[~half])
    assert max(after) < 0.04
    low, high = fitted.temperature(np.array([512.0, np.inf]))
    assert np.allclose(low, (3.0, 1.5, 2.0), rtol=0.2)
    assert np.allclose(high, (2.0, 0.5, 1.0), rtol=0.2)


def test_bad_tables_are_told():
    neutral = Calibration.neutral(GROUPS)
    with pytest.raises(ClassifierError, match="nest"):
        Calibration.neutral(np.array([[0, 0, 0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 1, 2, 2, 2]]))
    with pytest.raises(ClassifierError, match="fit together"):
        Calibration(GROUPS, neutral.knots, neutral.log_temperature[:2])
    with pytest.raises(ClassifierError, match="fit together"):
        Calibration(GROUPS, neutral.knots[::-1], neutral.log_temperature)
    with pytest.raises(ClassifierError, match="no numbers"):
        neutral.probabilities(np.full((1, 8), np.nan), np.ones(1))
    with pytest.raises(ClassifierError, match="do not fit"):
        neutral.probabilities(np.zeros((1, 7)), np.ones(1))
