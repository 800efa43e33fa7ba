"""CSV, TSV, Parquet and datasets folders: cells with quotes and line breaks count, a damaged row costs only itself."""

import json
import pickle

import pytest

from burnish.config import Settings
from burnish.data.ingest import read_rows
from burnish.errors import DataError
from burnish.records import Example, Rejection

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def read(path):
    rows = list(read_rows(path, Settings()))
    return [r for r in rows if isinstance(r, Example)], [r for r in rows if isinstance(r, Rejection)]


def written(tmp_path, data, name="rows.csv"):
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def pairs(examples):
    return [(example.prompt[-1].content, example.answer) for example in examples]


TABLES = {
    "commas": "text,label\na,x\nb,y\n",
    "tabs": "text\tlabel\na\tx\nb\ty\n",
    "semicolons, commas inside": "text;label\na;x\nb;y\n",
    "bars": "text|label\na|x\nb|y\n",
    "quotes": '"text","label"\n"a","x"\n"b","y"\n',
    "windows": "\ufefftext,label\r\na,x\r\nb,y\r\n",
    "index column of pandas": ",text,label\n0,a,x\n1,b,y\n",
    "empty lines": "text,label\n\na,x\n\n\nb,y",
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("file", ["rows.csv", "rows.txt", "rows"])
def test_a_table_is_read_whatever_its_delimiter_and_name(name, file, tmp_path):
    good, bad = read(written(tmp_path, TABLES[name], file))
    assert pairs(good) == [("a", "x"), ("b", "y")]
    assert not bad


def test_a_cell_may_hold_delimiters_quotes_and_line_breaks(tmp_path):
    good, _ = read(written(tmp_path, 'text,label\n"a, ""b""\nc",x\n"d",y\n'))
    assert pairs(good) == [('a, "b"\nc', "x"), ("d", "y")]
    assert [example.source for example in good] == ["rows.csv:2", "rows.csv:4"]


def test_the_delimiter_is_that_of_the_header_not_of_the_texts(tmp_path):
    text = "text\tlabel\n" + "well, I, think; so\tx\n" * 30
    assert pairs(read(written(tmp_path, text, "rows"))[0])[0] == ("well, I, think; so", "x")


def test_a_damaged_row_of_a_table_costs_only_itself(tmp_path):
    data = b'text,label\na,x\nonly one cell\nc,x,y\n"d" e,x\n\xff\xfe,x\ng\x00,x\nh,x\n'
    good, bad = read(written(tmp_path, data))
    assert pairs(good) == [("a", "x"), ("h", "x")]
    assert [(row.row, row.reason.split(":")[0]) for row in bad] == [
        (3, "cells"),
        (4, "cells"),
        (5, "csv"),
        (6, "utf-8"),
        (7, "cells"),
    ]
    assert data[bad[1].offset_bytes :].startswith(b"c,x,y")


def test_a_table_cut_inside_a_quoted_cell_tells(tmp_path):
    good, bad = read(written(tmp_path, 'text,label\na,x\n"cut he'))
    assert len(good) == 1
    assert bad[0].reason.startswith("csv: unexpected end of data")


def test_a_list_of_messages_in_a_cell_is_read(tmp_path):
    turns = json.dumps([{"role": "user", "content": "a"}, {"role": "assistant", "content": "x"}]).replace('"', '""')
    assert pairs(read(written(tmp_path, f'messages,channel\n"{turns}",web\n'))[0]) == [("a", "x")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("text,label,text\n1,2,3\n", "'text' twice"),
        ("a,b\n1,2\n", "The columns are 'a', 'b'"),
        (",,\n1,2,3\n", "no header"),
    ],
)
def test_a_header_that_names_nothing_useful_is_refused(text, told, tmp_path):
    with pytest.raises(DataError) as caught:
        read(written(tmp_path, text))
    assert told in caught.value.message


# Parquet and datasets -------------------------------------------------------------------------------------------------

FEATURES = {"info": {"features": {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}}}


def table(rows, note=None):
    found = pyarrow.Table.from_pylist(rows)
    return found.replace_schema_metadata({"huggingface": json.dumps(note)}) if note else found


def save(folder, found, **state):
    folder.mkdir(parents=True)
    path = str(folder / "data-00000-of-00001.arrow")
    with pyarrow.OSFile(path, "wb") as sink, pyarrow.ipc.new_stream(sink, found.schema) as writer:
        writer.write_table(found)
    (folder / "dataset_info.json").write_text("{}")
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]} | state))


def test_parquet_is_read_with_messages_numbers_and_empty_cells(tmp_path):
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "x"}]
    rows = [{"messages": turns, "channel": "web", "n": 1.0}, {"messages": turns[:1], "channel": None, "n": None}]
    parquet.write_table(table(rows), tmp_path / "rows.parquet")
    good, bad = read(tmp_path / "rows.parquet")
    assert pairs(good) == [("a", "x")]
    assert good[0].slices == {"channel": "web", "n": "1"}
    assert bad[0].reason.startswith("no-answer")
    assert bad[0].row == 2


def test_class_labels_come_back_as_their_names(tmp_path):
    found = table([{"text": "a", "label": 1}, {"text": "b", "label": 0}], FEATURES)
    parquet.write_table(found, tmp_path / "rows.parquet")
    save(tmp_path / "saved", found)
    assert pairs(read(tmp_path / "rows.parquet")[0]) == [("a", "yes"), ("b", "no")]
    assert pairs(read(tmp_path / "saved")[0]) == [("a", "yes"), ("b", "no")]


def test_a_saved_dataset_with_splits_is_read_and_the_split_is_a_slice(tmp_path):
    for split in ("train", "test"):
        save(tmp_path / "all" / split, table([{"text": split, "label": "x"}]))
    (tmp_path / "all" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    good, _ = read(tmp_path / "all")
    assert [(example.slices["split"], example.source) for example in good] == [
        ("train", "train/data-00000-of-00001.arrow:1"),
        ("test", "test/data-00000-of-00001.arrow:1"),
    ]


def test_what_the_datasets_library_saves_is_read(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_list([{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]).save_to_disk(tmp_path / "d")
    assert pairs(read(tmp_path / "d")[0]) == [("a", "x"), ("b", "y")]


def test_a_folder_of_parquet_files_is_read(tmp_path):
    (tmp_path / "hub" / "data").mkdir(parents=True)
    parquet.write_table(
        table([{"text": "a", "label": "x"}]), tmp_path / "hub" / "data" / "train-00000-of-00001.parquet"
    )
    assert read(tmp_path / "hub")[0][0].slices == {"split": "train"}


def test_a_folder_with_a_script_or_a_pickle_is_refused_and_nothing_runs(tmp_path):
    canary = tmp_path / "canary"
    folder = tmp_path / "hub"
    folder.mkdir()
    (folder / "hub.py").write_text(f"open({str(canary)!r}, 'w')")
    (folder / "rows.pkl").write_bytes(pickle.dumps([1]))
    with pytest.raises(DataError, match="its script is not run"):
        read(folder)
    with pytest.raises(DataError, match="can run code"):
        read(folder / "rows.pkl")
    assert not canary.exists()


@pytest.mark.parametrize("name", ["../outside.arrow", "/etc/passwd", "", ".."])
def test_a_saved_dataset_cannot_name_files_outside_its_folder(name, tmp_path):
    save(tmp_path / "d", table([{"text": "a", "label": "x"}]), _data_files=[{"filename": name}])
    save(tmp_path / "outside", table([{"text": "secret", "label": "x"}]))
    (tmp_path / "outside" / "data-00000-of-00001.arrow").rename(tmp_path / "outside.arrow")
    with pytest.raises(DataError, match="which is not in it"):
        read(tmp_path / "d")


def test_extension_types_are_refused_by_name(tmp_path):
    note = {b"ARROW:extension:name": b"evil.type"}
    schema = pyarrow.schema([pyarrow.field("text", pyarrow.string(), metadata=note), ("label", pyarrow.string())])
    found = pyarrow.table({"text": ["a"], "label": ["x"]}, schema=schema)
    parquet.write_table(found, tmp_path / "rows.parquet")
    save(tmp_path / "d", found)
    for path in (tmp_path / "rows.parquet", tmp_path / "d"):
        with pytest.raises(DataError, match=r"'text' has the extension type"):
            read(path)


def test_a_damaged_parquet_file_is_a_clear_error(tmp_path):
    parquet.write_table(table([{"text": "a", "label": "x"}] * 50), tmp_path / "rows.parquet")
    whole = (tmp_path / "rows.parquet").read_bytes()
    for cut in (5, len(whole) // 2, len(whole) - 1):
        with pytest.raises(DataError, match="cannot be read as Parquet"):
            read(written(tmp_path, whole[:cut], "cut.parquet"))
