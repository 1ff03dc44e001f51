//! A key that moves real money goes to Stripe, and to nobody else.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::stripe::{StripeDouble, WEBHOOK_SECRET};
use crate::support::Database;

/// How long a program may take that has nothing to do but to say why it does not start.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until it ends; one that runs is killed.
async fn ended(mut program: Child) -> std::process::Output {
    let since = Instant::now();
    while program.try_wait().expect("the program can be looked at").is_none() {
        if since.elapsed() > PATIENCE {
            // It may have ended just now.
            let _ = program.kill();
            let said = program.wait_with_output().expect("what it said");
            panic!("it has started: {}", String::from_utf8_lossy(&said.stderr));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    program.wait_with_output().expect("what it said")
}

#[tokio::test]
async fn a_live_key_and_another_address_than_stripe_s_do_not_start() {
    let (database, stripe) = (Database::in_memory().await, StripeDouble::start().await);
    let key = "sk_live_51OfARealAccount";
    for command in ["serve", "work"] {
        let settings = [
            ("STRIPE_SECRET_KEY", key),
            ("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET),
            ("STRIPE_API_BASE", stripe.url.as_str()),
            ("SALDO_LISTEN", "127.0.0.1:0"),
        ];
        let program = database
            .program(&settings)
            .arg(command)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let said = ended(program).await;
        assert!(!said.status.success(), "{command} ended with {}", said.status);
        let why = String::from_utf8(said.stderr).expect("a text");
        assert_eq!(why.lines().count(), 1, "{command}: {why}");
        for name in ["STRIPE_SECRET_KEY", "STRIPE_API_BASE"] {
            assert!(why.contains(name), "{command}: {why}");
        }
        assert!(!why.contains(key), "{command}: {why}");
        assert!(said.stdout.is_empty(), "{command}: {:?}", said.stdout);
    }
    assert!(stripe.calls().is_empty(), "{:?}", stripe.calls());
    // Nothing was made in the folder that a server would have made its keys in.
    assert!(!database.data.exists(), "it was about to start");
    std::fs::create_dir_all(&database.data).expect("a folder");
    database.remove().await;
}
