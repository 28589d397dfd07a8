"""What the server says over its websocket, decoded."""

import json
import struct
from dataclasses import dataclass, field
from typing import Any

PREVIEW_IMAGE, TEXT, PREVIEW_IMAGE_WITH_METADATA = 1, 3, 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One message: `type` is ComfyUI's (`progress`, `executing`, ...), or `preview` or `text` for binary ones."""

    type: str
    data: dict[str, Any] = field(default_factory=dict)
    image: bytes = b""
    """Encoded picture of a `preview`: JPEG or PNG."""

    @property
    def node(self) -> str | None:
        """Id of the node the message is about."""
        node = self.data.get("node") or self.data.get("node_id")
        return None if node is None else str(node)


def decode_text(message: str) -> Event:
    """Decode a JSON message."""
    content = json.loads(message)
    return Event(type=content["type"], data=content.get("data") or {})


def decode_binary(message: bytes) -> Event:
    """Decode a binary message: big-endian type, then a payload whose form depends on it."""
    (kind,) = struct.unpack_from(">I", message)
    body = message[4:]
    if kind == PREVIEW_IMAGE:
        return Event(type="preview", image=body[4:])
    if kind == PREVIEW_IMAGE_WITH_METADATA:
        (size,) = struct.unpack_from(">I", body)
        return Event(type="preview", data=json.loads(body[4 : 4 + size]), image=body[4 + size :])
    if kind == TEXT:
        (size,) = struct.unpack_from(">I", body)
        node, text = body[4 : 4 + size].decode(), body[4 + size :].decode()
        return Event(type="text", data={"node": node, "text": text})
    return Event(type=f"binary_{kind}", data={"bytes": len(body)})
