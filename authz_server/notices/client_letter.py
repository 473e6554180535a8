"""What a client reads by e-mail that registered no endpoint for events: never a word on who the citizen is."""

from collections.abc import Mapping
from typing import Final

from authz_server.consent import erasure
from authz_server.consent.wording import day
from authz_server.identity.language import LOCALES
from authz_server.notices.channels.base import Errand
from authz_server.notices.letter import Letter, Part, Writer
from authz_server.notices.phrases import say
from authz_server.notices.told import Told, told

TO_CLIENTS: Final[Mapping[str, Told]] = {
    erasure.REQUESTED: told(
        "有民眾請{client}刪除資料",
        "A citizen asks {client} to erase their data",
        "請刪除貴單位憑這次同意取得的資料，或確認不能刪除的原因，並依下列方式回覆。回覆會轉告民眾。",
        "Please erase what you received by this consent, or find out why you must keep it, and answer as below. The "
        "citizen is told your answer.",
    ),
    erasure.REMINDED: told(
        "提醒：有民眾請{client}刪除資料，期限已到",
        "Reminder: a citizen asked {client} to erase their data, and the day has come",
        "本平臺還沒有收到貴單位的回覆。請刪除貴單位憑這次同意取得的資料，或確認不能刪除的原因，並依下列方式回覆。",
        "There is no answer of yours yet. Please erase what you received by this consent, or find out why you must "
        "keep it, and answer as below.",
    ),
}


class ClientWriter(Writer):
    """Puts into words what a client has to do, in both languages in an order that says nothing of the citizen."""

    def write(self, errand: Errand) -> Letter:
        return Letter(parts=tuple(self.part(errand, locale) for locale in LOCALES))

    def part(self, errand: Errand, locale: str) -> Part:
        entry, issuer = errand.entry, self._services.settings.issuer
        words, names = TO_CLIENTS[entry.event], self._names(entry, errand.datasets, locale)
        facts = [
            ("reference", entry.transaction_id or ""),
            ("what", names["dataset"]),
            ("erase_by", day(errand.erase_by, locale) if errand.erase_by else ""),
        ]
        return Part(
            locale=locale,
            title=words.title.get(locale).format(**names),
            more=words.more.get(locale).format(**names),
            facts=tuple((say(label, locale), text) for label, text in facts if text),
            links=((say("answer_at", locale), f"{issuer}/grants/{entry.consent_id}/erasure"),),
            not_me=(),
            why=(say("answer_how", locale),),
            closing=say("why_client", locale),
        )
