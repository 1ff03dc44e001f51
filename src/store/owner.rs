//! Who owns the log: where the role that serves may only append to it, the tables are another's.

use sqlx::PgPool;

/// Whether the role of these connections owns the log, or will, where there is none yet.
pub async fn owns_log(pool: &PgPool) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select coalesce((select pg_has_role(relowner, 'usage') from pg_class
             where oid = to_regclass('public.events')), true)",
    )
    .fetch_one(pool)
    .await
}
