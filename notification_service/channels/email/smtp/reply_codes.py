"""What a refusal is about: one table of enhanced codes and of the words that servers use.

The codes are those of RFC 3463, 4954, 5248, 7372, 7505 and 8689 (IANA's registry of enhanced status codes), and what
Google ("Gmail SMTP errors and codes") and Microsoft ("NDRs in Exchange Online", "SMTP authentication errors") add to
them. The words are Postfix's (smtpd_check.c), Exim's, Sendmail's, qmail's and Exchange's own, and those that Gmail,
Exchange Online, Yahoo (TSxx, PHxx, BLxx), iCloud, Amazon SES, SendGrid, Zoho, OVH, IONOS and GMX, GoDaddy (IBxxx),
Orange, Spectrum, Mimecast, Proofpoint and cPanel publish or were seen to say; sisimai and ZoneMTA collect them.
"""

import re
from collections.abc import Mapping
from enum import Enum, auto


class About(Enum):
    RECIPIENT = auto()
    """This mailbox or this mail: it is no fault of ours."""
    ADDRESS = auto()
    """There is nobody of this address, or nobody any more."""
    FULL = auto()
    """This mailbox, for now: full, or flooded."""
    SESSION = auto()
    """This one connection, which has carried enough or lasted long enough."""
    SENDER = auto()
    HELO = auto()
    CLIENT = auto()
    """Our address, its name, its reputation."""
    QUOTA = auto()
    DOMAIN = auto()
    """What our domain publishes: SPF, DKIM, DMARC."""
    LOGIN = auto()
    SUSPENDED = auto()
    RELAY = auto()
    PROTOCOL = auto()


HINTS: Mapping[About, str] = {
    About.SESSION: "the server takes no more on one connection: set SMTP_MAX_MAILS below what it allows",
    About.SENDER: "the server refuses FROM_EMAIL as a sender: use an address that belongs to SMTP_USERNAME and that "
    "the provider has verified",
    About.HELO: "the server refuses the name that we greet it with: set SMTP_EHLO_NAME to this machine's full name",
    About.CLIENT: "the server refuses our address or its reputation: have it taken off the list that the reply names, "
    "give it a reverse DNS name, or send through another relay",
    About.QUOTA: "the account has sent what it may: wait until the provider counts anew or raise the plan, and set "
    "SMTP_MAILS_PER_DAY and SMTP_MAILS_PER_MINUTE to what it allows",
    About.DOMAIN: "the domain of FROM_EMAIL does not vouch for this server: correct its SPF, DKIM and DMARC in DNS",
    About.LOGIN: "the server wants a login that it accepts: check SMTP_USERNAME, SMTP_PASSWORD and SMTP_SECURITY",
    About.SUSPENDED: "the provider has stopped this account: sign in there, see why, and ask its support",
    About.RELAY: "the server does not know us and passes nothing on for us: set SMTP_USERNAME and SMTP_PASSWORD, or "
    "have this machine's address allowed there",
    About.PROTOCOL: "the server did not understand us: ask its operator, with this reply",
}
"""What an operator can do about it; a recipient is nothing that an operator mends."""


_CODES: Mapping[str, About] = {
    **dict.fromkeys(("1.7", "1.8", "2.252", "7.60", "7.750"), About.SENDER),
    **dict.fromkeys(("7.506",), About.HELO),
    **dict.fromkeys(("7.25", "7.501", "7.502", "7.503", "7.511", "7.708"), About.CLIENT),
    **dict.fromkeys(("1.90", "7.28", "7.232", "7.233", "7.236", "7.508"), About.QUOTA),
    **dict.fromkeys((*(f"7.{detail}" for detail in (*range(20, 25), 26, 27, 29, 32)), "7.509", "7.515"), About.DOMAIN),
    **dict.fromkeys(("7.8", "7.9", "7.10", "7.11", "7.12", "7.13", "7.14", "7.30", "7.57", "7.139"), About.LOGIN),
    **dict.fromkeys(("7.54", "7.64"), About.RELAY),
}
"""By subject and detail."""

_OF_THE_RECIPIENT = frozenset(
    ("1.6", "1.10", *(f"7.{detail}" for detail in (17, 18, 124, 129, *range(133, 137), 504, 505, 507, 513, 703)))
)
"""RFC 7293 and 7505, and Exchange Online: whom it will not have write to it. These say so whatever the words are."""

_RANGES = ((r"7\.6\d\d|7\.850", About.CLIENT), (r"7\.7(?!03)\d\d", About.QUOTA))
"""Exchange Online: banned addresses, and tenants over their threshold."""

_OF_THE_MESSAGE = re.compile(r"2\.3|3\.4|6\.\d+")
"""RFC 3463: its size and its content."""

_CLASSES: Mapping[str, About] = {
    **dict.fromkeys(("5.4.5",), About.QUOTA),
    **dict.fromkeys((f"4.7.5{tens}{ones}" for tens in range(10) for ones in range(10)), About.CLIENT),
}
"""Those that say so in one class only: 4.4.5 is a busy server, 5.7.5xx has its own meanings."""

_REPLIES: Mapping[int, About] = {
    **dict.fromkeys((432, 454, 523, 524, 525, 530, 534, 535, 538), About.LOGIN),
    **dict.fromkeys((500, 502, 503, 504), About.PROTOCOL),
}
"""RFC 4954 §6, RFC 5248 §2.4, RFC 5321 §4.2.1: no recipient has earned these."""

_SHORT: Mapping[str, str] = {
    "NOT": r"(?:not|n.?t|never|no longer)",
    "LIMIT": r"limit(?:s|ed|ation)?|quotas?|threshold|allowance|credits?|rate",
    "OVER": r"exceed\w*|reach\w*|over\b|hit|used up|surpass\w*|too (?:many|much|fast|quickly)",
    "REACHED": (
        r".berschritten|erreicht|d.pass.e?|atteint\w*|superat\w|superad\w|raggiunt\w|alcanzad\w|excedid\w|atingid\w|"
        r"bereikt|overschreden|osi.gni\w+|przekroczon\w|превыш\w+"
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
"""What the capital words below stand for."""

_ROWS: tuple[tuple[About, str], ...] = (
    (
        About.SESSION,
        r"""
        (?:messages?|mails?|e-?mails?|recipients?|rcpts?|transactions?|commands?)\b[^.;]{0,40}?\b(?:per|(?:on|in|
            for|during|within|over|from)? ?(?:this|one|a|an|the same|each|single|the current)) (?:smtp |tcp |
            single )?(?:session|connection)\b
        \b(?:session|connection) (?:\w+ ){0,3}(?:limit|timeout|time-?out|timed out|expired|too long|lifetime)
        \b(?:idle|inactiv\w+|timeout|timed out)\b.{0,40}\b(?:session|connection|channel|exceeded|limit)
        idle (?:for )?too long|timeout exceeded
        (?:open|start|use) a (?:new|fresh) (?:session|connection)|\bre-?connect
        mails? per session|new connection required
        """,
    ),
    (
        About.RECIPIENT,
        r"""
        \bby (?:the |this |its |your )?(?:recipient|addressee|mailbox owner)
        (?:block|reject|refus|den|restrict)\w* by (?:the |this )?user\b
        policy that prohibited
        \brecipient(?:'?s)? (?:has |have |is |are |was |does |only |address is |domain )*(?:block|reject|refus|
            restrict|accept|suppress|on (?:the |a |our )?\w*(?: list)?|not accept|in my bad)
        banned recipient|customer block ?list|suppression list|resolver\.
        does (?:not|n.t) accept (?:e?-?mails?|messages) from
        only accept\w* (?:e?-?mails?|messages)|recipient preferences
        not allowed to (?:send|post|write) to (?:this|the|that) (?:list|group|address|recipient|mailbox|user)
        recipient'?s list of|inactivity|badrcptto|sender.?not.?authenticated.?for|empf.nger
        """,
    ),
    (
        About.FULL,
        r"""
        receiving (?:e?-?mails?|messages)
        (?:recipient|mailbox) (?:has |is )?(?:receiv|exceed\w* (?:its|their|the) limit)
        (?:(?:mail ?)?box|inbox|account|user|folder|recipient|quota|postfach|posteingang|bo.te|buz.n|casella|casilla|
            caixa|destinat\w+|skrzynk\w+|ящик\w*)\b[^.;]{0,40}\b(?:full|over ?quota|out of storage|voll|plein\w*|
            llen\w|pien\w?|cheia|переполн\w*|pełn\w)\b
        (?:mail ?box|inbox|folder)\b[^.;]{0,20}\b(?:exceed\w*|over)\b[^.;]{0,30}\b(?:storage|allocation|limit)
        \bover ?quota\b
        (?:mail ?box|storage|disk|inbox|user.?s|recipient.?s)\W+(?:\w+ )?(?:quota|limit|allocation|space)
        exceeded (?:the )?storage|quota exceeded \(mailbox
        """,
    ),
    (
        About.SUSPENDED,
        r"""
        \byour (?:e?-?mail |smtp |sending |outgoing |user )*(?:account|access|login|mailbox|
            subscription)\b.{0,40}\b(?:suspend|block|disabl|deactivat|restrict|paus|lock|terminat|limited|hold|frozen|
            compromis|expired)
        """,
    ),
    (
        About.SENDER,
        r"""
        domain of sender
        """,
    ),
    (
        About.QUOTA,
        r"""
        \btoo (?:many|frequent)\b(?!.{0,20}\b(?:hops|attachments?|bytes|headers?|received|mx)\b)
        """,
    ),
    (
        About.RECIPIENT,
        r"""
        \bsize\b|\btoo (?:big|large|long)\b|\bbytes\b|\bhops\b|mail loop
        """,
    ),
    (
        About.HELO,
        r"""
        \b(?:helo|ehlo)\b(?! and mail)(?! first)
        """,
    ),
    (
        About.LOGIN,
        r"""
        sasl login name rejected: (?!.*(?:too|rate|quota|limit))
        sender address rejected: not logged in
        """,
    ),
    (
        About.DOMAIN,
        r"""
        \b(?:spf|dkim|dmarc|senderid)\b|unauthenticated (?:e?-?mail|message|sender)
        authentication (?:checks|results|information)|sender is unauthenticated
        anti-?spoof|spoof(?:ed|ing)|required authentication level
        """,
    ),
    (
        About.QUOTA,
        r"""
        sasl login name rejected
        (?:sender|recipient) address rejected: .*(?:quota|\brate\b|too (?:many|much|fast))
        """,
    ),
    (
        About.CLIENT,
        r"""
        sender address rejected: .*(?:black|block) ?list
        client host (?:rejected|blocked)|LISTS|\b(?:dns|r|u)bls?\b|dnsbl|\brbl\b
        """,
    ),
    (
        About.SENDER,
        r"""
        \bsender(?:'?s)? (?:e?-?mail )?(?:address(?:es)?|domain|verif\w*)?\W*(?:has been |was |is )?(?:reject|
            refus|denied|fail)
        """,
    ),
    (
        About.ADDRESS,
        r"""
        (?:user|recipient|mailbox|mail box|addressee|person|alias|inbox)\b\W*(?:\w+ ){0,3}(?:unknown|
            NOT (?:be )?(?:found|known|exist\w*|valid|active|recognized|local)|does ?NOT exist|invalid|inactive|
            disabled|deactivated|expired|closed|suspended|locked|is dead)
        (?:unknown|no such|invalid|non-?existent|bad|inactive|illegal) (?:or \w+ )?(?:destination |
            local )?(?:user|recipient|mailbox|alias|person|local.?part)
        recipient address rejected: (?:user|unknown|invalid|undeliverable|domain not found|malformed|no such|mailbox)
        unknown in \w+ (?:\w+ )?table|address (?:does not exist|unknown|not found)
        may not exist|no longer (?:valid|on server|available)|no mailbox (?:here|for|by|with)
        account (?:that you tried|does not exist|(?:is |has been )?disabled(?! (?:for|due to) (?:send|spam|abuse)))
        does (?:not|n.t) have an? (?:\w+ )?(?:account|mailbox)
        unbekannt\w*|inconnu\w*|desconocid\w|destinataire invalide|sconosciut\w
        """,
    ),
    (
        About.RECIPIENT,
        r"""
        recipient address rejected: (?:access denied|need fully|this|address)
        """,
    ),
    (
        About.RELAY,
        r"""
        (?<![\w.@-])relay(?:ing|ed|s)?(?![\w@-]|\.\w)|rcpt ?hosts\b
        (?:not|n.t) (?:handle|accept|host) (?:e?-?mails? for|this domain)|\bnot (?:a|an open) (?:mail )?gateway\b
        \bnot (?:a )?local (?:host|domain)\b|specified domain
        \bforwarding (?:is )?(?:denied|prohibited|not)\b|tenant ?attribution
        (?:send|sending|mail) (?:\w+ )?(?:to )?(?:external|remote|non-?local|foreign) (?:domain|recipient|address|
            user|host)
        """,
    ),
    (
        About.SUSPENDED,
        r"""
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
        """,
    ),
    (
        About.QUOTA,
        r"""
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
        trop de (?:messages|mails|connexions)
        """,
    ),
    (
        About.LOGIN,
        r"""
        \bauth\w* (?:is )?(?:error|required|needed|fail\w*|unsuccess\w*|turned on|invalid|first|before|disabled)
        NOT (?:yet )?(?:been )?(?:authenticated|logged)
        (?:must|please|need to|have to|should)\b.{0,20}\b(?:authenticate|log ?in|issue a starttls|
            use (?:smtp.?)?auth\w*|check (?:your )?mail|use (?:tls|ssl|starttls|encryption))
        requires? (?:smtp )?(?:authentication|auth\b|a login|encryption|tls)|smtp.?auth
        (?:tls|starttls|encryption) (?:is )?(?:required|needed)|credentials?
        (?:not|n.t) authori[sz]ed to perform|\buser has no permission|api key
        pop.?before.?smtp|anmeldung (?:\w+ )?(?:erforderlich|notwendig)
        authentification requise|authentifizier\w+|autenticaci.n
        """,
    ),
    (
        About.SENDER,
        r"""
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
        """,
    ),
    (
        About.CLIENT,
        r"""
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
        access to (?:this|submit).{0,40}(?:rejected|denied)|your access to|geographical
        country|spam source|send(?:s|ing)? spam\b
        """,
    ),
    (
        About.HELO,
        r"""
        \b(?:helo|ehlo)
        """,
    ),
    (
        About.SENDER,
        r"""
        \bsender|\bmail ?from\b|return-?path|\boriginator
        """,
    ),
    (
        About.CLIENT,
        r"""
        \bips?\b|\bno access\b|\bptr\b
        """,
    ),
    (
        About.SUSPENDED,
        r"""
        \byour (?:[\w-]+ ){0,2}(?:account|login|domain|server|hosting|plan|subscription|network|isp|organi[sz]ation|
            credentials|configuration|connections?|smtp)\b
        """,
    ),
    (
        About.QUOTA,
        r"""
        \blimited\b|\bfrequency\b|\b(?:quota|credits?)\b
        """,
    ),
)
"""Each line is a pattern, and what is indented further goes on with the one above.

In this order, the first that is found decides: what names a recipient stands before what could name us as well, and
last what a refusal names at all. That much is safe: a mail that is taken for a refusal of us waits, none is lost."""


def _pattern(lines: str) -> re.Pattern[str]:
    either = re.sub(r"\n {9,}", "", lines).split("\n")
    whole = "|".join(line.strip() for line in either if line.strip())
    return re.compile(re.sub(r"\b[A-Z]{3,}\b", lambda name: f"(?:{_SHORT[name[0]]})", whole), re.IGNORECASE)


_WORDS = tuple((about, _pattern(lines)) for about, lines in _ROWS)
_NUMBERS = tuple((re.compile(pattern), about) for pattern, about in _RANGES)


def ground(reply: int, code: str | None, words: str) -> About | None:
    """What a refusal is about, by its words, else by its enhanced `code`, else by the reply; None where nothing tells.

    `words`: what the server says for itself, without addresses and without what it quotes.
    """
    if code and code[2:] in _OF_THE_RECIPIENT:
        return About.RECIPIENT
    named = next((about for about, pattern in _WORDS if pattern.search(words)), None)
    return named or _by_code(code) or _REPLIES.get(reply)


def _by_code(code: str | None) -> About | None:
    if code is None:
        return None
    if code in _CLASSES:
        return _CLASSES[code]
    detail = code[2:]
    if _OF_THE_MESSAGE.fullmatch(detail):
        return About.RECIPIENT
    return _CODES.get(detail) or next((about for pattern, about in _NUMBERS if pattern.fullmatch(detail)), None)
