"""One broken rule, and what each style of host says about it (PROTOCOL.md §2.6, §4.2). Not the rules."""

from typing import Literal, TypeAlias

from msgspec import Struct

from qrelay.simulator.errors import IMPROPER, TOO_LONG, ServiceError, validation

Style: TypeAlias = Literal["new", "old"]


class Violation(Struct, frozen=True):
    """One broken rule: its name, what exactly was wrong (for people), and the newer hosts' answer."""

    rule: str
    detail: str
    error: ServiceError

    def in_style(self, style: Style) -> ServiceError:
        """The older hosts only say more than `Improperly formed request.` when the input is too long."""
        if style == "new" or self.error.message == TOO_LONG:
            return self.error
        return validation(None, IMPROPER)


def invalid(rule: str, detail: str) -> Violation:
    return Violation(rule, detail, validation("REQUEST_BODY_INVALID"))


def mismatch(rule: str, detail: str) -> Violation:
    return Violation(rule, detail, validation("TOOL_USE_RESULT_MISMATCH"))


def bad_schema(rule: str, detail: str) -> Violation:
    return Violation(rule, detail, validation("TOOL_SCHEMA_INVALID"))


def too_long(rule: str, detail: str) -> Violation:
    return Violation(rule, detail, validation("CONTENT_LENGTH_EXCEEDS_THRESHOLD"))
