// Signs and verifies webhooks by npm's `stripe`: a list of cases in, a list of headers and verdicts out.
import { readFileSync } from "node:fs";
import Stripe from "stripe";

const { webhooks } = new Stripe("sk_test_1");

function verifies({ body, header, secret }) {
  try {
    return webhooks.signature.verifyHeader(body, header, secret, 300);
  } catch (error) {
    if (error instanceof Stripe.errors.StripeSignatureVerificationError) return false;
    throw error;
  }
}

const sign = ({ body, secret, time }) =>
  webhooks.generateTestHeaderString({ payload: body, secret, timestamp: time });

const cases = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(cases.map((it) => (it.sign ? sign(it.sign) : verifies(it.verify)))));
