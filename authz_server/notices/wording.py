"""What citizens are told, and in which words, in 繁體中文 and English; what stands in every message: phrases.py.

A message is one event of the record, put into a title and a sentence on what it means or what to do. What it may name:
the client, the dataset, when, the reference number. Never a value, an address, or a secret but the "not me" link.

To tell of another kind of event, add its line to `TOLD`. `security`: it may mean that somebody else is at it, so nobody
can switch it off. The web inbox has every message; which of the other channels has it is the citizen's choice.
"""

from collections.abc import Mapping
from typing import Final

from authz_server.notices.counter_wording import AT_COUNTERS
from authz_server.notices.told import Told, safe, told

_CALL_THEM: Final = (
    "已經送達的資料無法從這裡收回，請致電{client}並報上參考編號。",
    "What was delivered can't be taken back from here: call {client} and quote the reference number.",
)
IF_NOT_YOU: Final = ("如果不是您，請立刻按下面的連結。", "If that was not you, use the link below at once.")

TOLD: Final[Mapping[str, Told]] = {
    "consent.approved": told(
        "您同意把資料提供給{client}",
        "You agreed to share data with {client}",
        "每一項只能取一次。在取走之前，可以從下面的連結停止。",
        "Each dataset can be fetched once. Until then you can stop it: follow the link below.",
    ),
    "consent.denied": told(
        "您沒有同意{client}的要求",
        "You did not agree to a request of {client}",
        "什麼都沒有送出。",
        "Nothing was sent.",
    ),
    "consent.withdrawn": told(
        "您給{client}的同意已停止",
        "Your consent for {client} was stopped",
        "不會再因此送出任何資料。" + _CALL_THEM[0],
        "Nothing more is sent because of it. " + _CALL_THEM[1],
    ),
    "token.delivered": told(
        "「{dataset}」已送達{client}",
        '"{dataset}" was delivered to {client}',
        "這次同意不能再取一次。想停止對方使用，請致電並報上參考編號。",
        "It can't be fetched again with this consent. To stop its use, call them and quote the reference number.",
    ),
    "token.failed": told(
        "「{dataset}」未能送達{client}",
        '"{dataset}" could not be delivered to {client}',
        "您不必做什麼；原因記在您的紀錄裡。",
        "You do not need to do anything; the reason is on your record.",
    ),
    "token.exhausted": told(
        "「{dataset}」未能送達{client}，不會再試",
        '"{dataset}" could not be delivered to {client} and is not tried again',
        "如果還需要，對方必須再問您一次；原因記在您的紀錄裡。",
        "If it is still needed, they have to ask you again; the reason is on your record.",
    ),
    "token.no_record": told(
        "機關沒有您的「{dataset}」",
        'The agency has no record of you in "{dataset}"',
        "{client}已經知道沒有這項資料。如果您認為應該有，請洽該機關。",
        "{client} was told so. If you think that there should be one, ask the agency.",
    ),
    "token.spent_unknown": told(
        "「{dataset}」送往{client}時中斷了",
        'The delivery of "{dataset}" to {client} was interrupted',
        "資料可能已經送達，不能再取一次。",
        "It may have arrived, and can't be fetched again.",
    ),
    "token.expired": told(
        "{client}沒有在期限內取走「{dataset}」",
        '{client} did not fetch "{dataset}" in time',
        "現在不能再取了。如果還需要，對方必須再問您一次。",
        "It no longer can. If it is still needed, they have to ask you again.",
    ),
    "token.revoked": told(
        "{client}放棄取得「{dataset}」",
        '{client} gave up its permission to fetch "{dataset}"',
        "這項資料不會送出。",
        "It will not be sent.",
    ),
    # Also of a barcode with which nobody went to the counter, which is not for the office to answer for.
    "code.expired": told(
        "您給{client}的許可已經過期，沒有用到",
        "Your permission for {client} has expired unused",
        "沒有送出任何資料。如果還需要，必須再問您一次；要到櫃檯的話，請重新選擇要辦的事。",
        "Nothing was sent. If it is still needed, you have to be asked again; for a counter, choose the service again.",
    ),
    "code.replayed": safe(
        "有人第二次使用{client}的許可",
        "A permission of {client} was presented a second time",
        "已拒絕，並關閉了那次許可開放的一切。您不必做什麼。",
        "It was refused, and what it had opened was closed. You do not need to do anything.",
    ),
    "code.misused": safe(
        "有人冒用{client}的許可",
        "Somebody else presented a permission of {client}",
        "已拒絕，那次許可也已作廢。您不必做什麼。",
        "It was refused, and the permission is void now. You do not need to do anything.",
    ),
    "preparation.ready": told(
        "「{dataset}」準備好了",
        '"{dataset}" is ready',
        "現在可以到{client}的櫃檯出示條碼了。",
        "You can go to the counter of {client} now, and show your barcode there.",
    ),
    "office.appointed": safe(
        "您在{client}有了職務",
        "You were appointed at {client}",
        "您可以在那裡的櫃檯以自己的帳號登入，或管理那裡的人員。如果您不在那裡工作，請告訴該單位。",
        "You can sign in at its desks with your own account, or administer who works there. If you do not work there, "
        "tell the office.",
    ),
    "office.dismissed": told(
        "您在{client}的職務已結束",
        "Your appointment at {client} was ended",
        "您不能再以此職務在那裡工作。",
        "You can no longer work there in that role.",
    ),
    "sign_in.locked": safe(
        "您的帳號暫時不能登入",
        "Sign-in to your account is locked for a while",
        "因為錯誤太多次。" + IF_NOT_YOU[0],
        "There were too many wrong attempts. " + IF_NOT_YOU[1],
    ),
    "sign_in.new_device": safe(
        "您的帳號在新的瀏覽器登入",
        "There was a sign-in to your account from a new browser",
        *IF_NOT_YOU,
    ),
    "session.ended": safe(
        "您的帳號在一個瀏覽器被登出",
        "Your account was signed out in a browser",
        *IF_NOT_YOU,
    ),
    "method.added": safe(
        "您的帳號多了一種登入方式",
        "A way to sign in was added to your account",
        *IF_NOT_YOU,
    ),
    "method.removed": safe(
        "您的帳號少了一種登入方式",
        "A way to sign in was removed from your account",
        *IF_NOT_YOU,
    ),
    "password.changed": safe(
        "您的密碼改了",
        "Your password was changed",
        "其他瀏覽器都已登出。" + IF_NOT_YOU[0],
        "All other browsers were signed out. " + IF_NOT_YOU[1],
    ),
    "authenticator.changed": safe(
        "您的帳號換了驗證器應用程式",
        "Another authenticator app was set up for your account",
        "先前的不能再用，其他瀏覽器都已登出。" + IF_NOT_YOU[0],
        "The old one no longer works, and all other browsers were signed out. " + IF_NOT_YOU[1],
    ),
    "recovery.renewed": safe(
        "您的帳號有了新的復原碼",
        "New recovery codes were made for your account",
        "先前的不能再用。" + IF_NOT_YOU[0],
        "The old ones no longer work. " + IF_NOT_YOU[1],
    ),
    "recovery.used": safe(
        "有人用復原碼登入您的帳號",
        "There was a sign-in to your account with a recovery code",
        "密碼也輸入正確了。" + IF_NOT_YOU[0],
        "The password was right, too. " + IF_NOT_YOU[1],
    ),
    "contact.changed": safe(
        "您的聯絡資料改了",
        "Your contact data was changed",
        "新舊聯絡方式都會收到這則通知。" + IF_NOT_YOU[0],
        "This message goes to the old address and to the new one. " + IF_NOT_YOU[1],
    ),
    "account.reset": safe(
        "您的登入方式已重新設定",
        "Your ways to sign in were renewed",
        "由本平臺的管理者辦理。密碼與驗證器是新的，其他登入方式都已移除，請重新加入。" + IF_NOT_YOU[0],
        "The operator of this platform did it. Password and authenticator are new; all other ways were removed, so "
        "please add them again. " + IF_NOT_YOU[1],
    ),
    "account.corrected": safe(
        "您的姓名或出生日期已更正",
        "Your name or date of birth was corrected",
        "由本平臺的管理者依戶政資料辦理。" + IF_NOT_YOU[0],
        "The operator of this platform did it, as the register says it. " + IF_NOT_YOU[1],
    ),
    "account.suspended": safe(
        "您的帳號已停用",
        "Your account was suspended",
        "由本平臺的管理者辦理。這段期間不能登入，也不會送出任何資料。",
        "The operator of this platform did it. Nobody can sign in meanwhile, and nothing is sent.",
    ),
    "account.resumed": safe(
        "您的帳號恢復使用",
        "Your account was opened again",
        "由本平臺的管理者辦理。",
        "The operator of this platform did it.",
    ),
    "account.frozen": safe(
        "您的帳號已凍結",
        "Your account is frozen",
        "尚未送達的都已停止，其他裝置都已登出；在您解除凍結之前，什麼都不會送出。",
        "What had not been delivered was stopped, and other devices signed out; nothing is sent until you unfreeze it.",
    ),
    "account.unfrozen": safe(
        "您的帳號已解除凍結",
        "Your account is no longer frozen",
        "停止的同意不會恢復。" + IF_NOT_YOU[0],
        "Consents that were stopped stay stopped. " + IF_NOT_YOU[1],
    ),
    "account.left": safe(
        "您的帳號已關閉",
        "Your account was closed",
        "除了法律要求保存的紀錄，您的資料都已刪除。如果不是您，請立刻洽詢本平臺的管理者。",
        "Your data was erased, except the record that the law makes us keep. If that was not you, tell the operator of "
        "this platform at once.",
    ),
    "anomaly.passkey_copied": safe(
        "您的一把通行密鑰可能遭人複製",
        "A passkey of yours may have been copied",
        "它記錄的使用次數比先前少，所以被拒絕了，沒有人因此登入。請移除它，並設定新的一把。" + IF_NOT_YOU[0],
        "It had counted fewer uses than before and was refused: nobody got in by it. Remove it and make a new one. "
        + IF_NOT_YOU[1],
    ),
    "anomaly.again": safe(
        "您在短時間內再次同意把資料提供給{client}",
        "You agreed to share data with {client} again within a short time",
        "如果這是您要的，您不必做什麼。" + IF_NOT_YOU[0],
        "If you meant to, you do not need to do anything. " + IF_NOT_YOU[1],
    ),
    "anomaly.unusual_hour": safe(
        "您在不尋常的時段同意把資料提供給{client}",
        "You agreed to share data with {client} at an unusual hour",
        "如果這是您要的，您不必做什麼。" + IF_NOT_YOU[0],
        "If you meant to, you do not need to do anything. " + IF_NOT_YOU[1],
    ),
    "anomaly.many_denials": told(
        "您沒有同意，{client}仍一再要求您的資料",
        "{client} asked for your data again and again although you did not agree",
        "什麼都沒有送出。如果您覺得受到打擾，請致電{client}，或從您的紀錄向主管機關反映。",
        "Nothing was sent. If you feel pestered, call {client}, or report it to the authority from your record.",
    ),
    "consent.erasure_requested": told(
        "您請{client}刪除資料",
        "You asked {client} to erase your data",
        "對方的回覆會通知您。",
        "You are told when they answer.",
    ),
    "consent.erasure_untold": told(
        "請您致電{client}，請對方刪除資料",
        "Call {client} to have your data erased",
        "您的請求已記在紀錄裡，但本平臺沒有辦法轉告對方。" + _CALL_THEM[0],
        "Your request is on your record, but this platform has no way to tell them. " + _CALL_THEM[1],
    ),
    "consent.erasure_reminded": told(
        "{client}還沒有回覆您的刪除請求",
        "{client} has not answered your request to erase your data",
        "刪除期限已到，本平臺正在提醒對方。如果仍沒有回覆，您可以從這次同意的頁面向主管機關反映。",
        "The day by which it must be erased has come, and this platform is reminding them. If they stay silent, you "
        "can report it to the authority from the page of this consent.",
    ),
    "consent.erasure_due": told(
        "{client}還沒有回覆您的刪除請求",
        "{client} has not answered your request to erase your data",
        "刪除期限已到，但本平臺沒有辦法提醒對方。請致電{client}並報上參考編號；您也可以從這次同意的頁面向主管機關反映。",
        "The day by which it must be erased has come, and this platform has no way to remind them. Call {client} and "
        "quote the reference number. You can report it to the authority from the page of this consent.",
    ),
    "consent.erasure_acknowledged": told(
        "{client}回覆了您的刪除請求",
        "{client} answered your request to erase your data",
        "回覆的內容在這次同意的頁面上。",
        "You find the answer on the page of this consent.",
    ),
    "consent.correction_requested": told(
        "您請機關更正「{dataset}」",
        'You asked the agency to correct "{dataset}"',
        "有結果時會通知您。",
        "You are told of the outcome.",
    ),
    "consent.correction_settled": told(
        "您的更正請求有結果了：「{dataset}」",
        'Your request to correct "{dataset}" was settled',
        "結果在這次同意的頁面上。",
        "You find the outcome on the page of this consent.",
    ),
    "consent.reported": told(
        "您向主管機關反映了{client}",
        "You reported {client} to the authority",
        "您的紀錄記載您已反映，但沒有您說的內容。",
        "Your record says that you reported it, and nothing of what you said.",
    ),
    **AT_COUNTERS,
}
SECURITY: Final = tuple(event for event, told in TOLD.items() if told.security)
