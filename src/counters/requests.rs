//! Requests, by the routes that answered them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Distribution, Histogram};

/// Requests that were answered, by route. A request costs a look-up under a lock that is held for less than a
/// microsecond, and no memory of its own.
#[derive(Debug, Default)]
pub struct Requests(Mutex<HashMap<String, OfRoute>>);

#[derive(Debug)]
struct OfRoute {
    answers: BTreeMap<(&'static str, u16), u64>,
    durations: Histogram,
}

/// What was asked of one route.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its template, never a path.
    pub route: String,
    /// How many, by method and status.
    pub answers: Vec<(&'static str, u16, u64)>,
    /// How long they took, in microseconds, until the answer began.
    pub durations: Distribution,
}

impl Requests {
    /// Counts a request. `route` is a template, of which there are only so many.
    pub fn note(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        let mut routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !routes.contains_key(route) {
            let counted = OfRoute { answers: BTreeMap::new(), durations: Histogram::of_times() };
            routes.insert(route.to_owned(), counted);
        }
        if let Some(counted) = routes.get_mut(route) {
            *counted.answers.entry((method, status)).or_default() += 1;
            counted.durations.took(took);
        }
    }

    /// What was counted until now, by the routes' names.
    #[must_use]
    pub fn read(&self) -> Vec<Route> {
        let routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut read: Vec<_> = routes.iter().map(|(route, counted)| counted.read(route)).collect();
        drop(routes);
        read.sort_by(|one, other| one.route.cmp(&other.route));
        read
    }
}

impl OfRoute {
    fn read(&self, route: &str) -> Route {
        let answers = self.answers.iter();
        Route {
            route: route.to_owned(),
            answers: answers.map(|((method, status), count)| (*method, *status, *count)).collect(),
            durations: self.durations.distribution(),
        }
    }
}
