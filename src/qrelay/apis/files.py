"""Files as OpenAI's clients attach them, turned into `Document` or, if they are plain text, `Text`. No network."""

import base64
import binascii

from qrelay.apis import images
from qrelay.apis.body import invalid
from qrelay.conversation import Document, Text


def from_data(data: str | None, filename: str | None, param: str) -> Text | Document:
    """`data` is base64 or a `data:` URL. Raises RelayError(request_invalid) naming `param`. None: a file elsewhere."""
    if data is None:
        raise invalid("This gateway keeps and fetches no files: send the file itself as 'file_data'.", param)
    media_type = ""
    if data[:5].lower() == "data:":
        image = images.from_url(data, param)
        data, media_type = image.data, image.media_type
    if media_type == "text/plain":
        try:
            return Text(base64.b64decode(data, validate=True).decode())
        except (binascii.Error, UnicodeDecodeError):
            raise invalid("The file is not base64 of UTF-8, as plain text must be.", param) from None
    return Document(filename or "document", data, media_type)
