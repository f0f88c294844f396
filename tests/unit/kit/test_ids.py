from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.errors import InvalidRequest
from chopmark.kit import ids


def test_a_record_id_leads_to_outputs_and_back() -> None:
    record = ids.new_record_id()
    assert ids.is_id(record)
    assert record.endswith("0")
    for index in range(1, ids.MAX_OUTPUTS + 1):
        output = ids.output_id(record, index)
        assert output != record
        assert ids.record_of(output) == record


def test_ids_do_not_repeat() -> None:
    assert len({ids.new_record_id() for _ in range(1000)}) == 1000


@pytest.mark.parametrize("index", [-1, 0, 16])
def test_an_index_out_of_range_is_refused(index: int) -> None:
    with pytest.raises(InvalidRequest):
        ids.output_id("a3f09c1122334450", index)


@given(st.text(max_size=20))
def test_any_text_is_an_id_or_one_clear_error(text: str) -> None:
    if ids.is_id(text):
        assert ids.record_of(text).endswith("0")
    else:
        with pytest.raises(InvalidRequest):
            ids.record_of(text)
