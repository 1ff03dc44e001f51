//! Where webhooks do not go, whatever somebody has them sent to.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::receiver::{Mood, Receiver};
use crate::webhook_house::{House, PRIVATE};

const PRIVATE_ADDRESS: &str =
    "must be an address that can be reached from everywhere, not a private one";
const UNLIMITED: (&str, &str) = ("SALDO_RATE_LIMITS", "off");

#[tokio::test]
async fn a_private_address_is_refused_when_it_is_named() {
    let house = House::open_with(&[UNLIMITED]).await;
    for url in [
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://10.1.2.3/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://0/",
    ] {
        let answer = house.post("/webhook-endpoints", "", &json!({ "url": url })).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{url}");
        assert_eq!(answer.body["errors"]["url"], PRIVATE_ADDRESS, "{url}");
    }
    let plain = house.post("/webhook-endpoints", "", &json!({ "url": house.receiver.url })).await;
    assert_eq!(plain.body["errors"]["url"], "must begin with https://");
    house.close().await;
}

/// A name says nothing of where it leads; so it is looked at when it is connected to.
#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_not_connected_to() {
    let house = House::open_with(&[UNLIMITED]).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let opened = house.listen_with(&json!({ "url": format!("https://localhost:{port}/") })).await;
    house.test(&opened.id).await;
    let delivery = house.tried(&opened.id, 1).await;
    let attempt = &delivery["attempts"][0];
    assert_eq!(attempt["error"], format!("the address {PRIVATE_ADDRESS}"));
    assert_eq!(attempt["status"], Value::Null);
    let nobody = tokio::time::timeout(std::time::Duration::ZERO, listener.accept()).await;
    assert!(nobody.is_err(), "somebody has connected");
    house.close().await;
}

/// What was taken on one's own machine is not sent where that is not allowed.
#[tokio::test]
async fn an_address_that_may_be_reached_no_more_is_not_sent_to() {
    let mut house = House::open().await;
    let opened = house.listen(&["*"]).await;
    house.server.stop();
    house.server = house.database.server_with(&house.database.url(), &[UNLIMITED]);
    house.test(&opened.id).await;
    let delivery = house.tried(&opened.id, 1).await;
    assert_eq!(delivery["attempts"][0]["error"], "the address must begin with https://");
    assert!(house.receiver.received().is_empty());
    house.close().await;
}

#[tokio::test]
async fn a_redirection_is_not_followed() {
    let house = House::open().await;
    let elsewhere = Receiver::start().await;
    house.receiver.is(Mood::Redirects(elsewhere.url.clone()));
    let opened = house.listen(&["*"]).await;
    house.test(&opened.id).await;
    let delivery = house.tried(&opened.id, 1).await;
    let attempt = &delivery["attempts"][0];
    assert_eq!((&delivery["state"], &attempt["status"]), (&json!("waiting"), &json!(302)));
    let error = attempt["error"].as_str().expect("an error");
    assert!(error.starts_with("redirections are not followed"), "{error}");
    assert!(elsewhere.received().is_empty());
    house.close().await;
}

/// Who asks through a proxy does not see what it connects to.
#[tokio::test]
async fn a_proxy_of_the_environment_is_not_asked() {
    let proxy = Receiver::start().await;
    let at = proxy.url.trim_end_matches("/webhooks").to_owned();
    let proxies = ["http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let mut settings = vec![PRIVATE, UNLIMITED];
    settings.extend(proxies.map(|name| (name, at.as_str())));
    let house = House::open_with(&settings).await;
    let opened = house.listen(&["*"]).await;
    house.test(&opened.id).await;
    house.receiver.until("endpoint.test", 1).await;
    assert!(proxy.received().is_empty());
    house.close().await;
}

#[tokio::test]
async fn private_addresses_are_for_ones_own_machine_only() {
    let house = House::open().await;
    let settings = [PRIVATE, ("SALDO_ENV", "production"), ("SALDO_SMTP_URL", "smtp://localhost")];
    let refused = house.database.program(&settings).output().expect("the program runs");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("SALDO_WEBHOOKS_PRIVATE=on"), "{said}");
    house.close().await;
}
