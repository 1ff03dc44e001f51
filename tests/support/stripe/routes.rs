//! Every path the double knows.

use super::calls::Call;
use super::failure::{Failure, Outcome};
use super::world::World;
use super::{
    cards, charges, checkout, customers, disputes, events, invoice_payments, invoices,
    payment_intents, portal, previews, prices, products, refunds, subscription_changes,
    subscriptions,
};

pub fn route(world: &mut World, call: &Call) -> Outcome {
    let path: Vec<&str> = call.path.trim_matches('/').split('/').collect();
    let form = &call.form;
    match (call.method.as_str(), path.get(1..).unwrap_or_default()) {
        ("POST", ["customers"]) => customers::create(world, form),
        ("GET", ["customers"]) => customers::list(world, form),
        ("GET", ["customers", "search"]) => customers::search(world, form),
        ("GET", ["customers", id]) => customers::retrieve(world, id),
        ("POST", ["customers", id]) => customers::update(world, id, form),
        ("DELETE", ["customers", id]) => customers::delete(world, id),
        ("GET", ["customers", id, "payment_methods"]) => cards::list_of(world, id, form),

        ("POST", ["products"]) => products::create(world, form),
        ("GET", ["products"]) => products::list(world, form),
        ("GET", ["products", id]) => world.find("product", id),
        ("POST", ["products", id]) => products::update(world, id, form),

        ("POST", ["prices"]) => prices::create(world, form),
        ("GET", ["prices"]) => prices::list(world, form),
        ("GET", ["prices", id]) => world.find("price", id),
        ("POST", ["prices", id]) => prices::update(world, id, form),

        ("POST", ["checkout", "sessions"]) => checkout::create(world, form),
        ("GET", ["checkout", "sessions"]) => checkout::list(world, form),
        ("GET", ["checkout", "sessions", id]) => world.find("checkout.session", id),
        ("GET", ["checkout", "sessions", id, "line_items"]) => checkout::lines(world, id, form),
        ("POST", ["checkout", "sessions", id, "expire"]) => checkout::expire(world, id),

        ("POST", ["billing_portal", "sessions"]) => portal::create(world, form),

        _ => route_billing(world, call, &path),
    }
}

/// Subscriptions and what is paid, the other half of the paths.
fn route_billing(world: &mut World, call: &Call, path: &[&str]) -> Outcome {
    let form = &call.form;
    match (call.method.as_str(), path.get(1..).unwrap_or_default()) {
        ("POST", ["subscriptions"]) => subscriptions::create(world, form),
        ("GET", ["subscriptions"]) => subscriptions::list(world, form),
        ("GET", ["subscriptions", id]) => world.find("subscription", id),
        ("POST", ["subscriptions", id]) => subscription_changes::update(world, id, form),
        ("DELETE", ["subscriptions", id]) => subscription_changes::cancel(world, id, form),

        ("GET", ["invoices"]) => invoices::list(world, form),
        ("POST", ["invoices", "create_preview"]) => previews::create(world, form),
        ("GET", ["invoices", id]) => world.find("invoice", id),
        ("POST", ["invoices", id, "pay"]) => invoice_payments::pay(world, id, form),
        ("POST", ["invoices", id, "void"]) => invoices::void(world, id),
        ("GET", ["invoice_payments"]) => invoice_payments::list(world, form),
        ("GET", ["invoice_payments", id]) => world.find("invoice_payment", id),

        ("POST", ["payment_intents"]) => payment_intents::create(world, form),
        ("GET", ["payment_intents"]) => payment_intents::list(world, form),
        ("GET", ["payment_intents", id]) => world.find("payment_intent", id),
        ("POST", ["payment_intents", id, "confirm"]) => payment_intents::confirm(world, id, form),
        ("POST", ["payment_intents", id, "cancel"]) => payment_intents::cancel(world, id),

        ("GET", ["payment_methods"]) => cards::list(world, form),
        ("GET", ["payment_methods", id]) => world.find("payment_method", id),
        ("POST", ["payment_methods", id, "detach"]) => cards::detach(world, id),

        ("GET", ["charges"]) => charges::list(world, form),
        ("GET", ["charges", id]) => world.find("charge", id),
        ("POST", ["refunds"]) => refunds::create(world, form),
        ("GET", ["refunds"]) => refunds::list(world, form),
        ("GET", ["refunds", id]) => world.find("refund", id),
        ("GET", ["disputes"]) => disputes::list(world, form),
        ("GET", ["disputes", id]) => world.find("dispute", id),

        ("GET", ["events"]) => events::list(world, form),
        ("GET", ["events", id]) => events::retrieve(world, id),
        (method, _) => {
            let message = format!("Unrecognized request URL ({method}: {}).", call.path);
            Err(Failure::new(404, "invalid_request_error", None, &message))
        }
    }
}
