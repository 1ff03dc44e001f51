//! AI calls: whom they asked, how long it took, and what they cost.

use super::page::{Kind, Page, Unit};
use crate::app::App;
use crate::clients::llm::BreakerState;

pub(super) fn tell(page: &mut Page, app: &App) {
    let help = "How often providers were asked, and what came of it.";
    let mut calls = page.family("saldo_ai_calls_total", Kind::Counter, help);
    for ([provider, model, outcome], count) in app.llm.calls().read() {
        calls.sample(&[("provider", &provider), ("model", &model), ("outcome", &outcome)], count);
    }
    let help = "Whether a provider is left alone for a while, since it fails.";
    let mut resting = page.family("saldo_ai_provider_resting", Kind::Gauge, help);
    for health in app.llm.health() {
        let rests = u8::from(health.state != BreakerState::Closed);
        resting.sample(&[("provider", health.provider)], rests);
    }
    let times = &app.counters.calls;
    for (name, help, histogram) in [
        ("saldo_ai_hold_seconds", "How long holding credits took, of a call.", &times.hold),
        ("saldo_ai_provider_seconds", "How long a call waited for its provider.", &times.provider),
        ("saldo_ai_capture_seconds", "How long charging took, of a call.", &times.capture),
        ("saldo_ai_added_seconds", "What metering added to a call.", &times.added),
    ] {
        page.distribution(name, help, Unit::Microseconds, &histogram.distribution());
    }
    let help = "Credits that calls were charged.";
    let mut credits = page.family("saldo_ai_credits_total", Kind::Counter, help);
    for ([model, feature], sum) in app.counters.ai_credits.read() {
        credits.sample(&[("model", &model), ("feature", &feature)], sum);
    }
    let help = "Tokens that calls were charged for, as read (input) and written (output).";
    let mut tokens = page.family("saldo_ai_tokens_total", Kind::Counter, help);
    for ([model, direction], sum) in app.counters.ai_tokens.read() {
        tokens.sample(&[("model", &model), ("direction", &direction)], sum);
    }
}
