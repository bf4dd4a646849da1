"""The forms that a data set has, drawn for a person whose photos lie in another."""

from viewfinder.errors import DatasetError

_FOLDERS = """\
A data set is a folder with a folder for each class, called as what its photos show:
  photos/
    cat/  1.jpg  2.jpg  ...
    dog/  1.jpg  2.jpg  ...
or train/, validation/ and test/ with such folders in each, and nothing else beside them."""

_TABLE = """\
A table has a line with the names of its columns, and paths that start where the table lies:
  path,label
  cats/1.jpg,cat
  dogs/1.jpg,dog"""


def not_folders(detail: str) -> DatasetError:
    """The error for a folder whose photos lie otherwise, with a note that draws how they should."""
    return _with_note(detail, _FOLDERS)


def not_a_table(detail: str) -> DatasetError:
    """The error for a table with other columns, with a note that draws one."""
    return _with_note(detail, _TABLE)


def _with_note(detail: str, note: str) -> DatasetError:
    error = DatasetError(detail)
    error.add_note(note)
    return error
