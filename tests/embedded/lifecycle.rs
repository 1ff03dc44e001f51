//! Who starts the private Postgres, who stops it, and what survives.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use saldo::embedded::{Cluster, Mode};
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::support::{
    Folder, Server, data, is_alive, kill_9, naming, postmaster, running, skip, wait_until,
};

async fn connect(cluster: &Cluster) -> PgConnection {
    cluster.options("postgres").connect().await.expect("the cluster answers")
}

async fn run(db: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(db).await.expect("the statement is right");
}

#[tokio::test]
async fn kill_9_of_its_last_user_stops_the_server_and_loses_nothing() {
    let folder = Folder::new();
    let server = folder.server();
    assert!(server.registers("ada@example.com").await);
    let process = postmaster(&folder.data());
    kill_9(server.id());
    wait_until("the server without users has stopped", || !is_alive(process));
    let server = folder.server();
    assert!(server.knows("ada@example.com").await);
}

#[tokio::test]
async fn a_server_goes_on_while_one_of_its_users_is_left() {
    let folder = Folder::new();
    let (first, second) = (folder.server(), folder.server());
    let process = postmaster(&folder.data());
    kill_9(first.id());
    drop(first);
    // The one that started the server is gone; the other is served.
    assert!(second.registers("ada@example.com").await);
    assert_eq!(postmaster(&folder.data()), process);
}

#[tokio::test]
async fn after_kill_9_of_the_server_the_next_start_has_every_committed_row() {
    let folder = Folder::new();
    let cluster = Cluster::start(Mode::Durable, &folder.postgres()).await.expect("a start");
    let mut db = connect(&cluster).await;
    run(&mut db, "create table kept (number int); insert into kept select generate_series(1, 999)")
        .await;
    run(&mut db, "begin; insert into kept values (1000)").await;
    kill_9(cluster.postmaster().expect("it runs"));
    let next = Cluster::start(Mode::Durable, &folder.postgres()).await.expect("a recovery");
    let mut db = connect(&next).await;
    let (rows, sum): (i64, i64) = sqlx::query_as("select count(*), sum(number) from kept")
        .fetch_one(&mut db)
        .await
        .expect("the rows");
    assert_eq!((rows, sum), (999, 999 * 1000 / 2));
}

// On threads of its own: a start that meets the server as it dies waits for an answer, and the one
// thread of a test would not look for it while it waits itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_waits_for_what_a_killed_server_has_left_running() {
    let folder = Folder::new();
    let cluster = Cluster::start(Mode::Durable, &folder.postgres()).await.expect("a start");
    let mut db = connect(&cluster).await;
    let backend: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut db)
        .await
        .expect("a process id");
    // One that is stopped does not see that its server is gone.
    signal("-STOP", backend);
    kill_9(cluster.postmaster().expect("it runs"));
    let (postgres, log) = (folder.postgres(), folder.postgres().join("postgres.log"));
    let next = tokio::task::spawn_blocking(move || {
        let start = Cluster::start(Mode::Durable, &postgres);
        tokio::runtime::Handle::current().block_on(start)
    });
    let refused = || {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        said.contains("shared memory block") || next.is_finished()
    };
    wait_until("the data is refused while it is in use", refused);
    signal("-CONT", backend);
    let next = next.await.expect("a task").expect("a start");
    drop((connect(&next).await, cluster));
}

fn signal(signal: &str, process: i32) {
    let sent = Command::new("kill").args([signal, &process.to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

#[tokio::test]
async fn eight_processes_that_start_at_once_share_one_server_and_leave_none() {
    let folder = Folder::new();
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let saldo = folder.saldo("serve");
            std::thread::spawn(move || Server::start(saldo))
        })
        .collect();
    let servers = starts.into_iter().map(|start| start.join().expect("a server"));
    let servers: Vec<_> = servers.collect();
    for (number, server) in servers.iter().enumerate() {
        assert!(server.registers(&format!("ada+{number}@example.com")).await);
    }
    assert_eq!(running(&folder.0), [postmaster(&folder.data())]);
    drop(servers);
    wait_until("neither a server nor a watcher is left", || naming(&folder.0).is_empty());
}

#[tokio::test]
async fn a_process_that_has_the_number_of_a_dead_server_is_not_mistaken_for_it() {
    let folder = Folder::new();
    drop(Cluster::start(Mode::Durable, &folder.postgres()).await.expect("a start"));
    wait_until("the server has stopped", || naming(&folder.0).is_empty());
    let data = folder.data();
    let owner = std::fs::metadata(&data).expect("a data folder");
    // Postgres takes a process of its own user for a server.
    let mut other = Command::new("sleep");
    other.arg("300").uid(owner.uid()).gid(owner.gid());
    let mut other = other.spawn().expect("sleep runs");
    let stale = data.join("postmaster.pid");
    let socket = folder.postgres().join("socket");
    let lines = format!("{}\n{}\n1\n5432\n{}\n", other.id(), data.display(), socket.display());
    std::fs::write(&stale, lines).expect("the folder is ours");
    std::os::unix::fs::chown(&stale, Some(owner.uid()), Some(owner.gid()))
        .expect("the folder is ours");

    let cluster = Cluster::start(Mode::Durable, &folder.postgres()).await.expect("a start");
    assert_ne!(cluster.postmaster(), Some(other.id()));
    connect(&cluster).await.close().await.expect("it answers to the end");
    drop(cluster);
    wait_until("the server has stopped", || naming(&folder.0).is_empty());
    assert!(matches!(other.try_wait(), Ok(None)), "the other process was stopped");
    other.kill().expect("it runs");
    other.wait().expect("it was started");
}

#[tokio::test]
async fn nobody_else_can_reach_the_server() {
    let folder = Folder::new();
    let server = folder.server();
    let socket = std::fs::metadata(folder.postgres().join("socket")).expect("a socket folder");
    assert_eq!(socket.permissions().mode() & 0o777, 0o700);
    let cluster = data(&folder.postgres());
    let permissions = std::fs::metadata(&cluster).expect("a data folder").permissions();
    assert_eq!(permissions.mode() & 0o777, 0o700);
    if !Path::new("/proc/net/tcp").exists() {
        return skip("without /proc it cannot be told who listens");
    }
    assert_eq!(listening(server.id()), 1, "the API's port is found");
    assert_eq!(listening(postmaster(&cluster)), 0, "Postgres listens on a port");
}

/// How many TCP sockets of a process listen.
fn listening(process: u32) -> usize {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let tables = tables.map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines());
    let fields = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    let listeners: Vec<String> = fields
        .filter(|fields| fields.get(3) == Some(&"0A"))
        .map(|fields| format!("socket:[{}]", fields[9]))
        .collect();
    let files = std::fs::read_dir(format!("/proc/{process}/fd")).expect("the process is ours");
    let files = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    files.filter(|file| listeners.iter().any(|socket| file.as_os_str() == &**socket)).count()
}

#[cfg(target_os = "linux")]
#[test]
fn threads_of_requests_give_way_to_the_logs_writer_and_to_the_private_postgres() {
    let folder = Folder::new();
    let server = folder.server();
    let threads = niceness(&format!("/proc/{}/task", server.id()));
    let of = |name: &str| -> Vec<i32> {
        threads.iter().filter(|(thread, _)| thread == name).map(|(_, nice)| *nice).collect()
    };
    let usual = niceness("/proc/self/task")[0].1;
    let workers = of("tokio-rt-worker");
    assert!(!workers.is_empty() && workers.iter().all(|nice| *nice == usual + 5), "{threads:?}");
    assert_eq!(of("saldo-appender"), [usual], "{threads:?}");
    let postgres = niceness(&format!("/proc/{}/task", postmaster(&folder.data())));
    assert!(postgres.iter().all(|(_, nice)| *nice == usual), "{postgres:?}");
}

/// Name and niceness of each thread, from its line in `stat` (see proc(5): the nineteenth field).
#[cfg(target_os = "linux")]
fn niceness(tasks: &str) -> Vec<(String, i32)> {
    let tasks = std::fs::read_dir(tasks).expect("its threads");
    let read = |task: std::io::Result<std::fs::DirEntry>| {
        let stat = std::fs::read_to_string(task.expect("a thread").path().join("stat")).ok()?;
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
        Some((name.to_owned(), rest.split_whitespace().nth(16)?.parse().ok()?))
    };
    tasks.filter_map(read).collect()
}
