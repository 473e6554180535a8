"""What is told of visits to a counter, to the citizen and to who goes for them: a part of `wording`."""

from collections.abc import Mapping
from typing import Final

from authz_server.notices.told import Told, safe, told

AT_COUNTERS: Final[Mapping[str, Told]] = {
    "counter.redeemed": told(
        "{client}的櫃檯接受了您的條碼",
        "Your barcode was accepted at a counter of {client}",
        "櫃檯現在可以取一次您同意的資料。如果您不在那裡，請立刻從下面的連結停止。",
        "The counter may now fetch what you agreed to, once. If you are not there, stop it at once: follow the link "
        "below.",
    ),
    "counter.locked": safe(
        "您的條碼暫時鎖住了",
        "Your barcode is locked for a while",
        "因為櫃檯輸入了太多次錯誤的驗證碼。{lock}後可以再試；如果您不在那裡，請停止這次同意。",
        "Too many wrong one-time codes were typed for it at a counter. It can be tried again in {lock}; "
        "if you are not there, stop this consent.",
    ),
    "delegation.accepted": told(
        "您的代理人接受了，請您確認",
        "Your agent accepted: please confirm",
        "您確認之後，代理人才能替您去{client}。您也可以不確認。",
        "They can go to {client} for you only once you confirm it. You do not have to.",
    ),
    "delegation.declined": told(
        "您的代理人沒有接受",
        "Your agent did not accept",
        "沒有人會替您去{client}。您可以自己去，或邀請別人。",
        "Nobody goes to {client} for you. You can go yourself, or invite somebody else.",
    ),
    "delegation.confirmed": safe(
        "您讓代理人替您去{client}",
        "You let an agent go to {client} for you",
        "條碼和驗證碼現在在代理人的頁面上。您隨時可以終止。",
        "The barcode and the one-time code are on your agent's page now. You can end it at any time.",
    ),
    "delegation.ended": told(
        "代理人不再替您去{client}",
        "Your agent does not go to {client} for you any more",
        "代理人的條碼已經失效。",
        "Your agent's barcode no longer works.",
    ),
    "delegation.redeemed": told(
        "{client}的櫃檯接受了您代理人的條碼",
        "Your agent's barcode was accepted at a counter of {client}",
        "櫃檯現在可以取一次您同意的資料。如果不應該這樣，請立刻從下面的連結停止。",
        "The counter may now fetch what you agreed to, once. If that should not be, stop it at once: follow the link "
        "below.",
    ),
    "delegation.locked": safe(
        "您代理人的條碼暫時鎖住了",
        "Your agent's barcode is locked for a while",
        "因為櫃檯輸入了太多次錯誤的驗證碼。{lock}後可以再試；如果您的代理人不在那裡，請停止這次同意。",
        "Too many wrong one-time codes were typed for it at a counter. It can be tried again in {lock}; "
        "if your agent is not there, stop this consent.",
    ),
    "agent.confirmed": safe(
        "您可以替人去{client}了",
        "You can go to {client} for somebody now",
        "條碼在您的頁面上。請帶身分證明；不想去的話，可以在那裡交還。",
        "The barcode is on your page. Take your identity card along; if you do not want to go, give it back there.",
    ),
    "agent.ended": told(
        "您不再替人去{client}",
        "You do not go to {client} for somebody any more",
        "您頁面上的條碼已經失效。",
        "The barcode on your page no longer works.",
    ),
    "agent.redeemed": told(
        "您替人帶去的條碼，{client}的櫃檯接受了",
        "The barcode that you brought for somebody was accepted at a counter of {client}",
        "您不必再做什麼。委託您的人也收到了通知。",
        "You have nothing more to do. The person you went for has been told, too.",
    ),
    "agent.locked": safe(
        "您替人帶去的條碼暫時鎖住了",
        "The barcode that you brought for somebody is locked for a while",
        "因為櫃檯輸入了太多次錯誤的驗證碼。{lock}後可以再試；如果您不在那裡，請交還。",
        "Too many wrong one-time codes were typed for it at a counter. It can be tried again in {lock}; "
        "if you are not there, give it back.",
    ),
}
