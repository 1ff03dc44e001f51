//! Every event form ever released, as it stands in the log. A line of `wire.jsonl` is never
//! changed: the log is full of them. A new form is a new line.

use aggregates::catalogue::OfferEvent;
use aggregates::chat::ChatEvent;
use aggregates::event::Event;
use aggregates::purchase::PurchaseEvent;
use aggregates::recharge::RechargeEvent;
use aggregates::subscription::SubscriptionEvent;
use aggregates::user::UserEvent;
use aggregates::wallet::WalletEvent;
use serde_json::Value;

const GOLDEN: &str = include_str!("wire.jsonl");

/// Each released form: aggregate, type, version, payload.
fn golden() -> impl Iterator<Item = (String, String, String, Value)> {
    GOLDEN.lines().map(|line| serde_json::from_str(line).expect("a line of four"))
}

#[test]
fn every_released_form_is_read_and_today_s_are_written_the_same() {
    for (aggregate, kind, version, payload) in golden() {
        let event = Event::decode(&aggregate, &kind, &version, payload.clone());
        let event = event.unwrap_or_else(|error| panic!("{aggregate} {kind} {version}: {error}"));
        let written = match &event {
            Event::User(event) => serde_json::to_value(event),
            Event::Wallet(event) => serde_json::to_value(event),
            Event::Purchase(event) => serde_json::to_value(event),
            Event::Subscription(event) => serde_json::to_value(event),
            Event::Pack(event) => serde_json::to_value(event),
            Event::Plan(event) => serde_json::to_value(event),
            Event::Recharge(event) => serde_json::to_value(event),
            Event::Chat(event) => serde_json::to_value(event),
        };
        assert_eq!(written.expect("an event can be written"), payload, "{aggregate} {kind}");
        let text = Event::decode_text(&aggregate, &kind, &version, &payload.to_string());
        assert_eq!(text.expect("the same from text"), event);
    }
}

#[test]
fn every_event_has_a_released_form() {
    let (mut users, mut wallets, mut purchases) = (vec![], vec![], vec![]);
    let (mut subscriptions, mut packs, mut plans) = (vec![], vec![], vec![]);
    let (mut recharges, mut chats) = (vec![], vec![]);
    for (aggregate, kind, version, payload) in golden() {
        match Event::decode(&aggregate, &kind, &version, payload).expect("readable") {
            Event::User(event) => users.push(place_of_user(&event)),
            Event::Wallet(event) => wallets.push(place_of_wallet(&event)),
            Event::Purchase(event) => purchases.push(place_of_purchase(&event)),
            Event::Subscription(event) => subscriptions.push(place_of_subscription(&event)),
            Event::Pack(event) => packs.push(place_of_offer(&event)),
            Event::Plan(event) => plans.push(place_of_offer(&event)),
            Event::Recharge(event) => recharges.push(place_of_recharge(&event)),
            Event::Chat(event) => chats.push(place_of_chat(&event)),
        }
    }
    let sold = [&mut purchases, &mut subscriptions, &mut packs, &mut plans];
    for found in sold.into_iter().chain([&mut users, &mut wallets, &mut recharges, &mut chats]) {
        found.sort_unstable();
        found.dedup();
    }
    assert_eq!(users, (0..=15).collect::<Vec<_>>());
    assert_eq!(wallets, (0..=22).collect::<Vec<_>>());
    assert_eq!(purchases, (0..=10).collect::<Vec<_>>());
    assert_eq!(subscriptions, (0..=16).collect::<Vec<_>>());
    assert_eq!(packs, (0..=4).collect::<Vec<_>>());
    assert_eq!(plans, (0..=4).collect::<Vec<_>>());
    assert_eq!(recharges, (0..=6).collect::<Vec<_>>());
    assert_eq!(chats, (0..=9).collect::<Vec<_>>());
}

/// A new event does not compile before it has a place here, and then a line is missing above.
fn place_of_user(event: &UserEvent) -> usize {
    match event {
        UserEvent::Registered { .. } => 0,
        UserEvent::ProfileChanged { .. } => 1,
        UserEvent::SessionStarted { .. } => 2,
        UserEvent::EmailVerified { .. } => 3,
        UserEvent::PhoneVerified { .. } => 4,
        UserEvent::PasswordSet { .. } => 5,
        UserEvent::IdentityLinked { .. } => 6,
        UserEvent::IdentityUnlinked { .. } => 7,
        UserEvent::SessionsEnded { .. } => 8,
        UserEvent::TakenOver { .. } => 9,
        UserEvent::ApiKeyCreated { .. } => 10,
        UserEvent::ApiKeyRevoked { .. } => 11,
        UserEvent::RoleChanged { .. } => 12,
        UserEvent::Deactivated { .. } => 13,
        UserEvent::Reactivated { .. } => 14,
        UserEvent::Erased { .. } => 15,
    }
}

fn place_of_wallet(event: &WalletEvent) -> usize {
    match event {
        WalletEvent::Opened { .. } => 0,
        WalletEvent::Granted { .. } => 1,
        WalletEvent::GrantVoided { .. } => 2,
        WalletEvent::GrantExpired { .. } => 3,
        WalletEvent::HoldAuthorized { .. } => 4,
        WalletEvent::HoldIncremented { .. } => 5,
        WalletEvent::HoldExtended { .. } => 6,
        WalletEvent::HoldCaptured { .. } => 7,
        WalletEvent::HoldReleased { .. } => 8,
        WalletEvent::HoldExpired { .. } => 9,
        WalletEvent::HoldLateCaptured { .. } => 10,
        WalletEvent::Debited { .. } => 11,
        WalletEvent::DebitReversed { .. } => 12,
        WalletEvent::ReversalTargetSet { .. } => 13,
        WalletEvent::ClawedBack { .. } => 14,
        WalletEvent::Reinstated { .. } => 15,
        WalletEvent::DebtRepaid { .. } => 16,
        WalletEvent::DebtWrittenOff { .. } => 17,
        WalletEvent::Frozen { .. } => 18,
        WalletEvent::Unfrozen { .. } => 19,
        WalletEvent::SpendLimitSet { .. } => 20,
        WalletEvent::QuotaSuspended { .. } => 21,
        WalletEvent::QuotaResumed { .. } => 22,
    }
}

fn place_of_purchase(event: &PurchaseEvent) -> usize {
    match event {
        PurchaseEvent::Created { .. } => 0,
        PurchaseEvent::CheckoutOpened { .. } => 1,
        PurchaseEvent::PaymentAwaited { .. } => 2,
        PurchaseEvent::PaymentFailed { .. } => 3,
        PurchaseEvent::Expired { .. } => 4,
        PurchaseEvent::Paid { .. } => 5,
        PurchaseEvent::Quarantined { .. } => 6,
        PurchaseEvent::Accepted { .. } => 7,
        PurchaseEvent::Fulfilled { .. } => 8,
        PurchaseEvent::ReversalSet { .. } => 9,
        PurchaseEvent::RefundRequested { .. } => 10,
    }
}

fn place_of_subscription(event: &SubscriptionEvent) -> usize {
    match event {
        SubscriptionEvent::Ordered { .. } => 0,
        SubscriptionEvent::CheckoutOpened { .. } => 1,
        SubscriptionEvent::Abandoned { .. } => 2,
        SubscriptionEvent::Began { .. } => 3,
        SubscriptionEvent::StatusChanged { .. } => 4,
        SubscriptionEvent::PeriodAdvanced { .. } => 5,
        SubscriptionEvent::PlanChanged { .. } => 6,
        SubscriptionEvent::EndScheduled { .. } => 7,
        SubscriptionEvent::EndUnscheduled { .. } => 8,
        SubscriptionEvent::ChangeAwaited { .. } => 9,
        SubscriptionEvent::ChangeClosed { .. } => 10,
        SubscriptionEvent::Duplicated { .. } => 11,
        SubscriptionEvent::Invoiced { .. } => 12,
        SubscriptionEvent::ReversalSet { .. } => 13,
        SubscriptionEvent::QuotaReleased { .. } => 14,
        SubscriptionEvent::QuotaGranted { .. } => 15,
        SubscriptionEvent::Managed { .. } => 16,
    }
}

fn place_of_offer<T>(event: &OfferEvent<T>) -> usize {
    match event {
        OfferEvent::Created { .. } => 0,
        OfferEvent::Changed { .. } => 1,
        OfferEvent::Retired { .. } => 2,
        OfferEvent::Restored { .. } => 3,
        OfferEvent::Listed { .. } => 4,
    }
}

fn place_of_recharge(event: &RechargeEvent) -> usize {
    match event {
        RechargeEvent::TurnedOn { .. } => 0,
        RechargeEvent::Triggered { .. } => 1,
        RechargeEvent::AuthenticationRequired { .. } => 2,
        RechargeEvent::Succeeded { .. } => 3,
        RechargeEvent::Declined { .. } => 4,
        RechargeEvent::Withdrawn { .. } => 5,
        RechargeEvent::TurnedOff { .. } => 6,
    }
}

fn place_of_chat(event: &ChatEvent) -> usize {
    match event {
        ChatEvent::Created { .. } => 0,
        ChatEvent::Retitled { .. } => 1,
        ChatEvent::Posted { .. } => 2,
        ChatEvent::Replied { .. } => 3,
        ChatEvent::ReplyFailed { .. } => 4,
        ChatEvent::CancelAsked { .. } => 5,
        ChatEvent::ReplyCancelled { .. } => 6,
        ChatEvent::Retried { .. } => 7,
        ChatEvent::Read { .. } => 8,
        ChatEvent::Deleted { .. } => 9,
    }
}
