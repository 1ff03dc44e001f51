//! What Stripe's own objects imply of what is shown here, and whether it is so. Reckoned from what the
//! double knows to be true, and from nothing of ours.

use std::collections::BTreeMap;

use chrono::DateTime;
use reqwest::Method;
use serde_json::{Value, json};

use crate::shop::Shop;
use crate::stripe::{PaymentTruth, Truth};
use crate::world::{ask, send};

/// What of payments is compared, by the purchase or invoice.
type Payments = BTreeMap<String, Value>;

impl Shop {
    /// Spends some of what can be spent, with all of it as likely as less; how much that was. What
    /// follows Stripe may be quicker: then it is nothing.
    pub async fn spend_some(&self, quarters: usize) -> i64 {
        let spendable = self.wallet().await["spendable"].as_i64().expect("a number");
        let amount = spendable * i64::try_from(quarters).expect("a few") / 4;
        if amount == 0 {
            return 0;
        }
        let body = json!({ "amount": amount, "reason": "render" });
        let answer =
            send(&self.server, Method::POST, "/wallet/debits", &self.ada.access, &body).await;
        match answer.status.as_u16() {
            201 => amount,
            402 => 0,
            _ => panic!("nobody can spend: {:?}", answer.body),
        }
    }

    /// What the wallet has, less what it owes: only one of them at a time.
    pub async fn balance(&self) -> i64 {
        let wallet = self.wallet().await;
        let figure = |name: &str| wallet[name].as_i64().expect("a number");
        let (available, debt) = (figure("available"), figure("debt"));
        assert!(available == 0 || debt == 0, "what is owed is paid by what is there: {wallet}");
        available - debt
    }

    /// What is shown of payments of a kind.
    async fn shown(&self, kind: &str) -> Vec<Value> {
        let path = "/billing/payments?limit=200";
        let payments = ask(&self.server, Method::GET, path, &self.ada.access).await;
        let items = payments.body["items"].as_array().expect("payments").iter();
        items.filter(|item| item["kind"] == kind).cloned().collect()
    }

    /// Packs must be shown as what became of their checkouts and payments.
    pub async fn shows_packs_as_at(&self, truth: &Truth) {
        let sessions = self.stripe.objects("checkout.session").into_iter();
        let sessions = sessions.filter(|session| session["mode"] == "payment");
        let implied = sessions.map(|session| {
            let mine = |payment: &&PaymentTruth| {
                payment.checkout_session.as_deref() == session["id"].as_str()
            };
            let payment = truth.payments.iter().find(mine);
            let told = told(&stage(&session, payment), &session["amount_total"], payment);
            (owned(&session["client_reference_id"]), told)
        });
        is_shown(&compared(&self.shown("pack").await), &implied.collect());
    }

    /// Invoices must be shown as they are, and with what they have brought.
    pub async fn shows_invoices_as_at(&self, truth: &Truth, brought: &BTreeMap<String, i128>) {
        // Drafts are nobody's business.
        let finalized = truth.invoices.iter().filter(|invoice| invoice.status != "draft");
        let implied = finalized.map(|invoice| {
            let payment =
                invoice.payment_intent.as_deref().and_then(|intent| truth.payment(intent));
            let told = told(&invoice.status, &json!(invoice.total), payment);
            (invoice.id.clone(), told)
        });
        let shown = self.shown("plan").await;
        is_shown(&compared(&shown), &implied.collect());
        for payment in shown {
            let credits = payment["credits"].as_i64().map(i128::from).expect("a number");
            let brings = brought.get(&owned(&payment["id"])).copied().unwrap_or_default();
            // Of what was given back whole before it was granted, nothing comes.
            let may_be_none = payment["refunded_minor"] != 0 || payment["disputed_minor"] != 0;
            assert!(credits == brings || may_be_none && credits == 0, "{brings}: {payment}");
        }
    }

    /// The subscription must be shown as the last one at Stripe stands.
    pub async fn shows_the_subscription_as_at(&self, truth: &Truth) {
        let (shown, known) = (self.subscription().await, truth.subscriptions.last());
        let known = known.expect("a subscription");
        assert_eq!(shown["status"], known.status.as_str(), "{known:#?}");
        let shown_times =
            ["period_start", "period_end", "ends_at"].map(|time| seconds(&shown[time]));
        let times = [Some(known.period_start), Some(known.period_end), known.cancel_at];
        assert_eq!(shown_times, times, "{shown:#}");
        assert_eq!(shown["cancel_at_period_end"], known.cancel_at.is_some());
    }
}

/// All of it must be shown, and nothing else.
fn is_shown(shown: &Payments, implied: &Payments) {
    let different = |(id, told): &(&String, &Value)| implied.get(*id) != Some(*told);
    let wrong: Vec<_> = shown.iter().filter(different).collect();
    let right: Vec<_> = wrong.iter().map(|(id, _)| implied.get(*id)).collect();
    assert!(wrong.is_empty(), "shown: {wrong:#?}; it is: {right:#?}");
    assert_eq!(shown.len(), implied.len(), "all are shown");
}

/// What became of a purchase.
fn stage(session: &Value, payment: Option<&PaymentTruth>) -> String {
    let payment = payment.map(|payment| payment.status.as_str());
    let stage = match (session["status"].as_str(), payment) {
        (Some("open"), _) => "checkout_opened",
        (Some("expired"), _) => "expired",
        (_, Some("succeeded")) => "fulfilled",
        (_, Some("processing")) => "awaiting_payment",
        _ => "payment_failed",
    };
    stage.to_owned()
}

fn told(state: &str, amount: &Value, payment: Option<&PaymentTruth>) -> Value {
    let (refunded, disputed) =
        payment.map_or((0, 0), |payment| (payment.refunded, payment.withdrawn));
    json!({
        "state": state, "amount_minor": amount, "refunded_minor": refunded,
        "disputed_minor": disputed,
    })
}

/// The same of what is shown.
fn compared(shown: &[Value]) -> Payments {
    let compared = shown.iter().map(|payment| {
        let told = json!({
            "state": payment["state"], "amount_minor": payment["amount_minor"],
            "refunded_minor": payment["refunded_minor"],
            "disputed_minor": payment["disputed_minor"],
        });
        (owned(&payment["id"]), told)
    });
    compared.collect()
}

fn owned(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn seconds(time: &Value) -> Option<i64> {
    let time = time.as_str()?;
    Some(DateTime::parse_from_rfc3339(time).expect("a time").timestamp())
}
