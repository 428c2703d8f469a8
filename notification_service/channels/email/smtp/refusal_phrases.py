"""The phrases that mail servers refuse messages with, and the cause that each of them names.

They are those of Postfix (smtpd_check.c), Exim, Sendmail, qmail and Exchange, and those that Gmail, Exchange Online,
Yahoo (TSxx, PHxx, BLxx), iCloud, Amazon SES, SendGrid, Zoho, OVH, IONOS and GMX, GoDaddy (IBxxx), Orange, Spectrum,
Mimecast, Proofpoint and cPanel document or were seen to send. sisimai and ZoneMTA collect such phrases.
"""

import re
from collections.abc import Mapping

from notification_service.channels.email.smtp.refusal_causes import Cause

_ABBREVIATIONS: Mapping[str, str] = {
    "NOT": r"(?:not|n.?t|never|no longer)",
    "LIMIT": r"limit(?:s|ed|ation)?|quotas?|threshold|allowance|credits?|rate",
    "OVER": r"exceed\w*|reach\w*|over\b|hit|used up|surpass\w*|too (?:many|much|fast|quickly)",
    "REACHED": (
        r".berschritten|erreicht|d.pass.e?|atteint\w*|superat\w|superad\w|raggiunt\w|alcanzad\w|excedid\w|atingid\w|"
        r"bereikt|overschreden|osi.gni\w+|przekroczon\w|превыш\w+|aş\wl\w+|overskred\w*|överskrid\w*|překroč\w+"
    ),
    "OFF": (
        r"suspend|block|disabl|deactivat|restrict|paus|lock|revok|withdrawn|stopp|(?:turned|switched) off|"
        r"not (?:enabled|active|activated|available)"
    ),
    "STOPPED": (
        r"gesperrt|blockiert|deaktiviert|gek.ndigt|suspendu\w*|suspendid\w+|bloqu\w+|d.sactiv\w+|desactivad\w|deshabilitad\w|"
        r"suspens\w+|desativad\w|sospes\w|bloccat\w|disattivat\w|disabilitat\w|geblokkeerd|opgeschort|geschorst|"
        r"uitgeschakeld|zablokowan\w+|zawieszon\w+|заблокирован\w*|приостановлен\w*|отключ.н\w*|ask.ya|engellen\w+|"
        r"sp.rra\w*|sperret|sp.rret|zablokov.n\w*|停用|停止|冻结|凍結|封禁|暂停|暫停|锁定|鎖定|禁用|ロック"
    ),
    "SENT": (
        r"send\w*|sent|outgoing|outbound|outmail|relay\w*|submission|(?:dail|hourl|weekl|monthl|yearl|"
        r"annual)y?|(?:per|this|an?|each|last|one|\d+) ?-?(?:second|minute|hour|day|month)s?|today|tenant|"
        r"plan|subscription|trial|credits?|policy|smtp|your|account|customer|user|domain|connections?|"
        r"messages?|e?-?mails?|recipients?|permitted|allowed|rate"
    ),
    "LISTS": (
        r"spamhaus|spamcop|\bsorbs\b|uceprotect|invaluement|abusix|mailspike|hostkarma|nixspam|"
        r"barracuda(?:central)?|cloudmark|senderscore|spamrl|truncate\.gbudb|trend micro|mail-abuse|uribl|"
        r"surbl|backscatterer"
    ),
}
"""What the words in capitals below stand for."""

_TABLE = r"""
SESSION
    (?:messages?|mails?|e-?mails?|recipients?|rcpts?|transactions?|commands?)\b[^.;]{0,40}?\b(?:per|(?:on|in|
        for|during|within|over|from)? ?(?:this|one|a|an|the same|each|single|the current)) (?:smtp |tcp |
        single )?(?:session|connection)\b
    \b(?:session|connection) (?:\w+ ){0,3}(?:limit|timeout|time-?out|timed out|expired|too long|lifetime)
    \b(?:idle|inactiv\w+|timeout|timed out)\b.{0,40}\b(?:session|connection|channel|exceeded|limit)
    idle (?:for )?too long|timeout exceeded
    (?:open|start|use) a (?:new|fresh) (?:session|connection)|\bre-?connect
    mails? per session|new connection required|\b(?:mi:dmc|rp:drc)\b
RECIPIENT
    \bby (?:the |this |its |your )?(?:recipient|addressee|mailbox owner)
    (?:block|reject|refus|den|restrict)\w* by (?:the |this )?user\b
    policy that prohibited
    \brecipient(?:'?s)? (?:has |have |is |are |was |does |only |address is |domain )*(?:block|reject|refus|
        restrict|accept|suppress|on (?:the |a |our )?\w*(?: list)?|not accept|in my bad)
    banned recipient|customer block ?list|suppression list|resolver\.
    does (?:not|n.t) accept (?:e?-?mails?|messages) from
    only accept\w* (?:e?-?mails?|messages)|recipient preferences
    not allowed to (?:send|post|write) to (?:this|the|that) (?:list|group|address|recipient|mailbox|user)
    recipient'?s list of|inactivity|badrcptto|sender.?not.?authenticated.?for|empf.nger(?!.{0,20}\bvoll)
FULL
    receiving (?:e?-?mails?|messages)
    (?:recipient|mailbox) (?:has |is )?(?:receiv|throttl|thread limit|exceed\w* (?:its|their|the) (?:\w+ ){0,3}limit)
    (?:(?:mail ?)?box|inbox|account|user|folder|recipient|quota|postfach|posteingang|bo.te|buz.n|casella|casilla|
        caixa|destinat\w+|skrzynk\w+|ящик\w*)\b[^.;]{0,40}\b(?:full|over ?quota|out of storage|voll|plein\w*|
        llen\w|pien\w?|cheia|переполн\w*|pełn\w)\b
    (?:mail ?box|inbox|folder)\b[^.;]{0,20}\b(?:exceed\w*|over)\b[^.;]{0,30}\b(?:storage|allocation|limit)
    \bover ?quota\b|quota exceeded for (?:\w+ )?(?:mailbox|user|recipient)
    (?:mail ?box|storage|disk|inbox|user.?s|recipient.s)\W+(?:\w+ )?(?:quota|limit|allocation|space)
    exceeded (?:the )?storage|quota exceeded \(mailbox
SUSPENDED
    \byour (?:e?-?mail |smtp |sending |outgoing |user )*(?:account|access|login|mailbox|
        subscription)\b.{0,40}\b(?:suspend|block|disabl|deactivat|restrict|paus|lock|terminat|limited|hold|frozen|
        compromis|expired)
    \b(?:smtp|submission)(?:\W?auth)? (?:access|service|login|relay|is)\b[^.;]{0,40}\b(?:OFF)
    \b(?:sending|outgoing|outbound) (?:(?:e?-?mails?|messages?|privileges?|rights?|permissions?|access) ){0,2}(?:
        has been |have been |is |was |are )?(?:OFF)
    \b(?:licen[cs]e|subscription|contract|trial|plan) (?:\w+ ){0,2}(?:expired|ended|cancel)
SENDER
    domain of sender|domain may not exist or dns
    (?:domain|address|identity|sender)\b[^.;]{0,20} (?:must|needs? to|has to|should) be (?:verified|validated|confirmed)
QUOTA
    \btoo (?:many|frequent)\b(?!.{0,20}\b(?:hops|attachments?|bytes|headers?|received|mx)\b)
RECIPIENT
    \bsize\b|\btoo (?:big|large|long)\b|\bbytes\b|\bhops\b|mail loop
HELO
    \b(?:helo|ehlo)\b(?! and mail)(?! first)
LOGIN
    sasl login name rejected: (?!.*(?:too|rate|quota|limit))
    sender address rejected: not logged in
DOMAIN
    \b(?:spf|dkim|dmarc|senderid)\b|unauthenticated (?:e?-?mail|message|sender)
    authentication (?:checks|results|information)|sender is unauthenticated
    anti-?spoof|spoof(?:ed|ing)|required authentication level
QUOTA
    sasl login name rejected
    (?:sender|recipient) address rejected: .*(?:quota|\brate\b|too (?:many|much|fast))
CLIENT
    sender address rejected: .*(?:black|block) ?list
    client host (?:rejected|blocked)|LISTS|\b(?:dns|r|u)bls?\b|dnsbl|\brbl\b
SENDER
    \bsender(?:'?s)? (?:e?-?mail )?(?:address(?:es)?|domain|verif\w*)?\W*(?:has been |was |is )?(?:reject|
        refus|denied|fail)
ADDRESS
    (?:user|recipient|mailbox|mail box|addressee|person|alias|inbox)\b\W*(?:\w+ ){0,3}(?:unknown|
        NOT (?:be )?(?:found|known|exist\w*|valid|active|recognized|local)|does ?NOT exist|invalid|inactive|
        disabled|deactivated|expired|closed|suspended|locked|is dead)
    (?:unknown|no such|invalid|non-?existent|bad|inactive|illegal) (?:or \w+ )?(?:destination |
        local )?(?:user|recipient|mailbox|alias|person|local.?part)
    recipient address rejected: (?:user|unknown|invalid|undeliverable|domain not found|malformed|no such|mailbox)
    NOT an? valid (?:user|recipient|mailbox|account)\b
    unknown in \w+ (?:\w+ )?table|address (?:does not exist|unknown|not found)
    may not exist|no longer (?:valid|on server|available)|no mailbox (?:here|for|by|with)
    account (?:that you tried|does not exist)
    does ?NOT have an? (?:[\w.-]+ )?(?:account|mailbox)
    (?:not listed|not present) in (?:\w+ ){0,2}(?:name . address book|address book|directory)
    unbekannt\w*|inconnu\w*|desconocid\w|destinataire invalide|sconosciut\w
    не существует|такого пользователя|不存在|存在しません
RECIPIENT
    account (?:is |has been )?disabled(?! (?:for|due to) (?:send|spam|abuse))
    recipient address rejected: (?:access denied|need fully|this|address)
RELAY
    (?<![\w.@-])relay(?:ing|ed|s)?(?![\w@-]|\.\w)|rcpt ?hosts\b
    (?:not|n.t) (?:handle|accept|host) (?:e?-?mails? for|this domain)|\bnot (?:a|an open) (?:mail )?gateway\b
    \bnot (?:a )?local (?:host|domain)\b|specified domain
    \bforwarding (?:is )?(?:denied|prohibited|not)\b|tenant ?attribution
    (?:send|sending|mail) (?:\w+ )?(?:to )?(?:external|remote|non-?local|foreign) (?:domain|recipient|address|
        user|host)
SUSPENDED
    outbound ?spam
    \b(?:payment|invoice|billing|unpaid|overdue)\b|service (?:is |was )?(?:suspend|terminat)|confirm your
    account(?:'s)? (?:\w+ ){0,4}(?:suspend|disabled? for sending|block|lock|restrict|frozen|on hold|terminat|
        limited|compromis|under review|paused)
    (?:suspend|block|disabl|deactivat|restrict|paus)\w* (?:\w+ ){0,4}(?:account|sending|outgoing|outbound|
        smtp)
    (?:sending|outgoing|outbound|submission|smtp|mail) (?:\w+ ){0,3}(?:has been |is |was |
        are )(?:\w+ )?(?:suspend|block|disabl|deactivat|restrict|paus|lock)
    pending (?:approval|activation|verification|review)|(?:not|n.t) (?:yet )?(?:been )?(?:activated|
        approved|validated)
    \bsandbox|\b(?:free|demo|trial|test) (?:accounts?|domains?|users?|plans?)\b|test purposes|test(?:ing)? e-?mails
    \b(?:cannot|can ?not|may not|can.?t|can only|may only|only be used to) send\b|hosting (?:is|was|has been)\b
    mail service for (?:your|this)|pas autoris.e? . (?:envoyer|utiliser)
    account outbounds disabled|not subscribed to ses|unusual (?:sending )?activity
    (?:user|account|you|client)(?: is| are)? not (?:allowed|permitted|authorized|authorised|
        enabled) to send(?: (?:e?-?mails?|messages?))?(?:$|[.,;:( ](?!.{0,20}\b(?:as|from|behalf|sender|to)\b))
    disabled? by (?:the |an )?admin\w*
    (?<!收件人)(?<!收件人的)(?<!宛先の)(?<!受信者の)(?:\b(?:konto|compte|cuenta|conta|hesap)|
        аккаунт|уч.тн\w+ запис|
        账户|账号|帐号|帐户|賬戶|帳號|帳戶|アカウント)(?:(?!destinat|empf.nger|получател)[^.;]){0,40}(?:STOPPED)
    (?:versand|envoi|env.o|invio|отправк\w*|wysy.k\w*)\b[^.;]{0,40}\b(?:STOPPED|запрещ\w*)
QUOTA
    mail(?:s)? send limit
    too (?:many|much) (?:concurrent |simultaneous |invalid |unknown |bad )?(?:messages?|mails?|e-?mails?|
        recipients|connections?|sessions?|errors|smtp)
    sen(?:t|ding|d) (?:\w+ )?too (?:many|much|fast|quickly)|try again slower|throttl
    slow(?:ing)? down|rate.?limit|excessive (?:volume|rate)
    unusual (?:rate|volume|amount)|unexpected volume|exceeded the max
    credits exceeded|numerous attempts
    max(?:imum)? (?:number )?(?:of )?(?:\w+ ){0,2}(?:messages|mails|e-?mails|recipients|credits|defers)
    thread limit
    (?:OVER)(?:(?!mailbox|storage|size|inbox|disk|bytes|receiv|hops)[^.;]){0,60}\b(?:LIMIT)\b
    \b(?:SENT)\b(?:(?!mailbox|storage|size|inbox|disk|bytes|receiv|
        hops)[^.;]){0,60}\b(?:LIMIT)\b(?:(?!mailbox|storage|size|inbox|disk|bytes)[^.;]){0,30}\b(?:OVER)
    \blimit\b(?:(?!mailbox|storage|size|inbox|disk|bytes|receiv|hops)[^.;]){0,60}\b(?:OVER)
    (?:kontingent|l.mi\w*|quota|cuota|anzahl|\w+limit|лимит\w*|квот\w*) (?:[\w']+ ){0,6}(?:REACHED)
    (?:REACHED) (?:[\w']+ ){0,4}(?:quota|l.mi\w*|cuota|лимит\w*|квот\w*)
    limite.{0,20}(?:atteint|d.pass)|\bper (?:second|minute|hour|day|month)\b
    zu viele (?:nachrichten|e?-?mails|empf.nger)
    used up (?:all )?your|\b(?:mi|rp|hl|wm):[a-z]{3}\b|上限|制限を超|限额|限額|(?:发送|發送)限制|频率|頻率
    trop de (?:messages|mails|connexions)
LOGIN
    \bauth\w* (?:is )?(?:error|required|needed|fail\w*|unsuccess\w*|turned on|invalid|first|before|disabled)
    NOT (?:yet )?(?:been )?(?:authenticated|logged)
    (?:must|please|need to|have to|should)\b.{0,20}\b(?:authenticate|log ?in|issue a starttls|
        use (?:smtp.?)?auth\w*|check (?:your )?mail|use (?:tls|ssl|starttls|encryption))
    requires? (?:smtp )?(?:authentication|auth\b|a login|encryption|tls)|smtp.?auth
    (?:tls|starttls|encryption) (?:is )?(?:required|needed)|credentials?
    (?:not|n.t) authori[sz]ed to perform|\buser has no permission|api key
    pop.?before.?smtp|anmeldung (?:\w+ )?(?:erforderlich|notwendig)
    authentification requise|authentifizier\w+|autenticaci.n
SENDER
    not owned by|send.?as.?denied|permissions? to send|send(?:ing)? (?:as|on behalf)
    badmailfrom|sender (?:signature|identity|is spammer|id)
    (?:sender|from|mail from|return-?path|originator|envelope.?sender|
        from.?address)\b\W*(?:\w+\W+){0,6}?(?:NOT (?:be )?(?:a |an |in )?(?:valid|verif\w*|authori[sz]ed|allowed|
        permitted|accept\w*|registered|match\w*|owned|exist|known|own|resolv\w*|found|recogni[sz]ed|supported|
        local)|does ?(?:not|n.?t)|unverified|mismatch|invalid|reject\w*|refus\w*|denied|forbidden|blocked|
        unresolvable|banned|prohibited)
    (?:invalid|unknown|unroutable|unverified|bad|banned|forbidden|unauthori[sz]ed|null|unregistered|
        unresolvable|bogus|disallowed|mismatched) (?:outbound |outgoing |envelope |mail )?(?:sender|from|
        return-?path|mail from|domain)
    NOT (?:allowed|authori[sz]ed|permitted|entitled|allow you) to (?:send|use|submit)\b.{0,40}\b(?:as|from|
        behalf|address|sender|domain|identity)
    (?:address|domain|identity|identities)(?: is| are| has)? (?:not (?:been )?|un)verified
    (?:must|should|has to) (?:match|be the same)
    not match (?:the |your )?(?:authenti|login|user|account|smtp)|mx records? for
    (?:not|n.t) (?:associated with|hosted|on your)|unconfigured|from.?domain
    sender domain|absender\w*|exp.diteur|.metteur|remitente
    remetente|mittente|afzender
CLIENT
    black ?-?list\w*|block ?-?list\w*|deny ?-?list\w*|in a black list
    listed (?:at|on|in|by)\b|reputation|banned send\w*
    sending (?:ip|mta|host|server)
    (?:your|this|the|client|source|remote|sender) (?:sending |client |source |public |server |
        mail ?server )*(?:ip\b|ip.?address|host\b|hostname|network|mail ?server|server|mta|
        isp)(?: address)?\W+(?:\S+ ){0,5}(?:is|has|was|are|appears|looks|cannot|does|not|failed|block\w*|listed|
        banned|rejected|refused)
    (?:server|host|mta|network|remotehost|machine)\b(?: (?:at|with) \S+| [\d.:a-f]+)? (?:is |was |has been |
        looks )?(?:not (?:allowed|permitted|welcome)|block\w*|listed|banned|refused|suspicious)
    (?:smtp|mail|outgoing) (?:server|relay|smarthost) (?:of|at|from) your (?:service )?(?:isp|provider)
    \[hm\d\d\]
    ip \[?[\d.:a-f]+\]? (?:is |was |has )?(?:been )?(?:temporarily )?(?:block\w*|listed|banned|reject\w*|
        black\w*)
    (?:from|originating from) your ip|reverse (?:dns|lookup|hostname)|\brdns\b
    \bptr\b|find your (?:reverse )?host|resolve your (?:address|host)|generic dns
    dynamic ip|residential|open (?:proxy|relay)|rate of unsolicited
    unsolicited mail originating|user complaints|permanently deferred
    messages from .{0,60}(?:deferred|not sent|weren.?t sent)
    \[(?:tss?|ipts?|ph|bl|gl)\d{2}\]|\b(?:rtr|rly|con|dyn):\w\w
    \b(?:s3140|s3150|sc-00\d|ou-00\d|dy-00\d|rp-00\d)\b
    not accepted for policy reasons|reject due to policy restrictions
    not in whitelist
    connections? (?:\w+ ){0,3}(?:refused|rejected|denied|not accepted|not be accepted)
    \bgo away\b
    (?:not|n.?t) (?:allowed|authori[sz]ed|permitted) to (?:connect|use this)
    access to (?:this|submit).{0,40}(?:rejected|denied)|your access to|geographical|mail from you\b
    country|spam source|send(?:s|ing)? spam\b
HELO
    \b(?:helo|ehlo)
SENDER
    \bsender|\bmail ?from\b|return-?path|\boriginator
CLIENT
    \bips?\b|\bno access\b|\bptr\b
SUSPENDED
    \byour (?:[\w-]+ ){0,2}(?:account|login|domain|server|hosting|plan|subscription|network|isp|organi[sz]ation|
        credentials|configuration|connections?|smtp)\b
    \bunauthori[sz]ed\b(?! (?:recipient|attachment|content|file))|\bnot authori[sz]ed for\b
    \b(?:ihr|dein)\w* (?:\w+ )?(?:\w*konto|account|postfach|zugang|vertrag)\b|\bvo(?:tre|s) (?:compte|abonnement)
    \b(?:su|tu|sua) (?:cuenta|conta)\b|\b(?:tuo|suo|vostro) (?:account|abbonamento)
    \b(?:uw|je|jouw) (?:account|abonnement)
    \b(?:twoje|państwa) konto\b|\bв.ш\w* (?:.ккаунт|уч.тн|почтов)|hesab\wn\wz|tài khoản của bạn
    \b(?:ditt|din|deres) konto|\bváš \w*účet|[您你]的?(?:账户|账号|帐号|帐户|賬戶|帳號|帳戶|邮箱|域名)|发信地址|發信地址
QUOTA
    \blimited\b|\bfrequency\b|\b(?:quota|credits?)\b
"""
"""A cause, and below it its patterns, one a line; a line that is indented further continues the one above.

The first block that matches decides. Phrases that name a recipient come before those that could also be about us, and
the last blocks hold whatever a refusal may mention. This errs on the safe side: a message whose refusal is taken for
one of us waits, and none is lost."""


def _compiled(block: str) -> tuple[Cause, re.Pattern[str]]:
    cause, *patterns = block.split("\n    ")
    either = re.sub(r"\b[A-Z]{3,}\b", lambda name: f"(?:{_ABBREVIATIONS[name[0]]})", "|".join(patterns))
    return Cause[cause], re.compile(either, re.IGNORECASE)


_PATTERNS = tuple(map(_compiled, re.split(r"\n(?=[A-Z])", re.sub(r"\n {8}", "", _TABLE.strip()))))


def cause_by_phrase(text: str) -> Cause | None:
    """The cause that the reply's text names, or None."""
    return next((cause for cause, pattern in _PATTERNS if pattern.search(text)), None)
