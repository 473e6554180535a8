"""The fixed sentences of the consent notice, each in 繁體中文 and English.

They are part of what a citizen agrees to and end up in the consent record, so they live here as data with a version
(`notice.VERSION`) instead of in the translation catalogues: a test pins version and words together.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final

from authz_server.catalogue.parameters import MONTHS
from authz_server.core.clock import LOCAL_TIME, day_of

# name: (zh, en)
SENTENCES: Final[Mapping[str, tuple[str, str]]] = {
    "title": ("要把您的資料提供給{client}嗎？", "Share your data with {client}?"),
    "title_identity": ("要用本服務登入{client}嗎？", "Sign in to {client} with this service?"),
    "lead": (
        "{client}想取得下列資料。請讀完再決定；在您同意之前，什麼都不會送出。",
        "{client} asks for the data below. Please read all of it, then decide. Nothing is sent unless you agree.",
    ),
    "lead_identity": (
        "{client}想知道您是誰。請讀完再決定；在您同意之前，什麼都不會送出。",
        "{client} asks who you are. Please read all of it, then decide. Nothing is sent unless you agree.",
    ),
    "lead_counter": (
        "您想在{client}的櫃檯提供下列資料。請讀完再決定；在您同意、並在櫃檯出示條碼之前，什麼都不會送出。",
        "You want to hand in the data below at a counter of {client}. Please read all of it, then decide. Nothing is "
        "sent unless you agree and show your barcode there.",
    ),
    "title_download": ("要下載您的這些資料嗎？", "Download your data?"),
    "lead_download": (
        "您想從機關把下列資料下載到這個瀏覽器，只給您自己。請讀完再決定；在您同意之前，什麼都不會取得。",
        "You want the data below in this browser, for yourself alone. Please read all of it, then decide. Nothing is "
        "fetched unless you agree.",
    ),
    "who_download": ("誰會收到", "Who gets it"),
    "own_browser": ("您的瀏覽器", "your browser"),
    "who": ("誰在要求", "Who is asking"),
    "registered_id": ("統一編號", "Registered ID"),
    "registered_on": ("本平臺登記日期", "Registered here since"),
    "phone": ("聯絡電話", "Telephone"),
    "privacy": ("{client}的隱私權政策", "Privacy policy of {client}"),
    "why": ("為什麼", "Why"),
    "why_dataset": ("用途：{text}", "What for: {text}"),
    "changed": ("與上次不同之處", "What changed since last time"),
    "changed_intro": (
        "您曾經同意過{client}的要求。與那次相比：",
        "You have agreed to a request of {client} before. Compared with that:",
    ),
    "changed_nothing": ("要求的資料與上次相同", "it asks for the same data"),
    "changed_dataset": ("新增「{dataset}」", '"{dataset}" is new'),
    "changed_fields": ("「{dataset}」新增欄位：{fields}", 'More of "{dataset}": {fields}'),
    "changed_parameters": ("「{dataset}」改為 {parameters}", '"{dataset}" is now for {parameters}'),
    "changed_no_parameters": ("「{dataset}」不再限定範圍", '"{dataset}" is no longer limited'),
    "changed_gone": ("不再要求「{dataset}」", '"{dataset}" is no longer asked for'),
    "mark_new": ("新增", "New"),
    "needed": ("辦理所需", "Needed for this"),
    "optional": ("您也可以提供", "You can also share"),
    "optional_hint": (
        "不勾選也可以，不影響申請。只會提供您勾選的項目。",
        "Only what you tick is sent. Leaving these empty changes nothing for your application.",
    ),
    "optional_more": ("「{dataset}」的其他欄位", 'More of "{dataset}"'),
    "optional_always": ("勾選任何一項時，會一併提供：{fields}", "Sent along with anything that you tick: {fields}"),
    "from_agency": ("由{agency}提供", "From: {agency}"),
    "fields": ("看看包含哪 {count} 個欄位", "See the {count} fields in it"),
    "fields_one": ("看看包含哪個欄位", "See the one field in it"),
    "sensitive": ("敏感", "sensitive"),
    "special": ("特種個資", "specially protected"),
    "wait": (
        "這項資料通常需要約 {duration}準備。您不必等待，備妥後{client}會自行取得。",
        "This usually takes about {duration} to prepare. You need not wait: {client} fetches it when it is ready.",
    ),
    "maintenance": (
        "機關表示這項資料正在維護，要等維護結束才能取得。",
        "The agency says that this is under maintenance; it can be fetched afterwards.",
    ),
    "maintenance_until": (
        "機關表示這項資料正在維護，大約到 {when}，之後才能取得。",
        "The agency says that this is under maintenance until about {when}; it can be fetched afterwards.",
    ),
    "wait_download": (
        "這項資料通常需要約 {duration}準備。頁面開著時會自己等，備妥後立刻取得。",
        "This usually takes about {duration} to prepare. The page waits for it by itself while you leave it open.",
    ),
    "wait_counter": (
        "這項資料通常需要約 {duration}準備。同意之後，有條碼的那一頁會說什麼時候去櫃檯。",
        "This usually takes about {duration} to prepare. If you agree, the page with your barcode says when to go.",
    ),
    "second": ("{count} 秒", "{count} second"),
    "seconds": ("{count} 秒", "{count} seconds"),
    "minute": ("{count} 分鐘", "{count} minute"),
    "minutes": ("{count} 分鐘", "{count} minutes"),
    "hours": ("{count} 小時", "{count} hours"),
    "unavailable": (
        "目前無法取得：本平臺暫停提供{agency}的資料。即使您同意，這項也不會提供。",
        "Not available now: this platform provides no data from {agency} at present. It is not shared even if you "
        "agree.",
    ),
    "unavailable_dataset": (
        "目前無法取得：本平臺暫停提供這項資料。即使您同意，這項也不會提供。",
        "Not available now: this platform does not provide this data at present. It is not shared even if you agree.",
    ),
    "identity": ("關於您的身分", "About who you are"),
    "identity_sub": (
        "一個只給{client}使用的代號，別的單位認不出是您",
        "An identifier made for {client} alone; nobody else can recognise you by it",
    ),
    "claim_name": ("姓名", "Your name"),
    "claim_birthdate": ("出生日期", "Your date of birth"),
    "claim_locale": ("慣用語言", "Your preferred language"),
    "claim_email": ("電子郵件地址", "Your e-mail address"),
    "claim_phone_number": ("電話號碼", "Your telephone number"),
    "route": ("從哪裡到哪裡", "From where to where"),
    "route_from": ("資料來源", "From"),
    "route_to": ("接收者", "To"),
    "route_onward": ("再轉交給", "Passed on to"),
    "route_nobody": ("不轉交任何人", "Nobody else"),
    "times": ("多久", "For how long"),
    "fetch_once": ("只取一次，就是現在", "We fetch it once, now"),
    "fetch_once_counter": (
        "只取一次，就在您於櫃檯出示條碼時",
        "We fetch it once, when you show your barcode at the counter",
    ),
    "use_until": ("{client}可使用到 {date}", "They may use it until {date}"),
    "erase_by": ("{client}必須在 {date}以前刪除", "They must erase it by {date}"),
    "desk": ("在櫃檯", "At the counter"),
    "desk_print": ("承辦人可以列印。", "The clerk may print it."),
    "desk_no_print": ("承辦人不會列印。", "The clerk does not print it."),
    "desk_save": ("承辦人可以存檔，留在該單位。", "The clerk may save it, so that the office keeps a copy."),
    "desk_no_save": (
        "承辦人不會存檔：資料只在畫面上看得到，之後就清除。",
        "The clerk saves no copy: it is shown on a screen, then cleared.",
    ),
    "desk_recorded": (
        "每次列印或存檔，都會連同是誰做的寫進您的紀錄。",
        "Each time it is printed or saved, your record says so, and who did it.",
    ),
    "never": ("不會發生的事", "What will not happen"),
    "never_others": ("除了您自己，沒有任何人會收到。", "Nobody but you gets it."),
    "never_keep": ("本平臺不會留存您的資料。", "This platform does not keep your data."),
    "never_again": (
        "這次同意不能用來再取一次；下次必須再問您。",
        "This consent can't be used to fetch again; next time you are asked again.",
    ),
    "never_read": (
        "本平臺讀不到內容：機關加密後只有{client}能解開。",
        "This platform can't read it: the agency encrypts it so that only {client} can open it.",
    ),
    "never_read_except": (
        "本平臺讀不到內容：機關加密後只有{client}能解開。例外：{agencies}無法自行加密，由本平臺代為加密，不留存。",
        "This platform can't read it: the agency encrypts it so that only {client} can open it. Exception: "
        "{agencies}. This platform encrypts what comes from there, on behalf of the agency, and keeps nothing.",
    ),
    "never_password": (
        "{client}不需要、也不會得到您的密碼。任何人都不該向您索取。",
        "{client} neither needs nor gets your password. Nobody should ask you for it.",
    ),
    "stop": ("想停止時", "How to stop"),
    "stop_text": (
        "資料被取走之前，可在本平臺停止（連結在「我的同意」）；之後請致電{client} {phone}，並報上參考編號。",
        'Until your data is fetched, you can stop it on this platform, under "My consents". Afterwards, call {client} '
        "on {phone} and quote your reference number.",
    ),
    "stop_identity": (
        "想停止使用，請致電{client} {phone}，並報上畫面上的參考編號。",
        "To stop, call {client} on {phone} and quote your reference number.",
    ),
    "stop_download": (
        "資料送達您的瀏覽器之前，可在本平臺停止（連結在「我的同意」）。存下來之後，就由您自己保管。",
        'Until it has arrived in your browser, you can stop it on this platform, under "My consents". What you have '
        "saved is in your own keeping.",
    ),
    "leaving_download": (
        "同意之後，下一頁會立刻取得資料並在這個瀏覽器裡解密。請讓那一頁開著，直到存好：離開它，金鑰就沒了，得重新來過。",
        "If you agree, the next page fetches the data at once and decrypts it in this browser. Keep that page open "
        "until you have saved everything: leaving it loses the keys, and you would have to start again.",
    ),
    "leaving": (
        "不論同意與否，接下來都會離開本平臺，回到{client}（{place}）。",
        "Whichever you choose, you then leave this platform and return to {client} ({place}).",
    ),
    "leaving_counter": (
        "同意之後，您會在這裡看到條碼。條碼裡沒有資料，只有{client}的櫃檯能用。每個條碼的有效時間很短，"
        "{duration}內都可以換新的，也隨時可以停止。",
        "If you agree, you are shown a barcode here. No data is in it, and only the counters of {client} can use it. "
        "Each is good for a short time; for {duration} you can show a new one, and you can stop it at any time.",
    ),
    "leaving_app": (
        "不論同意與否，接下來都會離開本平臺，回到{client}的應用程式。",
        "Whichever you choose, you then leave this platform and return to the app of {client}.",
    ),
    "approve": ("同意並提供", "Agree and share"),
    "approve_identity": ("同意並登入", "Agree and sign in"),
    "approve_download": ("同意並下載", "Agree and download"),
    "deny": ("不同意", "Do not agree"),
}

LIST_SEPARATOR: Final = ("、", ", ")
# Of what has commas of its own, as the English names of agencies do.
LIST_SEPARATOR_OF_PHRASES: Final = ("、", "; ")


def say(name: str, locale: str, **values: object) -> str:
    """One sentence in the language `locale` ("zh-TW" or "en"), its places filled in.

    Values are inserted as they are and never interpreted: a name with braces stays a name.
    """
    return SENTENCES[name][locale == "en"].format(**values)


def listed(words: Sequence[str], locale: str) -> str:
    """The words as one enumeration."""
    separators = LIST_SEPARATOR_OF_PHRASES if any(", " in word for word in words) else LIST_SEPARATOR
    return separators[locale == "en"].join(words)


def gap(locale: str) -> str:
    """What stands between two sentences: in Chinese nothing, for 。 and ： have their space within."""
    return " " if locale == "en" else ""


def day(moment: date | datetime, locale: str) -> str:
    """A day as people write it; a moment (aware) is the day that it is in Taiwan."""
    if isinstance(moment, datetime):
        moment = day_of(moment)
    if locale == "en":
        return f"{moment.day} {MONTHS[moment.month - 1]} {moment.year}"
    return f"{moment.year} 年 {moment.month} 月 {moment.day} 日"


def time_of_day(moment: datetime) -> str:
    """The time in Taiwan, on a 24-hour clock: the same digits in both languages."""
    return f"{moment.astimezone(LOCAL_TIME):%H:%M}"


def moment(at: datetime, locale: str) -> str:
    """A day and a time."""
    between = " at " if locale == "en" else " "
    return f"{day(at, locale)}{between}{time_of_day(at)}"


def duration(seconds: int, locale: str) -> str:
    """How long something takes or lasts, as roughly as people think of it."""
    if seconds < 120 and seconds % 60:
        return say("second" if seconds == 1 else "seconds", locale, count=seconds)
    if seconds < 90 * 60:
        count = round(seconds / 60)
        return say("minute" if count == 1 else "minutes", locale, count=count)
    return say("hours", locale, count=round(seconds / 3600))
