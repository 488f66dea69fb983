import pyarrow
import pyarrow.parquet
import pytest

from ssl_platform.data.table import missing, read_table
from ssl_platform.errors import DataError


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


EXPECTED = {"path": ["a.nii", "b.nii"], "label": ["tumour", ""]}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", "path,label\na.nii,tumour\nb.nii,\n", None),
        ("t.csv", "path,label\na.nii,tumour\nb.nii,", None),
        ("t.tsv", "path\tlabel\na.nii\ttumour\nb.nii\tNA\n", None),
        ("t.csv", "path\tlabel\na.nii\ttumour\nb.nii\tNA\n", None),
        ("t.csv", b"\xef\xbb\xbfpath,label\na.nii,tumour\nb.nii,\n", "t.csv: read with a byte-order mark"),
        ("t.csv", "path;label\na.nii;tumour\nb.nii;\n", "t.csv: read with ';' between values"),
        ("t.csv", "path,label\r\na.nii,tumour\r\nb.nii,\r\n", "t.csv: read with CRLF line ends"),
        (
            "t.csv",
            b"\xef\xbb\xbfpath;label\r\na.nii;tumour\r\nb.nii;\r\n",
            "t.csv: read with a byte-order mark, CRLF line ends, ';' between values",
        ),
        ("t.csv", 'path,label\n"a.nii" , "tumour"\n\nb.nii,NaN\n'.replace(" ,", ","), None),
        ("t.csv", "path,label,\na.nii,tumour,\nb.nii,n/a,\n", None),
    ],
)
def test_text_tables_are_read_and_what_is_odd_is_said(tmp_path, name, content, said):
    table = read_table(write(tmp_path / name, content))
    assert table.columns == EXPECTED
    assert table.notes == ((said,) if said else ())


def test_parquet_is_read_as_text(tmp_path):
    path = tmp_path / "t.parquet"
    arrow = pyarrow.table({"path": ["a", "b"], "age": [3.5, None], "n": [1, 2], "sick": [True, False], "v": [[1], [2]]})
    pyarrow.parquet.write_table(arrow, path)
    table = read_table(path)
    assert table.columns == {"path": ["a", "b"], "age": ["3.5", ""], "n": ["1", "2"], "sick": ["1", "0"]}
    assert table.where(1) == "t.parquet row 2"


@pytest.mark.parametrize("suffix", [".xlsx", ".xls", ".ods"])
def test_spreadsheets_are_refused_with_the_way_out(tmp_path, suffix):
    path = write(tmp_path / f"t{suffix}", b"PK\x03\x04")
    with pytest.raises(DataError) as error:
        read_table(path)
    assert str(error.value) == f"{path} is a spreadsheet: save as CSV (UTF-8) and give that file"


def test_a_renamed_spreadsheet_is_refused_too(tmp_path):
    path = write(tmp_path / "t.csv", b"PK\x03\x04rest")
    with pytest.raises(DataError, match="is a spreadsheet with another name: save as CSV"):
        read_table(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"path,label\na,\xe9\n", "{path} is not UTF-8 (byte 0xe9 in line 2): save as CSV UTF-8"),
        ("t.csv", "", "{path} is empty: it needs a header and rows"),
        ("t.csv", "path,label\n", "{path} has a header but no rows"),
        (
            "t.csv",
            "path,label\na,b,c\n",
            "t.csv line 2 has 3 values and the header 2: quote values that contain ','",
        ),
        ("t.csv", "path,path\na,b\n", "t.csv has two columns named 'path': rename or remove one"),
        ("t.csv", 'path,label\n"a,b\n', "t.csv line 2: unexpected end of data: check the quotes"),
        ("t.json", "{}", "{path} is not a table: give a CSV, TSV or Parquet file with a header"),
        ("t.parquet", "no", "{path} is not a readable Parquet file"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_line_with_place_and_fix(tmp_path, name, content, message):
    path = write(tmp_path / name, content)
    with pytest.raises(DataError) as error:
        read_table(path)
    assert str(error.value).startswith(message.format(path=path))
    assert "\n" not in str(error.value)


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError) as error:
        read_table(tmp_path / "no.csv")
    assert str(error.value) == f"{tmp_path / 'no.csv'}: cannot read the table (No such file or directory)"


def test_an_unknown_column_lists_the_columns_and_the_nearest(tmp_path):
    table = read_table(write(tmp_path / "t.csv", "path,patient_id\na,b\n"))
    with pytest.raises(DataError) as error:
        table.column("patientid", "labels.group")
    assert str(error.value) == (
        "t.csv has no column 'patientid' (labels.group): its columns are path, patient_id (did you mean 'patient_id'?)"
    )


def test_decimal_commas_of_a_semicolon_table_are_read_and_said(tmp_path):
    table = read_table(write(tmp_path / "t.csv", "path;age;place\na;1,5;x,y\nb;;z\nc;2;z\n"))
    assert table.columns["age"] == ["1.5", "", "2"] and table.columns["place"] == ["x,y", "z", "z"]
    assert table.notes == ("t.csv: read with ';' between values, decimal commas",)


def test_lines_of_messages_count_quoted_line_breaks(tmp_path):
    table = read_table(write(tmp_path / "t.csv", 'path,label\n"a\nb",x\nc,y\n'))
    assert table.where(1) == "t.csv line 4"


def test_what_counts_as_unknown():
    assert all(missing(text) for text in ("", "NA", "n/a", "NaN", "null", "<NA>"))
    assert not any(missing(text) for text in ("0", "none", "no", "unknown"))
