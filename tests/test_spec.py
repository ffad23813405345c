"""The table of columns and actions is complete and consistent."""

from arena import spec


def test_column_names_are_unique_and_the_table_has_its_size() -> None:
    """32 columns, no name twice, indices as in the table."""
    names = [column.name for column in spec.COLUMNS]
    assert len(names) == len(set(names)) == spec.OBS_DIM == 32
    assert spec.N_MARKET + spec.N_OWN == spec.OBS_DIM
    assert [spec.COLUMN_INDEX[name] for name in names] == list(range(spec.OBS_DIM))


def test_every_column_has_a_name_that_is_an_identifier_and_a_formula() -> None:
    """Exports use the names as headers and the documentation prints the formulas."""
    for column in spec.COLUMNS:
        assert column.name.isidentifier()
        assert column.name == column.name.lower()
        assert column.formula.strip() == column.formula != ""


def test_actions_have_unique_names_effects_and_sizes() -> None:
    """One row, one index constant and one order size an action; only buys have a size."""
    names = [action.name for action in spec.ACTIONS]
    assert len(set(names)) == spec.N_ACTIONS == len(spec.BUY_FRACTION) == 7
    assert [getattr(spec, name) for name in names] == list(range(spec.N_ACTIONS))
    assert all(action.effect for action in spec.ACTIONS)
    buys = {name for name, size in zip(names, spec.BUY_FRACTION, strict=True) if size > 0.0}
    assert buys == {"BUY_SMALL", "BUY_MEDIUM", "BUY_LARGE", "ADD_TO_POSITION"}
