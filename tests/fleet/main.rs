//! Three servers behind nginx and two workers, on one Postgres and one Redis, while each of them is killed in turn:
//! whoever asks again is answered, what was answered or paid stays, and nothing is done twice.
#![expect(clippy::disallowed_methods, reason = "what a test spawns ends with its runtime")]

mod customer;
mod fleet;
mod listening;
mod log;
mod proxy;
#[path = "../support/redis.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod redis_server;
mod sign_in;
#[path = "../shared/skip.rs"]
mod skip;
#[path = "../support/stripe/mod.rs"]
#[expect(dead_code, unused_imports, reason = "shared with the tests of the double")]
mod stripe;
mod stripe_post;
#[path = "../system/support.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::customer::{Customer, Done, Market};
use crate::fleet::Fleet;

/// How many people are at it at once.
const CUSTOMERS: usize = 8;
/// How long they go on, and are killed for.
const LASTS: Duration = Duration::from_mins(2);
/// From one kill to the next.
const EVERY: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_the_journey_goes_on_and_nothing_is_lost_or_done_twice() {
    let Some(mut fleet) = Fleet::start().await else { return };
    let until = Instant::now() + LASTS;
    let (door, stripe) = (Arc::new(fleet.door()), fleet.stripe());
    let offers = Arc::new(fleet.offers().await);
    let customers = (0..CUSTOMERS).map(|number| {
        let (door, stripe, offers) = (Arc::clone(&door), Arc::clone(&stripe), Arc::clone(&offers));
        tokio::spawn(async move {
            let market = Market { door: &door, stripe: &stripe, offers: &offers };
            Customer::come(&market, number).await.go_on(&market, until).await
        })
    });
    let customers: Vec<_> = customers.collect();
    let mut kills = 0;
    while Instant::now() + EVERY < until {
        tokio::time::sleep(EVERY).await;
        fleet.kill_the_next().await;
        kills += 1;
    }
    assert!(fleet.has_lost_postgres(), "there was no time to kill all of Postgres");
    let customers = join_all(customers).await.into_iter().map(|it| it.expect("a journey"));
    let customers: Vec<_> = customers.collect();
    fleet.comes_to_rest().await;
    let done: Vec<Done> =
        join_all(customers.into_iter().map(|customer| customer.leave(&door))).await;
    let asked_again: usize = done.iter().map(|done| done.asked_again).sum();
    let did: usize = done.iter().map(Done::count).sum();
    println!("{kills} kills; {did} commands, of which {asked_again} were asked more than once");
    assert!(asked_again > 0, "no kill was noticed by anybody");
    assert!(done.iter().any(|done| done.back > 0), "no kill was heard by anybody");
    assert!(done.iter().all(|done| done.renewed > 0), "somebody has renewed nothing");
    log::holds(fleet.database(), &done).await;
    fleet.stop();
    let (sound, said) = fleet.database().run(&["verify"]);
    assert!(sound, "{said}");
    fleet.remove().await;
}
