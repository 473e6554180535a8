"""What every message has, whatever it tells of: labels, links, why it was sent; each in 繁體中文 and English."""

from collections.abc import Mapping
from typing import Final

# Of every message. name: (zh, en)
SENTENCES: Final[Mapping[str, tuple[str, str]]] = {
    "first_time": (
        "這是您第一次同意把資料提供給{client}。",
        "It is the first time that you have agreed to share data with {client}.",
    ),
    "when": ("時間", "When"),
    "taiwan": ("{when}（臺灣時間）", "{when} (Taiwan time)"),
    "to": ("接收者", "Recipient"),
    "counter": ("櫃檯", "Counter"),
    "phone": ("接收者電話", "Their telephone"),
    "by": ("由誰停止", "Ended by"),
    "operator": ("本平臺管理者", "The operator of this platform"),
    "what": ("資料", "Data"),
    "reference": ("參考編號", "Reference number"),
    "fact": ("{label}：{text}", "{label}: {text}"),
    "see_consent": ("看這件事的詳情", "See the details"),
    "get_receipt": ("下載收據（PDF）", "Get the receipt (PDF)"),
    "go_on": ("接下來怎麼做", "How to go on"),
    "see_record": ("看您的紀錄", "See your record"),
    "why": ("為什麼收到這則訊息", "Why you get this"),
    "why_use": (
        "您的資料每次被使用，本平臺都會告訴您。要在哪裡收到通知，可以在這裡選擇：",
        "This platform tells you of every use of your data. Choose here where you are told:",
    ),
    "why_security": (
        "這是與帳號安全有關的通知，無法關閉。",
        "This is about the security of your account. Such messages can't be switched off.",
    ),
    "not_me": ("不是您？", "Not you?"),
    "not_me_more": (
        "用這個連結停止一切：凍結您的帳號，尚未送達的不再送出。會先說明再請您確認；不必登入；只能用一次，30 天內有效。",
        "This link stops everything: it freezes your account, and what has not been delivered yet is not sent. It "
        "explains and asks first; no sign-in is needed; it works once, within 30 days.",
    ),
    "never_ask": (
        "本平臺不會在訊息中向您要密碼或驗證碼。",
        "This platform never asks for a password or code by message.",
    ),
    "code_title": ("您的驗證碼", "Your code"),
    "code_more": (
        "您要在這裡收到本平臺的通知。請在 {good_for}內，把這組號碼輸入您開啟的頁面。",
        "You want this platform to tell you things here. Type this code into the page that you have open, within "
        "{good_for}.",
    ),
    "sign_in_code_more": (
        "有人要登入您在本平臺的頁面。如果是您，請在 {good_for}內，把這組號碼輸入您開啟的頁面；只能用一次。",
        "Somebody wants to sign in to your pages on this platform. If it is you, type this code into the page that you "
        "have open, within {good_for}; it works once.",
    ),
    "sign_in_code_not_me": (
        "如果不是您，請不要理會，也不要告訴任何人：可能有人打錯了使用者名稱。只憑這組號碼，無法提供您的任何資料。",
        "If it is not you, ignore it and tell it to nobody: somebody may have mistyped their user name. Nothing of "
        "yours can be shared by it alone.",
    ),
    "code": ("驗證碼", "Code"),
    "code_not_me": (
        "如果不是您要的，請不要理會，也不要告訴任何人：可能有人打錯了地址。",
        "If you did not ask for it, ignore it and tell it to nobody: somebody may have mistyped their address.",
    ),
    "visit_code_more": (
        "櫃檯剛剛掃描了您的條碼。請在 {good_for}內把這組號碼告訴您面前的承辦人。",
        "A counter has just scanned your barcode. Tell this code to the clerk in front of you, within {good_for}.",
    ),
    "visit_code_not_me": (
        "如果您不在櫃檯，不要告訴任何人，並停止這次同意。",
        "If you are not at a counter, tell it to nobody, and stop that consent.",
    ),
    "sms_visit_code": (
        "【MyData】櫃檯驗證碼 {code}，{good_for}內有效。您不在櫃檯就不要告訴任何人。",
        "MyData: your code for the counter is {code}, good for {good_for}. If you are not there, tell it to nobody.",
    ),
    "sms_code": (
        "【MyData】驗證碼 {code}，{good_for}內有效。不是您要的就不要理會，也不要告訴任何人。",
        "MyData: your code is {code}, good for {good_for}. If you did not ask for it, ignore it, and tell it to "
        "nobody.",
    ),
    "erase_by": ("刪除期限", "To be erased by"),
    "answer_at": ("請在這裡回覆", "Answer here"),
    "answer_how": (
        "由貴單位的系統以 POST 回覆（scope 為 grant_erasure），不是用瀏覽器開啟；做法見本平臺的串接文件。"
        "民眾如果來電，會報上參考編號。",
        "By a POST of your own system (scope grant_erasure), not in a browser: see this platform's guide to "
        "integration. If the citizen calls you, they quote the reference number.",
    ),
    "why_client": (
        "這封信寄到貴單位登記的聯絡信箱，因為貴單位沒有登記接收事件的網址。請勿回信。",
        "This goes to the contact address of your registration, which has no endpoint for events. Please do not reply.",
    ),
    "somebody": ("某個單位", "somebody"),
    "sms": ("【MyData】{title}。{when}", "MyData: {title}. {when}"),
    "sms_phone": ("對方電話 {phone}", "Their phone {phone}"),
    "sms_why_use": ("您選擇以簡訊收到這類通知。", "You chose to be told by text message."),
    "sms_why_security": ("這是安全通知。", "This is a security notice."),
    "sms_reference": ("編號 {reference}", "Ref. {reference}"),
    "sms_not_me": ("不是您？{url}", "Not you? {url}"),
}


def say(name: str, locale: str, **values: object) -> str:
    """One sentence in the language `locale` ("zh-TW" or "en"), its places filled in."""
    return SENTENCES[name][locale == "en"].format(**values)
