"""Images as clients attach them, turned into `Image`. No network: a remote URL is refused, with the setting's name."""

from qrelay.conversation import Image
from qrelay.errors import ErrorCode, RelayError


def from_url(url: str, param: str) -> Image:
    """A `data:` URL to an Image. Raises RelayError for any other URL; `param` names the field that held it."""
    scheme, _, rest = url.partition(":")
    if scheme.lower() != "data":
        raise RelayError(
            ErrorCode.request_invalid,
            f"{param} is a remote image URL, and this gateway does not fetch any (QRELAY_REMOTE_IMAGES=reject).",
            remedy="Send the image itself as a data: URL or as base64.",
            param=param,
        )
    declared, comma, data = rest.partition(",")
    media_type, *options = declared.split(";")
    if not comma or "base64" not in (option.strip().lower() for option in options):
        raise RelayError(ErrorCode.request_invalid, f"{param} is not a base64 data: URL.", param=param)
    return Image(data, media_type.strip().lower(), param)
