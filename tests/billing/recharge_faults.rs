//! Auto-recharge: nodes that die, answers that never come, keys that are forgotten.

use std::time::Duration;

use futures_util::future::join_all;

use crate::recharge::*;
use crate::shop::serve;
use crate::stripe::Fault;
use crate::world::change;

#[tokio::test]
async fn a_node_that_dies_between_charge_and_answer_has_charged_once() {
    let mut shop = shop().await;
    turn_on(&shop, 100, 1800).await;
    shop.stripe.fault(CHARGE, 1, Fault::Slow(Duration::from_secs(30)));
    spend(&shop, 250).await;
    shop.until(|| async { charges(&shop) == 1 }).await;
    shop.server.kill();
    shop.server = serve(&shop.database, &shop.stripe);
    // As after a minute of silence.
    for free in [
        "update graphile_worker._private_jobs set locked_at = null, locked_by = null",
        "update graphile_worker._private_job_queues set locked_at = null, locked_by = null",
    ] {
        change(&shop.database, free).await;
    }
    shop.until_available(250).await;
    until_state(&shop, "ready").await;
    shop.stripe.deliver().await;
    wait().await;
    assert_eq!((charges(&shop), shop.available().await), (1, 250));
    shop.close().await;
}

#[tokio::test]
async fn a_failure_after_the_charge_is_no_second_charge() {
    for (fault, times) in [(Fault::FailsAfter, 1), (Fault::ResetAfter, 1), (Fault::FailsForGood, 1)]
    {
        let shop = shop().await;
        turn_on(&shop, 100, 1800).await;
        shop.stripe.fault(CHARGE, times, fault);
        spend(&shop, 250).await;
        shop.until(|| async { charges(&shop) == 1 }).await;
        // A key that is answered with a failure for ever: what was begun is found.
        for _ in 0..40 {
            if shop.available().await == 250 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        until_state(&shop, "ready").await;
        assert_eq!((charges(&shop), shop.available().await), (1, 250));
        shop.close().await;
    }
}

/// Stripe forgets keys after a day.
#[tokio::test]
async fn a_key_that_was_forgotten_is_no_second_charge() {
    let shop = shop().await;
    turn_on(&shop, 100, 1800).await;
    shop.stripe.fault(CHARGE, 1000, Fault::ResetAfter);
    spend(&shop, 250).await;
    shop.until(|| async { charges(&shop) == 1 }).await;
    postpone(&shop).await;
    shop.stripe.advance(25 * 3600);
    answers_again(&shop).await;
    until_state(&shop, "ready").await;
    assert_eq!((charges(&shop), shop.available().await), (1, 250));
    rebuild(&shop).await;
    shop.close().await;
}

/// Three nodes see the need at once.
#[tokio::test]
async fn several_nodes_charge_once() {
    let shop = shop().await;
    let others: Vec<_> = (0..2).map(|_| serve(&shop.database, &shop.stripe)).collect();
    turn_on(&shop, 250, 9000).await;
    join_all((0..10).map(|_| spend(&shop, 10))).await;
    shop.until_available(400).await;
    wait().await;
    assert_eq!((charges(&shop), attempts(&shop)), (1, 1));
    drop(others);
    shop.close().await;
}

#[tokio::test]
async fn a_recharge_that_everybody_gave_up_is_taken_up_again() {
    let shop = shop().await;
    held_back(&shop).await;
    postpone(&shop).await;
    change(&shop.database, "delete from graphile_worker._private_jobs").await;
    shop.stripe.heal();
    change(&shop.database, "select graphile_worker.add_job('heal', '{}'::json)").await;
    shop.until_available(250).await;
    until_state(&shop, "ready").await;
    assert_eq!(charges(&shop), 1);
    shop.close().await;
}
