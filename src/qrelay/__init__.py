"""qrelay: OpenAI's and Anthropic's APIs in front of Amazon Q Developer and Kiro."""

from importlib.metadata import version

__version__ = version("qrelay")
