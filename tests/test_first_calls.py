"""Annotations are checked at run time, anew in every test."""

import first_calls
import jaxtyping
import numpy as np
import pytest

from plrjax.words import canonical


@pytest.mark.skipif(first_calls.EVERY_CALL, reason="all calls are checked")
def test_a_function_called_often_is_left_alone_until_the_next_test():
    right, wrong = np.zeros((3, 1), np.uint8), np.zeros((3, 1), np.int8)
    with pytest.raises(jaxtyping.TypeCheckError, match="canonical"):
        canonical(wrong)
    for _ in range(first_calls.MOST):
        canonical(right)
    canonical(wrong)
    first_calls.check_again()
    with pytest.raises(jaxtyping.TypeCheckError, match="canonical"):
        canonical(wrong)
