"""Signing in and out.

Routes
    GET  /sign-in?request=<id>|return_to=<path>   the form; straight on, where the session already satisfies the request
    POST /sign-in     form: csrf, method, request|return_to, the method's fields, or action=cancel
    GET  /sign-out    asks only (a link must not sign anybody out)
    POST /sign-out    form: csrf

Templates and what they are given
    sign_in.html
        method              the Method whose form is shown, or None when no method of this server reaches `needed_level`
                            (then: say so, and offer only cancel). `.id`, `.name` (Text), `.fields`, a tuple of
                            Field(name, label: Text, hint: Text | None, input_type, autocomplete, inputmode, max_length)
        methods             all methods that suffice here, in the order of the registry (`method` is one of them);
                            another one is chosen by GET with &method=<id>
        pending             the WaitingRequest, or None when nobody but the citizen asked for the sign-in:
                            `.request_id`, `.transaction_id`, `.client_name` (Text)
        needed_level        1..4, or None; the level that the pending request demands
        reason              why a signed-in citizen sees this page: "level" (the session's level does not suffice),
                            "again" (the request demands a fresh sign-in), or None
        signed_in           SignedIn or None
        error               None, or one of: "wrong" (user name, password or code: never which), "locked", "busy" (503),
                            "form" (stale or foreign form, cookies off: try again), "suspended" (the operator was asked)
        locked_minutes      whole minutes, at least 1, when error is "locked", else None
        username            what was typed, to fill in again; passwords and codes are never repeated
        request_id          for the hidden field `request`, "" if none
        return_to           for the hidden field `return_to`, "/" if none; already validated as local
        csrf                for the hidden field `csrf`
        sandbox             bool: say that the level is the sandbox's
      The form posts to /sign-in; hidden: csrf, request, return_to, method. Buttons: `login-submit`
      (name=action value=sign-in) and `login-cancel` (name=action value=cancel, formnovalidate).
    sign_out.html
        csrf, signed_in     form posts to /sign-out; ids `logout-confirm`, `logout-cancel` (a link to /)

Answers: 303 when done; 400 wrong, 403 form, 403 suspended, 429 locked and 503 busy (both with Retry-After).
"""
