"""Files as clients attach them: `Text` where they are text, `Image`, or `Document`. No network.

image/*                                  Image
text/*, JSON, XML, YAML                  Text: its UTF-8, under the file's name
no type, or one that says nothing        Text if the bytes are UTF-8 and no PDF's, else Document
everything else                          Document
"""

import base64
import binascii
from typing import Final

from qrelay.apis import images
from qrelay.apis.body import invalid
from qrelay.conversation import Document, Image, Text

_TEXTS: Final = ("text/", "application/json", "application/xml", "application/yaml", "application/x-yaml")
_UNKNOWN: Final = ("", "application/octet-stream")


def from_data(data: str | None, filename: str | None, param: str) -> Text | Image | Document:
    """`data` is base64 or a `data:` URL. Raises RelayError(request_invalid) naming `param`. None: a file elsewhere."""
    if data is None:
        raise invalid("This gateway keeps and fetches no files: send the file itself as 'file_data'.", param)
    if data[:5].lower() != "data:":
        return from_base64(data, "", filename, param)
    file = images.from_url(data, param)
    if file.media_type.startswith("image/"):
        return file
    return from_base64(file.data, file.media_type, filename, param)


def from_base64(data: str, media_type: str, name: str | None, param: str) -> Text | Document:
    """Raises RelayError(request_invalid) naming `param` for what is declared as text and is none."""
    declared = media_type.lower().startswith(_TEXTS)
    if declared or media_type.lower() in _UNKNOWN:
        text = _text(data)
        if text is not None and (declared or (not text.startswith("%PDF") and "\0" not in text)):
            return Text(f"{name}\n\n{text}" if name else text)
        if declared:
            raise invalid("The file is not base64 of UTF-8, as text must be.", param)
    return Document(name or "document", data, media_type)


def _text(data: str) -> str | None:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):  # UnicodeDecodeError is one; so is what is said of letters beyond ASCII
        return None
