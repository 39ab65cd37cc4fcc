"""Files written whole or not at all, and the Arrow helpers that every room shares."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import json
import math
import mmap
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seqsearch.errors import FolderError

Int32 = np.ndarray[Any, np.dtype[np.int32]]
Int64 = np.ndarray[Any, np.dtype[np.int64]]
Bool = np.ndarray[Any, np.dtype[np.bool_]]
UInt8 = np.ndarray[Any, np.dtype[np.uint8]]
Float32 = np.ndarray[Any, np.dtype[np.float32]]
Float64 = np.ndarray[Any, np.dtype[np.float64]]

_TEMPORARY = re.compile(r"\..+\.\d+\.tmp(\.wal|\.tmp)?")  # what `whole_file` and DuckDB name theirs


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise `KeyboardInterrupt` where DuckDB tells Ctrl-C by a plain `RuntimeError`."""
    try:
        yield
    except RuntimeError as error:
        if "interrupted" in str(error):
            raise KeyboardInterrupt from error
        raise


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success flush it to disk and rename it into place.

    Readers see the old file or the whole new one. On an error the temporary file is removed.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with naming(path):
            yield temporary
            flush_to_disk(temporary)
            temporary.replace(path)
            flush_to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an `OSError` inside that names no file of the user's (a full disk, mostly) this name."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and not _TEMPORARY.fullmatch(Path(error.filename).name):
            raise
        number = error.errno or errno.EIO
        raise OSError(number, os.strerror(number), str(path)) from error


@contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """Make a folder and hold its writer lock, which goes with the process, however that ends.

    Temporary files of a writer that was killed are deleted; so is, afterwards, a folder that is
    empty but for the lock. Check first that the folder is no stranger's.

    Raises
    ------
    FolderError
        Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / ".lock"
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another writer may have deleted the file between our opening and locking it.
            if lock.stat().st_ino != os.fstat(handle.fileno()).st_ino:
                raise BlockingIOError
        except (BlockingIOError, FileNotFoundError) as error:
            raise FolderError(folder, f"another process is writing this {what}") from error
        for path in list(folder.rglob(".*.tmp*")):
            if _TEMPORARY.fullmatch(path.name):
                delete(path)
        try:
            yield
        finally:
            if [entry.name for entry in folder.iterdir()] == [".lock"]:
                lock.unlink()
                folder.rmdir()


def check_output(path: Path, overwrite: bool) -> None:
    """Raise `FolderError` unless a file may be written here."""
    if not path.parent.is_dir():
        raise FolderError(path.parent, "no such folder")
    if path.is_dir():
        raise FolderError(path, "this is a folder", advice="name a file")
    if path.exists() and not overwrite:
        raise FolderError(path, "this file exists", advice="give --overwrite to replace it")


def delete(path: Path) -> None:
    """Delete a file, or a folder with all that is in it."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def foreign_files(folder: Path, own: Sequence[str]) -> list[str]:
    """Return the paths in a folder that match none of the patterns of our own ones, sorted.

    Parameters
    ----------
    own : sequence of str
        Regular expressions for whole paths inside the folder; temporary files and the lock are
        always our own.
    """
    pattern = re.compile("|".join((*own, r"\.lock")))
    foreign, folders = [], [folder]
    while folders:
        for entry in folders.pop().iterdir():
            name = entry.relative_to(folder).as_posix()
            if not pattern.fullmatch(name) and not _TEMPORARY.fullmatch(entry.name):
                foreign.append(name)
            elif entry.is_dir():
                folders.append(entry)
    return sorted(foreign)


def flush_to_disk(path: Path) -> None:
    """Fsync a file, or a folder so that the names in it survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, so that they survive a power cut."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        flush_to_disk(path.parent)


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a table as one zstd Parquet file, whole or not at all."""
    with whole_file(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


class ArrayWriter:
    """A .npy file written block by block; use as a context manager.

    A full disk raises an error that says so; `np.save` gives no reason, a memory map would crash.

    Parameters
    ----------
    path : Path
    kind : numpy dtype
    shape : tuple of int
        Of all blocks together; see `set_length`.
    done : int
        Go on after so many lines of a file that is there; what follows them is cut off.

    Raises
    ------
    FolderError
        The file has fewer lines than are said to be done.
    """

    def __init__(self, path: Path, kind: np.dtype, shape: tuple[int, ...], done: int = 0) -> None:
        self._path, self._kind, self._shape = path, kind, shape
        header = _array_header(kind, shape)
        size = len(header) + done * kind.itemsize * math.prod(shape[1:])
        if done and (not path.is_file() or path.stat().st_size < size):
            raise FolderError(path, f"lacks some of the {done:,} lines that were written")
        self._handle = path.open("r+b" if done else "wb")
        with naming(path):
            self._handle.write(header)
            self._handle.truncate(size)
            self._handle.seek(size)

    def __enter__(self) -> ArrayWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, block: np.ndarray[Any, Any]) -> None:
        """Write the next lines."""
        with naming(self._path):
            self._handle.write(np.ascontiguousarray(block).data)

    def flush(self) -> None:
        """Bring all to disk, the file's name included."""
        with naming(self._path):
            self._handle.flush()
            flush_to_disk(self._path)
            flush_to_disk(self._path.parent)

    def set_length(self, lines: int) -> None:
        """Say how many lines the file has, where that was not known before."""
        with naming(self._path):
            self._handle.seek(0)
            self._handle.write(_array_header(self._kind, (lines, *self._shape[1:])))

    def close(self) -> None:
        """Close the file."""
        with naming(self._path):
            self._handle.close()


def write_array(
    blocks: Iterable[np.ndarray], kind: np.dtype, shape: tuple[int, ...], path: Path
) -> None:
    """Write a .npy file of blocks; see `ArrayWriter`."""
    with ArrayWriter(path, kind, shape) as writer:
        for block in blocks:
            writer.append(block)


def _array_header(kind: np.dtype, shape: tuple[int, ...]) -> bytes:
    """Return the beginning of a .npy file; it is as long for any number of lines (numpy's room)."""
    buffer = io.BytesIO()
    described = np.lib.format.dtype_to_descr(kind)
    header = {"descr": described, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


def mapped_array(path: Path) -> np.ndarray[Any, Any]:
    """Open a .npy file, memory-mapped.

    Raises
    ------
    FolderError
        It is not there, or not a readable array.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise FolderError(path, f"cannot be read ({error.strerror})") from error
    except ValueError as error:  # an empty array cannot be mapped
        try:
            array = np.load(path, allow_pickle=False)
        except ValueError:
            raise FolderError(path, f"not a readable array ({error})") from error
        if array.size:
            raise
        return array


def advise(array: np.ndarray[Any, Any], advice: int) -> None:
    """Tell the system how a memory-mapped array is read (`mmap.MADV_...`); others are left."""
    if isinstance(array.base, mmap.mmap):
        array.base.madvise(advice)


def write_json(value: dict[str, Any], path: Path) -> None:
    """Write JSON with stable, readable formatting, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal text."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return a column as one contiguous array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def to_numpy(column: pa.Array | pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """Return a numeric column without nulls as a numpy array, without a copy where possible."""
    return one_array(column).to_numpy(zero_copy_only=False)


def lists_from(values: pa.Array, offsets: Int32 | Int64) -> pa.ListArray:
    """Return a list array: list i holds `values[offsets[i]:offsets[i + 1]]`."""
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values)
