"""Images as clients attach them, turned into `Image`. No network: one at a remote URL stays there (`remote_images`)."""

from qrelay.conversation import Image
from qrelay.errors import ErrorCode, RelayError


def from_url(url: str, param: str) -> Image:
    """A `data:` URL's image, or one that is at an `http(s):` URL. Raises RelayError; `param` names what held it."""
    scheme, _, rest = url.partition(":")
    if scheme.lower() in {"http", "https"}:
        return Image("", "", param, url)
    if scheme.lower() != "data":
        raise RelayError(ErrorCode.request_invalid, f"{param} is neither a data: nor an http(s): URL.", param=param)
    declared, comma, data = rest.partition(",")
    media_type, *options = declared.split(";")
    if not comma or "base64" not in (option.strip().lower() for option in options):
        raise RelayError(ErrorCode.request_invalid, f"{param} is not a base64 data: URL.", param=param)
    return Image(data, media_type.strip().lower(), param)
