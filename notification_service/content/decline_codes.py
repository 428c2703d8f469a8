"""The codes and phrases with which payment gateways and banks say why a payment failed.

From the public documents of Stripe, Razorpay, Adyen, PayPal, Braintree, NPCI and ISO 8583. Codes are in lower case
without separators, divided by spaces. Phrases are divided by semicolons, and lack the filler words that
`decline_reasons.py` ignores.
"""

from collections.abc import Mapping
from enum import StrEnum
from itertools import product


class Reason(StrEnum):
    FUNDS = "funds"
    EXPIRED = "expired"
    """The card has expired; an expired request, session or link is `TIMED_OUT`."""
    DETAILS = "details"
    """Number, security code or address of a card are wrong."""
    LIMIT = "limit"
    CHECK = "check"
    """The bank required a confirmation by its customer, such as 3-D Secure."""
    SUSPECTED = "suspected"
    """Lost, stolen, fraud. The mail says only that the bank stopped the payment."""
    UNSUPPORTED = "unsupported"
    TECHNICAL = "technical"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    DECLINED = "declined"


CODES: Mapping[Reason, str] = {
    Reason.FUNDS: "insufficientfunds insufficientbalance notenoughbalance lowbalance nsf notsufficientfunds",
    Reason.LIMIT: """limitexceeded transactionlimitexceeded transactiondailylimitexceeded transactiondailycountexceeded
        amountlimitexceeded withdrawalcountlimitexceeded withdrawalamountlimitexceeded withdrawalamountexceeded
        withdrawalcountexceeded exceedswithdrawallimit exceedswithdrawalamountlimit chargeexceedssourcelimit
        chargeexceedstransactionlimit chargeexceedsweeklylimit""",
    Reason.CHECK: """authenticationrequired authenticationfailed authenticationfailure 3dsfailed 3dsauthenticationfailed
        3dsecurefailed 3dnotauthenticated paymentintentauthenticationfailure setupintentauthenticationfailure
        scarequired strongcustomerauthenticationrequired payeractionrequired incorrectotp invalidotp otpfailed
        otpattemptsexceeded otpvalidationfailed mobilepinrequired cardholderauthenticationrequired""",
    Reason.SUSPECTED: """fraud fraudulent fraudsuspected suspectedfraud issuersuspectedfraud acquirerfraud
        fraudcancelled merchantblacklist paymentriskcheckfailed riskthresholdexceeded""",
    Reason.UNSUPPORTED: """notsupported currencynotsupported notpermitted transactionnotpermitted
        internationaltransactionnotallowed debitinstrumentinactive payeraccountrestricted
        payeraccountlockedorclosed usernotregisteredfornetbanking paymentmethodnotsupported""",
    Reason.TECHNICAL: """processingerror reentertransaction issuernotavailable issuerunavailable banknotavailable
        bankunavailable acquirererror gatewayerror servererror internalservererror internalerror systemerror
        networkerror technicalerror banktechnicalerror gatewaytechnicalerror issuertechnicalerror
        upiapptechnicalerror paymentmethodprovidertimeout serviceunavailable processornetworkunavailable
        systemmalfunction apiconnectionerror apierror ratelimit ratelimited ratelimitexceeded toomanyrequests
        gatewaytimeout locktimeout concurrencyerror rreqnotreceivedfromds""",
    Reason.TIMED_OUT: """paymentcollectrequestexpired collectrequestexpired collectexpired requesttimedout
        paymentintentpaymentattemptexpired checkoutsessionexpired timeout timedout""",
    Reason.CANCELLED: """cancelled cancelledbyuser cancelledbycustomer usercancelled customercancelled shoppercancelled
        payercancelled paymentcancelled abandoned aborted useraborted paymentmethodcustomerdecline""",
    Reason.DECLINED: """declined denied refused rejected genericdecline donothonor donothonour donottryagain
        callissuer refertocardissuer refertoissuer paymentdeclined paymentdenied
        transactionrefused transactionnotallowed servicenotallowed securityviolation noactiontaken
        stoppaymentorder revocationofauth revocationofauthorization revocationofallauthorizations
        instrumentdeclined payercannotpay processordeclined declinednongeneric paymentmethodproviderdecline
        testmodedecline newaccountinformationavailable bankdeclined issuerdeclined approvewithid""",
}
"""For all payment methods: codes of Stripe, Razorpay, Adyen, PayPal and Braintree."""

CARD_CODES: Mapping[Reason, str] = {
    Reason.FUNDS: "51",
    Reason.EXPIRED: "expiredcard cardexpired expiredcreditcard expireddebitcard 33 54",
    Reason.DETAILS: """incorrectnumber incorrectcvc incorrectcvv incorrectzip incorrectaddress incorrectpin
        incorrectcarddetails incorrectcardexpirydate incorrectcardholdername invalidnumber invalidcard
        invalidcardnumber invalidcreditcardnumber cardnumberinvalid cardtypeinvalid invalidcvc invalidcvv
        invalidexpirymonth invalidexpiryyear invalidexpirationdate invalidaccount invalidpin wrongpin cvcdeclined
        cvvdeclined cvcmismatch cvvmismatch cvvfailure cvv2failure cvcfailed cvvfailed creditcardcvvcheckfailed
        avsmismatch avsdeclined avsfailed cardissuerdeclinedcvv cardaccountlengtherror nosuchissuer
        14 55 82 n7""",
    Reason.LIMIT: "cardvelocityexceeded cardholdersactivitylimitexceeded 61 65",
    Reason.CHECK: "offlinepinrequired onlineorofflinepinrequired cardrequiresonlinepin 1a",
    Reason.SUSPECTED: """lostcard stolencard pickupcard restrictedcard blockedcard possiblelostcard
        possiblestolencard 04 07 34 36 41 43 59 62""",
    Reason.UNSUPPORTED: "cardnotsupported cardnotenrolled cardnetworknotsupported 57 58",
    Reason.TECHNICAL: "91 96",
    Reason.DECLINED: """carddeclined creditcardrefused pintryexceeded pintriesexceeded pinattemptsexceeded
        01 02 05 63 75""",
}
"""For cards alone. The numbers are response codes of ISO 8583."""

UPI_CODES: Mapping[Reason, str] = {
    Reason.FUNDS: "z9",
    Reason.LIMIT: "z7 z8",
    Reason.TIMED_OUT: "u69",
    Reason.CANCELLED: "za",
    Reason.SUSPECTED: "k1 u16",
    Reason.UNSUPPORTED: "zx xp ye",
    Reason.TECHNICAL: "u67 bt ir",
}
"""Codes of NPCI, for UPI alone: two or three characters that may mean anything elsewhere."""

PROCESSOR_CODES: Mapping[Reason, str] = {
    Reason.FUNDS: "2001 5120",
    Reason.LIMIT: "2002 2003",
    Reason.EXPIRED: "2004 5400",
    Reason.DETAILS: "2005 2006 2008 2009 2010 2060 1330 5110",
    Reason.CHECK: "2099 5650",
    Reason.SUSPECTED: "2012 2013 2014 2047 2057 9500 9520",
    Reason.TECHNICAL: "3000",
    Reason.DECLINED: "2000 2015 2038 2044 2046 0500 5100 9510",
}
"""Numbers of Braintree and PayPal, for their own field alone: those of other gateways may mean anything."""

_RAN_OUT = (
    "request;collect request;session;link;intent;authorization;authorisation;authentication;otp;one time password;"
    "verification code;order;checkout;payment;transaction;invoice;reservation;hold;cart;window"
)
_LIMITS = "credit;card;daily;weekly;monthly;transaction;spending;withdrawal;amount;account;payment;purchase"
PHRASES: Mapping[Reason, str] = {
    Reason.FUNDS: """insufficient funds;insufficient balance;insufficient fund;not enough funds;not enough money;
        not enough balance;not sufficient funds;low balance;non sufficient funds;insufficient account balance;
        balance too low;lack of funds""",
    Reason.LIMIT: ";".join(
        f"{before}{kind} limit{after}"
        for kind, (before, after) in product(
            _LIMITS.split(";"),
            (("", " exceeded"), ("", " reached"), ("exceeds ", ""), ("exceeded ", ""), ("over ", ""), ("above ", "")),
        )
    ),
    Reason.CHECK: """authentication required;authentication failed;3ds failed;3ds authentication failed;
        3d secure failed;3d secure authentication failed;3 d secure failed;sca required;invalid otp;incorrect otp;
        wrong otp;not authenticated;failed authentication;otp failed;otp verification failed""",
    Reason.SUSPECTED: """suspected fraud;fraud suspected;suspicion of fraud;fraudulent transaction;fraudulent payment;
        suspicious transaction;suspicious activity""",
    Reason.UNSUPPORTED: """currency not supported;unsupported currency;payment method not supported;
        unsupported payment method;not permitted to cardholder;transaction not permitted;
        international transactions not allowed;international payments not allowed""",
    Reason.TECHNICAL: """processing error;internal error;server error;system error;network error;technical error;
        technical problem;technical issue;gateway error;concurrency error;rate limit;too many requests;
        service unavailable;temporarily unavailable;gateway unavailable;bank unavailable;issuer unavailable;
        bank not available;issuer not available;gateway timeout;gateway timed out;connection timeout;
        connection timed out;network timeout;connection lost;connection refused;connection reset;bad gateway;
        system malfunction""",
    Reason.TIMED_OUT: ";".join(
        f"{thing} {end}" if end[0] != "<" else f"{end[1:]} {thing}"
        for thing, end in product(_RAN_OUT.split(";"), ("expired", "timed out", "timeout", "<expired"))
    ),
    Reason.CANCELLED: """payment cancelled;transaction cancelled;cancelled by user;cancelled by customer;
        cancelled by shopper;cancelled by payer;cancelled by buyer;cancelled by cardholder;user cancelled;
        customer cancelled;shopper cancelled;payer cancelled;buyer cancelled;user aborted;user abandoned;
        customer abandoned;payment abandoned;payment aborted""",
    Reason.DECLINED: """payment declined;transaction declined;declined by bank;declined by issuer;
        declined by issuing bank;bank declined;issuer declined;issuing bank declined;payment refused;
        transaction refused;refused by bank;refused by issuer;payment rejected by bank;do not honor;do not honour;
        generic decline;refer to issuer;call issuer""",
}
CARD_PHRASES: Mapping[Reason, str] = {
    Reason.EXPIRED: "card expired;expired card;expired credit card;expired debit card;card past expiry date",
    Reason.DETAILS: """incorrect card number;invalid card number;wrong card number;card number invalid;
        card number incorrect;incorrect card details;invalid card details;invalid expiry date;incorrect expiry date;
        wrong expiry date;invalid expiration date;incorrect expiration date;invalid security code;
        incorrect security code;wrong security code;security code mismatch;incorrect cvv;incorrect cvc;invalid cvv;
        invalid cvc;wrong cvv;wrong cvc;cvv mismatch;cvc mismatch;cvv declined;cvc declined;cvv failed;cvc failed;
        cvv check failed;cvc check failed;avs mismatch;avs failed;avs check failed;avs declined;
        address verification failed;incorrect zip code;incorrect postal code;wrong pin;incorrect pin;invalid pin""",
    Reason.SUSPECTED: """lost card;stolen card;lost or stolen card;lost or stolen;card lost;card stolen;
        card reported lost;card reported stolen;card reported lost or stolen;pickup card;pick up card;
        restricted card;blocked card;card blocked""",
    Reason.UNSUPPORTED: "card not supported;unsupported card;card type not supported;card does not support",
    Reason.DECLINED: "card declined;card refused;card rejected;declined by card issuer;card issuer declined",
}
