//! Calls that nobody waits for, by real processes and a provider beside them: made once, whoever dies.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;

use crate::llm::{Gate, Reply, Wire};
use crate::queue_house::{AT_ONCE, CHEAP, House, SUMMARY, TEXT, id, serve};

/// Longer than it takes to find out that nobody is at a job: two looks, ten seconds apart.
const LONG: Duration = Duration::from_secs(25);
/// Jobs of calls that somebody has taken.
const UNDER_WAY: &str = "select count(*) from graphile_worker._private_jobs
     where key like 'make_call/%' and locked_by is not null";
/// Queues of which somebody is at a job, by what is noted.
const QUEUES: &str =
    "select count(*) from graphile_worker._private_job_queues where locked_by is not null";

#[tokio::test]
async fn a_call_that_nobody_waits_for_is_held_for_at_once_and_made_once() {
    let house = House::open(&[]).await;
    let gate = Gate::closed();
    house.provider.script(Wire::OpenAi, Reply::says(SUMMARY).held_after(0, &gate));
    let queued = house.queue("one").await;
    let call = id(&queued);
    assert_eq!(queued.header("preference-applied"), "respond-async");
    assert_eq!(queued.header("location"), format!("/api/v1/ai/analyses/{call}"));
    assert_eq!(
        (&queued.body["state"], &queued.body["feature"]),
        (&json!("queued"), &json!("summarize"))
    );
    assert_eq!(house.wallet().await, (90, 10));
    house.provider.called(1).await;
    assert_eq!(house.call(&call).await["state"], "queued");
    let list = house.server.get(&house.ada, "/ai/analyses").await.body;
    assert_eq!(list["items"][0]["id"], call.as_str(), "{list}");
    let clear = "select count(*) from queued_calls where sealed like '%Credits%'";
    assert_eq!(house.count(clear).await, 0);

    // The same key asks for the same call; in person it is still running, and another text is a mistake.
    let again = house.queue("one").await;
    assert_eq!((id(&again), again.header("idempotency-replayed")), (call.clone(), "true"));
    let waits =
        house.server.post(&house.ada, "/ai/summarize", "one", &json!({ "text": TEXT })).await;
    assert_eq!(waits.body["code"], "still_running", "{:?}", waits.body);
    let other = house.try_queue("one", "Another text, which is long enough.").await;
    assert!(other.expect("an answer").status.is_client_error());

    gate.open();
    let done = house.ended(&call).await;
    assert_eq!(
        (&done["state"], &done["result"]["summary"]),
        (&json!("done"), &json!("Credits move."))
    );
    assert_eq!(
        (&done["usage"]["credits"], &done["usage"]["input_tokens"]),
        (&json!(10), &json!(11))
    );
    assert_eq!(house.wallet().await, (90, 0));
    let again = house.queue("one").await;
    assert_eq!((id(&again), &again.body["state"]), (call, &json!("done")));
    let waits =
        house.server.post(&house.ada, "/ai/summarize", "one", &json!({ "text": TEXT })).await;
    assert_eq!(waits.status, StatusCode::OK, "{:?}", waits.body);
    assert_eq!((house.provider.calls().len(), house.captures().await), (1, 1));
    assert_eq!(house.count("select count(*) from queued_calls").await, 0);
    house.close().await;
}

#[tokio::test]
async fn without_credits_nothing_is_queued_and_what_fails_says_why_and_costs_nothing() {
    let house = House::open(&[]).await;
    house.provider.script(Wire::OpenAi, Reply::says("That is no JSON."));
    let call = id(&house.queue("fails").await);
    let failed = house.ended(&call).await;
    assert_eq!(
        (&failed["state"], &failed["failure"]["code"]),
        (&json!("failed"), &json!("provider_failed"))
    );
    assert_eq!(house.wallet().await, (100, 0));
    let list = house.server.get(&house.ada, "/ai/analyses").await.body;
    assert_eq!(list["items"][0]["state"], "failed", "{list}");
    assert_eq!(house.queue("fails").await.body["state"], "failed");
    assert_eq!(house.count("select count(*) from queued_calls where sealed is not null").await, 0);

    house.server.debit(&house.ada, 95, "").await;
    let refused = house.try_queue("poor", TEXT).await.expect("an answer");
    assert_eq!(refused.status, StatusCode::PAYMENT_REQUIRED, "{:?}", refused.body);
    assert_eq!(house.count("select count(*) from queued_calls").await, 1);
    assert_eq!(house.provider.calls().len(), 1);
    house.close().await;
}

#[tokio::test]
async fn a_call_that_waits_for_longer_than_its_hold_fails_and_is_free() {
    let house = House::cheap(&[("SALDO_QUEUED_HOLD_S", "8")]).await;
    let price = |calls: usize| CHEAP * i64::try_from(calls).expect("a few");
    let gate = Gate::closed();
    house.provider.always(Wire::OpenAi, Reply::says(SUMMARY).held_after(0, &gate));
    for number in 0..AT_ONCE {
        house.queue(&number.to_string()).await;
    }
    house.provider.called(AT_ONCE).await;
    let late = id(&house.queue("late").await);
    assert_eq!(house.wallet().await, (100 - price(AT_ONCE + 1), price(AT_ONCE + 1)));
    let look = || async { house.server.get(&house.ada, "/wallet").await.body };
    house.until("the expiry of the hold", look, |wallet| wallet["held"] == price(AT_ONCE)).await;
    gate.open();
    let failed = house.ended(&late).await;
    assert_eq!(
        (&failed["state"], &failed["failure"]["code"]),
        (&json!("failed"), &json!("expired"))
    );
    house.until("the end of the others", look, |wallet| wallet["held"] == 0).await;
    assert_eq!(house.wallet().await, (100 - price(AT_ONCE), 0));
    assert_eq!(house.provider.calls().len(), AT_ONCE);
    house.close().await;
}

#[tokio::test]
async fn a_call_that_a_busy_process_has_no_time_for_is_made_by_another() {
    let house = House::cheap(&[]).await;
    let statements = "
        create table taken (job bigint primary key);
        create function note() returns trigger language plpgsql as $$ begin
            insert into taken values (new.id) on conflict do nothing; return new; end $$;
        create trigger note after update on graphile_worker._private_jobs
            for each row when (new.locked_by is not null) execute function note()";
    house.database.change(statements).await;
    let gate = Gate::closed();
    house.provider.always(Wire::OpenAi, Reply::says(SUMMARY).held_after(0, &gate));
    for number in 0..AT_ONCE {
        house.queue(&number.to_string()).await;
    }
    house.provider.called(AT_ONCE).await;
    let waits = id(&house.queue("waits").await);
    // The queue is looked at once a second, too.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let taken = house.count("select count(*) from taken").await;
    assert_eq!(usize::try_from(taken), Ok(AT_ONCE), "what nobody has time for is left to others");
    let mut another = serve(&house.database, &house.provider, &[]);
    house.provider.called(AT_ONCE + 1).await;
    gate.open();
    assert_eq!(house.ended(&waits).await["state"], "done");
    another.stop();
    house.close().await;
}

#[tokio::test]
async fn a_call_that_is_taken_by_who_never_learnt_of_it_is_made() {
    let house = House::open(&[]).await;
    let statements = "
        create function take() returns trigger language plpgsql as $$ begin
            new.locked_at := now();
            new.locked_by := (select id from graphile_worker._private_workers limit 1);
            return new; end $$;
        create trigger take before insert on graphile_worker._private_jobs
            for each row execute function take();
        insert into graphile_worker._private_job_queues (queue_name, locked_at, locked_by)
            select 'left', now() - interval '2 minutes', id
            from graphile_worker._private_workers limit 1";
    house.database.change(statements).await;
    let call = id(&house.queue("one").await);
    assert_eq!(house.count(UNDER_WAY).await, 1);
    assert_eq!(house.ended(&call).await["state"], "done");
    assert_eq!((house.wallet().await, house.captures().await), ((90, 0), 1));
    let look = || async { json!(house.count(QUEUES).await) };
    house.until("that queues are free", look, |queues| *queues == 0).await;
    house.close().await;
}

#[tokio::test]
async fn a_call_that_takes_long_is_not_made_by_another_meanwhile() {
    let house = House::open(&[]).await;
    let gate = Gate::closed();
    house.provider.script(Wire::OpenAi, Reply::says(SUMMARY).held_after(1, &gate));
    let call = id(&house.queue("one").await);
    house.provider.called(1).await;
    tokio::time::sleep(LONG).await;
    gate.open();
    assert_eq!(house.ended(&call).await["state"], "done");
    assert_eq!(house.provider.calls().len(), 1);
    house.close().await;
}

#[tokio::test]
async fn a_call_of_which_nobody_could_note_that_it_is_done_is_not_made_again() {
    let house = House::open(&[]).await;
    let statements = "
        create sequence tries;
        create function keep() returns trigger language plpgsql as $$ begin
            perform nextval('tries'); raise exception 'not now'; end $$;
        create trigger keep before delete on graphile_worker._private_jobs
            for each row execute function keep()";
    house.database.change(statements).await;
    let call = id(&house.queue("one").await);
    assert_eq!(house.ended(&call).await["state"], "done");
    // A sequence remembers what was rolled back.
    let look = || async { json!(house.count("select count(*) from tries where is_called").await) };
    house.until("a try", look, |tries| *tries != json!(0)).await;
    assert_eq!(house.count(UNDER_WAY).await, 1);
    house.database.change("drop trigger keep on graphile_worker._private_jobs").await;
    let look = || async { json!(house.count(UNDER_WAY).await) };
    house.until("the end of its job", look, |jobs| *jobs == 0).await;
    assert_eq!((house.wallet().await, house.captures().await), ((90, 0), 1));
    assert_eq!(house.provider.calls().len(), 1);
    house.close().await;
}

#[tokio::test]
async fn a_call_whose_process_is_killed_is_made_by_the_next_and_charged_once() {
    let mut house = House::open(&[]).await;
    let gate = Gate::closed();
    house.provider.script(Wire::OpenAi, Reply::says(SUMMARY).held_after(1, &gate));
    let call = id(&house.queue("one").await);
    house.provider.called(1).await;
    house.restart(&[]).await;
    assert_eq!(house.ended(&call).await["state"], "done");
    assert_eq!((house.wallet().await, house.captures().await), ((90, 0), 1));
    assert_eq!(house.provider.calls().len(), 2);
    house.close().await;
}

#[tokio::test]
async fn a_call_that_ends_every_process_that_makes_it_fails_and_is_free() {
    let mut house = House::open(&[]).await;
    let gate = Gate::closed();
    house.provider.always(Wire::OpenAi, Reply::says(SUMMARY).held_after(1, &gate));
    let call = id(&house.queue("one").await);
    for times in 1..=3 {
        house.provider.called(times).await;
        house.restart(&[]).await;
    }
    let failed = house.ended(&call).await;
    assert_eq!(
        (&failed["state"], &failed["failure"]["code"]),
        (&json!("failed"), &json!("interrupted"))
    );
    assert_eq!((house.wallet().await, house.captures().await), ((100, 0), 0));
    assert_eq!(house.provider.calls().len(), 3);
    house.close().await;
}

#[tokio::test]
async fn whenever_the_server_is_killed_each_call_ends_once_and_is_charged_if_it_is_done() {
    const ROUNDS: u64 = 5;
    let mut house = House::open(&[]).await;
    house.provider.always(Wire::OpenAi, Reply::says(SUMMARY).paced(Duration::from_millis(10)));
    for round in 0..ROUNDS {
        let ask = async {
            for half in 0..2 {
                // Whoever gets no answer asks again below.
                let _ = house.try_queue(&format!("{round}-{half}"), TEXT).await;
            }
        };
        let kill = async {
            tokio::time::sleep(Duration::from_millis(round * 37)).await;
            house.server.kill();
        };
        tokio::join!(ask, kill);
        house.restart(&[]).await;
    }
    let (mut done, mut failed) = (0, 0);
    for round in 0..ROUNDS {
        for half in 0..2 {
            let call = house.ended(&id(&house.queue(&format!("{round}-{half}")).await)).await;
            if call["state"] == "done" {
                done += 1;
            } else {
                assert_eq!(call["failure"]["code"], "interrupted", "{call}");
                failed += 1;
            }
        }
    }
    assert_eq!((done + failed, house.captures().await), (10, done));
    assert_eq!(house.wallet().await, (100 - 10 * done, 0));
    house.close().await;
}
