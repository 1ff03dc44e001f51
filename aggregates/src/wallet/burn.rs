//! Which grants pay.

use std::cmp::Reverse;

use super::error::WalletError;
use super::state::{Grant, Wallet};
use super::terms::Movement;
use crate::credits::Credits;
use crate::id::GrantId;

/// Where burnt credits go.
#[derive(Clone, Copy)]
pub(super) enum Into {
    /// Set aside by a hold.
    Hold,
    /// Gone: spent, recovered or paid on debt.
    Spent,
}

impl Wallet {
    /// Takes `amount` from the grants that `may` pay, in burn order; at most what they have.
    pub(super) fn burn(
        &self,
        amount: Credits,
        into: Into,
        may: impl Fn(&Grant) -> bool,
    ) -> Result<Vec<Movement>, WalletError> {
        let mut paying: Vec<_> = self
            .grants
            .iter()
            .filter(|(_, grant)| !grant.remaining.is_zero() && may(grant))
            .collect();
        paying.sort_by_key(|(id, grant)| burn_key(**id, grant));
        let mut left = amount;
        let mut movements = Vec::new();
        for (id, grant) in paying {
            let part = left.min(grant.remaining);
            if part.is_zero() {
                break;
            }
            left = left.checked_sub(part)?;
            let held = match into {
                Into::Hold => grant.held.checked_add(part)?,
                Into::Spent => grant.held,
            };
            movements.push(Movement {
                grant: *id,
                amount: part,
                released: Credits::ZERO,
                expired: Credits::ZERO,
                from_expired: Credits::ZERO,
                remaining: grant.remaining.checked_sub(part)?,
                held,
            });
        }
        Ok(movements)
    }
}

/// The burn order, total: priority, sooner expiry (none last), kind, age, id.
pub(super) fn burn_key(id: GrantId, grant: &Grant) -> impl Ord {
    let expiry = grant.expires_at.map(Reverse);
    (grant.priority, Reverse(expiry), grant.kind, grant.granted_at, id)
}

/// What movements took, all in all.
pub(super) fn total(movements: &[Movement]) -> Result<Credits, WalletError> {
    Ok(Credits::sum(movements.iter().map(|movement| movement.amount))?)
}
