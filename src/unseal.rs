//! The store's codec, as the projections ask for it.

use std::error::Error;

use aggregates::id::UserId;
use futures_util::future::BoxFuture;
use projections::journal::Unseal;
use serde_json::Value;
use uuid::Uuid;

use crate::store::{Codec, place};

impl Unseal for Codec {
    fn unseal<'a>(
        &'a self,
        aggregate_type: &'a str,
        aggregate_id: Uuid,
        sequence: i64,
        mut payload: Value,
    ) -> BoxFuture<'a, Result<Value, Box<dyn Error + Send + Sync>>> {
        Box::pin(async move {
            let place = place(aggregate_type, &aggregate_id.to_string(), sequence);
            self.open(UserId(aggregate_id), &place, &mut payload).await?;
            Ok(payload)
        })
    }
}
