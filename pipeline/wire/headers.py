"""The headers of messages, which are MessagePack of `[version, number, body]`.

Numbers count the messages in one direction of one link from 0, so that a lost one is noticed.
"""

from typing import Any

import msgspec

from icstream.pipeline.wire.codec import decode_hook, encode_hook
from icstream.pipeline.wire.messages import FromHub, FromWorker, Message, WireError

VERSION = 1

_ENCODER = msgspec.msgpack.Encoder(enc_hook=encode_hook)


class MessageReader:
    """Reads the messages of one side."""

    def __init__(self, body: Any) -> None:
        self._decoder = msgspec.msgpack.Decoder(tuple[int, int, body], dec_hook=decode_hook)

    def read(self, header: bytes) -> tuple[int, Any]:
        """Return the number of a message and the message.

        Raises:
            WireError: it is damaged, unknown, or of another version.
        """
        try:
            version, number, body = self._decoder.decode(header)
        except (msgspec.MsgspecError, ValueError, ZeroDivisionError) as error:
            raise WireError(f"a message that cannot be parsed: {error}") from error
        if version != VERSION:
            raise WireError(
                f"a message of version {version}, but this icstream uses version {VERSION}"
            )
        return number, body


FROM_WORKER = MessageReader(FromWorker)
FROM_HUB = MessageReader(FromHub)


def write(number: int, body: Message) -> bytes:
    """Return the header of a message."""
    return _ENCODER.encode((VERSION, number, body))
