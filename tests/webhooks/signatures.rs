//! Signatures, as the official libraries of Standard Webhooks check them.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::installed::{NPM, PIP, Package};
use crate::library::Library;
use crate::webhook_house::House;

const NODE: Library = Library {
    package: Package {
        name: "npm-standardwebhooks",
        files: &[
            ("package.json", include_str!("library/package.json")),
            ("package-lock.json", include_str!("library/package-lock.json")),
            ("verify.mjs", include_str!("library/verify.mjs")),
        ],
        program: "node",
        by: NPM,
    },
    script: "verify.mjs",
};

const PYTHON: Library = Library {
    package: Package {
        name: "pypi-standardwebhooks",
        files: &[
            ("requirements.txt", include_str!("library/requirements.txt")),
            ("verify.py", include_str!("library/verify.py")),
        ],
        program: "python3",
        by: PIP,
    },
    script: "verify.py",
};

#[tokio::test]
async fn npm_standardwebhooks_takes_what_is_signed_also_while_one_secret_replaces_the_other() {
    is_taken_by(&NODE).await;
}

#[tokio::test]
async fn pypi_standardwebhooks_takes_what_is_signed_also_while_one_secret_replaces_the_other() {
    is_taken_by(&PYTHON).await;
}

async fn is_taken_by(library: &Library) {
    let Some(folder) = library.folder() else { return };
    let house = House::open().await;
    let other = house.listen(&["hold.expired"]).await;
    let opened = house.listen(&["hold.expired"]).await;
    house.test(&opened.id).await;
    let before = house.receiver.until("endpoint.test", 1).await.remove(0);
    let path = format!("/webhook-endpoints/{}/rotate-secret", opened.id);
    let rotated = house.post(&path, "", &json!({})).await;
    assert_eq!(rotated.status, StatusCode::OK, "{:?}", rotated.body);
    let new = rotated.body["secret"].as_str().expect("a secret").to_owned();
    assert!(new != opened.secret);
    house.test(&opened.id).await;
    let after = house.receiver.until("endpoint.test", 2).await.remove(1);
    let mut changed = after.clone();
    changed.body = changed.body.replace("endpoint.test", "endpoint.tost");
    let mut renamed = after.clone();
    renamed.headers.insert("webhook-id".to_owned(), before.id().to_owned());
    let cases = [
        (before.case(&opened.secret), true),
        (before.case(&new), false),
        (after.case(&opened.secret), true),
        (after.case(&new), true),
        (after.case(&other.secret), false),
        (changed.case(&new), false),
        (renamed.case(&new), false),
    ];
    let verdicts = library.ask(&folder, &cases.iter().map(|(case, _)| case.clone()).collect());
    let wanted: Vec<_> = cases.iter().map(|(_, taken)| Value::Bool(*taken)).collect();
    assert_eq!(verdicts, wanted);
    house.close().await;
}
