//! Commit outcome unknown: the connection is cut when the append is sent, and before it is
//! answered.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::support::Database;

/// Between a server and its database.
struct Proxy {
    folder: PathBuf,
    /// Whether the next append's answer is to be lost.
    armed: Arc<AtomicBool>,
    cuts: Arc<AtomicU32>,
}

impl Proxy {
    fn start(database: &Path, folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).expect("a folder");
        let listener = UnixListener::bind(folder.join(".s.PGSQL.5432")).expect("a socket");
        let (armed, cuts) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
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
}

/// Passes everything on, but cuts an armed writer's connection after what it sent has gone through.
async fn pass(
    mut client: UnixStream,
    mut server: UnixStream,
    armed: Arc<AtomicBool>,
    cuts: Arc<AtomicU32>,
) {
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
                let appends = sent.windows(7).any(|part| part == b"Debited");
                if is_writer && appends && armed.swap(false, Ordering::SeqCst) {
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
    let proxy = Proxy::start(&database.socket(), database.data.join("proxy"));
    let socket = database.socket().display().to_string();
    let url = database.url().replace(&socket, &proxy.folder.display().to_string());
    let server = database.server_at(&url);
    let ada = server.register("ada@example.com").await;
    let mut ids = Vec::new();
    for round in 0..20 {
        proxy.armed.store(true, Ordering::SeqCst);
        // With a key and without one: the server itself sends again.
        let key = if round % 2 == 0 { format!("key {round}") } else { String::new() };
        let answer = server.debit(&ada, 2, &key).await;
        assert_eq!(answer.status, 201, "{:?}", answer.body);
        ids.push(answer.body["id"].as_str().expect("an id").to_owned());
        assert!(!proxy.armed.load(Ordering::SeqCst), "round {round} was not cut");
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
