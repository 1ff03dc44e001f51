//! Keys that were retired, as the database knows them. A node whose file is older must not make anything with them:
//! no other node could read it.

use clap::ValueEnum;
use sqlx::PgPool;

use super::{Keys, Purpose};

/// What triggers raise where something would be kept that only a retired key reads.
const REFUSED: &str = "P0K01";

/// Notes that these keys are gone, after whoever is writing with them has done so: nobody does afterwards.
pub async fn note(db: &PgPool, purpose: Purpose, ids: &[String]) -> sqlx::Result<()> {
    let mut tx = db.begin().await?;
    // Whoever writes these waits with the head of the log in hand: they are not waited for for long.
    for statement in [
        "set local lock_timeout = '2s'",
        "lock table claims, person_keys, identities, challenges in share row exclusive mode",
    ] {
        sqlx::query(statement).execute(&mut *tx).await?;
    }
    sqlx::query(
        "insert into retired_keys (key_id, purpose)
         select unnest($1::text[]), $2 on conflict (key_id) do nothing",
    )
    .bind(ids)
    .bind(purpose.name())
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// Whether the database refused something, since the key that it was made with was retired.
#[must_use]
pub fn is_refused(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some(REFUSED))
}

impl Keys {
    /// Looks whether a key that makes what is new here was retired, and makes nothing with it then.
    pub async fn look(&self, db: &PgPool) -> sqlx::Result<()> {
        let purposes = Purpose::value_variants();
        let in_use: Vec<_> = purposes.iter().map(|it| self.ring(*it).newest().id).collect();
        let retired: Vec<String> =
            sqlx::query_scalar("select key_id from retired_keys where key_id = any($1)")
                .bind(&in_use)
                .fetch_all(db)
                .await?;
        for (purpose, id) in purposes.iter().zip(in_use) {
            self.ring(*purpose).note_retired(retired.contains(&id));
        }
        Ok(())
    }

    /// What the file of this node is too old for: why nothing may be written here, and what helps.
    #[must_use]
    pub fn too_old(&self) -> Option<String> {
        let purposes = Purpose::value_variants().iter();
        let gone: Vec<_> =
            purposes.filter(|it| self.ring(**it).was_retired()).map(|it| it.name()).collect();
        let detail = || {
            format!(
                "keys.json of this node is older than another: its key for {} was retired; give it the file of the \
                 node that ran saldo keys retire, which is read within seconds",
                gone.join(", ")
            )
        };
        (!gone.is_empty()).then(detail)
    }
}
