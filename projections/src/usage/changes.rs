//! What a batch of events changes in the tables, added up and written at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use aggregates::credits::Credits;
use aggregates::event::Event;
use aggregates::id::HoldId;
use aggregates::wallet::{Origin, Usage as Used, WalletEvent};
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Figures;
use crate::journal::Recorded;
use crate::projector::column;

/// The feature of what a customer's own service spends.
const API: &str = "api";

/// A wallet's hold.
type Hold = (Uuid, Uuid);
/// A wallet's day, a feature and a model.
type Key = (Uuid, NaiveDate, String, String);

/// What a batch of events changes.
#[derive(Default)]
pub(super) struct Changes {
    days: BTreeMap<Key, Figures>,
    /// What holds of ours are for; none where that is of no interest any more.
    features: BTreeMap<Hold, Option<String>>,
}

impl Changes {
    /// Nothing yet, knowing what the holds are for that these events capture.
    pub(super) async fn begin(
        db: &mut PgConnection,
        recorded: &[Arc<Recorded>],
    ) -> sqlx::Result<Self> {
        Ok(Self { features: known(db, recorded).await?, ..Self::default() })
    }

    pub(super) fn follow(&mut self, wallet: Uuid, event: &WalletEvent) {
        use WalletEvent as E;
        match event {
            E::HoldAuthorized { hold, origin, reason, .. } => {
                let feature = (*origin == Origin::Gateway).then(|| reason.clone());
                self.features.insert((wallet, hold.0), feature);
            }
            E::HoldCaptured { hold, amount, last, usage, at, .. } => {
                self.call(wallet, *hold, *amount, usage.as_ref(), *at);
                if *last {
                    self.features.insert((wallet, hold.0), None);
                }
            }
            E::HoldLateCaptured { hold, amount, uncovered, usage, at, .. } => {
                let charged = amount.saturating_sub(*uncovered);
                self.call(wallet, *hold, charged, usage.as_ref(), *at);
                self.features.insert((wallet, hold.0), None);
            }
            E::HoldReleased { hold, .. } => drop(self.features.insert((wallet, hold.0), None)),
            E::Debited { amount, at, .. } => {
                self.used(wallet, *at, API, "", Figures::of_call(*amount, None));
            }
            E::DebitReversed { amount, at, .. } => {
                let back = Figures { credits: -amount.get(), ..Figures::default() };
                self.used(wallet, *at, API, "", back);
            }
            E::Opened { .. }
            | E::Granted { .. }
            | E::GrantVoided { .. }
            | E::GrantExpired { .. }
            | E::HoldIncremented { .. }
            | E::HoldExtended { .. }
            // What it delivered may still be charged.
            | E::HoldExpired { .. }
            | E::ReversalTargetSet { .. }
            | E::ClawedBack { .. }
            | E::Reinstated { .. }
            | E::DebtRepaid { .. }
            | E::DebtWrittenOff { .. }
            | E::Frozen { .. }
            | E::Unfrozen { .. }
            | E::QuotaSuspended { .. }
            | E::QuotaResumed { .. }
            | E::SpendLimitSet { .. } => {}
        }
    }

    fn call(
        &mut self,
        wallet: Uuid,
        hold: HoldId,
        charged: Credits,
        usage: Option<&Used>,
        at: DateTime<Utc>,
    ) {
        let feature = self.features.get(&(wallet, hold.0)).cloned().flatten();
        let model = usage.map_or("", |usage| usage.model.as_str());
        let figures = Figures::of_call(charged, usage);
        self.used(wallet, at, feature.as_deref().unwrap_or(API), model, figures);
    }

    fn used(
        &mut self,
        wallet: Uuid,
        at: DateTime<Utc>,
        feature: &str,
        model: &str,
        figures: Figures,
    ) {
        let key = (wallet, at.date_naive(), feature.to_owned(), model.to_owned());
        self.days.entry(key).or_default().add(figures);
    }

    pub(super) async fn write(self, db: &mut PgConnection) -> sqlx::Result<()> {
        let days: Vec<_> = self.days.into_iter().collect();
        if !days.is_empty() {
            add(&mut *db, &days).await?;
        }
        let (open, closed): (Vec<_>, Vec<_>) =
            self.features.into_iter().partition(|(_, feature)| feature.is_some());
        if !closed.is_empty() {
            sqlx::query(
                "delete from features f using unnest($1::uuid[], $2::uuid[]) as c (wallet_id, hold_id)
                 where f.wallet_id = c.wallet_id and f.hold_id = c.hold_id",
            )
            .bind(column(&closed, |((wallet, _), _)| *wallet))
            .bind(column(&closed, |((_, hold), _)| *hold))
            .execute(&mut *db)
            .await?;
        }
        if !open.is_empty() {
            sqlx::query(
                "insert into features (wallet_id, hold_id, feature)
                 select * from unnest($1::uuid[], $2::uuid[], $3::text[])
                 on conflict (wallet_id, hold_id) do update set feature = excluded.feature",
            )
            .bind(column(&open, |((wallet, _), _)| *wallet))
            .bind(column(&open, |((_, hold), _)| *hold))
            .bind(column(&open, |(_, feature)| feature.as_deref()))
            .execute(db)
            .await?;
        }
        Ok(())
    }
}

/// What the tables know of the holds that these events capture.
async fn known(
    db: &mut PgConnection,
    recorded: &[Arc<Recorded>],
) -> sqlx::Result<BTreeMap<Hold, Option<String>>> {
    let captured = |recorded: &Arc<Recorded>| {
        let Event::Wallet(event) = &recorded.event else { return None };
        match &**event {
            WalletEvent::HoldCaptured { hold, .. } | WalletEvent::HoldLateCaptured { hold, .. } => {
                Some((recorded.aggregate_id, hold.0))
            }
            _ => None,
        }
    };
    let holds: Vec<Hold> = recorded.iter().filter_map(captured).collect();
    if holds.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows: Vec<(Uuid, Uuid, String)> = sqlx::query_as(
        "select f.wallet_id, f.hold_id, f.feature
         from features f
         join unnest($1::uuid[], $2::uuid[]) as c (wallet_id, hold_id)
             on f.wallet_id = c.wallet_id and f.hold_id = c.hold_id",
    )
    .bind(column(&holds, |(wallet, _)| *wallet))
    .bind(column(&holds, |(_, hold)| *hold))
    .fetch_all(db)
    .await?;
    let known = rows.into_iter().map(|(wallet, hold, feature)| ((wallet, hold), Some(feature)));
    Ok(known.collect())
}

async fn add(db: &mut PgConnection, days: &[(Key, Figures)]) -> sqlx::Result<()> {
    sqlx::query(
        "insert into days as d (wallet_id, day, feature, model, calls, credits, input_tokens,
             output_tokens, estimated)
         select * from unnest($1::uuid[], $2::date[], $3::text[], $4::text[], $5::bigint[],
             $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])
         on conflict (wallet_id, day, feature, model) do update
         set calls = d.calls + excluded.calls, credits = d.credits + excluded.credits,
             input_tokens = d.input_tokens + excluded.input_tokens,
             output_tokens = d.output_tokens + excluded.output_tokens,
             estimated = d.estimated + excluded.estimated",
    )
    .bind(column(days, |((wallet, ..), _)| *wallet))
    .bind(column(days, |((_, day, ..), _)| *day))
    .bind(column(days, |((_, _, feature, _), _)| feature.as_str()))
    .bind(column(days, |((.., model), _)| model.as_str()))
    .bind(column(days, |(_, figures)| figures.calls))
    .bind(column(days, |(_, figures)| figures.credits))
    .bind(column(days, |(_, figures)| figures.input_tokens))
    .bind(column(days, |(_, figures)| figures.output_tokens))
    .bind(column(days, |(_, figures)| figures.estimated))
    .execute(db)
    .await?;
    Ok(())
}
