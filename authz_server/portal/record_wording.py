"""What the record says, in 繁體中文 and English: a sentence for each event, and a reason where there is one."""

from collections.abc import Mapping
from typing import Final

from flask_babel import lazy_gettext
from flask_babel.speaklater import LazyString

from authz_server.audit.models import AuditEntry
from authz_server.clients import own

# Places: client, dataset. An event that is not listed is shown by its name, so that nothing is ever left out.
SENTENCES: Final[Mapping[str, LazyString]] = {
    "consent.requested": lazy_gettext("%(client)s asked for your data"),
    "consent.approved": lazy_gettext("You agreed to share data with %(client)s"),
    "consent.denied": lazy_gettext("You did not agree; nothing was sent to %(client)s"),
    "consent.expired": lazy_gettext("The time to decide passed; nothing was sent to %(client)s"),
    "consent.withdrawn": lazy_gettext("You stopped your consent; %(client)s can fetch nothing more with it"),
    "consent.erasure_requested": lazy_gettext("You asked %(client)s to erase your data"),
    "consent.erasure_untold": lazy_gettext(
        "You want %(client)s to erase your data, but it could not be told. Please call it"
    ),
    "consent.erasure_reminded": lazy_gettext("This platform reminds %(client)s that your data has to be erased"),
    "consent.erasure_due": lazy_gettext(
        "The day by which %(client)s must erase your data has come, but it could not be reminded"
    ),
    "consent.erasure_acknowledged": lazy_gettext("%(client)s said what became of your data"),
    "consent.correction_requested": lazy_gettext('You asked the agency to correct "%(dataset)s"'),
    "consent.correction_settled": lazy_gettext('Your request to correct "%(dataset)s" was settled'),
    "consent.reported": lazy_gettext("You reported %(client)s to the authority"),
    "code.expired": lazy_gettext("Your permission for %(client)s has expired unused; nothing was sent"),
    "code.redeemed": lazy_gettext("%(client)s collected its permission to fetch"),
    "code.replayed": lazy_gettext(
        "A permission was presented a second time and refused; what it had opened was closed"
    ),
    "code.misused": lazy_gettext(
        "A permission of %(client)s was presented by somebody who could not show that it is theirs; it is void now"
    ),
    "counter.shown": lazy_gettext("A barcode for %(client)s was shown to you"),
    "counter.announced": lazy_gettext("Your barcode was scanned, and you were sent a one-time code"),
    "counter.redeemed": lazy_gettext(
        "Your barcode and one-time code were accepted; %(client)s may fetch what you agreed to"
    ),
    "counter.refused": lazy_gettext("Your barcode was refused"),
    "counter.locked": lazy_gettext("Your barcode was locked for a while after too many wrong one-time codes"),
    "preparation.asked": lazy_gettext('The agency is asked to have "%(dataset)s" ready'),
    "preparation.ready": lazy_gettext('The agency has "%(dataset)s" ready'),
    "preparation.refused": lazy_gettext('The agency prepares "%(dataset)s" only once it is fetched'),
    "preparation.dropped": lazy_gettext('The agency is told to throw away what it prepared of "%(dataset)s"'),
    "delegation.invited": lazy_gettext("You invited somebody to go to %(client)s for you"),
    "delegation.tried": lazy_gettext("Somebody whom you did not name tried to use your invitation"),
    "delegation.opened": lazy_gettext("The person you named opened your invitation to go to %(client)s for you"),
    "delegation.accepted": lazy_gettext("Your agent agreed to go to %(client)s for you"),
    "delegation.declined": lazy_gettext("Your agent did not agree to go to %(client)s for you"),
    "delegation.confirmed": lazy_gettext("You let your agent go to %(client)s for you"),
    "delegation.ended": lazy_gettext("Nobody goes to %(client)s for you any more"),
    "delegation.shown": lazy_gettext("A barcode for %(client)s was shown to your agent"),
    "delegation.announced": lazy_gettext("Your agent's barcode was scanned, and they were sent a one-time code"),
    "delegation.redeemed": lazy_gettext(
        "Your agent's barcode and one-time code were accepted; %(client)s may fetch what you agreed to"
    ),
    "delegation.refused": lazy_gettext("Your agent's barcode was refused"),
    "delegation.locked": lazy_gettext(
        "Your agent's barcode was locked for a while after too many wrong one-time codes"
    ),
    "agent.opened": lazy_gettext("You opened an invitation to go to %(client)s for somebody"),
    "agent.accepted": lazy_gettext("You agreed to go to %(client)s for somebody"),
    "agent.declined": lazy_gettext("You did not agree to go to %(client)s for somebody"),
    "agent.confirmed": lazy_gettext("You were confirmed to go to %(client)s for somebody"),
    "agent.ended": lazy_gettext("You do not go to %(client)s for somebody any more"),
    "agent.shown": lazy_gettext("A barcode of somebody for %(client)s was shown to you"),
    "agent.redeemed": lazy_gettext(
        "The barcode and one-time code that you brought for somebody were accepted; %(client)s may fetch their data"
    ),
    "agent.refused": lazy_gettext("The barcode that you brought for somebody was refused"),
    "agent.locked": lazy_gettext(
        "The barcode that you brought for somebody was locked for a while after too many wrong one-time codes"
    ),
    "copy.printed": lazy_gettext('%(client)s printed "%(dataset)s"'),
    "copy.saved": lazy_gettext('%(client)s saved a copy of "%(dataset)s"'),
    "token.issued": lazy_gettext('%(client)s may fetch "%(dataset)s" once'),
    "token.leased": lazy_gettext('%(client)s began to fetch "%(dataset)s"'),
    "token.delivered": lazy_gettext('"%(dataset)s" was delivered to %(client)s'),
    "token.failed": lazy_gettext('"%(dataset)s" could not be delivered to %(client)s'),
    "token.exhausted": lazy_gettext('"%(dataset)s" could not be delivered to %(client)s and is not tried again'),
    "token.delivering": lazy_gettext('The delivery of "%(dataset)s" to %(client)s began'),
    "token.preparing": lazy_gettext('The agency is preparing "%(dataset)s" for %(client)s'),
    "token.no_record": lazy_gettext('The agency has no record of you in "%(dataset)s"; %(client)s was told so'),
    "token.expired": lazy_gettext('%(client)s did not fetch "%(dataset)s" in time; it no longer can'),
    "token.spent_unknown": lazy_gettext(
        'The delivery of "%(dataset)s" to %(client)s was interrupted; it can\'t be fetched again'
    ),
    "token.revoked": lazy_gettext('The permission of %(client)s to fetch "%(dataset)s" was ended'),
    "sign_in.succeeded": lazy_gettext("You signed in"),
    "sign_in.failed": lazy_gettext("Somebody tried to sign in to your account"),
    "sign_in.locked": lazy_gettext("Sign-in to your account was locked for a while after too many attempts"),
    "sign_in.code_sent": lazy_gettext("A code to sign in was sent to your e-mail address"),
    "sign_in.new_device": lazy_gettext("That sign-in came from a browser where you had not signed in before"),
    "password.changed": lazy_gettext("You changed your password"),
    "authenticator.changed": lazy_gettext("You set up another authenticator app"),
    "recovery.renewed": lazy_gettext("You made new recovery codes; the old ones are void"),
    "recovery.used": lazy_gettext("A recovery code was used instead of the authenticator app"),
    "session.ended": lazy_gettext("You signed another browser out of your account"),
    "method.added": lazy_gettext("You added a way to sign in: %(method)s"),
    "method.removed": lazy_gettext("You removed a way to sign in: %(method)s"),
    "account.verified": lazy_gettext("You proved who you are in two different ways, as is required the first time"),
    "anomaly.passkey_copied": lazy_gettext(
        "A passkey of yours had counted fewer uses than before and was refused; it may have been copied. "
        "Remove it and make a new one"
    ),
    "account.created": lazy_gettext("Your account was opened"),
    "account.reset": lazy_gettext("Your ways to sign in were renewed"),
    "account.corrected": lazy_gettext("Your name or date of birth was corrected"),
    "account.suspended": lazy_gettext("Your account was suspended"),
    "account.resumed": lazy_gettext("Your account was opened again"),
    "contact.proposed": lazy_gettext("A code was sent to a new address of yours, to verify it"),
    "contact.changed": lazy_gettext("Your contact data was changed"),
    "account.frozen": lazy_gettext("Everything was stopped: nothing of yours is sent, and nothing can be agreed to"),
    "account.unfrozen": lazy_gettext("You unfroze your account; requests can be agreed to again"),
    "anomaly.first_time": lazy_gettext("You had not agreed to share data with %(client)s before"),
    "anomaly.again": lazy_gettext("You agreed to share data with %(client)s again within a short time"),
    "anomaly.unusual_hour": lazy_gettext("You agreed to share data with %(client)s at an unusual hour"),
    "anomaly.many_denials": lazy_gettext("%(client)s asked again and again although you did not agree"),
    "account.left": lazy_gettext("You closed your account"),
    "sign_out": lazy_gettext("You signed out"),
    "office.appointed": lazy_gettext("You were appointed at %(client)s"),
    "office.dismissed": lazy_gettext("Your appointment at %(client)s was ended"),
    "office.has_appointed": lazy_gettext("You appointed somebody at %(client)s"),
    "office.has_dismissed": lazy_gettext("You ended somebody's appointment at %(client)s"),
    "office.desk_opened": lazy_gettext("You began to work at a desk of %(client)s"),
}
# The same, where somebody else than the citizen did it.
BY_OTHERS: Final[Mapping[str, LazyString]] = {
    "consent.withdrawn": lazy_gettext(
        "Your consent was ended by another party; %(client)s can fetch nothing more with it"
    ),
    "account.unfrozen": lazy_gettext("The operator unfroze your account; requests can be agreed to again"),
    "account.left": lazy_gettext("The operator closed your account"),
}
# The same, where the recipient is the citizen's own browser: it is nobody whom they agree with.
OF_DOWNLOADS: Final[Mapping[str, LazyString]] = {
    "consent.requested": lazy_gettext("You chose data to download"),
    "consent.approved": lazy_gettext("You agreed to download your data"),
    "consent.denied": lazy_gettext("You did not agree; nothing was downloaded"),
    "consent.expired": lazy_gettext("The time to decide passed; nothing was downloaded"),
    "consent.withdrawn": lazy_gettext("You stopped your consent; nothing more can be downloaded with it"),
    "code.redeemed": lazy_gettext("Your browser began the download"),
    "token.issued": lazy_gettext('"%(dataset)s" can be downloaded once'),
    "token.leased": lazy_gettext('Your browser began to fetch "%(dataset)s"'),
    "token.delivered": lazy_gettext('"%(dataset)s" was downloaded to your own browser'),
    "anomaly.first_time": lazy_gettext("You had not agreed to download your data before"),
    "anomaly.again": lazy_gettext("You agreed to download your data again within a short time"),
    "anomaly.unusual_hour": lazy_gettext("You agreed to download your data at an unusual hour"),
}
# The same, where the citizen did it and not the client.
BY_CITIZEN: Final = {"consent.requested": lazy_gettext("You chose a service of %(client)s")}
# The same, where the barcode was good and the one-time code was not.
OF_CODES: Final[Mapping[str, LazyString]] = {
    "counter.refused": lazy_gettext("Your one-time code was not accepted"),
    "delegation.refused": lazy_gettext("Your agent's one-time code was not accepted"),
    "agent.refused": lazy_gettext("The one-time code that you gave for somebody was not accepted"),
}
CODES_REFUSED: Final = frozenset({"wrong_code", "code_too_late"})
# What a reader can do something with; other reasons (which of the credentials was wrong) are for the operator.
REASONS: Final[Mapping[str, LazyString]] = {
    "agency_down": lazy_gettext("The agency could not be reached."),
    "agency_timeout": lazy_gettext("The agency did not answer in time."),
    "agency_refused": lazy_gettext("The agency refused."),
    "agency_garbage": lazy_gettext("The agency's answer could not be used."),
    "agency_too_large": lazy_gettext("The agency's answer was too large."),
    "bad_signature": lazy_gettext("What this platform sent to the agency could not be used."),
    "client_hung_up": lazy_gettext("The recipient broke the connection off."),
    "consent_ended": lazy_gettext("The consent had ended."),
    "code_replayed": lazy_gettext("The permission had been presented a second time."),
    "counter": lazy_gettext("For a visit to a counter."),
    "wrong_office": lazy_gettext("It was not made for this office."),
    "own_clerk": lazy_gettext("The clerk was the very person who had brought it."),
    "shown_again": lazy_gettext("A newer one had been shown to you."),
    "used": lazy_gettext("It had been used."),
    "dataset_gone": lazy_gettext("Some of the data is not provided any more."),
    "handed_on": lazy_gettext("It was somebody else's turn to show one."),
    "agent_held": lazy_gettext("The agent's account was stopped."),
    "too_late": lazy_gettext("Its time was over."),
    "elsewhere": lazy_gettext("Another counter had just scanned it."),
    "code_too_late": lazy_gettext("The one-time code had expired, or none had been sent."),
    "wrong_code": lazy_gettext("The one-time code was wrong."),
    "locked": lazy_gettext("It was locked after too many wrong one-time codes."),
    "withdrawn": lazy_gettext("You stopped it."),
    "given_up": lazy_gettext("The recipient ended it."),
    "on_request": lazy_gettext("You had asked for it."),
    "misuse": lazy_gettext("Because of suspected misuse by the recipient."),
    "security": lazy_gettext("To protect your data."),
    "by_law": lazy_gettext("A law or an authority demanded it."),
    "mistake": lazy_gettext("To set a mistake right."),
    "restored": lazy_gettext("This platform went back to an earlier moment; later uses may be missing here."),
    "erased": lazy_gettext("It says that it has erased your data."),
    "not_held": lazy_gettext("It says that it holds none of it."),
    "legal_obligation": lazy_gettext("It says that a law makes it keep the data."),
    "legal_claims": lazy_gettext("It says that it needs the data to settle a claim."),
    "contract": lazy_gettext("It says that it needs the data to fulfil a contract with you."),
    "corrected": lazy_gettext("The agency has corrected it."),
    "refused": lazy_gettext("The agency keeps it as it is."),
    "in_person": lazy_gettext("The agency needs you to come in person."),
    "undelivered": lazy_gettext("The agency could not be reached. Ask it yourself, please."),
    "email": lazy_gettext("E-mail address."),
    "phone": lazy_gettext("Telephone number."),
    "not_me": lazy_gettext("By the link in a message to you."),
    "frozen": lazy_gettext("Everything was stopped."),
    "all_others": lazy_gettext("All browsers but the one that you used."),
    "clerk": lazy_gettext("As a clerk, who takes barcodes at its counters."),
    "administrator": lazy_gettext("As an administrator, who appoints and dismisses."),
    "lease_ran_out": lazy_gettext("Nobody reported how it ended, so it counts as used."),
}


def sentence_of(entry: AuditEntry) -> LazyString | None:
    """The words that fit best; None for an event that has none."""
    fitting: list[Mapping[str, LazyString]] = [BY_CITIZEN if entry.actor == "citizen" else BY_OTHERS, SENTENCES]
    if entry.client_id == own.CLIENT_ID:
        fitting.insert(0 if entry.actor == "citizen" else 1, OF_DOWNLOADS)
    if entry.reason in CODES_REFUSED:
        fitting.insert(0, OF_CODES)
    return next((words[entry.event] for words in fitting if entry.event in words), None)
