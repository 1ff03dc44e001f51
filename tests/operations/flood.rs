//! More connections than a node has files for, which say nothing.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::redis_server::free_port;
use crate::support::{Database, Server};

/// How many files the server may have open.
const FILES: usize = 300;
/// How many connections come.
const COME: usize = 400;
/// How many of one address are let in.
const OF_ONE: usize = 100;
/// Longer than a server that answers takes.
const SILENCE: Duration = Duration::from_secs(5);

/// The same program, that may have no more files open.
fn limited(program: &Command) -> Command {
    let mut limited = Command::new("sh");
    let limit = format!("ulimit -n {FILES} && exec \"$0\" \"$@\"");
    limited.args(["-c", &limit]).arg(program.get_program()).args(program.get_args());
    limited.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited
}

/// Somebody who asks once and stays; nobody, where even the queue of those who wait is full. The whole of 127.0.0.0/8 is
/// this machine.
async fn come(server: &Server, from: [u8; 4]) -> Option<TcpStream> {
    let address = server.url.strip_prefix("http://").expect("an address");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((from, 0))).expect("an address of this machine");
    let connecting = socket.connect(address.parse().expect("an address"));
    let mut stream = timeout(SILENCE, connecting).await.ok()?.expect("it listens");
    // One that is not let in is closed, perhaps before it has asked.
    let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nhost: saldo\r\n\r\n").await;
    Some(stream)
}

/// Whether the server has let them in.
async fn is_in(stream: &mut Option<TcpStream>) -> bool {
    let Some(stream) = stream else { return false };
    let mut answer = [0; 12];
    let read = timeout(SILENCE, stream.read_exact(&mut answer)).await;
    matches!(read, Ok(Ok(_))) && answer == *b"HTTP/1.1 200"
}

#[tokio::test]
async fn connections_that_say_nothing_leave_files_for_the_database_and_the_operators() {
    let database = Database::in_memory().await;
    let operators = format!("127.0.0.1:{}", free_port());
    let settings = [("SALDO_RATE_LIMITS", "off"), ("SALDO_METRICS_LISTEN", operators.as_str())];
    let server = Server::start(limited(&database.program(&settings)));
    let ada = server.register("ada@example.com").await;
    let from = (0..8).cycle().take(COME);
    let mut idle = join_all(from.map(|house| come(&server, [127, 0, 1, house]))).await;
    let let_in = join_all(idle.iter_mut().map(is_in)).await;
    let let_in = let_in.into_iter().filter(|is_in| *is_in).count();

    let readyz = Server::within(format!("http://{operators}"));
    let answer = timeout(SILENCE, readyz.send(Method::GET, "/readyz", &[], None)).await;
    let answer = answer.expect("in time").expect("operators are answered");
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let debit = timeout(SILENCE, server.debit(&ada, 10, "meanwhile")).await;
    let debit = debit.expect("who was there is served");
    assert_eq!(debit.status, StatusCode::CREATED, "{:?}", debit.body);

    assert!((OF_ONE..FILES / 2).contains(&let_in), "{let_in} were let in");

    drop(idle);
    let mut next = come(&server, [127, 0, 2, 1]).await;
    assert!(is_in(&mut next).await, "there is room again");
    database.remove().await;
}

#[tokio::test]
async fn one_address_keeps_no_other_out_unless_it_is_a_proxy_of_ours() {
    let database = Database::in_memory().await;
    let settings = [("SALDO_RATE_LIMITS", "off"), ("SALDO_TRUSTED_PROXIES", "127.0.3.1")];
    let server = Server::start(limited(&database.program(&settings)));
    for (from, are_let_in) in [([127, 0, 1, 1], OF_ONE), ([127, 0, 3, 1], OF_ONE + 20)] {
        let mut there = Vec::new();
        for _ in 0..OF_ONE + 20 {
            let mut stream = come(&server, from).await;
            if is_in(&mut stream).await {
                there.push(stream);
            }
        }
        assert_eq!(there.len(), are_let_in, "{from:?}");
        assert!(is_in(&mut come(&server, [127, 0, 2, 1]).await).await, "another is let in");
        drop(there);
        // The server may not have seen yet that they went.
        let deadline = Instant::now() + SILENCE;
        while !is_in(&mut come(&server, from).await).await {
            assert!(Instant::now() < deadline, "{from:?} is let in again");
        }
    }
    database.remove().await;
}
