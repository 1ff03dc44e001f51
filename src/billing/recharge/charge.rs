//! Charging a recharge: the card, once, and what comes of it.

use aggregates::catalogue::PackTerms;
use aggregates::id::{CommandId, PurchaseId, UserId};
use aggregates::purchase::{self, Purchase, Stage};
use aggregates::recharge::{Ask, CallOff, Finality, Flight, Recharge};
use chrono::TimeDelta;
use tracing::error;

use super::{ACTOR, cards, in_the_way, letters, purchase_of, stripe, tell};
use crate::app::App;
use crate::billing::checkout::{PURCHASE, Page, send};
use crate::billing::{by, customers, offers, settle};
use crate::clients::stripe::{Decline, Intent, IntentStatus, Metadata, NewPayment, StripeError};
use crate::clock;
use crate::error::{Problem, Result};
use crate::store::Envelope;

/// How much earlier than ours Stripe's clock may say that a payment was begun.
const SKEW: TimeDelta = TimeDelta::hours(1);
/// What banks say when the person must be there.
const AUTHENTICATE: &str = "authentication_required";
/// What banks and Stripe say of cards that will never pay: trying them again is held against whoever
/// does.
const FOR_GOOD: &[&str] = &[
    "card_not_supported",
    "do_not_try_again",
    "expired_card",
    "fraudulent",
    "incorrect_number",
    "invalid_account",
    "invalid_number",
    "lost_card",
    "merchant_blacklist",
    "pickup_card",
    "restricted_card",
    "revocation_of_all_authorizations",
    "revocation_of_authorization",
    "stolen_card",
    "stop_payment_order",
];

/// What Stripe says to a recharge.
enum Told {
    /// It is paid, or will be: the payment.
    Moves(String),
    /// It is not paid.
    Declined { code: String, finality: Finality },
    /// The bank wants to see the person.
    Authenticate,
    /// It was not asked, and is not to be.
    CalledOff(CallOff),
}

/// Orders, charges and settles what is in flight of the person's. May be done again at any time:
/// what was begun at Stripe is found there.
pub async fn charge(app: &App, user: UserId) -> Result<()> {
    let recharge = app.store.load::<Recharge>(user).await?;
    let Some(flight) = recharge.flight() else {
        return give_up(app, purchase_of(user, recharge.number())).await;
    };
    if flight.waits_for_person {
        return Ok(());
    }
    let order = purchase::Ask::Create { order: flight.order.clone() };
    let created = CommandId::derive(flight.purchase.0, "create");
    send(app, flight.purchase, created, by(ACTOR), order).await?;
    match ask_bank(app, user, flight).await? {
        Told::Moves(intent) => {
            settle::payment(app, &intent).await?;
            follow(app, user).await
        }
        Told::Authenticate => authenticate(app, user, &recharge, flight).await,
        Told::Declined { code, finality } => {
            decline(app, user, &recharge, flight, code, finality).await?;
            give_up(app, flight.purchase).await
        }
        Told::CalledOff(why) => {
            withdraw(app, user, flight, why).await?;
            give_up(app, flight.purchase).await
        }
    }
}

/// Tells the recharge that is in flight when its purchase has come to its end, by whatever way.
pub async fn follow(app: &App, user: UserId) -> Result<()> {
    let recharge = app.store.load::<Recharge>(user).await?;
    let Some(flight) = recharge.flight() else { return Ok(()) };
    let purchase = app.store.load::<Purchase>(flight.purchase).await?;
    match purchase.stage() {
        Stage::Fulfilled => succeed(app, user, flight).await,
        Stage::Expired | Stage::PaymentFailed => {
            let code = if flight.waits_for_person { AUTHENTICATE } else { "payment_failed" };
            decline(app, user, &recharge, flight, code.to_owned(), Finality::ForNow).await
        }
        Stage::Quarantined if purchase.is_given_back() => {
            withdraw(app, user, flight, CallOff::GivenBack).await
        }
        Stage::Nothing
        | Stage::Created
        | Stage::CheckoutOpened
        | Stage::AwaitingPayment
        | Stage::Paid
        | Stage::Quarantined => Ok(()),
    }
}

/// What Stripe has of the recharge already, else what it says to it now. Stripe forgets a key after a
/// day, and may answer one with a failure for ever: what was begun is looked for first, and the key
/// is only for who asks at the same time.
async fn ask_bank(app: &App, user: UserId, flight: &Flight) -> Result<Told> {
    let customer = customers::known(app, user).await?;
    if let Some(customer) = &customer
        && let Some(begun) = begun(app, customer, flight).await?
    {
        return told(&begun);
    }
    // Of somebody who was forgotten, the customer is not known: what may have been paid is granted
    // when Stripe tells of it.
    if let Some(why) = in_the_way(app, user).await? {
        return Ok(Told::CalledOff(why));
    }
    let (Some(customer), Some(card)) = (customer, cards::of(app, user).await?) else {
        return Ok(Told::Declined { code: "no_card".to_owned(), finality: Finality::ForGood });
    };
    let (id, order) = (flight.purchase, &flight.order);
    let payment = NewPayment {
        customer: &customer,
        payment_method: &card,
        amount: order.price.amount_minor,
        currency: &order.price.currency.to_string(),
        description: Some(&order.name),
        metadata: Metadata::from([(PURCHASE.to_owned(), id.to_string())]),
    };
    match stripe(app)?.create_payment(&payment, &format!("recharge/{id}")).await {
        Ok(intent) => told(&intent),
        Err(StripeError::Declined { code, decline_code, .. }) => {
            Ok(declined(&Decline { code, decline_code }))
        }
        Err(refusal @ StripeError::Invalid { .. }) => refused(app, user, &card, refusal).await,
        Err(error) => Err(error.into()),
    }
}

/// What Stripe does not take as it is asked, it will not take when it is asked again: waiting for it
/// would keep the recharge in flight for ever. Only of a key that somebody else is using with another
/// card, something may have been begun: it is looked for the next time.
async fn refused(app: &App, user: UserId, card: &str, refusal: StripeError) -> Result<Told> {
    let StripeError::Invalid { code, param } = &refusal else { return Err(refusal.into()) };
    if refusal.is_key_reused() {
        return Err(refusal.into());
    }
    let code = if matches!(param.as_deref(), Some("payment_method" | "customer")) {
        cards::forget(app, user, card).await?;
        "card_gone".to_owned()
    } else {
        error!(user.id = %user, %refusal, "Stripe does not take a recharge");
        code.clone().unwrap_or_else(|| "refused".to_owned())
    };
    Ok(Told::Declined { code, finality: Finality::ForGood })
}

/// The payment that was begun for the recharge.
async fn begun(app: &App, customer: &str, flight: &Flight) -> Result<Option<Intent>> {
    let payments = stripe(app)?.payments_of(customer, flight.at - SKEW).await?;
    let purchase = flight.purchase.to_string();
    Ok(payments.into_iter().find(|payment| payment.metadata.get(PURCHASE) == Some(&purchase)))
}

/// What a payment says to the recharge that it is of.
fn told(payment: &Intent) -> Result<Told> {
    let nothing = Decline { code: None, decline_code: None };
    match &payment.status {
        IntentStatus::Succeeded | IntentStatus::Processing => Ok(Told::Moves(payment.id.clone())),
        IntentStatus::RequiresAction => Ok(Told::Authenticate),
        IntentStatus::RequiresPaymentMethod
        | IntentStatus::RequiresConfirmation
        | IntentStatus::Canceled => Ok(declined(payment.decline.as_ref().unwrap_or(&nothing))),
        IntentStatus::RequiresCapture | IntentStatus::Unknown(_) => {
            Err(Problem::failed("a recharge is where none should be at Stripe"))
        }
    }
}

fn declined(decline: &Decline) -> Told {
    let words = [&decline.decline_code, &decline.code];
    let mut words = words.into_iter().flatten();
    if words.clone().any(|word| word == AUTHENTICATE) {
        return Told::Authenticate;
    }
    let gone = words.clone().any(|word| FOR_GOOD.contains(&word.as_str()));
    let finality = if gone { Finality::ForGood } else { Finality::ForNow };
    let code = words.next().map_or("card_declined", String::as_str).to_owned();
    Told::Declined { code, finality }
}

/// Opens a page for the purchase, where the person can pay it after all, and sends them there. Where
/// the pack is no longer what was ordered, it waits for the next time.
async fn authenticate(app: &App, user: UserId, recharge: &Recharge, flight: &Flight) -> Result<()> {
    let listing = offers::list::<PackTerms>(app, flight.order.pack.0).await?;
    let customer = customers::known(app, user).await?;
    let as_ordered = listing.active && listing.version == flight.order.version;
    let Some(customer) = customer.filter(|_| as_ordered) else {
        let code = AUTHENTICATE.to_owned();
        decline(app, user, recharge, flight, code, Finality::ForNow).await?;
        return give_up(app, flight.purchase).await;
    };
    let purchase = app.store.load::<Purchase>(flight.purchase).await?;
    let page =
        Page { id: flight.purchase, customer: &customer, price: &listing.price, keeps_card: true };
    let (checkout, _) = page.open(app, &purchase, by(ACTOR)).await?;
    let command = CommandId::derive(flight.purchase.0, "authenticate");
    let mut envelope = Envelope::new(command, by(ACTOR));
    envelope.side.extend(letters::confirm(app, user, command, flight, checkout).await?);
    let ask = Ask::RequireAuthentication { number: flight.number };
    tell(app, user, envelope, clock::now(), ask).await?;
    Ok(())
}

async fn succeed(app: &App, user: UserId, flight: &Flight) -> Result<()> {
    let command = CommandId::derive(flight.purchase.0, "succeed");
    let (mut envelope, now) = (Envelope::new(command, by(ACTOR)), clock::now());
    envelope.side.extend(letters::recharged(app, user, command, flight, now).await?);
    tell(app, user, envelope, now, Ask::Succeed { number: flight.number }).await?;
    Ok(())
}

async fn decline(
    app: &App,
    user: UserId,
    recharge: &Recharge,
    flight: &Flight,
    code: String,
    finality: Finality,
) -> Result<()> {
    let command = CommandId::derive(flight.purchase.0, "decline");
    let (mut envelope, now) = (Envelope::new(command, by(ACTOR)), clock::now());
    let ready_at = recharge.ready_after_decline(finality, now);
    envelope.side.extend(letters::declined(app, user, command, flight, now, ready_at).await?);
    let ask = Ask::Decline { number: flight.number, code, finality };
    tell(app, user, envelope, now, ask).await?;
    Ok(())
}

async fn withdraw(app: &App, user: UserId, flight: &Flight, why: CallOff) -> Result<()> {
    let command = CommandId::derive(flight.purchase.0, "withdraw");
    let ask = Ask::Withdraw { number: flight.number, why };
    tell(app, user, Envelope::new(command, by(ACTOR)), clock::now(), ask).await?;
    Ok(())
}

/// What was declined or called off is over for its purchase, too. Asked again where somebody died in
/// between: what was paid, or waits for the person, is not touched.
async fn give_up(app: &App, id: PurchaseId) -> Result<()> {
    if app.store.load::<Purchase>(id).await?.stage() == Stage::Created {
        let command = CommandId::derive(id.0, "give up");
        send(app, id, command, by(ACTOR), purchase::Ask::Fail).await?;
    }
    Ok(())
}
