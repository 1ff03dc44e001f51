//! What only who runs the server may do: the first administrator comes from here.

use aggregates::id::UserId;
use aggregates::user::{Ask, Role, Status, User, UserCommand};
use clap::Subcommand;
use sqlx::{PgPool, Postgres, Transaction};

use super::Failure;
use crate::accounts::contact::Contact;
use crate::accounts::standing;
use crate::clock;
use crate::config::Config;
use crate::keys::Keys;
use crate::serve;
use crate::store::{Envelope, Metadata, SideRow, Store};

#[derive(Subcommand)]
pub(super) enum Admin {
    /// Let a person administer.
    Grant {
        /// The address of the account.
        email: String,
    },
    /// Let a person administer no more, unless nobody would.
    Revoke {
        /// The address of the account.
        email: String,
        /// Also the last administrator.
        #[arg(long)]
        last: bool,
    },
    /// Forget people who had been forgotten before a backup was put back. Nobody is told again.
    Erase {
        /// Their ids, as `docs/operations/backup.md` has them noted.
        #[arg(required = true)]
        users: Vec<UserId>,
    },
}

pub(super) async fn admin(config: &Config, admin: Admin) -> Result<(), Failure> {
    let (email, role, keeps_one) = match admin {
        Admin::Grant { email } => (email, Role::Admin, false),
        Admin::Revoke { email, last } => (email, Role::User, !last),
        Admin::Erase { users } => return erase(config, users).await,
    };
    let contact = Contact::email("email", &email).map_err(|_| "that is no e-mail address")?;
    let database = serve::database(config).await?;
    let keys = Keys::in_folder(&config.data_dir)?;
    let owner = contact.claim().owner(&database.pool, &keys.lookup).await?;
    let owner = owner.ok_or("nobody has an account with that address: let them register")?;
    let (pool, options) = (database.pool.clone(), database.options.clone());
    let store = Store::start(pool, options, keys.wrapping()).await?;
    let others =
        if keeps_one { others_administer(&database.pool, &store, owner.user).await? } else { None };
    let command = UserCommand { now: clock::now(), ask: Ask::ChangeRole { role, reason: None } };
    store.execute::<User>(owner.user, envelope(), command).await?;
    drop(others);
    println!("{} has the role {}", contact.value(), role.name());
    Ok(())
}

/// Whether somebody else administers, which stays so while what is given back lives.
async fn others_administer(
    db: &PgPool,
    store: &Store,
    user: UserId,
) -> Result<Option<Transaction<'static, Postgres>>, Failure> {
    let others = standing::others_administer_beside_nodes(db, store, user).await;
    Ok(others.map_err(|problem| match problem.code {
        "last_administrator" => format!("{}, or say --last", problem.detail),
        _ => problem.cause.unwrap_or(problem.detail),
    })?)
}

/// Who is forgotten already stays so; whom the backup does not know is passed over.
async fn erase(config: &Config, users: Vec<UserId>) -> Result<(), Failure> {
    let database = serve::database(config).await?;
    let keys = Keys::in_folder(&config.data_dir)?;
    let (pool, options) = (database.pool.clone(), database.options.clone());
    let store = Store::start(pool, options, keys.wrapping()).await?;
    for user in users {
        if store.load::<User>(user).await?.status() == Status::Unregistered {
            println!("{user} is not known here");
            continue;
        }
        let envelope = envelope().with(SideRow::PersonErased { user_id: user });
        let command = UserCommand { now: clock::now(), ask: Ask::Erase };
        store.execute::<User>(user, envelope, command).await?;
        println!("{user} is forgotten");
    }
    Ok(())
}

fn envelope() -> Envelope {
    Envelope::once(Metadata { actor: Some("saldo admin".to_owned()), ..Metadata::default() })
}
