"""What is wrong with a form, and with none of its fields: pages say it on top alone."""

from flask_babel import gettext


class FormProblem(str):
    """A text of that kind; `field_error` makes nothing of it."""

    __slots__ = ()


def of_nobody() -> FormProblem:
    """The form's token is not that of this browser, which need not be signed in."""
    return FormProblem(gettext("The form was too old, or cookies are switched off. Please try again."))


def too_old() -> FormProblem:
    """The form's token is not one of this session."""
    return FormProblem(gettext("The form was too old. Please try again."))
