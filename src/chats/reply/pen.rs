//! Writing a reply: slice by slice, until its end or until it is to stop. No connection to the database is
//! held meanwhile.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout};

use super::ending::Ending;
use super::{Turn, conversation};
use crate::app::App;
use crate::chats::telling::{self, DELTA};
use crate::error::{Problem, Result};
use crate::metering::{Begun, Broken, End, Next, Talk};

/// How often what was written is told.
const SLICE: Duration = Duration::from_millis(100);
/// How often it is looked whether the reply is to stop, where nobody was heard to say so.
const LOOK: Duration = Duration::from_secs(1);

/// What is written, and what of it is not told yet.
struct Pen<'a> {
    app: &'a App,
    turn: Turn,
    text: String,
    untold: String,
    /// When it is to be told, where anything is.
    due: Option<Instant>,
}

/// Why the pen is put down.
enum Down {
    Ended(End),
    Failed(&'static str),
    Stopped,
}

/// Asks a model for the reply, and writes it.
pub(super) async fn write(app: &App, turn: Turn) -> Result<Ending> {
    let conversation = conversation::of(app, turn).await?;
    let Turn { chat, owner, reply, .. } = turn;
    telling::tell(app, owner, chat, reply, "reply.started", &json!({})).await?;
    let talk = match Talk::begin(app, conversation, stopped(app, turn)).await {
        Ok(Begun::Now(talk)) => talk,
        Ok(Begun::Left) => return Ok(Ending::Left),
        Ok(Begun::Before(..)) => {
            return Err(Problem::failed("a reply was charged before it began"));
        }
        // Ours: it is tried again. A provider's, or the person's, is told.
        Err(problem) if [500, 503].contains(&problem.status) => return Err(problem),
        Err(problem) => return Ok(Ending::Failed(problem.code.to_owned())),
    };
    let (text, untold) = (String::new(), String::new());
    let mut pen = Pen { app, turn, text, untold, due: None };
    let (talk, down) = pen.write(talk).await?;
    pen.put_down(talk, down).await
}

/// Waits until the reply is to stop.
async fn stopped(app: &App, turn: Turn) {
    let mut news = app.wakes.of(turn.chat.0);
    // Where it cannot be told, the next look tells.
    while !turn.is_to_stop(app).await.unwrap_or(false) {
        let _ = timeout(LOOK, news.changed()).await;
    }
}

impl Pen<'_> {
    async fn write(&mut self, mut talk: Box<Talk>) -> Result<(Box<Talk>, Down)> {
        let mut news = self.app.wakes.of(self.turn.chat.0);
        let mut look = Instant::now();
        loop {
            tokio::select! {
                next = talk.next() => match next {
                    Ok(Next::Text(text)) => {
                        self.untold.push_str(&text);
                        self.due.get_or_insert_with(|| Instant::now() + SLICE);
                    }
                    Ok(Next::Ended(end)) => return Ok((talk, Down::Ended(end))),
                    Err(Broken::Provider(_)) => {
                        return Ok((talk, Down::Failed("provider_failed")));
                    }
                    Err(Broken::Unheld) => return Ok((talk, Down::Failed("busy"))),
                },
                () = sleep_until(self.due.unwrap_or(look)) => {
                    look = Instant::now() + LOOK;
                    if !self.tell().await? || self.turn.is_to_stop(self.app).await? {
                        return Ok((talk, Down::Stopped));
                    }
                }
                Ok(()) = news.changed() => {
                    if self.turn.is_to_stop(self.app).await? {
                        return Ok((talk, Down::Stopped));
                    }
                }
            }
        }
    }

    /// Tells what is untold; whether there is anybody to tell it to.
    async fn tell(&mut self) -> Result<bool> {
        self.due = None;
        if self.untold.is_empty() {
            return Ok(true);
        }
        let Turn { chat, owner, reply, .. } = self.turn;
        let slice = json!({ "text": self.untold });
        let told = telling::tell(self.app, owner, chat, reply, DELTA, &slice).await?;
        self.text.push_str(&self.untold);
        self.untold.clear();
        Ok(told.is_some())
    }

    /// Charges what came, once all of it is told: whoever finds it charged finds it whole. What failed is
    /// free.
    async fn put_down(mut self, mut talk: Box<Talk>, down: Down) -> Result<Ending> {
        self.tell().await?;
        let finish = match down {
            Down::Ended(end) if self.text.is_empty() => {
                talk.release("the reply is empty").await?;
                // Who is still thinking when the length is reached would have answered.
                let is_late = end == End::Length;
                let code = if is_late { "provider_failed" } else { "provider_refused" };
                return Ok(Ending::Failed(code.to_owned()));
            }
            Down::Failed(code) => {
                talk.release("the reply failed").await?;
                return Ok(Ending::Failed(code.to_owned()));
            }
            Down::Stopped if !talk.has_cost() => {
                talk.release("the reply was cancelled").await?;
                return Ok(Ending::Left);
            }
            Down::Ended(end) => Some(end),
            Down::Stopped => {
                talk.leave(self.app.told_to_stop()).await;
                None
            }
        };
        let Turn { chat, owner, reply, .. } = self.turn;
        let ended = json!({ "finish": finish });
        telling::tell(self.app, owner, chat, reply, "reply.written", &ended).await?;
        let charged = talk.charge(None).await?;
        Ok(Ending::Charged { finish, text: self.text, charged })
    }
}
