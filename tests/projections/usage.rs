//! What was used, against a fold of the log that shares no code with the projection: JSON in, rows out.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use projections::rebuild::rebuild;
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use crate::database::{Database, WithoutKeys, catch_up, named};
use crate::world::{World, append};

/// Wallet, day, feature, model.
type Key = (Uuid, String, String, String);
/// Calls, credits, tokens read, tokens written, estimated calls.
type Figures = [i64; 5];
/// Wallet, hold, feature.
type Open = BTreeSet<(Uuid, Uuid, String)>;

/// What the tables should say.
#[derive(Debug, Default, PartialEq)]
struct Fold {
    days: BTreeMap<Key, Figures>,
    open: Open,
}

impl Fold {
    async fn of_log(pool: &PgPool) -> Self {
        let lines: Vec<(String, String)> = sqlx::query_as(
            "select aggregate_id, payload::text from events where aggregate_type = 'wallet'
             order by position",
        )
        .fetch_all(pool)
        .await
        .unwrap();
        let (mut fold, mut features) = (Self::default(), BTreeMap::new());
        for (wallet, payload) in lines {
            let payload: BTreeMap<String, Value> = serde_json::from_str(&payload).unwrap();
            let (name, event) = payload.into_iter().next().unwrap();
            fold.follow(wallet.parse().unwrap(), &name, &event, &mut features);
        }
        fold.open = features.into_iter().map(|((wallet, hold), it)| (wallet, hold, it)).collect();
        fold
    }

    fn follow(
        &mut self,
        wallet: Uuid,
        name: &str,
        event: &Value,
        features: &mut BTreeMap<(Uuid, Uuid), String>,
    ) {
        let hold = event["hold"].as_str().map(|hold| (wallet, hold.parse::<Uuid>().unwrap()));
        let feature = hold.and_then(|hold| features.get(&hold).cloned());
        let feature = feature.unwrap_or_else(|| "api".to_owned());
        let number = |name: &str| event[name].as_i64().unwrap_or(0);
        let usage = |name: &str| event["usage"][name].as_i64().unwrap_or(0);
        let (calls, credits) = match name {
            "HoldCaptured" | "Debited" => (1, number("amount")),
            "HoldLateCaptured" => (1, number("amount") - number("uncovered")),
            "DebitReversed" => (0, -number("amount")),
            _ => (0, 0),
        };
        if calls + credits.abs() > 0 {
            let at: DateTime<Utc> = event["at"].as_str().unwrap().parse().unwrap();
            let model = event["usage"]["model"].as_str().unwrap_or("").to_owned();
            let key = (wallet, at.date_naive().to_string(), feature, model);
            let estimated = i64::from(event["usage"]["estimated"] == true);
            let more = [calls, credits, usage("input_tokens"), usage("output_tokens"), estimated];
            let sum = self.days.entry(key).or_default();
            sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
        let ends = name == "HoldReleased"
            || name == "HoldLateCaptured"
            || name == "HoldCaptured" && event["last"] == true;
        if let Some(hold) = hold.filter(|_| ends || name == "HoldAuthorized") {
            features.remove(&hold);
            if name == "HoldAuthorized" && event["origin"] == "gateway" {
                features.insert(hold, event["reason"].as_str().unwrap().to_owned());
            }
        }
    }

    async fn of_tables(pool: &PgPool) -> Self {
        type Row = (Uuid, String, String, String, i64, i64, i64, i64, i64);
        let rows: Vec<Row> = sqlx::query_as(
            "select wallet_id, day::text, feature, model, calls, credits, input_tokens,
                 output_tokens, estimated
             from usage.days",
        )
        .fetch_all(pool)
        .await
        .unwrap();
        let days = rows.into_iter().map(|(wallet, day, feature, model, a, b, c, d, e)| {
            ((wallet, day, feature, model), [a, b, c, d, e])
        });
        let open = sqlx::query_as("select wallet_id, hold_id, feature from usage.features");
        let open: Vec<(Uuid, Uuid, String)> = open.fetch_all(pool).await.unwrap();
        Self { days: days.collect(), open: open.into_iter().collect() }
    }
}

#[tokio::test]
async fn what_was_used_is_what_the_log_says_however_it_is_cut_also_when_it_is_rebuilt() {
    let database = Database::new().await;
    let pool = &database.pool;
    let mut world = World::new(61, 12);
    for size in [1, 1, 2, 3, 5, 8, 500, 40, 1_500, 2_500] {
        append(pool, &world.live(size).await).await;
        catch_up(pool).await;
    }
    let expected = Fold::of_log(pool).await;
    assert_eq!(Fold::of_tables(pool).await, expected);
    rebuild(pool, &*named("usage"), &WithoutKeys).await.unwrap();
    assert_eq!(Fold::of_tables(pool).await, expected, "rebuilt");
    // Whatever can be told apart is there, or the comparison says little.
    let some = |of: fn(&Key, &Figures) -> bool| expected.days.iter().any(|(key, it)| of(key, it));
    assert!(some(|(.., feature, model), _| feature == "summarize" && model == "large"));
    assert!(some(|(.., feature, model), _| feature == "api" && model.is_empty()));
    assert!(some(|_, figures| figures.iter().all(|figure| *figure > 0)));
    assert!(!expected.open.is_empty());
    database.remove().await;
}
