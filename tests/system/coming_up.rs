//! A database that is coming up, as one that recovers from a crash does, is waited for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::support::Database;

/// How many who come are told that it is too early.
const TURNED_AWAY: u32 = 3;

/// What asks for TLS: `SSLRequest`.
const TLS: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Stands before a database, as it is when it comes up; whom it turns away is counted.
fn stand(database: &Path, folder: &Path) -> Arc<AtomicU32> {
    std::fs::create_dir_all(folder).expect("a folder");
    let listener = UnixListener::bind(folder.join(".s.PGSQL.5432")).expect("a socket");
    let turned_away = Arc::<AtomicU32>::default();
    let (database, counted) = (database.join(".s.PGSQL.5432"), Arc::clone(&turned_away));
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            if counted.load(Ordering::SeqCst) < TURNED_AWAY {
                counted.fetch_add(1, Ordering::SeqCst);
                turn_away(client).await;
                continue;
            }
            let mut server = UnixStream::connect(&database).await.expect("the database listens");
            tokio::spawn(async move {
                // Either may end it.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    turned_away
}

/// What Postgres says while it recovers: `cannot_connect_now`.
async fn turn_away(mut client: UnixStream) {
    let mut hello = [0; 1024];
    let asks_for_tls = client.read(&mut hello).await.expect("somebody says hello") == TLS.len()
        && hello.starts_with(&TLS);
    if asks_for_tls {
        client.write_all(b"N").await.expect("it is heard");
        assert!(client.read(&mut hello).await.is_ok_and(|read| read > 0), "it does without");
    }
    let fields = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0";
    let length = u32::try_from(fields.len() + 4).expect("it is short").to_be_bytes();
    client.write_all(&[b"E", &length[..], fields].concat()).await.expect("it is heard");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_coming_up_is_waited_for() {
    let database = Database::in_memory().await;
    let folder: PathBuf = database.data.join("coming-up");
    let turned_away = stand(&database.socket(), &folder);
    let socket = database.socket().display().to_string();
    let url = database.url().replace(&socket, &folder.display().to_string());
    let server = tokio::task::spawn_blocking(move || (database.server_at(&url), database));
    let (server, database) = server.await.expect("the server comes up, too");
    assert_eq!(turned_away.load(Ordering::SeqCst), TURNED_AWAY);
    assert!(!server.register("ada@example.com").await.token.is_empty());
    drop(server);
    database.remove().await;
}
