// Drives the double by Stripe's own client, and lets it judge the double's webhooks.
// Reads { url, key, customer, basic, pro, pack, subscription, session, secret, sealed }.
import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import Stripe from 'stripe';

const { url, key, customer, basic, pro, pack, subscription, session, secret, sealed } =
  JSON.parse(await text(process.stdin));
const { hostname, port } = new URL(url);
const stripe = new Stripe(key, { host: hostname, port, protocol: 'http', maxNetworkRetries: 2 });

const made = await stripe.customers.create({ email: 'n@b.test', metadata: { user: '9' } });
assert.equal((await stripe.customers.retrieve(made.id)).metadata.user, '9');
const found = await stripe.customers.search({ query: "metadata['user']:'9'" });
assert.equal(found.data[0].id, made.id);

const page = await stripe.checkout.sessions.create({
  mode: 'payment', customer, success_url: 'https://app.test',
  line_items: [{ price: pack, quantity: 2 }], payment_intent_data: { metadata: { purchase: 'p' } },
}, { idempotencyKey: 'node-1' });
assert.equal(page.amount_total, 1800);
assert.equal((await stripe.checkout.sessions.expire(page.id)).status, 'expired');

const paid = await stripe.checkout.sessions.retrieve(session, { expand: ['payment_intent.latest_charge'] });
assert.equal(paid.payment_intent.latest_charge.paid, true);
const refund = await stripe.refunds.create({ payment_intent: paid.payment_intent.id, amount: 100 });
assert.equal(refund.status, 'succeeded');
await assert.rejects(stripe.refunds.create({ payment_intent: paid.payment_intent.id, amount: 10_000 }),
  (error) => error.type === 'StripeInvalidRequestError' && error.param === 'amount');

const held = await stripe.subscriptions.retrieve(subscription);
const item = held.items.data[0].id;
const preview = await stripe.invoices.createPreview({
  subscription, subscription_details: { items: [{ id: item, price: pro }], proration_behavior: 'always_invoice' },
});
const changed = await stripe.subscriptions.update(subscription, {
  items: [{ id: item, price: pro }], proration_behavior: 'always_invoice',
  payment_behavior: 'pending_if_incomplete', expand: ['latest_invoice.payments'],
});
assert.equal(changed.items.data[0].price.id, pro);
assert.equal(changed.latest_invoice.total, preview.total);
assert.equal(changed.latest_invoice.payments.data[0].payment.type, 'payment_intent');
await stripe.subscriptions.update(subscription, { cancel_at_period_end: true });
assert.equal((await stripe.subscriptions.cancel(subscription)).status, 'canceled');
const portal = await stripe.billingPortal.sessions.create({ customer, return_url: 'https://app.test' });
assert.match(portal.url, /^https:/);

let events = 0;
for await (const event of stripe.events.list({ limit: 7 })) events += event.object === 'event';
assert.ok(events > 20);
assert.equal((await stripe.prices.list({ product: (await stripe.prices.retrieve(basic)).product })).data.length, 3);

for (const { header, body } of sealed) {
  const event = stripe.webhooks.constructEvent(body, header, secret);
  assert.ok(event.data.object.object);
  assert.throws(() => stripe.webhooks.constructEvent(`${body} `, header, secret));
}
console.log(`judged ${sealed.length} webhooks, read ${events} events`);
