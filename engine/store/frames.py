"""A frame as one line of a recording and back."""

import base64
import binascii

import msgspec
from msgspec import Struct

from engine.feeds.feed import Frame


class _Line(Struct, gc=False, array_like=True):
    recv: int
    feed: str
    connection: str
    url: str
    data: str
    symbol: str | None = None
    coding: str | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Line).decode
BINARY = "base64"


def encode_frame(frame: Frame) -> bytes:
    """The line with its newline; text stays readable, other bytes are marked base64.

    Raises UnicodeEncodeError for text that is not Unicode.
    """
    data = frame.data
    head = (frame.recv, frame.feed, frame.connection, frame.url)
    if isinstance(data, str):
        return _encode((*head, data, frame.symbol)) + b"\n"
    try:
        return _encode((*head, data.decode(), frame.symbol)) + b"\n"
    except UnicodeDecodeError:
        return _encode((*head, base64.b64encode(data).decode(), frame.symbol, BINARY)) + b"\n"


def decode_frame(line: bytes) -> Frame:
    """The frame of a line, text as str and other data as bytes; raises ValueError."""
    found = _decode(line)
    data: str | bytes = found.data
    if found.coding is not None:
        if found.coding != BINARY:
            raise ValueError(f"unknown coding {found.coding}")
        try:
            data = base64.b64decode(found.data, validate=True)
        except binascii.Error as error:
            raise ValueError(str(error)) from None
    return Frame(found.recv, found.feed, found.connection, found.url, data, found.symbol)
