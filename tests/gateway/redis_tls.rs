//! A Redis that is reached by TLS.

use crate::redis_server::{RedisServer, free_port};
use crate::support::Database;

#[tokio::test]
async fn a_redis_is_reached_by_tls_where_its_certificate_is_trusted_and_only_there() {
    let database = Database::in_memory().await;
    std::fs::create_dir_all(&database.data).expect("a folder");
    let (certificate, key) = (database.data.join("redis.pem"), database.data.join("redis.key"));
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
    let made = made.expect("a certificate");
    std::fs::write(&certificate, made.cert.pem()).expect("a file");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    let port = free_port();
    let tls = ["--tls-port", &port.to_string(), "--tls-cert-file", &certificate, "--tls-key-file"];
    let tls = tls.into_iter().chain([key.as_str(), "--tls-auth-clients", "no"]).map(str::to_owned);
    let Some(redis) = RedisServer::with(tls.collect()).await else { return };

    let url = format!("rediss://localhost:{port}");
    let settings = [("REDIS_URL", url.as_str()), ("SALDO_RATE_LIMITS", "off")];
    let server = database.server_with(&database.url(), &settings);
    let ada = server.register("ada@example.com").await;
    assert_eq!(server.get(&ada, "/chats").await.status, 200);
    assert_eq!(redis.kept().await, [], "who is not trusted is not spoken to");
    drop(server);

    let settings = [settings.as_slice(), &[("SSL_CERT_FILE", certificate.as_str())]].concat();
    let server = database.server_with(&database.url(), &settings);
    assert_eq!(server.get(&ada, "/chats").await.status, 200);
    assert_ne!(redis.kept().await, []);
    drop(server);
    database.remove().await;
}
