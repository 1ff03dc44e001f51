//! `saldo health`, as a container's health check runs it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::thread;

/// A server that answers `/livez` like this, and all else with 404; the address that it listens at.
fn server(listens: &str, livez: &'static str) -> u16 {
    let listener = TcpListener::bind(listens).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        let mut request = [0; 1024];
        let read = client.read(&mut request).expect("a request");
        let asked_for_it = request[..read].starts_with(b"GET /livez ");
        let status = if asked_for_it { livez } else { "404 Not Found" };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        client.write_all(answer.as_bytes()).expect("an answer");
    });
    port
}

/// A proxy is set, as it is in some companies' containers.
fn health(listens: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_saldo"))
        .arg("health")
        .env("SALDO_LISTEN", listens)
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .output()
        .expect("saldo runs")
}

#[test]
fn a_server_that_lives_is_well_also_one_that_listens_everywhere() {
    for listens in ["127.0.0.1", "0.0.0.0"] {
        let port = server(&format!("{listens}:0"), "200 OK");
        let said = health(&format!("{listens}:{port}"));
        assert!(said.status.success(), "{said:?}");
    }
}

#[test]
fn a_server_that_says_otherwise_or_nothing_is_not_well() {
    let port = server("127.0.0.1:0", "503 Service Unavailable");
    for (listens, why) in [(format!("127.0.0.1:{port}"), "503"), ("127.0.0.1:1".into(), "answer")] {
        let said = health(&listens);
        assert_eq!(said.status.code(), Some(1));
        let error = String::from_utf8_lossy(&said.stderr);
        assert!(error.contains(why) && error.contains("/livez"), "{error}");
    }
}
