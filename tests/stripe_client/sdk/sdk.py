# Signs and verifies webhooks by PyPI's `stripe`: a list of cases in, a list of headers and verdicts out.
import json
import sys

import stripe


def verifies(body, header, secret):
    try:
        return stripe.WebhookSignature.verify_header(body, header, secret, 300)
    except stripe.SignatureVerificationError:
        return False


def sign(body, secret, time):
    return stripe.WebhookSignature.generate_signature_header(body, secret, time)


cases = json.load(sys.stdin)
answers = [sign(**it["sign"]) if "sign" in it else verifies(**it["verify"]) for it in cases]
print(json.dumps(answers))
