//! What the aggregate must know of a wallet with these books, as the JSON of its snapshots.

use serde_json::{Map, Value, json};

use super::super::facts::Window;
use super::limits::Spending;
use super::{Book, Grant, Hold, State};

impl Book {
    /// The state that `apply` must arrive at.
    pub(in crate::verify) fn state(&self) -> Value {
        let grants = self.grants.iter().map(|grant| (grant.terms.id, grant_state(grant)));
        let open = self.holds.iter().filter(|(_, hold)| hold.state == State::Authorized);
        let mut late: Vec<_> = self
            .holds
            .iter()
            .filter(|(_, hold)| hold.state == State::LateCaptured)
            .map(|(id, _)| id.to_string())
            .collect();
        late.sort();
        let groups = self.groups.iter().map(|(id, group)| {
            let state = json!({
                "reversed_minor": group.reversed_minor, "paid_minor": group.paid_minor,
                "recovered": group.recovered, "indebted": group.indebted,
                "forgiven": group.forgiven, "restored": group.restored,
                "restorations": group.restorations,
            });
            (id, state)
        });
        let by_key = self.limits.by_key.iter();
        let by_key = by_key.map(|(key, spending)| (key, spending_state(spending)));
        let balance = self.balance();
        json!({
            "owner": self.owner,
            "balance": {
                "available": balance.available, "held": balance.held, "debt": balance.debt,
            },
            "grants": object(grants),
            "holds": object(open.map(|(id, hold)| (id, hold_state(hold)))),
            "frozen": self.frozen,
            "spending": spending_state(&self.limits.wallet),
            "by_key": object(by_key),
            "groups": object(groups),
            "reversed": object(self.debits.reversed().map(|(id, all)| (id, json!(all)))),
            "late": late,
            "quota_suspended": self.suspended,
        })
    }
}

fn spending_state(spending: &Spending) -> Value {
    let most = spending.most.iter().map(|(window, most)| (name(*window), json!(most)));
    let spent = spending.spent.iter().map(|(window, spent)| (name(*window), json!(spent)));
    json!({ "limits": object(most), "spent": object(spent) })
}

fn grant_state(grant: &Grant) -> Value {
    let Grant { terms, parts, granted_at, .. } = grant;
    json!({
        "kind": terms.kind, "amount": terms.amount, "priority": terms.priority,
        "expires_at": terms.expires_at, "granted_at": granted_at,
        "reversal_group": terms.reversal_group, "remaining": parts.remaining,
        "held": parts.held, "expired": parts.expired, "voided": parts.voided,
    })
}

fn hold_state(hold: &Hold) -> Value {
    let Hold { origin, key, figures, opened_at, allocations, .. } = hold;
    json!({
        "origin": origin, "key": key,
        "figures": {
            "authorized": figures.authorized, "captured": figures.captured,
            "released": figures.released, "expires_at": figures.expires_at,
        },
        "opened_at": opened_at,
        "allocations": object(allocations.iter().map(|(grant, open)| (grant, json!(open)))),
    })
}

fn object<K: ToString>(entries: impl Iterator<Item = (K, Value)>) -> Value {
    Value::Object(entries.map(|(key, value)| (key.to_string(), value)).collect::<Map<_, _>>())
}

fn name(window: Window) -> &'static str {
    match window {
        Window::Day => "day",
        Window::Month => "month",
    }
}
