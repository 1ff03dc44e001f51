//! What only who runs the server may do: the first administrator comes from here.

use aggregates::id::UserId;
use aggregates::user::{Ask, Role, Status, User, UserCommand};
use clap::Subcommand;

use super::Failure;
use crate::accounts::contact::Contact;
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
    /// Let a person administer no more.
    Revoke {
        /// The address of the account.
        email: String,
    },
    /// Forget people who had been forgotten before a backup was put back. Nobody is told again.
    Erase {
        /// Their ids, as `docs/operations/backup.md` has them noted.
        #[arg(required = true)]
        users: Vec<UserId>,
    },
}

pub(super) async fn admin(config: &Config, admin: Admin) -> Result<(), Failure> {
    let (email, role) = match admin {
        Admin::Grant { email } => (email, Role::Admin),
        Admin::Revoke { email } => (email, Role::User),
        Admin::Erase { users } => return erase(config, users).await,
    };
    let contact = Contact::email("email", &email).map_err(|_| "that is no e-mail address")?;
    let database = serve::database(config).await?;
    let keys = Keys::in_folder(&config.data_dir)?;
    let owner = contact.claim().owner(&database.pool, &keys.lookup).await?;
    let owner = owner.ok_or("nobody has an account with that address: let them register")?;
    let (pool, options) = (database.pool.clone(), database.options.clone());
    let store = Store::start(pool, options, keys.wrapping()).await?;
    let command = UserCommand { now: clock::now(), ask: Ask::ChangeRole { role, reason: None } };
    store.execute::<User>(owner.user, envelope(), command).await?;
    println!("{} has the role {}", contact.value(), role.name());
    Ok(())
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
