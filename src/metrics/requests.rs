//! Requests, by the template of their route.

use super::page::{Kind, Page, Unit};
use crate::app::App;

pub(super) fn tell(page: &mut Page, app: &App) {
    let routes = app.counters.requests.read();
    let help = "Requests that were answered.";
    let mut requests = page.family("saldo_http_requests_total", Kind::Counter, help);
    for route in &routes {
        for (method, status, count) in &route.answers {
            let status = status.to_string();
            let labels = [("method", *method), ("route", &route.route), ("status", &status)];
            requests.sample(&labels, count);
        }
    }
    let help = "How long requests took until their answer began; streams go on after that.";
    let mut durations = page.family("saldo_http_request_duration_seconds", Kind::Histogram, help);
    for route in &routes {
        let label = [("route", route.route.as_str())];
        durations.distribution(&label, Unit::Microseconds, &route.durations);
    }
    let help = "Requests that were one too many, by whom they were counted.";
    let mut limited = page.family("saldo_rate_limited_total", Kind::Counter, help);
    for ([by], count) in app.counters.limited.read() {
        limited.sample(&[("by", &by)], count);
    }
    let help = "Queries that looked at the replica, by how they found it.";
    let mut replica = page.family("saldo_replica_reads_total", Kind::Counter, help);
    for ([standing], count) in app.counters.replica.read() {
        replica.sample(&[("found", &standing)], count);
    }
}
