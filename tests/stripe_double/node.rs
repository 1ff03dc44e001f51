//! Stripe's own client for Node.js drives the double, and judges its webhooks.

use std::process::Stdio;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::installed::{NPM, Package};
use crate::stripe::{SECRET_KEY, WEBHOOK_SECRET};
use crate::support::{Shop, text};

/// Of the release that webhooks are tested with.
const CLIENT: Package = Package {
    name: "npm-stripe-drive",
    files: &[
        ("package.json", include_str!("../stripe_client/sdk/package.json")),
        ("package-lock.json", include_str!("../stripe_client/sdk/package-lock.json")),
        ("drive.mjs", include_str!("drive.mjs")),
    ],
    program: "node",
    by: NPM,
};

#[tokio::test]
async fn the_client_for_node_finds_stripe_here() {
    let Some(folder) = CLIENT.folder() else { return };
    let shop = Shop::open().await;
    let session = shop.checkout().await;
    shop.stripe.pay_checkout(&session);
    let subscription = shop.subscribed(&shop.basic).await;
    let sealed: Vec<_> =
        shop.stripe.events().iter().map(|event| shop.stripe.sealed(&text(&event["id"]))).collect();
    let sealed: Vec<_> =
        sealed.iter().map(|(header, body)| json!({ "header": header, "body": body })).collect();
    let input = json!({
        "url": shop.stripe.url, "key": SECRET_KEY, "customer": shop.customer, "basic": shop.basic,
        "pro": shop.pro, "pack": shop.pack, "subscription": subscription, "session": session,
        "secret": WEBHOOK_SECRET, "sealed": sealed,
    });
    let mut node = Command::new("node")
        .arg("drive.mjs")
        .current_dir(folder)
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node runs");
    let mut stdin = node.stdin.take().expect("an input");
    stdin.write_all(input.to_string().as_bytes()).await.expect("it reads");
    drop(stdin);
    assert!(node.wait().await.expect("it ends").success());
}
