//! Connections of clients: as many as a node bears, none of which may keep it waiting for a request.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use tokio::net::{TcpListener, TcpStream};
use tower_service::Service;

use super::patient::Patient;
use super::room::Room;

/// How long a client may take for the head of a request, and how long a connection may rest between two.
const HEAD: Duration = Duration::from_secs(30);
/// How long a client may take to read any of an answer that waits for it. One that reads is not
/// cut off (one that reads less than some ten kilobytes a second of a long answer may be: the system tells of room only
/// when a good part of its buffer is free), and neither is one to whom nothing is to be said.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long after a failure to accept, such as for lack of files, it is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// Serves until `stop` ends, then lets the requests that are under way come to their ends.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    room: Room,
    stop: impl Future<Output = ()> + Send,
) {
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accept = async {
            let seat = room.seat().await;
            (listener.accept().await, seat)
        };
        let (accepted, seat) = tokio::select! {
            accepted = accept => accepted,
            () = &mut stop => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        };
        // One more than its address may have is closed, unheard: should it wait, others would wait behind it.
        let Some(guest) = room.admit(peer.ip()) else { continue };
        let serving = connections.watch(connection(stream, peer, router.clone(), PATIENCE));
        #[expect(
            clippy::disallowed_methods,
            reason = "ends with its client, or when the node stops"
        )]
        tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::debug!(error = %error, "a connection broke");
            }
            drop((seat, guest));
        });
    }
    drop(listener);
    connections.shutdown().await;
}

fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    patience: Duration,
) -> impl GracefulConnection<Error = hyper::Error> + Send + 'static {
    // Answers are small: waiting to fill a packet would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %error, "TCP_NODELAY could not be set");
    }
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().call(request)
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(Patient::new(stream, patience)), service)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use futures_util::stream;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::{Instant, sleep, timeout};

    use super::*;

    /// Longer than a machine that has much to do keeps anybody waiting.
    const SHORT: Duration = Duration::from_secs(1);
    /// More than systems keep for a client that does not read.
    const LONG: usize = 64 << 20;

    /// Two parts, the second of which keeps its client waiting for longer than patience lasts.
    async fn slowly() -> Body {
        Body::from_stream(stream::unfold(0, async |part| {
            sleep(SHORT * 2 * u32::from(part == 1)).await;
            (part < 2).then(|| (Ok::<_, std::io::Error>(vec![b'x'; LONG / 8]), part + 1))
        }))
    }

    /// A client of this route, and the connection that it is served by, as a task.
    async fn connected(
        router: Router,
    ) -> (TcpStream, tokio::task::JoinHandle<Result<(), hyper::Error>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut client = TcpStream::connect(address).await.expect("a connection");
        let (stream, peer) = listener.accept().await.expect("a client");
        #[expect(clippy::disallowed_methods, reason = "ends with its client")]
        let serving = tokio::spawn(connection(stream, peer, router, SHORT));
        client.write_all(b"GET / HTTP/1.1\r\nhost: saldo\r\n\r\n").await.expect("it is written");
        (client, serving)
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_its_answer_is_cut_off() {
        let router = Router::new().route("/", get(async || vec![b'x'; LONG]));
        let (client, serving) = connected(router).await;
        let ended = timeout(SHORT * 30, serving).await.expect("it ends").expect("no panic");
        assert!(ended.is_err(), "it was served to its end");
        drop(client);
    }

    #[tokio::test]
    async fn who_waits_for_more_and_who_reads_slowly_are_served_to_the_end() {
        let router = Router::new().route("/", get(slowly));
        let (mut client, serving) = connected(router).await;
        let (began, mut read, mut bytes) = (Instant::now(), 0, vec![0; 1 << 20]);
        while read < LONG / 4 {
            let more = client.read(&mut bytes).await.expect("it goes on");
            assert_ne!(more, 0, "it ended after {read}");
            read += more;
            sleep(SHORT / 60).await;
        }
        assert!(began.elapsed() > SHORT * 2);
        drop(client);
        let _ = timeout(SHORT * 30, serving).await.expect("it ends");
    }
}
