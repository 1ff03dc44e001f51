//! What browsers are told, who is sent to HTTPS, and clients that keep a server waiting.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::redis_server::free_port;
use crate::support::{Answer, Database, Server};

const SITE: &str = "https://app.example.com";
/// What every answer says, whoever gives it.
const EVERYWHERE: [(&str, &str); 7] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("x-permitted-cross-domain-policies", "none"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=()"),
];
/// What scripts of other sites may read, besides what they always may.
const READ: [&str; 16] = [
    "allow",
    "content-disposition",
    "credits-charged",
    "credits-remaining",
    "etag",
    "idempotency-replayed",
    "location",
    "preference-applied",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "server-timing",
    "www-authenticate",
    "x-event-position",
    "x-request-id",
    "x-should-retry",
];
const HTTPS_ONLY: (&str, &str) =
    ("strict-transport-security", "max-age=63072000; includeSubDomains");

async fn ask(server: &Server, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    server.send(method, path, headers, None).await.expect("an answer")
}

/// A request as bytes; what comes back: clients that follow redirects would hide them.
async fn raw(server: &Server, request: &str) -> String {
    let address = server.url.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    answer
}

#[tokio::test]
async fn every_answer_tells_browsers_what_not_to_do() {
    let database = Database::in_memory().await;
    let server = database.server_with(
        &database.url(),
        &[("SALDO_RATE_LIMITS", "off"), ("SALDO_PUBLIC_URL", "https://saldo.example.com")],
    );
    let alone = ("cross-origin-resource-policy", "same-origin");
    for path in [
        "/",
        "/livez",
        "/api/v1/wallet",
        "/v1/models",
        "/nothing",
        "/openapi.json",
        "/docs/",
        "/redoc",
        "/metrics",
    ] {
        let answer = ask(&server, Method::GET, path, &[]).await;
        for (header, value) in EVERYWHERE.into_iter().chain([alone, HTTPS_ONLY]) {
            assert_eq!(answer.header(header), value, "{path} {header}");
        }
        let policy = answer.header("content-security-policy");
        let strict = !path.starts_with("/docs");
        assert_eq!(policy.starts_with("default-src 'none'"), strict, "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        let kept = if path == "/redoc" { "public, max-age=3600" } else { "no-store" };
        assert_eq!(answer.header("cache-control"), kept, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "nobody was named");
    }
    database.remove().await;
}

#[tokio::test]
async fn the_operators_listener_tells_browsers_the_same_and_nothing_of_tls() {
    let database = Database::in_memory().await;
    let listen = format!("127.0.0.1:{}", free_port());
    let settings = [
        ("SALDO_METRICS_LISTEN", listen.as_str()),
        ("SALDO_PUBLIC_URL", "https://saldo.example.com"),
    ];
    let _server = database.server_with(&database.url(), &settings);
    let operators = Server::within(format!("http://{listen}"));
    for path in ["/metrics", "/readyz", "/nothing"] {
        let answer = ask(&operators, Method::GET, path, &[]).await;
        for (header, value) in EVERYWHERE {
            assert_eq!(answer.header(header), value, "{path} {header}");
        }
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'"));
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header(HTTPS_ONLY.0), "", "it has none");
    }
    database.remove().await;
}

/// What scripts bring along, OpenAI's client in a browser among them.
const BROUGHT: &str = "authorization,content-type,idempotency-key,if-match,traceparent,tracestate,user-agent,x-csrf-token,\
                       x-stainless-lang,x-stainless-package-version,x-stainless-retry-count,x-stainless-runtime";

#[tokio::test]
async fn only_sites_that_are_named_may_ask() {
    let database = Database::in_memory().await;
    let public = ("SALDO_PUBLIC_URL", "https://saldo.example.com");
    let server = database.server_with(&database.url(), &[("SALDO_CORS_ORIGINS", SITE), public]);
    let preflight = |origin| {
        [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", BROUGHT),
        ]
    };
    let path = "/api/v1/wallet/debits";
    let asked = ask(&server, Method::OPTIONS, path, &preflight(SITE)).await;
    assert_eq!(asked.status, StatusCode::OK);
    assert_eq!(asked.header("access-control-allow-origin"), SITE);
    assert_eq!(asked.header("access-control-allow-credentials"), "true");
    let may_come = asked.header("access-control-allow-headers");
    for header in BROUGHT.split(',') {
        assert!(may_come.split(',').any(|named| named == header), "{header}: {may_come}");
    }
    for (header, value) in EVERYWHERE.into_iter().chain([HTTPS_ONLY]) {
        assert_eq!(asked.header(header), value, "{header}");
    }
    assert_eq!(asked.header("cache-control"), "no-store");
    let read = ask(&server, Method::GET, "/", &[("origin", SITE)]).await;
    assert_eq!(read.header("access-control-allow-origin"), SITE);
    let is_read = read.header("access-control-expose-headers");
    for header in READ {
        assert!(is_read.split(',').any(|named| named == header), "{header}: {is_read}");
    }
    for other in ["https://evil.example.com", "https://app.example.com.evil.org", "null"] {
        for method in [Method::OPTIONS, Method::GET] {
            let refused = ask(&server, method, path, &preflight(other)).await;
            assert_eq!(refused.header("access-control-allow-origin"), "", "{other}");
        }
    }
    let open = database.program(&[("SALDO_CORS_ORIGINS", "*")]).arg("serve").output();
    let said = open.expect("it runs");
    let said = (said.status.success(), String::from_utf8_lossy(&said.stderr).into_owned());
    assert!(!said.0 && said.1.contains("SALDO_CORS_ORIGINS"), "{said:?}");
    database.remove().await;
}

#[tokio::test]
async fn who_came_to_a_proxy_of_ours_without_tls_is_sent_to_the_public_address() {
    let database = Database::in_memory().await;
    let settings = [
        ("SALDO_HTTPS_REDIRECT", "on"),
        ("SALDO_TRUSTED_PROXIES", "127.0.0.1/32"),
        ("SALDO_PUBLIC_URL", "https://saldo.example.com"),
    ];
    let server = database.server_with(&database.url(), &settings);
    let request = |by: &str| {
        format!(
            "GET /docs?a=b HTTP/1.1\r\nhost: evil.org\r\nx-forwarded-proto: {by}\r\nconnection: close\r\n\r\n"
        )
    };
    let sent = raw(&server, &request("http")).await.to_ascii_lowercase();
    assert!(sent.starts_with("http/1.1 308"), "{sent}");
    assert!(sent.contains("location: https://saldo.example.com/docs?a=b\r\n"), "{sent}");
    for (header, value) in EVERYWHERE.into_iter().chain([("cache-control", "no-store")]) {
        let line = format!("\r\n{header}: {value}\r\n").to_ascii_lowercase();
        assert!(sent.contains(&line), "{header}: {sent}");
    }
    assert!(!sent.contains(HTTPS_ONLY.0), "without TLS it is not spoken of: {sent}");
    let answered = raw(&server, &request("https")).await;
    assert!(!answered.starts_with("HTTP/1.1 308"), "{answered}");
    // Nobody else's word counts.
    let plain = database.server_with(
        &database.url(),
        &[settings[0], settings[2], ("SALDO_TRUSTED_PROXIES", "10.0.0.0/8")],
    );
    let answered = raw(&plain, &request("http")).await;
    assert!(!answered.starts_with("HTTP/1.1 308"), "{answered}");
    for half in [&settings[..1], &settings[..2]] {
        let said = database.program(half).arg("serve").output().expect("it runs");
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.contains("SALDO_HTTPS_REDIRECT=on needs"), "{said}");
    }
    database.remove().await;
}

#[tokio::test]
async fn who_never_comes_to_the_end_of_a_request_is_hung_up_on() {
    let database = Database::in_memory().await;
    let server = database.server();
    let began = Instant::now();
    let said = raw(&server, "GET / HTTP/1.1\r\nhost: saldo\r\nx-slow:").await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
    let took = began.elapsed();
    assert!((20..45).contains(&took.as_secs()), "{took:?}");
    // Meanwhile, and afterwards, others are served.
    let answer = tokio::time::timeout(Duration::from_secs(5), ask(&server, Method::GET, "/", &[]));
    assert_eq!(answer.await.expect("in time").status, StatusCode::OK);
    database.remove().await;
}
