"""The exceptions of `msgspec.json.decode` for bytes from outside. UnicodeDecodeError is no DecodeError of msgspec's."""

from typing import Final

import msgspec

JSON_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Not JSON or of another type; not UTF-8; nested too deeply."""
