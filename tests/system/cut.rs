//! Commit outcome unknown: the connection is cut when the append is sent, and before it is
//! answered.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::support::{Database, Server};

/// Between a server and its database.
struct Proxy {
    folder: PathBuf,
    /// The event whose append's answer is to be lost next.
    armed: Armed,
    cuts: Arc<AtomicU32>,
}

type Armed = Arc<Mutex<Option<&'static str>>>;

impl Proxy {
    fn start(database: &Path, folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).expect("a folder");
        let listener = UnixListener::bind(folder.join(".s.PGSQL.5432")).expect("a socket");
        let (armed, cuts) = (Armed::default(), Arc::new(AtomicU32::new(0)));
        let proxy = Self { folder, armed: Arc::clone(&armed), cuts: Arc::clone(&cuts) };
        let database = database.join(".s.PGSQL.5432");
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&database).await.expect("the database listens");
                tokio::spawn(pass(client, server, Arc::clone(&armed), Arc::clone(&cuts)));
            }
        });
        proxy
    }

    /// Has the answer to the next append of such an event be lost.
    fn lose(&self, event: &'static str) {
        *self.armed.lock().expect("a test that goes on") = Some(event);
    }

    fn has_lost_it(&self) -> bool {
        self.armed.lock().expect("a test that goes on").is_none()
    }
}

impl Database {
    /// A server on this database behind a proxy.
    fn behind_a_proxy(&self) -> (Server, Proxy) {
        let proxy = Proxy::start(&self.socket(), self.data.join("proxy"));
        let socket = self.socket().display().to_string();
        let url = self.url().replace(&socket, &proxy.folder.display().to_string());
        (self.server_at(&url), proxy)
    }
}

/// Passes everything on, but cuts an armed writer's connection after what it sent has gone through.
async fn pass(mut client: UnixStream, mut server: UnixStream, armed: Armed, cuts: Arc<AtomicU32>) {
    let (mut from_client, mut from_server) = (vec![0; 65536], vec![0; 65536]);
    let mut is_writer = false;
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(count @ 1..) = read else { return };
                let sent = &from_client[..count];
                is_writer |= sent.windows(14).any(|part| part == b"saldo appender");
                if server.write_all(sent).await.is_err() {
                    return;
                }
                // The event's text is part of the message that executes.
                let text = String::from_utf8_lossy(sent);
                let lost = |event: &mut &str| is_writer && text.contains(*event);
                if armed.lock().expect("a test that goes on").take_if(lost).is_some() {
                    // The answer comes, and nobody hears it.
                    let answered = server.read(&mut from_server).await;
                    assert!(matches!(answered, Ok(1..)), "the append was executed");
                    cuts.fetch_add(1, Ordering::SeqCst);
                    return;
                }
            }
            read = server.read(&mut from_server) => {
                let Ok(count @ 1..) = read else { return };
                if client.write_all(&from_server[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_whose_answer_was_lost_is_not_applied_twice() {
    let database = Database::in_memory().await;
    let (server, proxy) = database.behind_a_proxy();
    let ada = server.register("ada@example.com").await;
    let mut ids = Vec::new();
    for round in 0..20 {
        proxy.lose("Debited");
        // With a key and without one: the server itself sends again.
        let key = if round % 2 == 0 { format!("key {round}") } else { String::new() };
        let answer = server.debit(&ada, 2, &key).await;
        assert_eq!(answer.status, 201, "{:?}", answer.body);
        ids.push(answer.body["id"].as_str().expect("an id").to_owned());
        assert!(proxy.has_lost_it(), "round {round} was not cut");
        assert_eq!(answer.header("idempotency-replayed"), "", "it was done for this request");
    }
    assert_eq!(proxy.cuts.load(Ordering::SeqCst), 20);
    let pool = database.pool().await;
    let debits: Vec<uuid::Uuid> = sqlx::query_scalar(
        "select command_id from events where event_type = 'Debited' order by position",
    )
    .fetch_all(&pool)
    .await
    .expect("the log answers");
    assert_eq!(debits.iter().map(ToString::to_string).collect::<Vec<_>>(), ids);
    assert_eq!(server.available(&ada).await, 60);
    pool.close().await;
    drop(server);
    database.remove().await;
}

/// Whoever is told that the log has a hold already must not take it for somebody else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_hold_or_charge_was_not_heard_of_goes_on_as_if_it_were() {
    let database = Database::in_memory().await;
    let (server, proxy) = database.behind_a_proxy();
    let ada = server.register("ada@example.com").await;
    let body = json!({ "text": "It rained. The river rose." });
    let mut left = server.available(&ada).await;
    for lost in ["HoldAuthorized", "HoldCaptured"] {
        for key in ["", lost] {
            proxy.lose(lost);
            let answer = server.post(&ada, "/ai/summarize", key, &body).await;
            assert!(proxy.has_lost_it(), "{lost} was not cut");
            assert_eq!(answer.status, 200, "{lost}, {key:?}: {:?}", answer.body);
            assert_eq!(answer.header("idempotency-replayed"), "", "{lost}, {key:?}");
            left -= 10;
            assert_eq!(server.available(&ada).await, left, "{lost}, {key:?}");
        }
    }
    drop(server);
    database.remove().await;
}
