# Verifies webhooks by PyPI's `standardwebhooks`: a list of cases in, a list of verdicts out.
import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError


def verifies(case):
    try:
        Webhook(case["secret"]).verify(case["body"], case["headers"])
        return True
    except WebhookVerificationError:
        return False


print(json.dumps([verifies(case) for case in json.load(sys.stdin)]))
