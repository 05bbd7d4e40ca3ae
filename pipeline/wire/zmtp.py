"""Limits on what peers of a ZeroMQ socket may send, checked in the byte stream.

libzmq bounds each part of a message, but neither the number of parts nor that of subscriptions. The
framing is that of ZMTP 3 (https://rfc.zeromq.org/spec/23) and of ZMTP 2 (spec/15), which are the
same after the greeting.
"""

import time
from collections.abc import Callable
from typing import Protocol

_GREETING = 64
"""Bytes of the greeting in ZMTP 3."""
_OLD_GREETING = 12
"""Bytes of the greeting in ZMTP 2: signature, revision, type of the socket."""
_REVISION = 10
"""Offset of the revision in both."""
_MORE, _LONG, _COMMAND = 1, 2, 4
"""Bits of a frame's flags."""
_PART_BYTES = 64
"""Overhead of a part in bytes."""
_MAX_COMMAND_BYTES = 8192
_MAX_PARTS = 64
"""Most parts of a message by default: each takes far more in a reader than on the wire."""


class ZmtpError(Exception):
    """A peer sent something that is not allowed."""


class PeerCheck(Protocol):
    """The check of what one peer sends."""

    @property
    def keeps_place(self) -> bool:
        """Whether the peer is of use though it sends nothing more."""
        ...

    def check_size(self, size: int, *, more: bool) -> None:
        """Check the size of a message part before its content arrives.

        Raises:
            ZmtpError: it is too large.
        """
        ...

    def check_content(self, content: bytes, *, command: bool) -> None:
        """Check the content of a small part or of a command.

        Raises:
            ZmtpError: it is not allowed.
        """
        ...

    def close(self) -> None:
        """Record that the connection is closed."""
        ...


class FrameReader:
    """Parses the frames in the bytes from one peer.

    Attributes:
        check: the check of the frames.
        spoke_s: the monotonic time of the last bytes of a message; None before the first.
    """

    def __init__(self, check: PeerCheck) -> None:
        self.check = check
        self.spoke_s: float | None = None
        self._greets = True
        self._kept = bytearray()
        """Beginning of an incomplete frame."""
        self._num_to_skip = 0
        """Bytes of a large part that are still to come."""

    def feed(self, data: memoryview) -> None:
        """Check the next bytes.

        Raises:
            ZmtpError: they must not be forwarded.
        """
        if self._num_to_skip >= len(data):
            self._num_to_skip -= len(data)
            self.spoke_s = time.monotonic()
            return
        self._kept += data[self._num_to_skip :]
        self._num_to_skip = 0
        while (num_bytes := self._take_next()) and not self._num_to_skip:
            del self._kept[:num_bytes]

    def _take_next(self) -> int:
        """Check a complete frame at the beginning, and return its length, or 0 if there is none."""
        kept = self._kept
        if self._greets:
            return self._take_greeting()
        head = 9 if kept and kept[0] & _LONG else 2
        if len(kept) < head:
            return 0
        flags, size = kept[0], int.from_bytes(kept[1:head], "big")
        if flags & ~(_MORE | _LONG | _COMMAND):
            raise ZmtpError("sent an invalid frame")
        if flags & _COMMAND and size > _MAX_COMMAND_BYTES:
            raise ZmtpError(f"sent a command of {size} bytes")
        if flags & _COMMAND or size <= _MAX_COMMAND_BYTES:
            if len(kept) < head + size:
                return 0
            if not flags & _COMMAND:
                self._check_part(size, flags)
            self.check.check_content(bytes(kept[head : head + size]), command=bool(flags & 4))
            return head + size
        self._check_part(size, flags)
        self._num_to_skip = max(0, head + size - len(kept))
        if self._num_to_skip:
            kept.clear()
        return head + size

    def _check_part(self, size: int, flags: int) -> None:
        self.spoke_s = time.monotonic()
        self.check.check_size(size, more=bool(flags & _MORE))

    def _take_greeting(self) -> int:
        kept = self._kept
        if kept and kept[0] != 0xFF:
            raise ZmtpError("uses neither ZMTP 2 nor 3")
        size = _GREETING if len(kept) > _REVISION and kept[_REVISION] >= 3 else _OLD_GREETING
        if len(kept) < size:
            return 0
        self._greets = False
        return size


class MessageLimit:
    """A limit on the size of whole messages from one peer, and on their number of parts."""

    keeps_place = False
    """See base class; a peer that pushes is useful while it does."""

    def __init__(
        self, max_bytes: int, *, max_parts: int = _MAX_PARTS, shared: "SharedLimit | None" = None
    ) -> None:
        self._max_bytes = max_bytes
        self._max_parts = max_parts
        self._shared = shared
        self.num_bytes = 0
        """Bytes of the message that is not complete yet."""
        self._num_parts = 0

    def check_size(self, size: int, *, more: bool) -> None:
        """See base class."""
        self.num_bytes += size + _PART_BYTES
        self._num_parts += 1
        if self._num_parts > self._max_parts:
            raise ZmtpError(f"sent a message of more than {self._max_parts} parts")
        if self.num_bytes > self._max_bytes:
            raise ZmtpError(f"sent a message of more than {self._max_bytes} bytes")
        if not more:
            self.num_bytes = self._num_parts = 0
        elif self._shared is not None:
            self._shared.check()

    def check_content(self, content: bytes, *, command: bool) -> None:
        """See base class."""

    def close(self) -> None:
        """See base class."""
        if self._shared is not None:
            self._shared.forget(self)


class SharedLimit:
    """A limit on the size of all peers' incomplete messages together.

    When it is exceeded, the connection with the largest message is closed, whoever sent last.
    """

    def __init__(self, max_bytes: int, *, max_message_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._max_message_bytes = max_message_bytes
        self._peers: dict[MessageLimit, Callable[[], None]] = {}

    def make_check(self, hang_up: Callable[[], None]) -> MessageLimit:
        """Return the check of a peer, for `Gate`."""
        peer = MessageLimit(self._max_message_bytes, shared=self)
        self._peers[peer] = hang_up
        return peer

    def forget(self, peer: MessageLimit) -> None:
        """Record that a peer's connection is closed."""
        self._peers.pop(peer, None)

    def check(self) -> None:
        """Close the connection with the largest message if the limit is exceeded."""
        peers = dict(self._peers)
        if sum(peer.num_bytes for peer in peers) > self._max_bytes:
            peers[max(peers, key=lambda peer: peer.num_bytes)]()


class SubscriberLimit:
    """A limit that lets a peer only subscribe, to a number of topics, and unsubscribe."""

    def __init__(self, *, max_topics: int, max_topic_bytes: int) -> None:
        self._max_topics = max_topics
        self._max_topic_bytes = max_topic_bytes
        self._topics: set[bytes] = set()

    @property
    def keeps_place(self) -> bool:
        """See base class; a peer with a subscription is waiting for it."""
        return bool(self._topics)

    def check_size(self, size: int, *, more: bool) -> None:
        """See base class."""
        if more or size > self._max_topic_bytes + 1:
            raise ZmtpError("sent something other than a subscription")

    def check_content(self, content: bytes, *, command: bool) -> None:
        """See base class."""
        if command:
            name, rest = content[1 : 1 + content[0]] if content else b"", b""
            rest = content[1 + len(name) :]
            if name not in (b"SUBSCRIBE", b"CANCEL"):
                return  # concerns the connection itself
            subscribes = name == b"SUBSCRIBE"
        elif not content:
            return  # the identity in ZMTP 2
        elif content[0] > 1:
            raise ZmtpError("sent something other than a subscription")
        else:
            subscribes, rest = content[0] == 1, content[1:]
        if not subscribes and rest not in self._topics:
            raise ZmtpError("canceled a subscription that it does not have")
        if subscribes:
            self._topics.add(rest)
        else:
            self._topics.discard(rest)
        if len(self._topics) > self._max_topics:
            raise ZmtpError(f"subscribed to more than {self._max_topics} topics")

    def close(self) -> None:
        """See base class."""
