//! People's accounts: coming in by whatever proves who they are, and staying in.

pub mod api_keys;
pub mod challenges;
pub mod claims;
pub mod codes;
pub mod contact;
pub mod identities;
mod identity_rows;
pub mod lifecycle;
pub mod limits;
pub mod links;
mod notices;
pub mod password;
mod provider_tokens;
pub mod rehashing;
pub mod resealing;
mod returns;
pub mod sessions;
pub mod spend_limits;
pub mod standing;
mod visitor;

use std::convert::Infallible;
use std::sync::Arc;

use aggregates::credits::Credits;
use aggregates::id::{CommandId, GrantId, UserId, WalletId};
use aggregates::user::{self, SignIn, Status, User, UserCommand};
use aggregates::wallet::{self, Funding, GrantKind, GrantTerms, Priority, Wallet, WalletCommand};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};
use crate::queue::{self, Job};
use crate::store::{Envelope, ExecuteError, Outcome, SideRow};
use crate::tokens::RefreshToken;
pub use visitor::Visitor;

use contact::Contact;
use sessions::Session;

/// What a person receives for signing up.
const SIGNUP: Credits = Credits::new(100);
/// Somebody who has come in.
pub struct Entered {
    /// Who.
    pub user: UserId,
    /// What the account is now.
    pub state: User,
    /// The session's first refresh token.
    pub token: RefreshToken,
    /// The position of the event that tells of it, where there is one.
    pub position: Option<i64>,
}

/// Whose contact it is.
pub async fn owner(app: &App, contact: &Contact) -> Result<Option<UserId>> {
    let owner = contact.claim().owner(app.db(), &app.keys.lookup).await?;
    Ok(owner.map(|owner| owner.user))
}

/// A person who is to have an account.
pub struct Newcomer {
    /// Where the person is reached, where they are.
    pub contact: Option<Contact>,
    /// Whether that is proven.
    pub proven: bool,
    /// The person's name.
    pub name: Option<String>,
    /// How they come in.
    pub by: SignIn,
    /// What comes with the account: a password, an identity.
    pub rows: Vec<SideRow>,
    /// What the aggregate is told besides.
    pub asks: Vec<user::Ask>,
}

/// Creates an account with its wallet and the free credits, in one unit; `Claimed` where the
/// contact is somebody's already. Begins a session where `visitor` is to come in at once.
pub async fn register(
    app: &App,
    visitor: &Visitor,
    newcomer: Newcomer,
    entering: Entering,
) -> Result<(UserId, Option<Entered>), ExecuteError<Infallible>> {
    let (user, now) = (UserId(Uuid::now_v7()), clock::now());
    let session = Session::new(user, now);
    let (key, key_row) = app.store.codec().new_key(user)?;
    let mut envelope =
        Envelope::new(CommandId(Uuid::now_v7()), visitor.metadata(user)).with(key_row);
    let ask = |ask| UserCommand { now, ask };
    let email = match &newcomer.contact {
        Some(Contact::Email(email)) => Some(email.clone()),
        _ => None,
    };
    let register = user::Ask::Register { email, name: newcomer.name.clone(), by: newcomer.by };
    let mut commands = vec![ask(register)];
    if let Some(contact) = &newcomer.contact {
        envelope.side.extend(contact.claim().rows(&app.keys.lookup, user, None));
        commands.extend(newcomer.proven.then(|| ask(proven(contact))));
    }
    commands.extend(newcomer.asks.into_iter().map(ask));
    envelope.side.extend(newcomer.rows.into_iter().map(|row| row.of(user)));
    if app.stripe.is_some() {
        envelope.side.push(Job::about(queue::CREATE_CUSTOMER, &user.to_string()).row());
    }
    if entering == Entering::AtOnce {
        envelope.side.push(session.row(Some(&key), visitor)?);
        commands.push(session.start(newcomer.by, None));
    }
    envelope.person_key = Some(key);
    let created = app
        .store
        .create(envelope)
        .with::<User>(user, commands)
        .await?
        .with::<Wallet>(WalletId::from(user), signup(user, now))
        .await?
        .append()
        .await?;
    app.wrote(user, created.position);
    let state = app.store.load::<User>(user).await?;
    let token = RefreshToken { session: session.id, generation: 0 };
    let entered = Entered { user, state, token, position: Some(created.position) };
    Ok((user, (entering == Entering::AtOnce).then_some(entered)))
}

/// Whether somebody who registers is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entering {
    /// With a session.
    AtOnce,
    /// When the address is proven.
    Later,
}

/// What the aggregate is told of a contact that was proven.
#[must_use]
pub fn proven(contact: &Contact) -> user::Ask {
    match contact {
        Contact::Email(email) => user::Ask::VerifyEmail { email: email.clone() },
        Contact::Phone(phone) => user::Ask::VerifyPhone { phone: phone.clone() },
    }
}

/// The wallet's first commands: it opens, and holds the free credits.
fn signup(user: UserId, now: DateTime<Utc>) -> [WalletCommand; 2] {
    let grant = GrantTerms {
        id: GrantId::derive(user.0, "signup"),
        kind: GrantKind::Promotional,
        amount: SIGNUP,
        priority: Priority::default(),
        expires_at: None,
        funding: Funding::Signup,
        reversal_group: None,
    };
    [
        WalletCommand { now, ask: wallet::Ask::Open { owner: user } },
        WalletCommand { now, ask: wallet::Ask::Grant { grant, reason: "signup".to_owned() } },
    ]
}

/// Begins a session for somebody who has proved to be this person; where that was some time ago, as
/// of that epoch of the account.
pub async fn enter(
    app: &App,
    visitor: &Visitor,
    user: UserId,
    by: SignIn,
    as_of: Option<u32>,
) -> Result<Entered> {
    let now = clock::now();
    let session = Session::new(user, now);
    let key = app.store.codec().key(user).await.map_err(Problem::failed)?;
    let row = session.row(key.as_ref(), visitor).map_err(Problem::failed)?;
    let envelope = Envelope::once(visitor.metadata(user)).with(row);
    let outcome = app.store.execute::<User>(user, envelope, session.start(by, as_of)).await?;
    app.wrote(user, outcome.position);
    let state = app.store.load::<User>(user).await?;
    let token = RefreshToken { session: session.id, generation: 0 };
    Ok(Entered { user, state, token, position: Some(outcome.position) })
}

/// Tells the account something, with rows that live or die with it; its owner is told by mail where
/// they should know.
pub async fn tell(
    app: &App,
    visitor: &Visitor,
    user: UserId,
    ask: user::Ask,
    rows: impl IntoIterator<Item = SideRow>,
) -> Result<i64, ExecuteError<user::UserError>> {
    let mut envelope = Envelope::once(visitor.metadata(user));
    envelope.side.extend(rows);
    Ok(told(app, envelope, user, ask).await?.position)
}

/// The same, asked for by whomever the envelope names.
async fn told(
    app: &App,
    mut envelope: Envelope,
    user: UserId,
    ask: user::Ask,
) -> Result<Outcome<User>, ExecuteError<user::UserError>> {
    let notice = notices::row(app, user, &ask, envelope.command_id).await;
    envelope.side.extend(notice.map_err(|error| ExecuteError::Failed(Arc::new(error)))?);
    let command = UserCommand { now: clock::now(), ask };
    let outcome = app.store.execute::<User>(user, envelope, command).await?;
    app.wrote(user, outcome.position);
    Ok(outcome)
}

/// The account now; 404 where there is none.
pub async fn state(app: &App, user: UserId) -> Result<User> {
    let state = app.store.load::<User>(user).await?;
    match state.status() {
        Status::Unregistered | Status::Erased => Err(Problem::not_found()),
        Status::Active | Status::Deactivated | Status::Barred => Ok(state),
    }
}

/// Takes in somebody who has proved to be reached there: into the account that has the contact, or
/// into a new one. An account whose address nobody had proved before may be another's, who wrote
/// down an address that is not theirs: all that was in it to come in by is gone first (T26).
pub async fn enter_by_contact(
    app: &App,
    visitor: &Visitor,
    contact: &Contact,
    name: Option<String>,
    by: SignIn,
) -> Result<Entered> {
    // Twice at most: somebody else may register the contact between the two looks.
    for _ in 0..2 {
        if let Some(user) = owner(app, contact).await? {
            prove(app, visitor, user, contact, by).await?;
            return enter(app, visitor, user, by, None).await;
        }
        let newcomer = Newcomer {
            contact: Some(contact.clone()),
            proven: true,
            name: name.clone(),
            by,
            rows: vec![],
            asks: vec![],
        };
        match register(app, visitor, newcomer, Entering::AtOnce).await {
            Ok((_, Some(entered))) => return Ok(entered),
            Ok((user, None)) => return enter(app, visitor, user, by, None).await,
            Err(ExecuteError::Claimed) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::busy("somebody else is registering this address; try again"))
}

/// Notes that the person proved to be reached there.
pub async fn prove(
    app: &App,
    visitor: &Visitor,
    user: UserId,
    contact: &Contact,
    by: SignIn,
) -> Result<()> {
    let state = state(app, user).await?;
    let unproven = matches!(contact, Contact::Email(email) if state.email() == Some(email))
        && !state.email_verified();
    if unproven && state.status() == Status::Active {
        let shut = SideRow::ShutOut { user_id: user };
        match tell(app, visitor, user, user::Ask::TakeOver { by }, [shut]).await {
            // Somebody was faster to prove it.
            Ok(_) | Err(ExecuteError::Refused(user::UserError::AlreadyVerified)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    tell(app, visitor, user, proven(contact), []).await?;
    Ok(())
}
