"""Files as OpenAI's clients attach them: `Text` where they are text, `Image`, or `Document`. No network."""

import base64
import binascii
from typing import Final

from qrelay.apis import images
from qrelay.apis.body import invalid
from qrelay.conversation import Document, Image, Text

_TEXTS: Final = ("text/", "application/json", "application/xml", "application/yaml", "application/x-yaml")


def from_data(data: str | None, filename: str | None, param: str) -> Text | Image | Document:
    """`data` is base64 or a `data:` URL. Raises RelayError(request_invalid) naming `param`. None: a file elsewhere."""
    if data is None:
        raise invalid("This gateway keeps and fetches no files: send the file itself as 'file_data'.", param)
    if data[:5].lower() != "data:":
        return Document(filename or "document", data)
    file = images.from_url(data, param)
    if file.media_type.startswith("image/"):
        return file
    if not file.media_type.startswith(_TEXTS):
        return Document(filename or "document", file.data, file.media_type)
    try:
        text = base64.b64decode(file.data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise invalid("The file is not base64 of UTF-8, as text must be.", param) from None
    return Text(f"{filename}\n\n{text}" if filename else text)
