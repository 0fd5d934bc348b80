"""The rows of an Arrow table, with numbers of single and half precision as they were before they were rounded."""

from typing import TYPE_CHECKING, Any

from evaluation.problems.source import Row

if TYPE_CHECKING:
    import pyarrow


def arrow_rows(table: "pyarrow.Table") -> list[Row]:
    """The rows of a table, in order.

    A number of single or half precision becomes the shortest decimal that is rounded to it: 0.1, where Arrow gives
    0.10000000149011612, the same number in double precision.
    """
    columns = [
        # The name of each type with such numbers contains float, also that of a list or a struct.
        [_shortest(value, field.type) for value in column.to_pylist()]
        if "float" in str(field.type)
        else column.to_pylist()
        for field, column in zip(table.schema, table.columns, strict=True)
    ]
    return [dict(zip(table.column_names, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _shortest(value: Any, of: "pyarrow.DataType") -> Any:
    from pyarrow import types

    if value is None:
        return None
    if types.is_float16(of) or types.is_float32(of):
        return float(str(of.to_pandas_dtype()(value)))
    if types.is_list(of) or types.is_large_list(of) or types.is_fixed_size_list(of):
        return [_shortest(item, of.value_type) for item in value]
    if types.is_struct(of):
        return {field.name: _shortest(value[field.name], field.type) for field in of}
    return value
