"""Read and write TFRecord files without TensorFlow.

    with open("music.tfrecord", "wb") as file:
        write_record(file, sequence.SerializeToString())
    for record in read_records("music.tfrecord"):
        sequence = NoteSequence.FromString(record)

Each record is stored as uint64 length, uint32 masked CRC32C of the length, the record, uint32
masked CRC32C of the record, all little-endian (tensorflow/core/lib/io/record_writer.h).
"""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

import google_crc32c

from groovae.system.regular_files import open_regular

HEADER = struct.Struct("<QI")
FOOTER = struct.Struct("<I")
MASK_DELTA = 0xA282EAD8


class DamagedRecords(Exception):
    """A TFRecord file is truncated, or a checksum is wrong; the message gives the position."""


def write_record(file: BinaryIO, record: bytes) -> None:
    """Append one record to a file that is open for writing."""
    length = struct.pack("<Q", len(record))
    file.write(
        length + FOOTER.pack(_masked_crc(length)) + record + FOOTER.pack(_masked_crc(record))
    )


def read_records(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """Yield the records of a file.

    Raises:
      DamagedRecords: the file is truncated, or a checksum is wrong.
      OSError: the file cannot be read.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        while header := file.read(HEADER.size):
            start = file.tell() - len(header)
            if len(header) < HEADER.size:
                raise DamagedRecords(f"truncated record at {start}")
            length, crc = HEADER.unpack(header)
            if crc != _masked_crc(header[:8]):
                raise DamagedRecords(f"corrupted record at {start}")
            if length > size - file.tell() - FOOTER.size:  # before anything is allocated
                raise DamagedRecords(f"truncated record at {start}")
            record, (crc,) = file.read(length), FOOTER.unpack(file.read(FOOTER.size))
            if crc != _masked_crc(record):
                raise DamagedRecords(f"corrupted record at {start}")
            yield record


def _masked_crc(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + MASK_DELTA) & 0xFFFFFFFF
