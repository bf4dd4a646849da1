"""A transport that sends an answer in one piece, and closes so that it arrives."""

import asyncio
from collections.abc import Callable
from typing import Any


class OneWrite(asyncio.Transport):
    """Gathers what is written in one turn of the event loop into one call of the kernel.

    uvicorn writes an answer's head and its body apart. Each write gives up the interpreter lock,
    which compute threads then hold for milliseconds.

    Args:
        transport: Where the bytes go.
        loop: Its event loop.
        more_to_come: Whether the client is still sending. To close then makes the kernel reset the
            connection, and the client throw away the answer that it has not read: the sending side
            is closed alone, and whoever reads the rest calls `abort` in time.

    Attributes:
        lingering: Since when the client's rest is read for nothing, on the clock of the loop.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        more_to_come: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._more_to_come = more_to_come
        self._waiting: list[bytes | bytearray | memoryview] = []
        self.lingering: float | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send soon."""
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(data)

    def _flush(self) -> None:
        if self._waiting:
            data, self._waiting = b"".join(self._waiting), []
            self._transport.write(data)

    def close(self) -> None:
        """Send what is left, then close."""
        self._flush()
        if self.lingering is None and self._more_to_come() and not self._transport.is_closing():
            self.lingering = self._loop.time()
            try:
                self._transport.write_eof()
            except OSError:  # the client has gone
                self._transport.abort()
            else:
                self._transport.resume_reading()
        elif self.lingering is None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once, whatever is left."""
        self._waiting.clear()
        self._transport.abort()

    def unsent(self) -> int:
        """Bytes that the client has not taken."""
        return self._transport.get_write_buffer_size()

    def is_closing(self) -> bool:
        """Whether it is closed, or will be."""
        return self.lingering is not None or self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the connection."""
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Let the client wait."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._transport.resume_reading()
