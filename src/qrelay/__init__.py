"""qrelay: OpenAI's and Anthropic's APIs in front of Amazon Q Developer and Kiro."""

import sys
from importlib.metadata import version

# structlog loads rich wherever it finds it, for tracebacks that are never drawn here: four megabytes in every server.
if "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment] -- so that it isn't found
    import structlog

    del sys.modules["rich"], structlog

__version__ = version("qrelay")
