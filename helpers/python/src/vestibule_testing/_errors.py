"""What goes wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class VestibuleError(Exception):
    """The server refused, did not answer, or did not start or stop as it should.

    Attributes:
        status: The HTTP status; 0 where no answer of the server is behind it.
        code: The server's name for the mistake, for programs, such as `not_found`; None where it gave none.
        title: What kind of mistake it is, in a few words.
        detail: What is wrong here.
        errors: What is wrong with which field, as mappings with `field` and `reason`; often empty.
        timeline: What happened in the sign-in that was waited for, a line for each step; often empty.
    """

    def __init__(
        self,
        title: str,
        detail: str,
        *,
        status: int = 0,
        code: str | None = None,
        errors: Sequence[Mapping[str, str]] = (),
        timeline: Sequence[str] = (),
    ) -> None:
        # The detail of the server often has the fields in it already.
        missing = [error for error in errors if error["reason"] not in detail]
        fields = "; ".join(f"{error['field']}: {error['reason']}" for error in missing)
        text = f"{title}: {detail}" + (f" ({fields})" if fields else "")
        super().__init__("\n  ".join([text, *timeline]))
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.errors = list(errors)
        self.timeline = list(timeline)
